// Times of day, as APIs and the log write them.
#pragma once

#include <cstdint>
#include <string>

namespace reckon {

int64_t seconds_since_1970();
// "2026-01-31T23:59:59.000000Z".
std::string utc_time(int64_t seconds_since_1970, int64_t nanoseconds = 0);
std::string utc_now();

}  // namespace reckon
