// Reading and judging.
#include "train/problems.h"

#include <fmt/format.h>

#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "train/chat_data.h"

namespace reckon::train {
namespace {

constexpr uint64_t kMaxDataBytes = uint64_t{1} << 30;

}  // namespace

Result<std::vector<Problem>> read_problems(const std::vector<std::string>& paths) {
  std::vector<Problem> problems;
  for (const std::string& path : paths) {
    RECKON_ASSIGN(const std::string text, read_file(path, kMaxDataBytes));
    for (const NumberedLine& line : numbered_lines(text)) {
      Problem problem;
      problem.place = fmt::format("{}:{}", path, line.number);
      RECKON_ASSIGN(boost::json::value value, parse_json(line.text, problem.place));
      const boost::json::value* question =
          value.is_object() ? value.get_object().if_contains("question") : nullptr;
      if (question == nullptr || !question->is_string()) {
        return bad_file(problem.place + ": expected an object with a text \"question\"");
      }
      problem.question = std::string(question->get_string());
      problem.task = std::move(value.get_object());
      problems.push_back(std::move(problem));
    }
  }
  if (problems.empty()) return bad_file("problems: expected at least one line, found none");
  return problems;
}

Status check_questions(const RolloutEngine& engine, bool skip, std::vector<Problem>& problems) {
  std::vector<Problem> kept;
  for (Problem& problem : problems) {
    const Result<Request> request = engine.request_of(problem.question);
    if (request.ok()) {
      kept.push_back(std::move(problem));
    } else if (!skip || request.error().kind != ErrorKind::kUsage) {
      return Error{request.error().kind, problem.place + ": " + request.error().message};
    }
  }
  if (kept.empty()) return bad_file("problems: expected one that is short enough, found none");
  problems = std::move(kept);
  return {};
}

Result<double> score_rollout(const Scorer& scorer, const Problem& problem, const Rollout& rollout) {
  const Result<double> score = scorer({.task = problem.task,
                                       .thought = rollout.thought,
                                       .answer = rollout.answer,
                                       .thought_closed = rollout.thought_closed,
                                       .ended = rollout.ended,
                                       .thought_tokens = rollout.thought_tokens,
                                       .answer_tokens = rollout.answer_tokens});
  if (!score.ok()) return Error{score.error().kind, problem.place + ": " + score.error().message};
  if (!std::isfinite(*score)) {
    return failed(fmt::format("{}: the reward is {}", problem.place, *score));
  }
  return *score;
}

}  // namespace reckon::train
