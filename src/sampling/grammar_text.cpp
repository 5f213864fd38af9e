// Recursive descent, one character ahead; the only recursion is over parentheses, which are
// counted.
#include "sampling/grammar_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/json.h"
#include "sampling/grammar.h"
#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

constexpr uint32_t kLastChar = 0x10FFFF;
constexpr uint32_t kFirstSurrogate = 0xD800;
constexpr uint32_t kLastSurrogate = 0xDFFF;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// Sorted, joined, turned round if negated, surrogates cut out.
CharRanges normalised(CharRanges ranges, bool negated) {
  std::sort(ranges.begin(), ranges.end());
  CharRanges joined;
  for (const auto& [first, last] : ranges) {
    if (!joined.empty() && first <= joined.back().second + 1) {
      joined.back().second = std::max(joined.back().second, last);
    } else {
      joined.emplace_back(first, last);
    }
  }
  if (negated) {
    CharRanges others;
    uint32_t next = 0;
    for (const auto& [first, last] : joined) {
      if (first > next) others.emplace_back(next, first - 1);
      next = last + 1;
    }
    if (next <= kLastChar) others.emplace_back(next, kLastChar);
    joined = std::move(others);
  }
  CharRanges result;
  for (const auto& [first, last] : joined) {
    if (first < kFirstSurrogate) result.emplace_back(first, std::min(last, kFirstSurrogate - 1));
    if (last > kLastSurrogate) result.emplace_back(std::max(first, kLastSurrogate + 1), last);
  }
  return result;
}

class TextParser {
 public:
  explicit TextParser(std::string_view text) : text_(text) {}

  Result<GrammarTree> parse() {
    if (text_.size() > kMaxGrammarBytes) {
      return usage_error(fmt::format("grammar: expected at most {} bytes, found {}",
                                     kMaxGrammarBytes, text_.size()));
    }
    skip_blanks(true);
    while (!at_end()) {
      RECKON_RETURN_IF_ERROR(parse_rule());
      skip_blanks(true);
    }
    const auto root = rule_ids_.find("root");
    if (root == rule_ids_.end()) {
      return usage_error("grammar: expected a rule called root, found none");
    }
    for (const GrammarRule& rule : tree_.rules) {
      if (rule.root != GrammarRule::kUndefined) continue;
      at_ = rule.first_use;
      return error(fmt::format("the rule {} is used and not defined", rule.name));
    }
    tree_.root_rule = root->second;
    return std::move(tree_);
  }

 private:
  using Kind = GrammarPiece::Kind;

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool next_is(std::string_view word) const { return text_.substr(at_).starts_with(word); }

  Error error(std::string_view problem) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t column = at_ - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    return usage_error(fmt::format("grammar, line {}, column {}: {}", line, column, problem));
  }
  std::string found() const {
    return at_end() ? "the end" : excerpt(text_.substr(at_, 1 + (peek() < 0 ? 3 : 0)));
  }

  void skip_blanks(bool newlines) {
    while (!at_end()) {
      const char c = peek();
      if (c == '#') {
        while (!at_end() && peek() != '\n' && peek() != '\r') ++at_;
      } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view read_name() {
    const size_t begin = at_;
    while (!at_end() && is_name_char(peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  uint32_t rule_id(std::string_view name, size_t place) {
    const auto [entry, fresh] =
        rule_ids_.try_emplace(std::string(name), static_cast<uint32_t>(tree_.rules.size()));
    if (fresh) {
      tree_.rules.push_back(
          {.name = std::string(name), .root = GrammarRule::kUndefined, .first_use = place});
    }
    return entry->second;
  }

  uint32_t add(GrammarPiece piece) {
    tree_.pieces.push_back(std::move(piece));
    return static_cast<uint32_t>(tree_.pieces.size() - 1);
  }

  Status parse_rule() {
    const size_t begin = at_;
    const std::string_view name = read_name();
    if (name.empty()) return error(fmt::format("expected a rule's name, found {}", found()));
    skip_blanks(false);
    if (!next_is("::=")) {
      return error(fmt::format("expected ::= after {}, found {}", name, found()));
    }
    const uint32_t id = rule_id(name, begin);
    if (tree_.rules[id].root != GrammarRule::kUndefined) {
      at_ = begin;
      return error(fmt::format("the rule {} stands twice", name));
    }
    at_ += 3;
    skip_blanks(true);
    RECKON_ASSIGN(tree_.rules[id].root, parse_choice(0));
    skip_blanks(false);
    if (!at_end() && peek() != '\n' && peek() != '\r') {
      return error(fmt::format("expected the rule's end, found {}", found()));
    }
    return {};
  }

  Result<uint32_t> parse_choice(int nesting) {
    GrammarPiece choice{.kind = Kind::kChoice};
    for (;;) {
      RECKON_ASSIGN(const uint32_t sequence, parse_sequence(nesting));
      choice.children.push_back(sequence);
      // An alternative may begin on a line of its own.
      const size_t end = at_;
      skip_blanks(true);
      if (peek() != '|') {
        if (nesting == 0) at_ = end;
        break;
      }
      ++at_;
      skip_blanks(true);
    }
    return choice.children.size() == 1 ? choice.children[0] : add(std::move(choice));
  }

  Result<uint32_t> parse_sequence(int nesting) {
    GrammarPiece sequence{.kind = Kind::kSequence};
    bool repeated = false;
    for (;; skip_blanks(nesting > 0)) {
      const char c = peek();
      if (c == '*' || c == '+' || c == '?' || c == '{') {
        if (sequence.children.empty()) return error(fmt::format("nothing to repeat by {}", c));
        if (repeated) return error("expected parentheses around what is repeated twice");
        RECKON_RETURN_IF_ERROR(parse_repetition(sequence.children.back()));
        repeated = true;
        continue;
      }
      repeated = false;
      uint32_t piece = 0;
      if (c == '"') {
        RECKON_ASSIGN(piece, parse_literal());
      } else if (c == '[') {
        RECKON_ASSIGN(piece, parse_class());
      } else if (c == '.') {
        ++at_;
        piece = add({.kind = Kind::kClass, .ranges = normalised({}, true)});
      } else if (c == '(') {
        RECKON_ASSIGN(piece, parse_group(nesting));
      } else if (is_name_char(c)) {
        const size_t place = at_;
        const std::string_view name = read_name();
        piece = add({.kind = Kind::kRule, .rule = rule_id(name, place)});
      } else {
        break;
      }
      sequence.children.push_back(piece);
    }
    return sequence.children.size() == 1 ? sequence.children[0] : add(std::move(sequence));
  }

  Result<uint32_t> parse_group(int nesting) {
    if (nesting == kMaxGrammarNesting) {
      return error(
          fmt::format("expected at most {} parentheses inside each other", kMaxGrammarNesting));
    }
    ++at_;
    skip_blanks(true);
    RECKON_ASSIGN(const uint32_t inside, parse_choice(nesting + 1));
    if (peek() != ')') return error(fmt::format("expected ), found {}", found()));
    ++at_;
    return inside;
  }

  Result<int64_t> parse_count() {
    int64_t value = 0;
    const char* const begin = text_.data() + at_;
    const auto [stop, code] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (stop == begin || *begin == '-') {
      return error(fmt::format("expected a number, found {}", found()));
    }
    if (code != std::errc{} || value > kMaxRepetitions) {
      return error(fmt::format("expected at most {} repetitions", kMaxRepetitions));
    }
    at_ += static_cast<size_t>(stop - begin);
    skip_blanks(true);
    return value;
  }

  // Puts a repetition in the place of the piece.
  Status parse_repetition(uint32_t& piece) {
    GrammarPiece repeat{.kind = Kind::kRepeat, .children = {piece}};
    const char c = text_[at_++];
    if (c == '+') repeat.min = 1;
    if (c == '?') repeat.max = 1;
    if (c == '{') {
      skip_blanks(true);
      RECKON_ASSIGN(repeat.min, parse_count());
      repeat.max = repeat.min;
      if (peek() == ',') {
        ++at_;
        skip_blanks(true);
        repeat.max = GrammarPiece::kNoLimit;
        if (peek() != '}') {
          RECKON_ASSIGN(repeat.max, parse_count());
        }
      }
      if (peek() != '}') return error(fmt::format("expected }}, found {}", found()));
      if (repeat.max != GrammarPiece::kNoLimit && repeat.max < repeat.min) {
        return error(
            fmt::format("expected {{m,n}} with m <= n, found {{{},{}}}", repeat.min, repeat.max));
      }
      ++at_;
    }
    piece = add(std::move(repeat));
    return {};
  }

  // One character of a literal or a class, escapes read.
  Result<uint32_t> parse_char() {
    if (peek() != '\\') {
      const Utf8Char c = decode_utf8(text_, at_);
      if (!c.valid()) return error("expected valid UTF-8");
      at_ += static_cast<size_t>(c.bytes);
      return static_cast<uint32_t>(c.code_point);
    }
    ++at_;
    const char escape = peek();
    size_t n_digits = 0;
    switch (escape) {
      case 'n': ++at_; return uint32_t{'\n'};
      case 'r': ++at_; return uint32_t{'\r'};
      case 't': ++at_; return uint32_t{'\t'};
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^': ++at_; return static_cast<uint32_t>(escape);
      case 'x': n_digits = 2; break;
      case 'u': n_digits = 4; break;
      case 'U': n_digits = 8; break;
      default: return error(fmt::format("an escape that is not known: \\ and {}", found()));
    }
    uint32_t value = 0;
    const std::string_view digits = text_.substr(at_ + 1, n_digits);
    const char* const end = digits.data() + digits.size();
    const auto [stop, code] = std::from_chars(digits.data(), end, value, 16);
    if (digits.size() != n_digits || code != std::errc{} || stop != end || value > kLastChar ||
        (value >= kFirstSurrogate && value <= kLastSurrogate)) {
      return error(fmt::format("expected a character as {} hexadecimal digits after \\{}", n_digits,
                               escape));
    }
    at_ += 1 + n_digits;
    return value;
  }

  Result<uint32_t> parse_literal() {
    const size_t begin = at_++;
    GrammarPiece piece{.kind = Kind::kLiteral};
    while (peek() != '"') {
      if (at_end() || peek() == '\n') {
        at_ = begin;
        return error("a literal without its closing quote");
      }
      RECKON_ASSIGN(const uint32_t c, parse_char());
      append_utf8(c, piece.literal);
    }
    ++at_;
    return add(std::move(piece));
  }

  Result<uint32_t> parse_class() {
    const size_t begin = at_++;
    const bool negated = peek() == '^';
    if (negated) ++at_;
    CharRanges ranges;
    while (peek() != ']') {
      if (at_end() || peek() == '\n') {
        at_ = begin;
        return error("a class without its closing bracket");
      }
      RECKON_ASSIGN(const uint32_t first, parse_char());
      uint32_t last = first;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        RECKON_ASSIGN(last, parse_char());
        if (last < first) return error("a range whose last character comes before its first");
      }
      ranges.emplace_back(first, last);
    }
    ++at_;
    GrammarPiece piece{.kind = Kind::kClass};
    piece.ranges = normalised(std::move(ranges), negated);
    if (piece.ranges.empty()) {
      at_ = begin;
      return error("a class that no character belongs to");
    }
    return add(std::move(piece));
  }

  std::string_view text_;
  size_t at_ = 0;
  GrammarTree tree_;
  std::unordered_map<std::string, uint32_t> rule_ids_;
};

}  // namespace

Result<GrammarTree> parse_grammar_text(std::string_view gbnf) { return TextParser(gbnf).parse(); }

}  // namespace reckon
