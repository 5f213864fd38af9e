// The regular expressions of the pre-tokenizers, written out. Each match_* function stands for one
// alternation: the first alternative that matches wins, and within it a greedy repetition gives
// back characters only where its comment says so.
#include "tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <cstddef>

#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

constexpr PreTokenizer kPreTokenizers[] = {
    {.name = "deepseek-r1-qwen", .rule = SplitRule::kQwen2, .nfc = true},
    {.name = "qwen2", .rule = SplitRule::kQwen2, .nfc = true},
    {.name = "llama-bpe", .rule = SplitRule::kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama3", .rule = SplitRule::kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-v3", .rule = SplitRule::kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "deepseek-v3", .rule = SplitRule::kDeepSeekV3},
    {.name = "smollm", .rule = SplitRule::kSmolLm},
    {.name = "gpt-2", .rule = SplitRule::kGpt2},
    {.name = "default", .rule = SplitRule::kDefault},
};

constexpr uint8_t kLetterOrNumber = kUnicodeLetter | kUnicodeNumber;
constexpr uint8_t kWordless = kUnicodeSpace | kLetterOrNumber;  // what [^\s\p{L}\p{N}] leaves out

// A text whose characters' classes are looked up by position.
class Text {
 public:
  explicit Text(std::string_view text) : text_(text), classes_(unicode_classes()) {}

  struct Char {
    uint8_t classes;
    size_t end;  // where the next character starts
    bool is(uint8_t any_of) const { return (classes & any_of) != 0; }
  };

  size_t size() const { return text_.size(); }
  char byte(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }
  std::string_view view(size_t from, size_t to) const { return text_.substr(from, to - from); }

  Char at(size_t position) const {
    const auto lead = static_cast<uint8_t>(text_[position]);
    if (lead < 0x80) return {classes_[lead], position + 1};
    const Utf8Char c = decode_utf8(text_, position);
    return {c.valid() ? classes_[c.code_point] : uint8_t{kUnicodeSymbol}, position + c.bytes};
  }
  uint32_t code_point(size_t position) const { return decode_utf8(text_, position).code_point; }

  // The end of the longest run from `at` of characters that have one of the classes, or none of
  // them.
  size_t run_of(uint8_t any_of, size_t at) const {
    while (at < text_.size()) {
      const Char c = this->at(at);
      if (!c.is(any_of)) break;
      at = c.end;
    }
    return at;
  }
  size_t run_without(uint8_t none_of, size_t at) const {
    while (at < text_.size()) {
      const Char c = this->at(at);
      if (c.is(none_of)) break;
      at = c.end;
    }
    return at;
  }

 private:
  std::string_view text_;
  const uint8_t* classes_;
};

// Matchers take a position inside the text and return the match's end, or the position itself for
// none.
using Matcher = size_t (*)(const Text& text, size_t at);

// (?i:'s|'t|'re|'ve|'m|'ll|'d); case folding makes U+017F an s.
size_t match_contraction_any_case(const Text& text, size_t at) {
  if (text.byte(at) != '\'') return at;
  const auto lower = [&](size_t i) { return static_cast<char>(text.byte(i) | 0x20); };
  const char first = lower(at + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (text.byte(at + 1) == '\xc5' && text.byte(at + 2) == '\xbf') return at + 3;
  const char second = lower(at + 2);
  const bool pair = second == 'e' ? first == 'r' || first == 'v' : second == 'l' && first == 'l';
  return pair ? at + 3 : at;
}

// 's|'t|'re|'ve|'m|'ll|'d
size_t match_contraction(const Text& text, size_t at) {
  const size_t end = match_contraction_any_case(text, at);
  for (size_t i = at + 1; i < end; ++i) {
    if (text.byte(i) < 'a') return at;  // a capital, or a byte of U+017F
  }
  return end;
}

// \s*[\r\n]+: as much of the white space as ends in a line break.
size_t match_line_breaks(const Text& text, size_t at) {
  size_t end = at;
  for (size_t i = at; i < text.size();) {
    const Text::Char c = text.at(i);
    if (!c.is(kUnicodeSpace)) break;
    i = c.end;
    if (c.is(kUnicodeNewline)) end = i;
  }
  return end;
}

// \s+(?!\S)|\s+: the white space, but for the last character if something else follows and another
// comes before it.
size_t match_spaces(const Text& text, size_t at) {
  size_t last = at;
  size_t end = at;
  while (end < text.size()) {
    const Text::Char c = text.at(end);
    if (!c.is(kUnicodeSpace)) return last > at ? last : end;
    last = end;
    end = c.end;
  }
  return end;
}

// \s+(?!\S)|\s+ after \s*[\r\n]+ has been tried.
size_t match_breaks_or_spaces(const Text& text, size_t at) {
  const size_t end = match_line_breaks(text, at);
  return end > at ? end : match_spaces(text, at);
}

size_t skip_space(const Text& text, size_t at) { return text.byte(at) == ' ' ? at + 1 : at; }

size_t skip_line_breaks(const Text& text, size_t at) {
  while (text.byte(at) == '\r' || text.byte(at) == '\n') ++at;
  return at;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,kDigits}
// | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int kDigits>
size_t match_llama3(const Text& text, size_t at) {
  if (const size_t end = match_contraction_any_case(text, at); end > at) return end;
  const Text::Char first = text.at(at);
  if (first.is(kUnicodeLetter)) return text.run_of(kUnicodeLetter, first.end);
  if (first.is(kUnicodeNumber)) {
    size_t end = first.end;
    for (int i = 1; i < kDigits && end < text.size(); ++i) {
      const Text::Char c = text.at(end);
      if (!c.is(kUnicodeNumber)) break;
      end = c.end;
    }
    return end;
  }
  if (!first.is(kUnicodeNewline)) {
    if (const size_t end = text.run_of(kUnicodeLetter, first.end); end > first.end) return end;
  }
  const size_t word = skip_space(text, at);
  if (const size_t end = text.run_without(kWordless, word); end > word) {
    return skip_line_breaks(text, end);
  }
  return match_breaks_or_spaces(text, at);
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Without the last alternative the one character that it would match stays over as a piece of its
// own, which comes to the same.
size_t match_gpt2(const Text& text, size_t at) {
  if (const size_t end = match_contraction(text, at); end > at) return end;
  const size_t word = skip_space(text, at);
  if (word < text.size()) {
    const Text::Char first = text.at(word);
    if (first.is(kUnicodeLetter)) return text.run_of(kUnicodeLetter, first.end);
    if (first.is(kUnicodeNumber)) return text.run_of(kUnicodeNumber, first.end);
    if (!first.is(kUnicodeSpace)) return text.run_without(kWordless, first.end);
  }
  return match_spaces(text, at);
}

// A numeric character alone.
size_t match_digit(const Text& text, size_t at) {
  const Text::Char c = text.at(at);
  return c.is(kUnicodeDigit) ? c.end : at;
}

// \p{N}{1,3}
size_t match_three_numbers(const Text& text, size_t at) {
  for (int i = 0; i < 3 && at < text.size(); ++i) {
    const Text::Char c = text.at(at);
    if (!c.is(kUnicodeNumber)) break;
    at = c.end;
  }
  return at;
}

// [一-龥぀-ゟ゠-ヿ]+
size_t match_han_kana(const Text& text, size_t at) {
  while (at < text.size() && static_cast<uint8_t>(text.byte(at)) >= 0xe3) {
    const uint32_t c = text.code_point(at);
    if (!(c >= 0x4e00 && c <= 0x9fa5) && !(c >= 0x3040 && c <= 0x30ff)) break;
    at += 3;
  }
  return at;
}

bool ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
// | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t match_deepseek_v3(const Text& text, size_t at) {
  constexpr uint8_t kWord = kUnicodeLetter | kUnicodeMark;
  constexpr uint8_t kSign = kUnicodePunctuation | kUnicodeSymbol;
  const Text::Char first = text.at(at);
  // The bracket holds all of ASCII's punctuation and symbols.
  if (first.is(kSign) && static_cast<uint8_t>(text.byte(at)) < 0x80 &&
      ascii_letter(text.byte(at + 1))) {
    size_t end = at + 1;
    while (ascii_letter(text.byte(end))) ++end;
    return end;
  }
  if (first.is(kWord)) return text.run_of(kWord, first.end);
  if (!first.is(kSign | kUnicodeNewline)) {
    if (const size_t end = text.run_of(kWord, first.end); end > first.end) return end;
  }
  const size_t signs = skip_space(text, at);
  if (const size_t end = text.run_of(kSign, signs); end > signs) return skip_line_breaks(text, end);
  return match_breaks_or_spaces(text, at);
}

// [\p{P}\$\+<=>\^~\|]+
size_t match_signs(const Text& text, size_t at) {
  constexpr std::string_view kSymbols = "$+<=>^~|";
  while (at < text.size()) {
    const Text::Char c = text.at(at);
    if (!c.is(kUnicodePunctuation) && kSymbols.find(text.byte(at)) == kSymbols.npos) break;
    at = c.end;
  }
  return at;
}

// \p{N}+
size_t match_numbers(const Text& text, size_t at) { return text.run_of(kUnicodeNumber, at); }

// [0-9][0-9][0-9]
size_t match_three_digits(const Text& text, size_t at) {
  for (size_t i = at; i < at + 3; ++i) {
    if (text.byte(i) < '0' || text.byte(i) > '9') return at;
  }
  return at + 3;
}

// Splits at every match of the first matcher; matches and what lies between them are then split by
// the next one, to whose patterns each is a text of its own.
template <Matcher kMatch, Matcher... kRest>
void split(std::string_view piece, const PieceSink& sink) {
  const auto pass_on = [&](std::string_view part) {
    if constexpr (sizeof...(kRest) == 0) {
      sink(part);
    } else {
      split<kRest...>(part, sink);
    }
  };
  const Text text(piece);
  size_t begin = 0;
  for (size_t at = 0; at < piece.size();) {
    const size_t end = kMatch(text, at);
    if (end == at) {
      at = text.at(at).end;
      continue;
    }
    if (begin < at) pass_on(text.view(begin, at));
    pass_on(text.view(at, end));
    begin = at = end;
  }
  if (begin < piece.size()) pass_on(text.view(begin, piece.size()));
}

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  const auto found = std::ranges::find(kPreTokenizers, name, &PreTokenizer::name);
  return found != std::end(kPreTokenizers) ? found : nullptr;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const PreTokenizer& pre : kPreTokenizers) {
    if (!names.empty()) names += ", ";
    names += pre.name;
  }
  return names;
}

void split_pieces(SplitRule rule, std::string_view text, PieceSink sink) {
  switch (rule) {
    case SplitRule::kQwen2: return split<match_llama3<1>>(text, sink);
    case SplitRule::kLlama3: return split<match_llama3<3>>(text, sink);
    case SplitRule::kDeepSeekV3:
      return split<match_three_numbers, match_han_kana, match_deepseek_v3>(text, sink);
    case SplitRule::kSmolLm: return split<match_digit, match_gpt2>(text, sink);
    case SplitRule::kGpt2: return split<match_gpt2>(text, sink);
    case SplitRule::kDefault:
      return split<match_signs, match_gpt2, match_numbers, match_three_digits>(text, sink);
  }
}

}  // namespace reckon
