// Problems by the thousand: training's and the held-out ones, told apart by content, as JSON lines
// that the trainer, the rewards and the evaluation read.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/problem.h"
#include "eval/random.h"

namespace reckon::eval {

struct Kind {
  std::string_view name;
  std::string_view summary;
  int weight = 0;  // its share of the training data
};
std::span<const Kind> all_kinds();

struct ProblemSetOptions {
  bool held_out = false;
  int64_t count = 0;               // in all; held_out: of each kind
  std::vector<std::string> kinds;  // empty: all of them
  uint64_t seed = 0;
  // Of 100 training problems, so many are answered straight away, with no thought.
  int percent_direct = 20;
  // Of 100 problems, so many are followed by another in the same conversation.
  int percent_followed = 12;
  bool need_thought =
      true;  // leave out what has no worked thought: puzzles for rollouts may lack it
};

// Whether a problem of this content is held out: a fixed 1 in 20 by a hash of kind and content.
bool is_held_out(std::string_view kind, std::string_view content);

// The problem as a line of JSON with its line break: kind, rule, question, answer, numbers, target,
// and messages with the thought as reasoning_content unless it is to be answered straight away.
// before: problems that the same conversation solved earlier.
std::string problem_line(const Problem& problem, bool direct, std::span<const Problem> before = {});

// Writes the lines; no content twice among the held-out ones. progress: done and wanted, false
// stops. Errors: kUsage for a kind that is none or a count below 1, kInterrupted, kFailed.
using ProblemProgress = std::function<bool(int64_t done, int64_t total)>;
Status write_problems(const ProblemSetOptions& options, const std::string& path,
                      const ProblemProgress& progress = {});

}  // namespace reckon::eval
