// A lexer for Jinja templates with trim_blocks and lstrip_blocks on, and the normal form.
#include "tokenizer/chat_template_jinja.h"

#include <array>
#include <charconv>
#include <utility>

#include "tokenizer/chat_template_python.h"
#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

// Newlines become \n, and one at the very end goes.
std::string unify_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

// Longest first.
constexpr std::array<std::string_view, 26> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

// message['role'] and message.role mean the same for these keys, which no dict method is called.
constexpr std::array<std::string_view, 10> kPlainKeys = {
    "role",      "content", "tool_calls", "function",          "name",
    "arguments", "type",    "id",         "reasoning_content", "parameters"};

// Names after which a bracket begins a list.
constexpr std::array<std::string_view, 8> kKeywords = {"in", "and", "or",   "not",
                                                       "if", "is",  "else", "elif"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view text) {
  for (const std::string_view entry : list) {
    if (entry == text) return true;
  }
  return false;
}

class JinjaLexer {
 public:
  explicit JinjaLexer(std::string source) : source_(std::move(source)) {}

  std::optional<std::vector<JinjaToken>> run() {
    while (at_ < source_.size()) {
      const size_t begin = find_tag();
      if (begin == std::string::npos) {
        add_data(rest());
        break;
      }
      const char kind = source_[begin + 1];
      const char sign = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
      add_data(trimmed_data(rest().substr(0, begin - at_), kind, sign));
      at_ = begin + 2 + (sign == '-' || sign == '+' ? 1 : 0);
      if (!(kind == '#' ? skip_comment() : read_tag(kind))) return std::nullopt;
    }
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }

  // Where the next tag begins.
  size_t find_tag() const {
    for (size_t i = at_; (i = source_.find('{', i)) != std::string::npos; ++i) {
      const char next = i + 1 < source_.size() ? source_[i + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return i;
    }
    return std::string::npos;
  }

  // A minus takes all white space before the tag, lstrip_blocks that of a block's own line.
  std::string_view trimmed_data(std::string_view data, char kind, char sign) const {
    if (sign == '-') {
      size_t first = 0;  // strip() from the right alone
      while (first < data.size() && python_space_bytes(data, first) != 0) {
        first += python_space_bytes(data, first);
      }
      const std::string_view stripped = python_strip(data);
      return stripped.empty() ? stripped : data.substr(0, first + stripped.size());
    }
    if (sign == '+' || kind == '{') return data;
    const size_t line = data.rfind('\n') + 1;  // 0 when there is none
    if (line == 0 && !line_starting_) return data;
    return python_strip(data.substr(line)).empty() ? data.substr(0, line) : data;
  }

  void add_data(std::string_view data) {
    if (data.empty()) return;
    if (tokens_.empty() || tokens_.back().kind != JinjaKind::kData) {
      tokens_.push_back({JinjaKind::kData, {}});
    }
    tokens_.back().text += data;
  }

  void skip_space() {
    while (const size_t bytes = python_space_bytes(source_, at_)) at_ += bytes;
  }

  // Steps over what follows a tag's end: with a minus all white space, after a block one newline.
  void after_end(char sign, bool is_block) {
    const size_t begin = at_;
    if (sign == '-') {
      skip_space();
    } else if (is_block && sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
    }
    line_starting_ = at_ > begin && source_[at_ - 1] == '\n';
  }

  bool skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) return false;
    const char sign = end > at_ ? source_[end - 1] : '\0';
    at_ = end + 2;
    after_end(sign == '-' || sign == '+' ? sign : '\0', true);
    return true;
  }

  // Reads a statement's or an output's tokens up to its end.
  bool read_tag(char kind) {
    const std::string_view close = kind == '%' ? "%}" : "}}";
    const size_t first = tokens_.size();
    tokens_.push_back({kind == '%' ? JinjaKind::kStatement : JinjaKind::kOutput, {}});
    std::string open_brackets;
    while (true) {
      skip_space();
      if (at_ >= source_.size()) return false;
      if (open_brackets.empty()) {
        const char c = source_[at_];
        const size_t sign = c == '-' || (c == '+' && kind == '%') ? 1 : 0;
        if (rest().substr(sign, 2) == close) {
          at_ += sign + 2;
          after_end(sign != 0 ? c : '\0', kind == '%');
          break;
        }
      }
      if (!read_token(open_brackets)) return false;
    }
    return finish_tag(first);
  }

  bool finish_tag(size_t first) {
    const bool is_output = tokens_[first].kind == JinjaKind::kOutput;
    if (is_output && tokens_.size() == first + 2 && tokens_.back().kind == JinjaKind::kString) {
      const std::string literal = std::move(tokens_.back().text);
      tokens_.resize(first);
      add_data(literal);
      return true;
    }
    // {% raw %} switches the lexer off; no known template uses it.
    if (!is_output && tokens_.size() > first + 1 && tokens_[first + 1].text == "raw") return false;
    tokens_.push_back({JinjaKind::kEnd, {}});
    return true;
  }

  bool read_token(std::string& open_brackets) {
    const char c = source_[at_];
    if (c == '\'' || c == '"') return read_string(c);
    if (is_name_char(c)) {
      const size_t begin = at_;
      while (at_ < source_.size() && is_name_char(source_[at_])) ++at_;
      std::string word = source_.substr(begin, at_ - begin);
      if (is_digit(c)) {
        // A decimal point belongs to the number. Exponents and underscores are told apart well
        // enough for a comparison.
        if (at_ + 1 < source_.size() && source_[at_] == '.' && is_digit(source_[at_ + 1])) {
          const size_t point = at_++;
          while (at_ < source_.size() && is_name_char(source_[at_])) ++at_;
          word += source_.substr(point, at_ - point);
        }
        tokens_.push_back({JinjaKind::kNumber, std::move(word)});
      } else {
        if (word == "True" || word == "False" || word == "None") {
          word[0] = static_cast<char>(word[0] | 0x20);  // Jinja knows both cases
        }
        tokens_.push_back({JinjaKind::kName, std::move(word)});
      }
      return true;
    }
    for (const std::string_view op : kOperators) {
      if (!rest().starts_with(op)) continue;
      at_ += op.size();
      tokens_.push_back({JinjaKind::kOperator, std::string(op)});
      return balance(op, open_brackets) && (op != "]" || plain_subscript());
    }
    return false;
  }

  static bool balance(std::string_view op, std::string& open_brackets) {
    if (op == "(" || op == "[" || op == "{") {
      open_brackets += op == "(" ? ')' : op == "[" ? ']' : '}';
    } else if (op == ")" || op == "]" || op == "}") {
      if (open_brackets.empty() || open_brackets.back() != op[0]) return false;
      open_brackets.pop_back();
    }
    return true;
  }

  // x['role'] -> x.role, once its closing bracket was read.
  bool plain_subscript() {
    const size_t n = tokens_.size();
    if (n < 5 || tokens_[n - 2].kind != JinjaKind::kString || tokens_[n - 3].text != "[" ||
        tokens_[n - 3].kind != JinjaKind::kOperator || !contains(kPlainKeys, tokens_[n - 2].text)) {
      return true;
    }
    const JinjaToken& before = tokens_[n - 4];
    const bool is_value =
        (before.kind == JinjaKind::kName && !contains(kKeywords, before.text)) ||
        (before.kind == JinjaKind::kOperator && (before.text == "]" || before.text == ")"));
    if (!is_value) return true;
    tokens_[n - 3].text = ".";
    tokens_[n - 2].kind = JinjaKind::kName;
    tokens_.pop_back();
    return true;
  }

  bool read_string(char quote) {
    std::string text;
    ++at_;
    while (at_ < source_.size() && source_[at_] != quote) {
      if (source_[at_] != '\\') {
        text += source_[at_++];
      } else if (++at_ >= source_.size() || !read_escape(text)) {
        return false;
      }
    }
    if (at_ >= source_.size()) return false;
    ++at_;
    tokens_.push_back({JinjaKind::kString, std::move(text)});
    return true;
  }

  // What follows a backslash, as in a Python literal.
  bool read_escape(std::string& text) {
    const char c = source_[at_++];
    switch (c) {
      case '\n': return true;
      case '\\':
      case '\'':
      case '"': text += c; return true;
      case 'a': text += '\a'; return true;
      case 'b': text += '\b'; return true;
      case 'f': text += '\f'; return true;
      case 'n': text += '\n'; return true;
      case 'r': text += '\r'; return true;
      case 't': text += '\t'; return true;
      case 'v': text += '\v'; return true;
      case 'x': return read_code_point(2, text);
      case 'u': return read_code_point(4, text);
      case 'U': return read_code_point(8, text);
      case 'N': return false;  // a character by its Unicode name
      default: break;
    }
    if (is_digit(c)) return false;  // octal
    text += '\\';
    text += c;
    return true;
  }

  bool read_code_point(size_t digits, std::string& text) {
    if (at_ + digits > source_.size()) return false;
    uint32_t code_point = 0;
    const char* begin = source_.data() + at_;
    const auto [end, error] = std::from_chars(begin, begin + digits, code_point, 16);
    if (error != std::errc() || end != begin + digits || code_point >= kCodePoints) return false;
    if (code_point >= 0xd800 && code_point < 0xe000) return false;
    at_ += digits;
    append_utf8(code_point, text);
    return true;
  }

  std::string source_;
  size_t at_ = 0;
  bool line_starting_ = true;
  std::vector<JinjaToken> tokens_;
};

constexpr std::string_view kSystemOpen = "<|im_start|>system\n";
constexpr std::string_view kSystemClose = "<|im_end|>\n";
constexpr std::string_view kBlank = "\x01";

bool is_literal(const JinjaToken& token) {
  return token.kind == JinjaKind::kData || token.kind == JinjaKind::kString;
}

// X of a literal that frames a whole system turn.
std::optional<std::string_view> framed_system(const JinjaToken& token) {
  const std::string_view text = token.text;
  if (!is_literal(token) || !text.starts_with(kSystemOpen) || !text.ends_with(kSystemClose) ||
      text.size() <= kSystemOpen.size() + kSystemClose.size()) {
    return std::nullopt;
  }
  return text.substr(kSystemOpen.size(), text.size() - kSystemOpen.size() - kSystemClose.size());
}

std::optional<std::string> find_default_system(const std::vector<JinjaToken>& tokens) {
  for (const JinjaToken& token : tokens) {
    if (const auto system = framed_system(token)) return std::string(*system);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<JinjaToken>> normalise_jinja(std::string_view source) {
  if (source.size() > kMaxJinjaBytes) return std::nullopt;
  return JinjaLexer(unify_newlines(source)).run();
}

std::optional<std::string> blank_default_system(std::vector<JinjaToken>& tokens) {
  std::optional<std::string> system = find_default_system(tokens);
  // A turn's own frame inside the default would be taken for scaffold.
  if (!system || system->find("<|im_") != std::string::npos) return std::nullopt;
  for (JinjaToken& token : tokens) {
    if (!is_literal(token)) continue;
    if (token.text == *system) token.text = kBlank;
    if (framed_system(token) == std::string_view(*system)) {
      token.text = std::string(kSystemOpen) + std::string(kBlank) + std::string(kSystemClose);
    }
  }
  return system;
}

uint64_t jinja_hash(const std::vector<JinjaToken>& tokens) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&hash](char byte) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  };
  for (const JinjaToken& token : tokens) {
    add(static_cast<char>(token.kind));
    for (const char byte : token.text) add(byte);
    add('\0');
  }
  return hash;
}

}  // namespace reckon
