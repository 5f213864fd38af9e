// The calendar is UTC's, whatever the machine's time zone.
#include "base/times.h"

#include <fmt/format.h>
#include <time.h>

#include <chrono>

namespace reckon {

int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string utc_time(int64_t seconds, int64_t nanoseconds) {
  const time_t time = static_cast<time_t>(seconds);
  tm parts{};
  ::gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     nanoseconds / 1000);
}

std::string utc_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now);
  return utc_time(seconds.count(), std::chrono::nanoseconds(now - seconds).count());
}

}  // namespace reckon
