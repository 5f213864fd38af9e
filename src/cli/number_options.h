// Numbers on the command line, read to their last letter: CLI11 takes an empty text for none and
// clamps what is out of range.
#pragma once

#include <CLI/CLI.hpp>

namespace reckon::cli {

// Gives every option of the command and of those below it whose value is called N, K or MIB a check
// for whole numbers, and those called P, T, X, S or SHARE one for finite or infinite ones. Seeds
// must not be negative.
void check_numbers(CLI::App& command);

}  // namespace reckon::cli
