// Boost.JSON behind parse_json, and its one compiled copy (the library is used header-only). The
// parser's events go through a handler of our own, which sees duplicate keys and reads numbers
// itself: this Boost rounds the last bit of some doubles wrongly.
#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <new>
#include <vector>

namespace reckon {
namespace {

namespace json = boost::json;

// The calls basic_parser makes, in Boost's interface: each returns whether to go on.
class TreeBuilder {
 public:
  static constexpr size_t max_object_size = json::object::max_size();
  static constexpr size_t max_array_size = json::array::max_size();
  static constexpr size_t max_key_size = json::string::max_size();
  static constexpr size_t max_string_size = json::string::max_size();

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(size_t n, json::error_code&) {
    stack_.push_array(n);
    return true;
  }
  bool on_object_begin(json::error_code&) {
    first_key_.push_back(keys_.size());
    return true;
  }
  bool on_object_end(size_t n, json::error_code& error) {
    const auto begin = keys_.begin() + static_cast<ptrdiff_t>(first_key_.back());
    std::sort(begin, keys_.end());
    const auto twice = std::adjacent_find(begin, keys_.end());
    if (twice != keys_.end()) {
      problem_ = fmt::format("the key {} stands twice in an object", excerpt(*twice));
      error = json::error::syntax;
      return false;
    }
    keys_.erase(begin, keys_.end());
    first_key_.pop_back();
    stack_.push_object(n);
    return true;
  }
  bool on_key_part(json::string_view part, size_t, json::error_code&) {
    key_.append(part.data(), part.size());
    stack_.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, size_t, json::error_code&) {
    key_.append(part.data(), part.size());
    keys_.push_back(std::move(key_));
    key_.clear();
    stack_.push_key(part);
    return true;
  }
  bool on_string_part(json::string_view part, size_t, json::error_code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, size_t, json::error_code&) {
    stack_.push_string(part);
    return true;
  }
  bool on_number_part(json::string_view part, json::error_code&) {
    number_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t value, json::string_view, json::error_code&) {
    number_.clear();
    stack_.push_int64(value);
    return true;
  }
  bool on_uint64(uint64_t value, json::string_view, json::error_code&) {
    number_.clear();
    stack_.push_uint64(value);
    return true;
  }
  bool on_double(double, json::string_view part, json::error_code& error) {
    number_.append(part.data(), part.size());
    double value = 0;
    const char* const end = number_.data() + number_.size();
    const auto [stop, code] = std::from_chars(number_.data(), end, value);
    if (code != std::errc{} || stop != end) {
      problem_ = fmt::format("the number {} is out of a double's range", excerpt(number_));
      error = json::error::syntax;
      return false;
    }
    number_.clear();
    stack_.push_double(value);
    return true;
  }
  bool on_bool(bool value, json::error_code&) {
    stack_.push_bool(value);
    return true;
  }
  bool on_null(json::error_code&) {
    stack_.push_null();
    return true;
  }

  json::value release() { return stack_.release(); }
  const std::string& problem() const { return problem_; }

 private:
  json::value_stack stack_;
  std::string key_;                // the key being read
  std::string number_;             // the number being read
  std::vector<std::string> keys_;  // of all open objects, outermost first
  std::vector<size_t> first_key_;  // where each open object's keys begin
  std::string problem_;
};

// Bytes of the valid UTF-8 character at the start of text, or 0.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (length == 1) return 1;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what lies beyond U+10FFFF.
  const bool bad = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
                   (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f);
  return bad ? 0 : length;
}

}  // namespace

Result<json::value> parse_json(std::string_view text, std::string_view what, int max_depth) {
  try {
    json::parse_options options;
    options.max_depth = static_cast<size_t>(max_depth);
    json::basic_parser<TreeBuilder> parser(options);
    json::error_code error;
    size_t used = parser.write_some(false, text.data(), text.size(), error);
    if (!error && used < text.size()) error = json::error::extra_data;
    if (error) {
      const std::string& problem = parser.handler().problem();
      return bad_file(fmt::format("{}: not the JSON that reckon takes: {} at byte {}", what,
                                  problem.empty() ? error.message() : problem, used));
    }
    return parser.handler().release();
  } catch (const std::bad_alloc&) {
    return failed(
        fmt::format("{}: not enough memory to read its {} bytes of JSON", what, text.size()));
  }
}

std::string excerpt(std::string_view text, size_t max_bytes) {
  std::string out = "\"";
  size_t i = 0;
  while (i < text.size() && i < max_bytes) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_length(text.substr(i));
    if (length == 0 || byte < 0x20 || byte == 0x7f ||
        (byte == 0xc2 && length == 2 && static_cast<unsigned char>(text[i + 1]) < 0xa0)) {
      out += fmt::format("\\x{:02x}", byte);
      ++i;
      continue;
    }
    if (byte == '"' || byte == '\\') out += '\\';
    out += text.substr(i, length);
    i += length;
  }
  out += '"';
  if (i < text.size()) out += fmt::format("… ({} bytes)", text.size());
  return out;
}

}  // namespace reckon
