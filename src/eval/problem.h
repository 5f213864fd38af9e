// A problem as the generators make it: the question, a worked thought, the answer, and what a
// grader needs to judge any other answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reckon::eval {

struct Problem {
  std::string_view kind;  // "sum", "countdown3", ...: one row of a report
  std::string_view rule;  // the reward's name: "number", "countdown", "text"
  std::string question;
  // What makes it this problem, whatever the wording: "347*26". The split into training and held
  // out is made by it.
  std::string content;
  std::string thought;           // empty: none is known
  std::string answer;            // as the model should give it
  std::vector<int64_t> numbers;  // of a countdown
  int64_t target = 0;            // likewise
};

}  // namespace reckon::eval
