// Regular expressions as GBNF over the inside of a JSON string: characters that JSON escapes are
// written as their escapes.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "base/json.h"
#include "sampling/grammar.h"
#include "sampling/json_schema_parts.h"
#include "tokenizer/unicode_table.h"

namespace reckon {

// A surrogate's escape comes with its other half.
const std::string_view kJsonCharRule =
    "[^\"\\\\\\x00-\\x1f] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | "
    "[dD] [0-7] [0-9a-fA-F]{2} | "
    "[dD] [89abAB] [0-9a-fA-F]{2} \"\\\\u\" [dD] [c-fC-F] [0-9a-fA-F]{2}))";

namespace {

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

constexpr uint32_t kLastChar = 0x10FFFF;
constexpr int kMaxPatternNesting = 64;
constexpr size_t kMaxPatternBytes = 4096;

std::string gbnf_char(uint32_t c) { return fmt::format("\\U{:08x}", c); }

std::string json_char(uint32_t c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '\b': return "\\b";
    case '\f': return "\\f";
    default: break;
  }
  if (c < 0x20) return fmt::format("\\u{:04x}", c);
  std::string text;
  append_utf8(c, text);
  return text;
}

Ranges complement(Ranges ranges) {
  std::sort(ranges.begin(), ranges.end());
  Ranges result;
  uint32_t next = 0;
  for (const auto& [first, last] : ranges) {
    if (first > next) result.emplace_back(next, first - 1);
    next = std::max(next, last + 1);
  }
  if (next <= kLastChar) result.emplace_back(next, kLastChar);
  return result;
}

// The characters in JSON: as they are, or escaped.
std::string gbnf_chars(const Ranges& ranges) {
  std::string plain;
  std::string result;
  const auto add = [&](uint32_t first, uint32_t last) {
    if (first > last || (first >= 0xD800 && last <= 0xDFFF)) return;
    plain += first == last ? gbnf_char(first) : gbnf_char(first) + "-" + gbnf_char(last);
  };
  // An end inside the surrogates, which are no characters, moves out of them.
  const auto add_outside = [&](uint32_t first, uint32_t last) {
    if (first >= 0xD800 && first <= 0xDFFF) first = 0xE000;
    if (last >= 0xD800 && last <= 0xDFFF) last = 0xD7FF;
    add(first, last);
  };
  for (auto [first, last] : ranges) {
    for (; first < 0x80 && first <= last; ++first) {
      if (first < 0x20 || first == '"' || first == '\\') {
        result += " | " + gbnf_literal(json_char(first));
      } else {
        add(first, first);
      }
    }
    if (first <= last) add_outside(first, last);
  }
  if (!plain.empty()) result = " | [" + plain + "]" + result;
  return result.empty() ? result : "(" + result.substr(3) + ")";
}

const Ranges kDigits = {{'0', '9'}};
const Ranges kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// ECMA-262's WhiteSpace and LineTerminator.
const Ranges kSpace = {{0x09, 0x0d},     {0x20, 0x20},     {0xa0, 0xa0},     {0x1680, 0x1680},
                       {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                       {0x3000, 0x3000}, {0xfeff, 0xfeff}};
const Ranges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class PatternParser {
 public:
  explicit PatternParser(std::string_view text) : text_(text) {}

  Result<std::string> parse() {
    if (text_.size() > kMaxPatternBytes) {
      return problem(fmt::format("expected at most {} bytes", kMaxPatternBytes));
    }
    std::string choices;
    for (;;) {
      const bool from_start = take('^');
      RECKON_ASSIGN(const std::string inside, parse_sequence(0));
      const bool to_end = take('$');
      if (!choices.empty()) choices += " | ";
      choices += fmt::format("{}{}{}", from_start ? "" : "char* ", inside, to_end ? "" : " char*");
      if (at_end()) return choices;
      if (!take('|'))
        return problem(peek() == ')' ? "a ) without its (" : "an anchor in the middle");
    }
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (at_end() || peek() != c) return false;
    ++at_;
    return true;
  }
  Error problem(std::string_view what) const {
    return usage_error(fmt::format("pattern {}: {} at byte {}", excerpt(text_), what, at_));
  }

  // Up to | ) $ or the end.
  Result<std::string> parse_sequence(int nesting) {
    std::string result;
    while (!at_end() && peek() != '|' && peek() != ')' && peek() != '$') {
      RECKON_ASSIGN(std::string atom, parse_atom(nesting));
      RECKON_ASSIGN(const std::string count, parse_quantifier());
      result += (result.empty() ? "" : " ") + atom + count;
    }
    return result.empty() ? std::string("\"\"") : result;
  }

  Result<std::string> parse_atom(int nesting) {
    const char c = peek();
    if (c == '(') return parse_group(nesting);
    if (c == '[') return parse_class();
    if (c == '*' || c == '+' || c == '?' || c == '{') return problem("nothing to repeat");
    if (c == '^') return problem("an anchor in the middle");
    if (take('.')) return gbnf_chars(complement(kLineEnds));
    Ranges ranges;
    RECKON_RETURN_IF_ERROR(parse_char(false, ranges));
    if (ranges.size() == 1 && ranges[0].first == ranges[0].second) {
      return gbnf_literal(json_char(ranges[0].first));
    }
    return gbnf_chars(ranges);
  }

  Result<std::string> parse_group(int nesting) {
    if (nesting == kMaxPatternNesting) {
      return problem(
          fmt::format("expected at most {} groups inside each other", kMaxPatternNesting));
    }
    ++at_;
    if (take('?') && !take(':')) return problem("a group that isn't known, look-around perhaps,");
    std::string choices;
    do {
      RECKON_ASSIGN(const std::string inside, parse_sequence(nesting + 1));
      choices += (choices.empty() ? "" : " | ") + inside;
    } while (take('|'));
    if (peek() == '$') return problem("an anchor in the middle");
    if (!take(')')) return problem("a ( without its )");
    return "(" + choices + ")";
  }

  // "", "*", "{2,3}", …
  Result<std::string> parse_quantifier() {
    std::string result;
    if (peek() == '*' || peek() == '+' || peek() == '?') {
      result = text_[at_++];
    } else if (take('{')) {
      std::array<int64_t, 2> bounds = {0, -1};
      RECKON_RETURN_IF_ERROR(parse_number(bounds[0]));
      result = fmt::format("{{{}}}", bounds[0]);
      if (take(',')) {
        result = fmt::format("{{{},}}", bounds[0]);
        if (peek() != '}') {
          RECKON_RETURN_IF_ERROR(parse_number(bounds[1]));
          if (bounds[1] < bounds[0]) return problem("a repetition from more to less");
          result = fmt::format("{{{},{}}}", bounds[0], bounds[1]);
        }
      }
      if (!take('}')) return problem("expected }");
    }
    if (result.empty()) return result;
    take('?');  // a lazy one accepts the same
    if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
      return problem("nothing to repeat");
    }
    return result;
  }

  Status parse_number(int64_t& value) {
    const char* const begin = text_.data() + at_;
    const auto [stop, code] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (code != std::errc{} || *begin == '-' || value > kMaxRepetitions) {
      return problem(fmt::format("expected a number up to {}", kMaxRepetitions));
    }
    at_ += static_cast<size_t>(stop - begin);
    return {};
  }

  Result<std::string> parse_class() {
    ++at_;
    const bool negated = take('^');
    Ranges ranges;
    while (!take(']')) {
      if (at_end()) return problem("a [ without its ]");
      Ranges from;
      RECKON_RETURN_IF_ERROR(parse_char(true, from));
      const bool single = from.size() == 1 && from[0].first == from[0].second;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        Ranges to;
        RECKON_RETURN_IF_ERROR(parse_char(true, to));
        if (!single || to.size() != 1 || to[0].first != to[0].second ||
            to[0].first < from[0].first) {
          return problem("a range that isn't one");
        }
        from[0].second = to[0].first;
      }
      ranges.insert(ranges.end(), from.begin(), from.end());
    }
    const std::string chars = gbnf_chars(negated ? complement(std::move(ranges))
                                                 : complement(complement(std::move(ranges))));
    if (chars.empty()) return problem("a class that no character belongs to");
    return chars;
  }

  // One character, or a set by its escape.
  Status parse_char(bool in_class, Ranges& out) {
    if (peek() != '\\') {
      const Utf8Char c = decode_utf8(text_, at_);
      if (!c.valid()) return problem("expected valid UTF-8");
      at_ += c.bytes;
      out.emplace_back(c.code_point, c.code_point);
      return {};
    }
    ++at_;
    if (at_end()) return problem("an escape without a character");
    const char c = text_[at_++];
    constexpr std::string_view kPlain = "^$\\.*+?()[]{}|/-\"'#&%,:;<=>@_`~! ";
    constexpr std::string_view kControls = "t\tn\nr\rv\vf\f";
    switch (c) {
      case 'd': out = kDigits; return {};
      case 'D': out = complement(kDigits); return {};
      case 'w': out = kWord; return {};
      case 'W': out = complement(kWord); return {};
      case 's': out = kSpace; return {};
      case 'S': out = complement(kSpace); return {};
      case 'x': return parse_hex(2, out);
      case 'u': return parse_hex(4, out);
      default: break;
    }
    for (size_t i = 0; i < kControls.size(); i += 2) {
      if (c == kControls[i]) {
        out.emplace_back(kControls[i + 1], kControls[i + 1]);
        return {};
      }
    }
    if (kPlain.find(c) == std::string_view::npos || (c == '\0')) {
      --at_;
      return problem(in_class ? "an escape that is not understood in a class"
                              : "an escape that is not understood (a reference, a word boundary)");
    }
    out.emplace_back(c, c);
    return {};
  }

  Status parse_hex(size_t n_digits, Ranges& out) {
    uint32_t value = 0;
    const std::string_view digits = text_.substr(at_, n_digits);
    const char* const end = digits.data() + digits.size();
    const auto [stop, code] = std::from_chars(digits.data(), end, value, 16);
    if (digits.size() != n_digits || code != std::errc{} || stop != end ||
        (value >= 0xD800 && value <= 0xDFFF)) {
      return problem("expected a character in hexadecimal");
    }
    at_ += n_digits;
    out.emplace_back(value, value);
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
};

constexpr std::string_view kDate =
    "[0-9]{4} \"-\" ((\"0\" [13578] | \"1\" [02]) \"-\" (\"0\" [1-9] | [12] [0-9] | \"3\" [01]) | "
    "(\"0\" [469] | \"11\") \"-\" (\"0\" [1-9] | [12] [0-9] | \"30\") | "
    "\"02-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8]))";
constexpr std::string_view kTime =
    "([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{1,9})? "
    "(\"Z\" | [+-] ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9])";
constexpr std::string_view kByte =
    "(\"25\" [0-5] | \"2\" [0-4] [0-9] | \"1\" [0-9]{2} | [1-9]? [0-9])";
constexpr std::string_view kLabel = "[a-z0-9] (\"-\"? [a-z0-9]){0,30}";

}  // namespace

std::string gbnf_literal(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<int>(c));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string json_escaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text, i);
    if (c.valid()) {
      result += json_char(c.code_point);
    } else {
      result += text.substr(i, c.bytes);
    }
    i += c.bytes;
  }
  return result;
}

Result<std::string> gbnf_pattern(std::string_view pattern) {
  return PatternParser(pattern).parse();
}

std::optional<std::string> gbnf_format(std::string_view format) {
  if (format == "date") return std::string(kDate);
  if (format == "time") return std::string(kTime);
  if (format == "date-time") return fmt::format("{} \"T\" {}", kDate, kTime);
  if (format == "uuid") {
    return "[0-9a-f]{8} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{12}";
  }
  if (format == "ipv4") return fmt::format("{0} (\".\" {0}){{3}}", kByte);
  if (format == "hostname") return fmt::format("{0} (\".\" {0}){{0,6}}", kLabel);
  if (format == "email") {
    return fmt::format("[A-Za-z0-9_+-]+ (\".\" [A-Za-z0-9_+-]+)* \"@\" {0} (\".\" {0}){{1,6}}",
                       kLabel);
  }
  if (format == "uri") {
    return fmt::format(
        "(\"http\" \"s\"? \"://\" {0} (\".\" {0}){{0,6}} (\":\" [1-9] [0-9]{{0,3}})? "
        "(\"/\" [A-Za-z0-9._~+-]*)* (\"?\" [A-Za-z0-9._~=&+-]*)? (\"#\" [A-Za-z0-9._~-]*)?)",
        kLabel);
  }
  return {};
}

}  // namespace reckon
