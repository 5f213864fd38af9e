// Prints the failed condition and aborts.
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace reckon {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "reckon: internal error: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace reckon
