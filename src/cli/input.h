// Standard input as a whole.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace reckon::cli {

// Errors: kBadFile when there is more than max_bytes, kFailed when it can't be read.
Result<std::string> read_standard_input(uint64_t max_bytes);

}  // namespace reckon::cli
