// Problems to be answered and judged: lines of JSON with a "question" and what its reward asks for.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/reward.h"
#include "train/rollout.h"

namespace reckon::train {

struct Problem {
  std::string place;  // "problems.jsonl:12", for errors
  std::string question;
  boost::json::object task;  // the whole line
};
// Errors: kBadFile naming file and line.
Result<std::vector<Problem>> read_problems(const std::vector<std::string>& paths);

// Finds questions that are too long for the engine before any is asked; those go where skip is
// true. Errors: kUsage naming file and line; kBadFile when none is left.
Status check_questions(const RolloutEngine& engine, bool skip, std::vector<Problem>& problems);

// Called from one thread.
using Scorer = std::function<Result<double>(const RewardInput& input)>;
// Errors: the scorer's, with the problem's place, and kFailed for a score that isn't finite.
Result<double> score_rollout(const Scorer& scorer, const Problem& problem, const Rollout& rollout);

}  // namespace reckon::train
