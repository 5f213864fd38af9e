// reckon eval: how often a model's answers are right.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/evaluation_options.h"
#include "cli/interrupts.h"
#include "cli/json_line.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "eval/evaluate.h"

namespace reckon::cli {
namespace {

struct EvalOptions : EvaluationCommandOptions {
  std::string outputs;
  bool greedy = false;
  bool no_thinking = false;
};

constexpr int64_t kMaxRunning = 64;

std::string as_json(const std::vector<eval::Score>& scores, const EvalOptions& options) {
  JsonLine json;
  json.begin_object()
      .field("model", options.model.path)
      .field("data", options.data)
      .field("temperature", options.evaluation.temperature)
      .field("thinking", options.evaluation.thinking);
  json.key("kinds").begin_array();
  for (const eval::Score& score : scores) {
    const eval::Interval interval = eval::wilson_interval(score.n_right, score.n);
    json.begin_object()
        .field("kind", score.kind)
        .field("n", score.n)
        .field("right", score.n_right)
        .field("accuracy", score.accuracy())
        .field("low", interval.low)
        .field("high", interval.high)
        .field("thinking_tokens", score.mean_thought_tokens())
        .field("declined", score.n_declined)
        .field("unfinished", score.n_unfinished)
        .end_object();
  }
  return json.end_array().end_object().take();
}

std::string as_table(const std::vector<eval::Score>& scores) {
  std::string text = fmt::format("{:<12} {:>6} {:>9} {:>15} {:>9} {:>9} {:>10}\n", "kind", "n",
                                 "right", "95 % interval", "thought", "declined", "unfinished");
  for (const eval::Score& score : scores) {
    const eval::Interval interval = eval::wilson_interval(score.n_right, score.n);
    text += fmt::format("{:<12} {:>6} {:>7.1f} % {:>6.1f} - {:>5.1f} {:>9.1f} {:>9} {:>10}\n",
                        score.kind, score.n, 100 * score.accuracy(), 100 * interval.low,
                        100 * interval.high, score.mean_thought_tokens(), score.n_declined,
                        score.n_unfinished);
  }
  return text;
}

Status write_outputs(const std::vector<eval::Task>& tasks,
                     const std::vector<eval::Outcome>& outcomes, const std::string& path) {
  RECKON_ASSIGN(AtomicFileWriter file, AtomicFileWriter::create(path));
  for (size_t i = 0; i < tasks.size(); ++i) {
    JsonLine json;
    json.begin_object()
        .field("kind", tasks[i].kind)
        .field("question", tasks[i].question)
        .field("thought", outcomes[i].thought)
        .field("answer", outcomes[i].answer)
        .field("right", outcomes[i].right)
        .field("ended", outcomes[i].ended)
        .end_object();
    RECKON_RETURN_IF_ERROR(file.write(json.take()));
  }
  return file.commit();
}

Status run_eval(const EvalOptions& options) {
  RECKON_ASSIGN(const std::vector<eval::Task> tasks,
                eval::read_tasks(options.data, options.n_per_kind));
  RECKON_ASSIGN(const LoadedEngine loaded, load_for_evaluation(options, kMaxRunning));
  const PollsForInterrupts interrupts;
  std::vector<eval::Outcome> outcomes;
  {
    Progress progress("answering", options.json);
    eval::EvaluationOptions evaluation = options.evaluation;
    evaluation.thinking = !options.no_thinking;
    RECKON_ASSIGN(
        outcomes,
        eval::evaluate(
            *loaded.engine, tasks, evaluation, [&](const eval::EvaluationProgress& state) {
              progress.update(static_cast<double>(state.done), static_cast<double>(state.total),
                              fmt::format("{} right of {}", state.n_right, state.done));
              return !interrupts.interrupted();
            }));
  }
  if (!options.outputs.empty()) {
    RECKON_RETURN_IF_ERROR(write_outputs(tasks, outcomes, options.outputs));
  }
  const std::vector<eval::Score> scores = eval::score_by_kind(tasks, outcomes);
  EvalOptions said = options;
  said.evaluation.thinking = !options.no_thinking;
  out().write(options.json ? as_json(scores, said) : as_table(scores));
  return {};
}

}  // namespace

void add_eval_command(Program& program) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command = add_command(
      program, "eval", "Measure how often a model's answers are right",
      "A line of the data names a question, its kind (a row of the table) and the rule that judges "
      "an answer; `reckon recipe data` writes such files. The interval is Wilson's.\n"
      "Examples:\n"
      "  reckon eval -m model.gguf --data held_out.jsonl\n"
      "  reckon eval -m model.gguf --data held_out.jsonl --temperature 0.6 -n 200 --json",
      options, run_eval);
  add_evaluation_options(*command, *options);
  CLI::Option* temperature =
      command->add_option("--temperature", options->evaluation.temperature, "0: greedy")
          ->type_name("X")
          ->capture_default_str();
  command->add_flag("--greedy", options->greedy, "Temperature 0, the default")
      ->excludes(temperature);
  command->add_flag("--no-thinking", options->no_thinking, "Answers straight away");
  command->add_option("--outputs", options->outputs, "Writes every output there, JSON lines")
      ->type_name("FILE");
}

}  // namespace reckon::cli
