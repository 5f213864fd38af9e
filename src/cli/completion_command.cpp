// reckon completion: what a shell needs to complete commands, options and files.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/option_text.h"
#include "cli/output.h"
#include "cli/program.h"

namespace reckon::cli {
namespace {

struct CompletionOptions {
  const Program* program = nullptr;
  std::string shell;
};

std::string joined_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : listed_commands(app)) names.push_back(command->get_name());
  return fmt::format("{}", fmt::join(names, " "));
}

// The choices for the arguments of a command, all together.
std::vector<std::string> argument_choices(const CLI::App& command) {
  std::vector<std::string> words;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    for (std::string& word : choices(command, *option)) words.push_back(std::move(word));
  }
  return words;
}

std::string bash_case(const CLI::App& command) {
  std::vector<std::string> spellings;
  std::string values;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) continue;
    const std::vector<std::string> own = option_spellings(*option);
    spellings.insert(spellings.end(), own.begin(), own.end());
    if (!takes_value(*option)) continue;
    const std::vector<std::string> words = choices(command, *option);
    const std::string action =
        takes_path(*option) ? "files=1" : fmt::format("words='{}'", fmt::join(words, " "));
    values += fmt::format("        {}) {}; options= ;;\n", fmt::join(own, "|"), action);
  }
  return fmt::format(
      "    {})\n      options='{}'\n      words='{}'\n      files={}\n      case $previous in\n{}"
      "      esac ;;\n",
      command.get_name(), fmt::join(spellings, " "), fmt::join(argument_choices(command), " "),
      argument_choices(command).empty() ? "1" : "", values);
}

std::string bash_script(const CLI::App& app) {
  std::string script = fmt::format(
      "# bash completion for reckon\n"
      "_reckon() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  local options= words= files=\n"
      "  COMPREPLY=()\n"
      "  if [[ $COMP_CWORD -eq 1 ]]; then\n"
      "    COMPREPLY=($(compgen -W '{} --help --version' -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${{COMP_WORDS[1]}} in\n",
      joined_names(app));
  for (const CLI::App* command : listed_commands(app)) script += bash_case(*command);
  return script +
         "  esac\n"
         "  if [[ $current == -* && -n $options ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
         "  elif [[ -n $words ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  elif [[ -n $files ]]; then\n"
         "    compopt -o filenames\n"
         "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "  fi\n"
         "}\n"
         "complete -F _reckon reckon\n";
}

// A description inside single quotes, where _arguments gives brackets and colons a meaning.
std::string zsh_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\'') {
      escaped += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') escaped += '\\';
      escaped += c;
    }
  }
  return escaped;
}

std::string zsh_action(const CLI::App& command, const CLI::Option& option) {
  const std::vector<std::string> words = choices(command, option);
  if (!words.empty()) return fmt::format("({})", fmt::join(words, " "));
  return takes_path(option) ? "_files" : "";
}

std::string zsh_case(const CLI::App& command) {
  std::string arguments;
  for (const CLI::Option* option : command.get_options()) {
    const std::string action = zsh_action(command, *option);
    if (option->get_positional()) {
      arguments +=
          fmt::format(" \\\n        ':{}:{}'", zsh_text(option->get_name(true, false)), action);
      continue;
    }
    for (const std::string& spelling : option_spellings(*option)) {
      arguments +=
          fmt::format(" \\\n        '{}[{}]{}'", spelling, zsh_text(option->get_description()),
                      takes_value(*option) ? ":value:" + action : "");
    }
  }
  return fmt::format("    {})\n      _arguments{} ;;\n", command.get_name(), arguments);
}

std::string zsh_script(const CLI::App& app) {
  std::string commands;
  std::string cases;
  for (const CLI::App* command : listed_commands(app)) {
    commands +=
        fmt::format("    '{}:{}'\n", command->get_name(), zsh_text(command->get_description()));
    cases += zsh_case(*command);
  }
  return fmt::format(
      "#compdef reckon\n"
      "_reckon() {{\n"
      "  local -a commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n{}  esac\n"
      "}}\n"
      "if [[ $funcstack[1] == _reckon ]]; then _reckon \"$@\"; else compdef _reckon reckon; fi\n",
      commands, cases);
}

std::string fish_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\'' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string fish_script(const CLI::App& app) {
  std::string script =
      "# fish completion for reckon\ncomplete -c reckon -n __fish_use_subcommand -f\n";
  for (const CLI::App* command : listed_commands(app)) {
    const std::string& name = command->get_name();
    script += fmt::format("complete -c reckon -n __fish_use_subcommand -a {} -d '{}'\n", name,
                          fish_text(command->get_description()));
    const std::string here =
        fmt::format("complete -c reckon -n '__fish_seen_subcommand_from {}'", name);
    const std::vector<std::string> words = argument_choices(*command);
    if (!words.empty()) script += fmt::format("{} -f -a '{}'\n", here, fmt::join(words, " "));
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_positional()) continue;
      std::string line = here;
      for (const std::string& letter : option->get_snames()) line += " -s " + letter;
      for (const std::string& word : option->get_lnames()) line += " -l " + word;
      if (takes_value(*option)) {
        const std::vector<std::string> values = choices(*command, *option);
        line += takes_path(*option) ? " -r -F" : " -x";
        if (!values.empty()) line += fmt::format(" -a '{}'", fmt::join(values, " "));
      }
      script += fmt::format("{} -d '{}'\n", line, fish_text(option->get_description()));
    }
  }
  return script;
}

Status run_completion(const CompletionOptions& options) {
  const CLI::App& app = options.program->app;
  if (options.shell == "bash") {
    out().write(bash_script(app));
  } else if (options.shell == "zsh") {
    out().write(zsh_script(app));
  } else {
    out().write(fish_script(app));
  }
  return {};
}

}  // namespace

void add_completion_command(Program& program) {
  auto options = std::make_shared<CompletionOptions>();
  options->program = &program;
  CLI::App* command =
      add_command(program, "completion", "Print a completion script for a shell",
                  "Packages install these; by hand:\n"
                  "  reckon completion bash > ~/.local/share/bash-completion/completions/reckon\n"
                  "  reckon completion zsh > \"${fpath[1]}/_reckon\"\n"
                  "  reckon completion fish > ~/.config/fish/completions/reckon.fish",
                  options, run_completion);
  command->add_option("SHELL", options->shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

}  // namespace reckon::cli
