// Keeps the engine filled with requests, judges each output when it has ended, counts.
#include "eval/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <variant>

#include "base/file.h"
#include "base/json.h"
#include "engine/conversation.h"
#include "eval/off_topic.h"
#include "train/chat_data.h"
#include "train/reward.h"

namespace reckon::eval {
namespace {

constexpr uint64_t kMaxDataBytes = uint64_t{4} << 30;

Result<std::string> text_field(const boost::json::object& object, std::string_view name,
                               const std::string& what) {
  const auto* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_string()) {
    return bad_file(fmt::format("{}: \"{}\": expected a text, found {}", what, name,
                                value == nullptr ? "none" : "something else"));
  }
  return std::string(value->get_string());
}

Result<Task> read_task(std::string_view line, const std::string& what) {
  RECKON_ASSIGN(boost::json::value value, parse_json(line, what));
  if (!value.is_object()) return bad_file(what + ": expected a JSON object");
  Task task;
  RECKON_ASSIGN(task.kind, text_field(value.get_object(), "kind", what));
  RECKON_ASSIGN(task.rule, text_field(value.get_object(), "rule", what));
  RECKON_ASSIGN(task.question, text_field(value.get_object(), "question", what));
  if (train::find_reward(task.rule) == nullptr) {
    return bad_file(fmt::format("{}: \"rule\": expected a reward's name, found \"{}\"", what,
                                excerpt(task.rule)));
  }
  task.fields = std::move(value.get_object());
  return task;
}

// Drives the engine over all tasks.
class Run {
 public:
  Run(Engine& engine, const std::vector<Task>& tasks, const EvaluationOptions& options)
      : engine_(engine), tasks_(tasks), options_(options), outcomes_(tasks.size()) {}

  Result<std::vector<Outcome>> run(const EvaluationCallback& progress) {
    while (next_ < tasks_.size() || n_in_ > 0) {
      while (next_ < tasks_.size() && n_in_ < options_.max_submitted) {
        const Status submitted = submit(next_++);
        if (!submitted.ok()) return stop(submitted.error());
      }
      engine_.step();
      if (!error_.empty()) return stop(failed("evaluation: " + error_));
      if (bad_task_) return stop(*bad_task_);
      state_.total = static_cast<int64_t>(tasks_.size());
      if (progress && !progress(state_)) return stop(Error{ErrorKind::kInterrupted, ""});
    }
    return std::move(outcomes_);
  }

 private:
  Status submit(size_t index) {
    RECKON_ASSIGN(
        Request request,
        chat_request(engine_.tokenizer(), *engine_.chat_template(),
                     {{.role = Role::kUser, .content = tasks_[index].question, .tool_calls = {}}},
                     {}));
    request.sampling.temperature = options_.temperature;
    request.sampling.top_p = options_.top_p;
    request.sampling.seed = options_.seed + index;
    request.max_tokens = options_.max_tokens;
    if (!options_.thinking) request.think_budget = 0;
    if (options_.prepare) options_.prepare(request);
    RECKON_ASSIGN(const RequestId id,
                  engine_.submit(std::move(request), [this, index](RequestId, const Event& event) {
                    take(index, event);
                  }));
    running_[index] = id;
    ++n_in_;
    return {};
  }

  void take(size_t index, const Event& event) {
    Outcome& outcome = outcomes_[index];
    if (const auto* text = std::get_if<TextEvent>(&event)) {
      (text->part == Part::kThinking ? outcome.thought : outcome.answer) += text->text;
    } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
      --n_in_;
      running_.erase(index);
      if (finished->reason == FinishReason::kError) error_ = finished->error;
      outcome.ended = finished->reason == FinishReason::kStop;
      outcome.thought_tokens = finished->usage.output.thinking;
      outcome.answer_tokens = finished->usage.output.answer;
      outcome.spent_tokens = finished->usage.output.total() + finished->usage.discarded_tokens +
                             finished->usage.probe_tokens;
      judge(index);
    }
  }

  void judge(size_t index) {
    const Task& task = tasks_[index];
    Outcome& outcome = outcomes_[index];
    const Result<double> score =
        train::find_reward(task.rule)->function({.task = task.fields,
                                                 .thought = outcome.thought,
                                                 .answer = outcome.answer,
                                                 .thought_closed = outcome.answer_tokens > 0,
                                                 .ended = outcome.ended,
                                                 .thought_tokens = outcome.thought_tokens,
                                                 .answer_tokens = outcome.answer_tokens});
    if (!score.ok()) {
      bad_task_ = score.error();
      bad_task_->message = fmt::format("task {}: {}", index + 1, bad_task_->message);
      return;
    }
    outcome.right = *score >= 1;
    outcome.declined =
        outcome.answer.ends_with(kDeclineEnglish) || outcome.answer.ends_with(kDeclineChinese);
    ++state_.done;
    state_.n_right += outcome.right ? 1 : 0;
    state_.n_tokens += outcome.thought_tokens + outcome.answer_tokens;
  }

  // What is under way would call back into this object.
  Error stop(Error error) {
    for (const auto& [index, id] : std::map(running_)) engine_.cancel(id);
    while (n_in_ > 0 && engine_.step()) continue;
    return error;
  }

  Engine& engine_;
  const std::vector<Task>& tasks_;
  const EvaluationOptions& options_;
  std::vector<Outcome> outcomes_;
  std::map<size_t, RequestId> running_;
  size_t next_ = 0;
  int64_t n_in_ = 0;
  EvaluationProgress state_;
  std::string error_;
  std::optional<Error> bad_task_;
};

void add(const Outcome& outcome, Score& score) {
  ++score.n;
  score.n_right += outcome.right ? 1 : 0;
  score.n_declined += outcome.declined ? 1 : 0;
  score.n_unfinished += outcome.ended ? 0 : 1;
  score.thought_tokens += outcome.thought_tokens;
}

}  // namespace

Result<std::vector<Task>> read_tasks(const std::string& path, int64_t limit) {
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxDataBytes));
  std::vector<Task> tasks;
  std::map<std::string, int64_t> counts;
  for (const train::NumberedLine& line : train::numbered_lines(text)) {
    RECKON_ASSIGN(Task task, read_task(line.text, fmt::format("{}:{}", path, line.number)));
    if (limit > 0 && ++counts[task.kind] > limit) continue;
    tasks.push_back(std::move(task));
  }
  if (tasks.empty()) return bad_file(path + ": expected tasks, found an empty file");
  return tasks;
}

Result<std::vector<Outcome>> evaluate(Engine& engine, const std::vector<Task>& tasks,
                                      const EvaluationOptions& options,
                                      const EvaluationCallback& progress) {
  if (engine.chat_template() == nullptr) {
    return usage_error("evaluation: expected a model with a chat template, found none");
  }
  return Run(engine, tasks, options).run(progress);
}

std::vector<Score> score_by_kind(const std::vector<Task>& tasks,
                                 const std::vector<Outcome>& outcomes) {
  std::vector<Score> scores;
  Score all;
  all.kind = "all";
  for (size_t i = 0; i < tasks.size(); ++i) {
    auto found = std::ranges::find(scores, tasks[i].kind, &Score::kind);
    if (found == scores.end()) {
      scores.emplace_back().kind = tasks[i].kind;
      found = scores.end() - 1;
    }
    add(outcomes[i], *found);
    add(outcomes[i], all);
  }
  scores.push_back(std::move(all));
  return scores;
}

Interval wilson_interval(int64_t n_right, int64_t n) {
  if (n <= 0) return {};
  constexpr double kZ = 1.959963984540054;  // the normal distribution's 97.5 % quantile
  const auto total = static_cast<double>(n);
  const double share = static_cast<double>(n_right) / total;
  const double spread = kZ * kZ / total;
  const double centre = (share + spread / 2) / (1 + spread);
  const double half =
      kZ / (1 + spread) * std::sqrt(share * (1 - share) / total + spread / (4 * total));
  return {.low = std::max(0.0, centre - half), .high = std::min(1.0, centre + half)};
}

}  // namespace reckon::eval
