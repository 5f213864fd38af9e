// Rejection sampling (DeepSeek-R1, section 2.3.3): several answers to each problem are drawn, the
// right ones are kept as training data. The traces of a larger model make a smaller one's data.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/evaluate.h"

namespace reckon::eval {

struct RejectionOptions {
  int64_t n_samples = 4;  // of each problem
  int64_t n_kept = 1;     // of the right ones, the shortest thoughts first
  EvaluationOptions sampling = {.thinking = true, .temperature = 0.8, .top_p = 1.0};
};

struct RejectionResult {
  int64_t n_problems = 0;
  int64_t n_solved = 0;  // by at least one sample
  int64_t n_kept = 0;
};

// Writes the kept ones as chat messages with the thought as reasoning_content, in the tasks' order.
// Errors: evaluate()'s, kFailed when the file can't be written.
Result<RejectionResult> write_right_answers(Engine& engine, const std::vector<Task>& tasks,
                                            const RejectionOptions& options,
                                            const std::string& path,
                                            const EvaluationCallback& progress = {});

}  // namespace reckon::eval
