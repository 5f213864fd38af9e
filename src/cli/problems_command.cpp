// reckon recipe data: problems made by the generators, as JSON lines.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/interrupts.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "eval/problem_set.h"

namespace reckon::cli {
namespace {

struct DataOptions {
  eval::ProblemSetOptions problems;
  std::string out;
};

Status run_data(const DataOptions& options) {
  const PollsForInterrupts interrupts;
  Progress progress(fmt::format("writing {}", options.out));
  return eval::write_problems(options.problems, options.out, [&](int64_t done, int64_t total) {
    progress.update(static_cast<double>(done), static_cast<double>(total));
    return !interrupts.interrupted();
  });
}

std::string list_of_kinds() {
  std::string text;
  for (const eval::Kind& kind : eval::all_kinds()) {
    text += fmt::format("\n  {:<12} {}", kind.name, kind.summary);
  }
  return text;
}

}  // namespace

void add_recipe_data_command(Program& program, CLI::App& parent) {
  auto options = std::make_shared<DataOptions>();
  CLI::App* command = parent.add_subcommand("data", "Make problems with worked thoughts");
  command->footer("The same options give the same file. Kinds:" + list_of_kinds() +
                  "\nExamples:\n"
                  "  reckon recipe data --count 100000 --seed 1 --out train.jsonl\n"
                  "  reckon recipe data --held-out --count 1000 --seed 2 --out held_out.jsonl");
  command->callback([&program, options] { program.job = [options] { return run_data(*options); }; });
  command
      ->add_option("--count", options->problems.count,
                   "How many problems; with --held-out, of each kind")
      ->type_name("N")
      ->required();
  command->add_option("--seed", options->problems.seed, "Which problems")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--kind", options->problems.kinds, "Only these kinds")->type_name("KIND");
  command->add_flag("--held-out", options->problems.held_out,
                    "Problems that training data never has");
  command
      ->add_option("--direct", options->problems.percent_direct,
                   "Percent of the problems answered straight away")
      ->type_name("N")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command->add_option("--out", options->out, "The JSON lines to write")
      ->type_name("FILE")
      ->required();
}

void add_recipe_command(Program& program) {
  CLI::App* group =
      program.app.add_subcommand("recipe", "Make the small reasoning model, from data to tables");
  group->group("Commands");
  group->require_subcommand(1);
  add_recipe_data_command(program, *group);
}

}  // namespace reckon::cli
