// reckon thinking: accuracy over tokens spent, for every way of thinking less.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
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
#include "eval/thinking_methods.h"

namespace reckon::cli {
namespace {

struct ThinkingCommandOptions : EvaluationCommandOptions {
  std::string plot;
  std::string style;
  int64_t n_alone = 10;
};

constexpr int64_t kComparedAtOnce = 64;

// For a problem that has the machine for itself.
struct AloneSeconds {
  double one_path = 0;
  double eight_paths = 0;
};

class Comparison {
 public:
  Comparison(const ThinkingCommandOptions& options, Engine& engine,
             const std::vector<eval::Task>& tasks)
      : options_(options), engine_(engine), tasks_(tasks) {}

  Status run() {
    RECKON_ASSIGN(const std::vector<eval::Outcome> full,
                  measure(eval::full_thought(), tasks_, kComparedAtOnce));
    int64_t n_thought = 0;
    for (const eval::Outcome& outcome : full) n_thought += outcome.thought_tokens;
    const int64_t mean = n_thought / std::ssize(full);
    for (const eval::ThinkingMethod& method : eval::thinking_methods(mean, options_.style)) {
      RECKON_RETURN_IF_ERROR(measure(method, tasks_, kComparedAtOnce));
    }
    return measure_alone();
  }

  const std::vector<eval::MethodScore>& scores() const { return scores_; }
  // Empty where none were to be measured.
  const std::optional<AloneSeconds>& alone() const { return alone_; }

 private:
  Result<std::vector<eval::Outcome>> measure(const eval::ThinkingMethod& method,
                                             const std::vector<eval::Task>& tasks,
                                             int64_t n_at_once, bool counts = true) {
    eval::EvaluationOptions evaluation = options_.evaluation;
    evaluation.prepare = method.prepare;
    evaluation.max_submitted = std::max<int64_t>(1, n_at_once / method.n_paths);
    Progress progress(method.name, options_.json);
    const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
    RECKON_ASSIGN(
        std::vector<eval::Outcome> outcomes,
        eval::evaluate(engine_, tasks, evaluation, [&](const eval::EvaluationProgress& state) {
          progress.update(static_cast<double>(state.done), static_cast<double>(state.total));
          return !interrupts_.interrupted();
        }));
    eval::MethodScore score{.family = method.family, .name = method.name};
    score.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    int64_t n_spent = 0;
    for (const eval::Outcome& outcome : outcomes) {
      ++score.n;
      score.n_right += outcome.right ? 1 : 0;
      n_spent += outcome.spent_tokens;
    }
    score.mean_tokens = static_cast<double>(n_spent) / static_cast<double>(score.n);
    last_seconds_ = score.seconds;
    if (counts) scores_.push_back(std::move(score));
    return outcomes;
  }

  Status measure_alone() {
    const auto n = std::min<ptrdiff_t>(options_.n_alone, std::ssize(tasks_));
    if (n < 1) return {};
    const std::vector<eval::Task> few(tasks_.begin(), tasks_.begin() + n);
    AloneSeconds seconds;
    for (const int64_t n_paths : {1, 8}) {
      const PathOptions paths{.n = n_paths, .window = n_paths, .stop = PathOptions::Stop::kOff};
      const eval::ThinkingMethod method{"alone", fmt::format("{} paths alone", n_paths),
                                        [paths](Request& r) { r.paths = paths; }, n_paths};
      RECKON_RETURN_IF_ERROR(measure(method, few, n_paths, false));
      (n_paths == 1 ? seconds.one_path : seconds.eight_paths) =
          last_seconds_ / static_cast<double>(n);
    }
    alone_ = seconds;
    return {};
  }

  const ThinkingCommandOptions& options_;
  Engine& engine_;
  const std::vector<eval::Task>& tasks_;
  const PollsForInterrupts interrupts_;
  std::vector<eval::MethodScore> scores_;
  double last_seconds_ = 0;
  std::optional<AloneSeconds> alone_;
};

std::string comparison_table(const Comparison& comparison) {
  std::string text = fmt::format("{:<16} {:>6} {:>9} {:>15} {:>9} {:>8} {:>9}\n", "method", "n",
                                 "right", "95 % interval", "tokens", "of full", "seconds");
  const double full = comparison.scores()[0].mean_tokens;
  for (const eval::MethodScore& score : comparison.scores()) {
    const eval::Interval interval = eval::wilson_interval(score.n_right, score.n);
    text += fmt::format(
        "{:<16} {:>6} {:>7.1f} % {:>6.1f} - {:>5.1f} {:>9.1f} {:>6.0f} % {:>9.1f}\n", score.name,
        score.n, 100 * static_cast<double>(score.n_right) / static_cast<double>(score.n),
        100 * interval.low, 100 * interval.high, score.mean_tokens, 100 * score.mean_tokens / full,
        score.seconds);
  }
  if (const std::optional<AloneSeconds>& alone = comparison.alone()) {
    text += fmt::format("alone: {:.2f} s a problem with one path, {:.2f} s with 8\n",
                        alone->one_path, alone->eight_paths);
  }
  return text;
}

std::string comparison_json(const Comparison& comparison, const ThinkingCommandOptions& options) {
  JsonLine json;
  json.begin_object()
      .field("model", options.model.path)
      .field("data", options.data)
      .field("temperature", options.evaluation.temperature);
  json.key("methods").begin_array();
  for (const eval::MethodScore& score : comparison.scores()) {
    const eval::Interval interval = eval::wilson_interval(score.n_right, score.n);
    json.begin_object()
        .field("method", score.name)
        .field("n", score.n)
        .field("right", score.n_right)
        .field("low", interval.low)
        .field("high", interval.high)
        .field("tokens", score.mean_tokens)
        .field("seconds", score.seconds)
        .end_object();
  }
  json.end_array();
  if (const std::optional<AloneSeconds>& alone = comparison.alone()) {
    json.field("alone_seconds_1_path", alone->one_path)
        .field("alone_seconds_8_paths", alone->eight_paths);
  }
  return json.end_object().take();
}

Status run_thinking(const ThinkingCommandOptions& options) {
  RECKON_ASSIGN(const std::vector<eval::Task> tasks,
                eval::read_tasks(options.data, options.n_per_kind));
  RECKON_ASSIGN(const LoadedEngine loaded, load_for_evaluation(options, kComparedAtOnce));
  Comparison comparison(options, *loaded.engine, tasks);
  RECKON_RETURN_IF_ERROR(comparison.run());
  if (!options.plot.empty()) {
    RECKON_RETURN_IF_ERROR(write_file(options.plot, eval::plot_svg(comparison.scores())));
  }
  out().write(options.json ? comparison_json(comparison, options) : comparison_table(comparison));
  return {};
}

}  // namespace

void add_thinking_command(Program& program) {
  auto options = std::make_shared<ThinkingCommandOptions>();
  options->evaluation.temperature = 0.6;
  CLI::App* command = add_command(
      program, "thinking", "Measure what thinking less costs in accuracy",
      "Every method answers the same problems: budgets, early stop, votes. The tokens spent for a "
      "problem are all that were generated, in every path and side branch.\n"
      "Examples:\n"
      "  reckon thinking -m model.gguf --data held_out.jsonl --plot thinking.svg\n"
      "  reckon thinking -m model.gguf --data held_out.jsonl -n 200 --style lines --json",
      options, run_thinking);
  add_evaluation_options(*command, *options);
  command->add_option("--style", options->style, "As --early-style of ask")
      ->type_name("NAME")
      ->check(CLI::IsMember({"r1", "lines", "plain"}));
  command->add_option("--temperature", options->evaluation.temperature, "Of all paths")
      ->type_name("X")
      ->capture_default_str();
  command
      ->add_option("--alone", options->n_alone,
                   "So many problems are answered one at a time too, with one path and with 8")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--plot", options->plot, "Write accuracy over tokens as SVG there")
      ->type_name("FILE");
}

}  // namespace reckon::cli
