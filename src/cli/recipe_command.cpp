// reckon recipe: the small reasoning model from nothing; and its first stage on its own.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "cli/interrupts.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/recipe.h"
#include "engine/load.h"
#include "eval/problem_set.h"
#include "eval/rejection.h"

namespace reckon::cli {
namespace {

struct RecipeOptions {
  std::string folder;
  bool smoke = false;
  int n_threads = 0;
};

Status run_whole_recipe(const RecipeOptions& options) {
  if (options.folder.empty()) {
    return usage_error("recipe: expected --out FOLDER; `reckon recipe --help` tells more");
  }
  return run_recipe(options.smoke ? smoke_scale() : full_scale(), options.folder,
                    options.n_threads == 0 ? physical_core_count() : options.n_threads);
}

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

struct SampleOptions {
  ModelOptions model;
  std::string data;
  std::string out;
  int64_t n_per_kind = 0;
  eval::RejectionOptions rejection;
};

Status run_sample(const SampleOptions& options) {
  constexpr int64_t kSequences = 64;
  RECKON_ASSIGN(const std::vector<eval::Task> tasks,
                eval::read_tasks(options.data, options.n_per_kind));
  LoadOptions load = load_options(options.model);
  load.n_sequences = kSequences;
  if (!load.context_length) load.context_length = 2048;
  RECKON_ASSIGN(const LoadedEngine loaded,
                load_with_progress(options.model.path, std::move(load), false));
  const PollsForInterrupts interrupts;
  Progress progress("sampling");
  RECKON_ASSIGN(const eval::RejectionResult result,
                eval::write_right_answers(*loaded.engine, tasks, options.rejection, options.out,
                                          [&](const eval::EvaluationProgress& state) {
                                            progress.update(static_cast<double>(state.done),
                                                            static_cast<double>(state.total));
                                            return !interrupts.interrupted();
                                          }));
  out().write(fmt::format("{}: {} of {} problems solved, {} answers kept\n", options.out,
                          result.n_solved, result.n_problems, result.n_kept));
  return {};
}

void add_recipe_data_command(Program& program, CLI::App& parent) {
  auto options = std::make_shared<DataOptions>();
  CLI::App* command = parent.add_subcommand("data", "Make problems with worked thoughts");
  command->footer("The same options give the same file. Kinds:" + list_of_kinds() +
                  "\nExamples:\n"
                  "  reckon recipe data --count 100000 --seed 1 --out train.jsonl\n"
                  "  reckon recipe data --held-out --count 1000 --seed 2 --out held_out.jsonl");
  command->callback(
      [&program, options] { program.job = [options] { return run_data(*options); }; });
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

void add_recipe_sample_command(Program& program, CLI::App& parent) {
  auto options = std::make_shared<SampleOptions>();
  CLI::App* command =
      parent.add_subcommand("sample", "Keep a model's right answers as training data");
  command->footer(
      "Examples:\n"
      "  reckon recipe sample -m sft.gguf --data problems.jsonl --samples 4 --out right.jsonl");
  command->callback(
      [&program, options] { program.job = [options] { return run_sample(*options); }; });
  add_model_options(*command, options->model, kContextOf2048);
  command->add_option("--data", options->data, "The problems, JSON lines")
      ->type_name("FILE")
      ->required();
  const auto number = [&](const char* name, auto& value, const char* description) {
    command->add_option(name, value, description)->type_name("N")->capture_default_str();
  };
  number("-n,--per-kind", options->n_per_kind, "Problems of each kind; 0: all");
  number("--samples", options->rejection.n_samples, "Answers drawn to each");
  number("--keep", options->rejection.n_kept,
         "Right ones kept of each, the shortest thoughts first");
  command->add_option("--temperature", options->rejection.sampling.temperature, "0: greedy")
      ->type_name("X")
      ->capture_default_str();
  number("--max-tokens", options->rejection.sampling.max_tokens, "Of an output");
  number("--seed", options->rejection.sampling.seed, "Of the draws");
  command->add_option("--out", options->out, "The JSON lines to write")
      ->type_name("FILE")
      ->required();
}

}  // namespace

void add_recipe_command(Program& program) {
  auto options = std::make_shared<RecipeOptions>();
  CLI::App* group =
      program.app.add_subcommand("recipe", "Make the small reasoning model, from data to tables");
  group->group("Commands");
  group->footer(
      "Without one of the commands above, the whole recipe: problems, tokenizer, cold start, "
      "reinforcement, rejection sampling, distillation, tables; docs/recipe.md tells more. "
      "Stopped, it goes on when it is called again. recipe.lock.json in the folder holds the "
      "settings and every file's SHA-256.\n"
      "Examples:\n"
      "  reckon recipe --out recipe\n"
      "  reckon recipe --smoke --out /tmp/smoke");
  group->require_subcommand(0, 1);
  group->callback([&program, group, options] {
    if (!group->get_subcommands().empty()) return;
    program.job = [options] { return run_whole_recipe(*options); };
  });
  group->add_option("--out", options->folder, "The folder for all files")->type_name("FOLDER");
  group->add_flag("--smoke", options->smoke,
                  "The whole chain in minutes, with a model that is too small");
  add_thread_option(*group, options->n_threads);
  add_recipe_data_command(program, *group);
  add_recipe_sample_command(program, *group);
}

}  // namespace reckon::cli
