// What a generated answer is worth: the interface between GRPO or rejection sampling, which call
// it, and the rules (number, expression, countdown, format, length, language), which are pure
// functions of a problem and an output. A program of the user's can stand in for them: verifier.h.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace reckon::train {

// One output for one problem. Texts are as the engine hands them out: the thought without its
// marks, the answer after it.
struct RewardInput {
  // The problem's line of the data file: "question", and whatever its rule asks for ("answer",
  // "numbers", "target", ...).
  const boost::json::object& task;
  std::string_view thought;
  std::string_view answer;
  bool thought_closed = false;  // the model closed its thought by itself (or never had one)
  bool ended = false;           // the model ended its turn before the limit
  int64_t thought_tokens = 0;
  int64_t answer_tokens = 0;
};

// A score, usually 0 or 1. Deterministic, safe to call from any thread. Errors: kBadFile naming a
// field of the task that is missing or malformed; an output is never an error, however strange.
using RewardFunction = Result<double> (*)(const RewardInput& input);

struct RewardInfo {
  std::string_view name;     // "countdown"
  std::string_view summary;  // one line for --help
  RewardFunction function = nullptr;
};

// The built-in rules.
std::span<const RewardInfo> all_rewards();
// Null for a name that is none.
const RewardInfo* find_reward(std::string_view name);

}  // namespace reckon::train
