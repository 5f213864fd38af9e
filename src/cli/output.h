// Standard output and standard error as the commands use them: buffered, failures remembered until
// the end, styled only on a terminal, and safe there against what models and files say.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace reckon::cli {

class Output {
 public:
  // name stands in errors: "standard output". The descriptor stays open.
  Output(int fd, std::string name);

  bool is_terminal() const { return is_terminal_; }
  // Whether dim and bold mean something: a terminal, and NO_COLOR is not set.
  bool has_style() const { return has_style_; }

  // Text of our own, as it is.
  void write(std::string_view text);
  // Text from a model or a file: on a terminal, control characters other than line breaks and tabs
  // become visible marks, so that no escape sequence gets through.
  void write_foreign(std::string_view text);
  void write_dim(std::string_view text);
  void write_bold(std::string_view text);
  // The same as write_foreign, dim.
  void write_foreign_dim(std::string_view text);
  void flush();

  // Whether everything flushed so far arrived; after a failure nothing more is written.
  Status status() const;

 private:
  int fd_;
  std::string name_;
  bool is_terminal_;
  bool has_style_;
  std::string buffer_;
  int error_ = 0;  // errno of the first failure
};

// The two of this process.
Output& out();
Output& err();

// Control characters of C0 (save \n and \t), DEL and C1 as "^X" or "<U+0080>".
std::string visible(std::string_view text);

}  // namespace reckon::cli
