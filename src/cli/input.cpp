// Reads to the end.
#include "cli/input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace reckon::cli {

Result<std::string> read_standard_input(uint64_t max_bytes) {
  std::string text;
  char chunk[1 << 16];
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(fmt::format("standard input: {}", std::strerror(errno)));
    if (n == 0) return text;
    text.append(chunk, static_cast<size_t>(n));
    if (text.size() > max_bytes) {
      return bad_file(
          fmt::format("standard input: expected at most {} bytes, found more", max_bytes));
    }
  }
}

}  // namespace reckon::cli
