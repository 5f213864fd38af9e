// str.strip and json.dumps as Python has them.
#include "tokenizer/chat_template_python.h"

#include <fmt/format.h>

#include <charconv>

#include "base/json.h"
#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

// The characters for which str.isspace() holds: those of bidirectional class WS, B or S, and the
// separators. Stable since Unicode 6.3.
bool is_python_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

// repr(float): the shortest digits that read back the same, as a decimal fraction where the
// exponent is from -4 to 15, else in scientific notation with two digits of exponent at least.
std::string python_float(double value) {
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  std::string_view mantissa = text.substr(0, e);
  int exponent = 0;
  const size_t digits_from = text[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(text.data() + digits_from, end, exponent);
  std::string out;
  if (mantissa.front() == '-') {
    out += '-';
    mantissa.remove_prefix(1);
  }
  if (exponent < -4 || exponent >= 16) {
    const char* sign = exponent < 0 ? "-" : "+";
    return out + fmt::format("{}e{}{:02}", mantissa, sign, exponent < 0 ? -exponent : exponent);
  }
  std::string digits(1, mantissa.front());
  if (mantissa.size() > 2) digits += mantissa.substr(2);
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole + 1) digits.append(whole + 1 - digits.size(), '0');
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string python_number(std::string_view text) {
  if (text == "-0") return "0";
  if (text.find_first_of(".eE") == std::string_view::npos) return std::string(text);
  double value = 0;  // what from_chars leaves when the number is too small for a double
  std::from_chars(text.data(), text.data() + text.size(), value);
  return python_float(value);
}

// Walks JSON text that parse_json has accepted, so that it only has to tell the parts apart. Every
// step is bounded by the text's end nevertheless.
class JsonWalker {
 public:
  JsonWalker(std::string_view text, int indent) : text_(text), indent_(indent) {}

  // The value that begins here, as Python writes it. At most as deep as parse_json allows.
  void write_value(int level, std::string& out) {
    skip_space();
    const char c = peek();
    if (c == '{' || c == '[') {
      write_container(c == '{' ? '}' : ']', level, out);
    } else if (c == '"') {
      out += python_json_string(take_string());
    } else {
      const size_t begin = at_;
      while (at_ < text_.size() && !is_delimiter(text_[at_])) ++at_;
      const std::string_view word = text_.substr(begin, at_ - begin);
      const bool is_number =
          !word.empty() && (word[0] == '-' || (word[0] >= '0' && word[0] <= '9'));
      out += is_number ? python_number(word) : std::string(word);
    }
    skip_space();
  }

  // Steps over the given character if it is next.
  bool take(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool at_end() const { return at_ >= text_.size(); }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  static bool is_delimiter(char c) { return is_space(c) || c == ',' || c == ']' || c == '}'; }
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  void new_line(int level, std::string& out) const {
    if (indent_ == 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent_) * static_cast<size_t>(level), ' ');
  }

  void write_container(char close, int level, std::string& out) {
    out += text_[at_++];
    if (take(close)) {
      out += close;
      return;
    }
    while (!at_end()) {
      new_line(level + 1, out);
      if (close == '}') {
        skip_space();
        out += python_json_string(take_string());
        take(':');
        out += ": ";
      }
      write_value(level + 1, out);
      if (!take(',')) break;
      out += indent_ == 0 ? ", " : ",";
    }
    take(close);
    new_line(level, out);
    out += close;
  }

  uint32_t take_hex() {
    uint32_t value = 0;
    const size_t end = std::min(at_ + 4, text_.size());
    std::from_chars(text_.data() + at_, text_.data() + end, value, 16);
    at_ = end;
    return value;
  }

  // The string that begins here, unescaped.
  std::string take_string() {
    std::string out;
    ++at_;
    while (!at_end() && text_[at_] != '"') {
      if (text_[at_] != '\\') {
        out += text_[at_++];
        continue;
      }
      ++at_;
      const char c = peek();
      ++at_;
      switch (c) {
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': {
          uint32_t code_point = take_hex();
          if (code_point >= 0xd800 && code_point < 0xdc00) {
            at_ += 2;  // the \u of the low surrogate that parse_json has seen
            code_point = 0x10000 + ((code_point - 0xd800) << 10) + ((take_hex() - 0xdc00) & 0x3ff);
          }
          append_utf8(code_point, out);
          break;
        }
        default: out += c;
      }
    }
    ++at_;
    return out;
  }

  std::string_view text_;
  int indent_;
  size_t at_ = 0;
};

}  // namespace

size_t python_space_bytes(std::string_view text, size_t position) {
  if (position >= text.size()) return 0;
  const Utf8Char c = decode_utf8(text, position);
  return is_python_space(c.code_point) ? c.bytes : 0;
}

std::string_view python_strip(std::string_view text) {
  while (const size_t bytes = python_space_bytes(text, 0)) text.remove_prefix(bytes);
  while (!text.empty()) {
    size_t first = text.size() - 1;  // of the last character; white space takes up to 3 bytes
    while (first > 0 && text.size() - first < 3 && (text[first] & 0xc0) == 0x80) --first;
    if (python_space_bytes(text, first) != text.size() - first) break;
    text.remove_suffix(text.size() - first);
  }
  return text;
}

std::string python_json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return out + "\"";
}

std::optional<std::string> python_json(std::string_view json, int indent) {
  if (!parse_json(json, "").ok()) return std::nullopt;
  std::string out;
  JsonWalker(json, indent).write_value(0, out);
  return out;
}

Result<std::vector<std::string>> python_json_elements(std::string_view json, int indent,
                                                      std::string_view what) {
  const auto tree = parse_json(json, what);
  if (!tree.ok()) return usage_error(tree.error().message);
  if (!tree->is_array()) {
    return usage_error(fmt::format("{}: expected a JSON array, found another value", what));
  }
  std::vector<std::string> elements;
  JsonWalker walker(json, indent);
  walker.take('[');
  if (walker.take(']')) return elements;
  do {
    walker.write_value(0, elements.emplace_back());
  } while (!walker.at_end() && walker.take(','));
  return elements;
}

}  // namespace reckon
