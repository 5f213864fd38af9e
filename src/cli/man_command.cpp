// reckon man: the manual page, made from the same descriptions as --help. The build runs it.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>

#include "cli/option_text.h"
#include "cli/output.h"
#include "cli/program.h"

namespace reckon::cli {
namespace {

struct ManOptions {
  const Program* program = nullptr;
};

constexpr std::string_view kEnding = R"(.SH EXIT STATUS
.TP
.B 0
done
.TP
.B 1
the job failed
.TP
.B 2
wrong usage
.TP
.B 3
an input file is malformed, truncated or not supported
.TP
.B 130
interrupted
.SH ENVIRONMENT
.TP
.B RECKON_ISA
the kernels to compute with: scalar, avx2, avx512 or neon. The answers are the same.
.TP
.B RECKON_MODELS
the folder of pulled models; without it
.I $XDG_DATA_HOME/reckon/models
or
.I ~/.local/share/reckon/models
.TP
.BR HF_ENDPOINT ", " HF_TOKEN ", " HF_TOKEN_PATH
another hub to pull from, and the token for gated repositories or the file that holds it
.TP
.BR OLLAMA_MODELS ", " HF_HUB_CACHE ", " HF_HOME
where other programs keep models, which are used in place
.TP
.BR SSL_CERT_FILE ", " SSL_CERT_DIR
which certificates to trust instead of the system's
.TP
.B NO_COLOR
when set, nothing is dim or bold
.TP
.BR VISUAL ", " EDITOR
what /edit opens a thought in
.SH FILES
.TP
.I $XDG_STATE_HOME/reckon/chat_history
what was typed in
.BR "reckon chat" ;
without XDG_STATE_HOME in ~/.local/state/reckon
)";

// Text as troff takes it: backslashes and minus signs escaped, no line begins with a control
// character.
std::string escape(std::string_view text) {
  std::string escaped;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) escaped += "\\&";
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
    line_begins = c == '\n';
  }
  return escaped;
}

// Indented lines stay as they are, others are filled.
std::string paragraphs(std::string_view text) {
  std::string page;
  bool verbatim = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool indented = line.starts_with("  ");
    if (indented != verbatim) page += indented ? ".nf\n" : ".fi\n";
    if (!indented) page += ".PP\n";
    verbatim = indented;
    page += escape(line) + "\n";
  }
  if (verbatim) page += ".fi\n";
  return page;
}

std::string describe_option(const CLI::Option& option) {
  const std::string name =
      option.get_positional() ? option.get_name(true, false) : option_names(option);
  return fmt::format(".TP\n.B {}\n{}\n", escape(name), escape(option_description(option)));
}

std::string describe_command(const CLI::App& command) {
  std::string usage = "reckon " + command.get_name() + " [OPTIONS]";
  std::string options;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) usage += " " + option->get_name(true, false);
    if (option != command.get_help_ptr()) options += describe_option(*option);
  }
  return fmt::format(".SS {}\n{}.\n{}{}", escape(usage), escape(command.get_description()), options,
                     paragraphs(command.get_footer()));
}

Status run_man(const ManOptions& options) {
  const CLI::App& app = options.program->app;
  out().write(fmt::format(".TH RECKON 1 \"\" \"reckon {}\" \"User commands\"\n", RECKON_VERSION));
  out().write(
      ".SH NAME\nreckon \\- ask a reasoning model a question on this computer\n"
      ".SH SYNOPSIS\n.B reckon\n.I COMMAND\n[OPTIONS]\n.SH DESCRIPTION\n");
  out().write(escape(app.get_description()) + "\n" + paragraphs(app.get_footer()));
  out().write(".SH COMMANDS\n");
  for (const CLI::App* command : listed_commands(app)) out().write(describe_command(*command));
  out().write(kEnding);
  return {};
}

}  // namespace

void add_man_command(Program& program) {
  auto options = std::make_shared<ManOptions>();
  options->program = &program;
  add_command(program, "man", "Print the manual page's source", "", options, run_man)->group("");
}

}  // namespace reckon::cli
