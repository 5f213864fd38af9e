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

std::string names_of(const std::vector<const CLI::App*>& commands) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands) names.push_back(command->get_name());
  return fmt::format("{}", fmt::join(names, " "));
}

// "train" has `train sft` and others.
std::vector<const CLI::App*> commands_below(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
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

// depth: how many words stand in front of the command's own.
std::string bash_case(const CLI::App& command, int depth) {
  std::vector<std::string> spellings;
  std::string values;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) continue;
    const std::vector<std::string> own = option_spellings(*option);
    spellings.insert(spellings.end(), own.begin(), own.end());
    if (!takes_value(*option)) continue;
    const std::vector<std::string> words = choices(command, *option);
    values += fmt::format("        {}) words='{}'; files={}; options= ;;\n", fmt::join(own, "|"),
                          fmt::join(words, " "), takes_path(*option) ? "1" : "");
  }
  const std::vector<const CLI::App*> below = commands_below(command);
  std::string inner;
  for (const CLI::App* app : below) inner += bash_case(*app, depth + 1);
  if (!below.empty()) {
    inner = fmt::format(
        "      [[ $COMP_CWORD -gt {0} ]] && case ${{COMP_WORDS[{0}]}} in\n{1}      esac\n",
        depth + 1, inner);
  }
  const std::string words = below.empty()
                                ? fmt::format("{}", fmt::join(argument_choices(command), " "))
                                : names_of(below);
  return fmt::format(
      "    {})\n      options='{}'\n      words='{}'\n      files={}\n      case $previous in\n{}"
      "      esac\n{}      ;;\n",
      command.get_name(), fmt::join(spellings, " "), words, words.empty() ? "1" : "", values,
      inner);
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
      names_of(listed_commands(app)));
  for (const CLI::App* command : listed_commands(app)) script += bash_case(*command, 1);
  return script +
         "  esac\n"
         "  if [[ $current == -* && -n $options ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
         "    return\n"
         "  fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  if [[ -n $files ]]; then\n"
         "    compopt -o filenames\n"
         "    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$current\")\n"
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

std::string zsh_case(const CLI::App& command);

// The commands below this one, once it stands in front: the words are moved along by one.
std::string zsh_cases(const std::vector<const CLI::App*>& commands) {
  std::string described;
  std::string cases;
  for (const CLI::App* command : commands) {
    described +=
        fmt::format("    '{}:{}'\n", command->get_name(), zsh_text(command->get_description()));
    cases += zsh_case(*command);
  }
  return fmt::format(
      "  commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n{}  esac\n",
      described, cases);
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
  if (const std::vector<const CLI::App*> below = commands_below(command); !below.empty()) {
    return fmt::format(
        "    {})\n      if [[ $words[2] == -* ]]; then\n        _arguments{}\n      else\n{}"
        "      fi ;;\n",
        command.get_name(), arguments, zsh_cases(below));
  }
  return fmt::format("    {})\n      _arguments{} ;;\n", command.get_name(), arguments);
}

std::string zsh_script(const CLI::App& app) {
  return fmt::format(
      "#compdef reckon\n"
      "_reckon() {{\n"
      "  local -a commands\n"
      "  local command\n"
      "{}"
      "}}\n"
      "if [[ $funcstack[1] == _reckon ]]; then _reckon \"$@\"; else compdef _reckon reckon; fi\n",
      zsh_cases(listed_commands(app)));
}

std::string fish_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\'' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// The arguments and options of one command, where the condition holds.
std::string fish_options(const CLI::App& command, std::string_view condition) {
  const std::string here = fmt::format("complete -c reckon -n '{}'", condition);
  std::string script;
  const std::vector<std::string> words = argument_choices(command);
  if (!words.empty()) script += fmt::format("{} -f -a '{}'\n", here, fmt::join(words, " "));
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) continue;
    std::string line = here;
    for (const std::string& letter : option->get_snames()) line += " -s " + letter;
    for (const std::string& word : option->get_lnames()) line += " -l " + word;
    if (takes_value(*option)) {
      const std::vector<std::string> values = choices(command, *option);
      line += takes_path(*option) ? " -r -F" : " -x";
      if (!values.empty()) line += fmt::format(" -a '{}'", fmt::join(values, " "));
    }
    script += fmt::format("{} -d '{}'\n", line, fish_text(option->get_description()));
  }
  return script;
}

std::string fish_script(const CLI::App& app) {
  std::string script =
      "# fish completion for reckon\ncomplete -c reckon -n __fish_use_subcommand -f\n";
  for (const CLI::App* command : listed_commands(app)) {
    const std::string& name = command->get_name();
    script += fmt::format("complete -c reckon -n __fish_use_subcommand -a {} -d '{}'\n", name,
                          fish_text(command->get_description()));
    const std::string condition = fmt::format("__fish_seen_subcommand_from {}", name);
    const std::vector<const CLI::App*> below = commands_below(*command);
    if (below.empty()) {
      script += fish_options(*command, condition);
      continue;
    }
    const std::string first =
        fmt::format("{}; and not __fish_seen_subcommand_from {}", condition, names_of(below));
    script += fmt::format("complete -c reckon -n '{}' -f\n", first) + fish_options(*command, first);
    for (const CLI::App* lower : below) {
      const std::string& inner = lower->get_name();
      script += fmt::format("complete -c reckon -n '{}' -a {} -d '{}'\n", first, inner,
                            fish_text(lower->get_description()));
      script += fish_options(
          *lower, fmt::format("{}; and __fish_seen_subcommand_from {}", condition, inner));
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
