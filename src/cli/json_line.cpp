// Commas, escapes and numbers.
#include "cli/json_line.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "tokenizer/unicode_table.h"

namespace reckon::cli {

JsonLine& JsonLine::begin_object() {
  separate();
  text_ += '{';
  needs_comma_ = false;
  return *this;
}

JsonLine& JsonLine::end_object() {
  text_ += '}';
  needs_comma_ = true;
  return *this;
}

JsonLine& JsonLine::begin_array() {
  separate();
  text_ += '[';
  needs_comma_ = false;
  return *this;
}

JsonLine& JsonLine::end_array() {
  text_ += ']';
  needs_comma_ = true;
  return *this;
}

JsonLine& JsonLine::key(std::string_view name) {
  separate();
  append_string(name);
  text_ += ':';
  needs_comma_ = false;
  return *this;
}

JsonLine& JsonLine::value(std::string_view text) {
  separate();
  append_string(text);
  needs_comma_ = true;
  return *this;
}

JsonLine& JsonLine::value(bool flag) { return raw(flag ? "true" : "false"); }

JsonLine& JsonLine::value(double number) {
  return raw(std::isfinite(number) ? fmt::format("{}", number) : "null");
}

std::string JsonLine::take() {
  text_ += '\n';
  needs_comma_ = false;
  return std::exchange(text_, {});
}

JsonLine& JsonLine::raw(std::string_view text) {
  separate();
  text_ += text;
  needs_comma_ = true;
  return *this;
}

void JsonLine::separate() {
  if (needs_comma_) text_ += ',';
}

void JsonLine::append_string(std::string_view text) {
  text_ += '"';
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (!c.valid()) {
      text_ += "\xef\xbf\xbd";
    } else if (c.code_point == '"' || c.code_point == '\\') {
      text_ += '\\';
      text_ += static_cast<char>(c.code_point);
    } else if (c.code_point == '\n') {
      text_ += "\\n";
    } else if (c.code_point < 0x20 || c.code_point == 0x7f) {
      text_ += fmt::format("\\u{:04x}", c.code_point);
    } else {
      text_ += text.substr(at, c.bytes);
    }
    at += c.bytes;
  }
  text_ += '"';
}

}  // namespace reckon::cli
