// What stands around the commands: help, version, the order in which they are listed.
#include "cli/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "cli/number_options.h"
#include "cli/option_text.h"

namespace reckon::cli {
namespace {

constexpr size_t kColumns = 96;
constexpr size_t kDescriptionColumn = 26;

// Help in the order a person needs it: what it does, usage, arguments, options, examples.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(kDescriptionColumn);
    label("Positionals", "Arguments");
    label("SUBCOMMAND", "COMMAND");
  }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    const std::string name = is_positional ? option->get_name(true, false) : option_names(*option);
    std::string line = "  " + name;
    const std::string indent(kDescriptionColumn, ' ');
    if (line.size() + 2 > kDescriptionColumn) {
      line += "\n" + indent;
    } else {
      line.resize(kDescriptionColumn, ' ');
    }
    return line + wrap(option_description(*option), kColumns - kDescriptionColumn, indent) + "\n";
  }

  std::string make_footer(const CLI::App* app) const override {
    std::string text = "\n";
    const std::string footer = app->get_footer();
    std::string_view rest = footer;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      text += wrap(rest.substr(0, end), kColumns, "") + "\n";
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return text;
  }
};

}  // namespace

Program::Program()
    : app("Ask a reasoning model a question on this computer, watch it think, get the answer.",
          "reckon") {
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  app.set_version_flag("--version", "reckon " RECKON_VERSION, "Print the version");
  app.set_help_flag("-h,--help", "Print this help");
  app.footer(
      "Examples:\n"
      "  reckon ask -m model.gguf \"How many primes are there below 100?\"\n"
      "  reckon chat -m model.gguf\n"
      "  reckon show model.gguf\n"
      "`reckon COMMAND --help` tells more about each.");
  add_ask_command(*this);
  add_chat_command(*this);
  add_serve_command(*this);
  add_run_command(*this);
  add_pull_command(*this);
  add_list_command(*this);
  add_rm_command(*this);
  add_verify_command(*this);
  add_show_command(*this);
  add_tokenize_command(*this);
  add_tokenizer_command(*this);
  add_eval_command(*this);
  add_thinking_command(*this);
  add_recipe_command(*this);
  add_convert_command(*this);
  add_quantize_command(*this);
  add_synth_command(*this);
  add_train_command(*this);
  add_merge_command(*this);
  add_perplexity_command(*this);
  add_bench_command(*this);
  add_version_command(*this);
  add_completion_command(*this);
  add_man_command(*this);
  check_numbers(app);
}

}  // namespace reckon::cli
