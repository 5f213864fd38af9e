// What an answer's thinking cost and why it ended: as a line for people, and for programs.
#pragma once

#include <cstdint>
#include <string>

#include "cli/json_line.h"
#include "engine/request.h"

namespace reckon::cli {

// The fields "thought_end", "usage", "timings" and, where paths or branches were asked for,
// "deliberation" of an open object.
void add_report(JsonLine& json, const Completion& completion, double load_ms);

// One line: tokens read, thought and answered, spent on branches, saved; seconds, joules.
std::string usage_line(const Completion& completion, int64_t context_length);

// Why the thought ended, and how the vote went: lines of plain text. Answers in it are the model's.
std::string explanation(const Completion& completion);

}  // namespace reckon::cli
