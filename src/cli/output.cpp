// Buffering, styling and defusing of what is printed.
#include "cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace reckon::cli {
namespace {

constexpr size_t kBufferBytes = 1 << 16;
constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kPlain = "\x1b[0m";

bool wants_style(bool is_terminal) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return is_terminal && !dumb && (no_color == nullptr || *no_color == '\0');
}

}  // namespace

Output::Output(int fd, std::string name)
    : fd_(fd),
      name_(std::move(name)),
      is_terminal_(::isatty(fd) == 1),
      has_style_(wants_style(is_terminal_)) {}

void Output::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::write_foreign(std::string_view text) {
  is_terminal_ ? write(visible(text)) : write(text);
}

void Output::write_dim(std::string_view text) {
  has_style_ ? write(fmt::format("{}{}{}", kDim, text, kPlain)) : write(text);
}

void Output::write_bold(std::string_view text) {
  has_style_ ? write(fmt::format("{}{}{}", kBold, text, kPlain)) : write(text);
}

void Output::write_foreign_dim(std::string_view text) {
  is_terminal_ ? write_dim(visible(text)) : write(text);
}

void Output::flush() {
  size_t done = 0;
  while (done < buffer_.size() && error_ == 0) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n >= 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
}

Status Output::status() const {
  if (error_ == 0) return {};
  return failed(fmt::format("{}: {}", name_, std::strerror(error_)));
}

Output& out() {
  static Output output(STDOUT_FILENO, "standard output");
  return output;
}

Output& err() {
  static Output output(STDERR_FILENO, "standard error");
  return output;
}

std::string visible(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      shown += fmt::format("<U+{:04X}>", next);  // C1, some terminals obey it
      ++i;
    } else if (byte == '\n' || byte == '\t' || (byte >= 0x20 && byte != 0x7f)) {
      shown += static_cast<char>(byte);
    } else {
      shown += '^';
      shown += static_cast<char>(byte ^ 0x40);
    }
  }
  return shown;
}

}  // namespace reckon::cli
