// RECKON_CHECK: stops the program on a programmer's mistake. It stays on in release builds, and no
// input may ever reach it: what comes from outside is checked and returned as a Result.
#pragma once

namespace reckon {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace reckon

#define RECKON_CHECK(condition)                               \
  do {                                                        \
    if (!(condition)) [[unlikely]] {                          \
      ::reckon::check_failed(#condition, __FILE__, __LINE__); \
    }                                                         \
  } while (false)
