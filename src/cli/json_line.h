// One JSON object on one line, written in order: what --json prints.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace reckon::cli {

// Calls must nest as JSON does. Strings may hold any bytes: what isn't UTF-8 becomes U+FFFD.
class JsonLine {
 public:
  JsonLine& begin_object();
  JsonLine& end_object();
  JsonLine& begin_array();
  JsonLine& end_array();
  JsonLine& key(std::string_view name);

  JsonLine& value(std::string_view text);
  JsonLine& value(const char* text) { return value(std::string_view(text)); }
  JsonLine& value(bool flag);
  // Shortest digits that give the same double back; null when it is no finite number.
  JsonLine& value(double number);
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  JsonLine& value(Integer number) {
    return raw(std::to_string(number));
  }
  template <class Value>
  JsonLine& field(std::string_view name, const Value& content) {
    return key(name).value(content);
  }

  // The text with its line break. Leaves the writer empty.
  std::string take();

 private:
  JsonLine& raw(std::string_view text);
  void separate();
  void append_string(std::string_view text);

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace reckon::cli
