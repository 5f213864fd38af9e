// Countdown: reach the target with every number used exactly once and + - * /. The worked thought
// tries in one fixed order, checks, goes on, and never tries the same thing twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eval/problem.h"
#include "eval/random.h"

namespace reckon::eval {

struct CountdownWork {
  std::string thought;
  // "(25-7)*3". Empty where the thought's ways of trying don't find one (another way may).
  std::string expression;
};

CountdownWork work_out_countdown(const std::vector<int64_t>& numbers, int64_t target);

// Whether any expression reaches the target, whole numbers on the way.
bool countdown_solvable(const std::vector<int64_t>& numbers, int64_t target);

// Numbers 1 to 99, target 10 to 99, both uniform among the solvable. kind: "countdown3" for 3. Its
// answer is kNoExpression where the thought finds none.
inline constexpr std::string_view kNoExpression = "I have not found a way.";
Problem make_countdown(Random& random, int n_numbers);

}  // namespace reckon::eval
