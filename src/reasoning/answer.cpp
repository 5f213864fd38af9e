// One pass to find the result, then rewriting of short strings; no step is worse than linear in the
// text but for formulas, whose length is bounded.
#include "reasoning/answer.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "base/json.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr std::string_view kBlank = " \t\r\n";
constexpr size_t kMaxFormulaBytes = 4096;
constexpr size_t kMaxDigits = 18;  // 10^18 < 2^63

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word_part(char c) { return is_digit(c) || is_letter(c); }

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// --- finding the result

// The contents of the last complete \boxed{} or \fbox{}; the outer one of two that nest.
std::optional<std::string_view> last_boxed(std::string_view text) {
  std::vector<size_t> open;  // where each open brace's content begins, 0: of no box
  std::optional<std::string_view> last;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      const std::string_view rest = text.substr(i);
      for (const std::string_view box : {"\\boxed", "\\fbox"}) {
        if (!rest.starts_with(box)) continue;
        const size_t brace = rest.find_first_not_of(" ", box.size());
        if (brace == std::string_view::npos || rest[brace] != '{') continue;
        open.push_back(i + brace + 1);
        i += brace - 1;
        break;
      }
      ++i;  // an escaped brace opens nothing; a box's own brace is on the list already
    } else if (text[i] == '{') {
      open.push_back(0);
    } else if (text[i] == '}' && !open.empty()) {
      if (open.back() != 0) last = text.substr(open.back(), i - open.back());
      open.pop_back();
    }
  }
  return last;
}

std::optional<std::string_view> last_tagged(std::string_view text) {
  constexpr std::string_view kOpen = "<answer>";
  const size_t end = text.rfind("</answer>");
  if (end == std::string_view::npos) return std::nullopt;
  const size_t begin = text.substr(0, end).rfind(kOpen);
  if (begin == std::string_view::npos) return std::nullopt;
  return text.substr(begin + kOpen.size(), end - begin - kOpen.size());
}

// Up to the line's end, or a full stop with a blank or nothing behind it.
std::string_view sentence(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.' && (i + 1 == text.size() || text[i + 1] == ' ')) return text.substr(0, i);
  }
  return text;
}

std::optional<std::string_view> last_announced(std::string_view text) {
  const std::string small = ascii_lower(text);
  size_t begin = std::string::npos;
  for (const std::string_view lead : {"answer is", "answer:", "answer**:", "####"}) {
    const size_t found = small.rfind(lead);
    if (found == std::string::npos) continue;
    const size_t after = found + lead.size();
    if (begin == std::string::npos || after > begin) begin = after;
  }
  if (begin == std::string::npos) return std::nullopt;
  begin = text.find_first_not_of(" \t\r\n:*", begin);
  if (begin == std::string_view::npos) return std::nullopt;
  return sentence(text.substr(begin));
}

// Boxed, tagged or announced.
std::optional<std::string_view> stated(std::string_view text) {
  for (const auto find : {last_boxed, last_tagged, last_announced}) {
    if (const auto answer = find(text)) return trim(*answer);
  }
  return std::nullopt;
}

constexpr std::string_view kFence = "```";

// The code of a fenced block that the text ends in.
std::optional<std::string_view> last_block(std::string_view text) {
  const size_t line = text.rfind('\n');
  if (line == std::string_view::npos) return std::nullopt;
  if (trim(text.substr(line)).find_first_not_of('`') != std::string_view::npos) return std::nullopt;
  if (!trim(text.substr(line)).starts_with(kFence)) return std::nullopt;
  const std::string_view before = text.substr(0, line);
  const size_t fence = before.rfind(kFence);
  if (fence == std::string_view::npos) return std::nullopt;
  const size_t code = before.find('\n', fence);  // behind the language
  return code == std::string_view::npos ? std::nullopt : std::optional(trim(before.substr(code)));
}

std::string_view last_paragraph(std::string_view text) {
  for (size_t end = text.size(); (end = text.rfind('\n', end)) != std::string_view::npos; --end) {
    const size_t before = text.find_last_not_of(" \t\r", end - 1);  // text is trimmed: end > 0
    if (text[before] == '\n') return text.substr(end + 1);
  }
  return text;
}

// --- rewriting

// 1.0 and 1 are one number, and the order of keys means nothing.
json::value ordered(const json::value& value) {
  if (const double* number = value.if_double()) {
    const bool whole = std::floor(*number) == *number && std::fabs(*number) < 9e15;
    return whole ? json::value(static_cast<int64_t>(*number)) : value;
  }
  if (const json::array* list = value.if_array()) {
    json::array result;
    for (const json::value& item : *list) result.push_back(ordered(item));
    return result;
  }
  const json::object* object = value.if_object();
  if (object == nullptr) return value;
  std::vector<std::string_view> keys;
  for (const auto& field : *object) keys.push_back(field.key());
  std::sort(keys.begin(), keys.end());
  json::object result;
  for (const std::string_view key : keys) result[key] = ordered(object->at(key));
  return result;
}

std::optional<std::string> normalise_json(std::string_view text) {
  if (!text.starts_with('{') && !text.starts_with('[')) return std::nullopt;
  const Result<json::value> value = parse_json(text, "answer");
  if (!value.ok()) return std::nullopt;
  return json::serialize(ordered(*value));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != std::string::npos; at = found + from.size()) {
    result.append(text, at, found - at);
    result += to;
  }
  result.append(text, at);
  text = std::move(result);
}

// The same for a LaTeX command: \left, but not \leftarrow.
void replace_command(std::string& text, std::string_view command, std::string_view to) {
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(command, at)) != std::string::npos;) {
    const size_t end = found + command.size();
    const bool whole = end == text.size() || !is_letter(text[end]);
    result.append(text, at, found - at);
    result += whole ? to : command;
    at = end;
  }
  result.append(text, at);
  text = std::move(result);
}

// The brace that closes the one at `open`.
size_t closing_brace(std::string_view text, size_t open) {
  int64_t depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

// What stands inside a wrapper that holds all of the text, or nothing.
std::optional<std::string_view> unwrapped(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kPairs{{
      {"$$", "$$"},
      {"$", "$"},
      {"\\(", "\\)"},
      {"\\[", "\\]"},
      {"**", "**"},
      {"`", "`"},
      {"\"", "\""},
      {"'", "'"},
  }};
  for (const auto& [open, close] : kPairs) {
    if (text.size() > open.size() + close.size() && text.starts_with(open) &&
        text.ends_with(close)) {
      const std::string_view inside =
          text.substr(open.size(), text.size() - open.size() - close.size());
      if (inside.find(open) == std::string_view::npos) return inside;
    }
  }
  for (const std::string_view command :
       {"\\boxed", "\\fbox", "\\text", "\\textbf", "\\mathrm", "\\mathbf", "\\mbox"}) {
    if (!text.starts_with(command)) continue;
    const size_t open = command.size();
    if (open < text.size() && text[open] == '{' && closing_brace(text, open) == text.size() - 1) {
      return text.substr(open + 1, text.size() - open - 2);
    }
  }
  return std::nullopt;
}

// A line break between digits stays one: the number on the next line is another.
std::string collapse_blanks(std::string_view text) {
  text = trim(text);
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find_first_not_of(kBlank, at);
    if (end == at) {
      result += text[at++];
      continue;
    }
    const bool breaks = text.substr(at, end - at).find('\n') != std::string_view::npos;
    result += breaks && is_digit(result.back()) && is_digit(text[end]) ? '\n' : ' ';
    at = end;
  }
  return result;
}

bool has_word(std::string_view text) {
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '\\') {  // a command is no word
      while (i + 1 < text.size() && is_letter(text[i + 1])) ++i;
    } else if (static_cast<unsigned char>(text[i]) >= 0x80 ||
               (is_letter(text[i]) && is_letter(text[i + 1]))) {
      return true;
    }
  }
  return !text.empty() && static_cast<unsigned char>(text.back()) >= 0x80;
}

// "( 1, 2 )" is "(1,2)", but "3 5" is not "35".
std::string without_idle_blanks(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool parts = text[i] == ' ' && is_word_part(text[i - 1]) && is_word_part(text[i + 1]);
    if (text[i] != ' ' || parts) result += text[i];
  }
  return result;
}

void drop_decoration(std::string& text) {
  replace_all(text, "\xe2\x88\x92", "-");  // U+2212
  for (const std::string_view blank : {"\xc2\xa0", "\xe2\x80\xaf", "\xe2\x80\x89"}) {
    replace_all(text, blank, " ");  // no-break, narrow and thin spaces
  }
  replace_all(text, "{,}", ",");
  for (const std::string_view blank : {"\\!", "\\,", "\\;", "\\:", "\\ ", "~"}) {
    replace_all(text, blank, " ");
  }
  for (const std::string_view command : {"\\left", "\\right", "\\displaystyle"}) {
    replace_command(text, command, "");
  }
  replace_command(text, "\\dfrac", "\\frac");
  replace_command(text, "\\tfrac", "\\frac");
  replace_command(text, "\\times", "*");
  replace_command(text, "\\cdot", "*");
  for (const std::string_view sign :
       {"^{\\circ}", "^\\circ", "\xc2\xb0", "\\%", "%", "\\$", "$", "\xe2\x82\xac", "\xc2\xa3"}) {
    replace_all(text, sign, "");
  }
}

// --- numbers

struct Rational {
  int64_t numerator = 0;
  int64_t denominator = 1;  // > 0, without common factor
};

std::optional<Rational> reduced(__int128 numerator, __int128 denominator) {
  if (denominator == 0) return std::nullopt;
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  __int128 a = numerator < 0 ? -numerator : numerator;
  __int128 b = denominator;
  while (b != 0) a = std::exchange(b, a % b);
  numerator /= a;
  denominator /= a;
  constexpr __int128 kMax = INT64_MAX;
  if (numerator > kMax || numerator < -kMax || denominator > kMax) return std::nullopt;
  return Rational{static_cast<int64_t>(numerator), static_cast<int64_t>(denominator)};
}

std::string spelling(const Rational& value) {
  const std::string numerator = std::to_string(value.numerator);
  return value.denominator == 1 ? numerator : numerator + "/" + std::to_string(value.denominator);
}

// Digits of a number without separators: "1,234" and "1 234" group by three, anything else doesn't.
// What begins with a 0 is no group: "0,125" is a decimal in half of the world.
std::optional<std::string> ungrouped(std::string_view text) {
  const size_t mark = text.find_first_of(", ");
  if (mark == std::string_view::npos) return std::string(text);
  const char separator = text[mark];
  const size_t point = std::min(text.find('.'), text.size());
  if (mark == 0 || mark > 3 || point < mark || text[0] == '0') return std::nullopt;
  std::string digits(text.substr(0, mark));
  for (size_t at = mark; at < point; at += 4) {
    if (text[at] != separator || point - at < 4) return std::nullopt;
    for (size_t i = at + 1; i < at + 4; ++i) {
      if (!is_digit(text[i])) return std::nullopt;
    }
    digits += text.substr(at + 1, 3);
  }
  return digits + std::string(text.substr(point));
}

struct Decimal {
  bool negative = false;
  std::string digits;    // without leading zeros; empty: zero
  int64_t exponent = 0;  // value = digits * 10^exponent; digits don't end in a zero
};

// [sign] digits [. digits] [e [sign] digits | * 10^{…}]
std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal value;
  text = trim(text);
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    value.negative = text.front() == '-';
    text = trim(text.substr(1));
  }
  std::string_view power;
  size_t cut = text.find_first_of("eE");
  if (cut != std::string_view::npos) {
    power = text.substr(cut + 1);
  } else if ((cut = text.find('*')) != std::string_view::npos) {
    power = trim(text.substr(cut + 1));
    if (!power.starts_with("10^")) return std::nullopt;
    power.remove_prefix(3);
    if (power.starts_with('{') && power.ends_with('}')) power = power.substr(1, power.size() - 2);
  }
  if (cut != std::string_view::npos) {
    const bool minus = power.starts_with('-');
    if (minus || power.starts_with('+')) power.remove_prefix(1);
    if (power.empty() || power.size() > 4 || !std::all_of(power.begin(), power.end(), is_digit)) {
      return std::nullopt;
    }
    for (const char c : power) value.exponent = value.exponent * 10 + (c - '0');
    if (minus) value.exponent = -value.exponent;
    text = trim(text.substr(0, cut));
  }
  const std::optional<std::string> plain = ungrouped(text);
  if (!plain) return std::nullopt;
  bool point = false;
  size_t n_digits = 0;
  for (const char c : *plain) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(c)) return std::nullopt;
    ++n_digits;
    if (point) --value.exponent;
    if (c != '0' || !value.digits.empty()) value.digits += c;
  }
  if (n_digits == 0) return std::nullopt;
  while (!value.digits.empty() && value.digits.back() == '0') {
    value.digits.pop_back();
    ++value.exponent;
  }
  if (value.digits.empty()) value = {};
  return value;
}

std::optional<Rational> as_rational(const Decimal& value) {
  const auto n_digits = static_cast<int64_t>(value.digits.size());
  constexpr auto kMax = static_cast<int64_t>(kMaxDigits);
  if (n_digits > kMax || n_digits + value.exponent > kMax || value.exponent < -kMax) {
    return std::nullopt;
  }
  __int128 numerator = 0;
  __int128 denominator = 1;
  for (const char c : value.digits) numerator = numerator * 10 + (c - '0');
  for (int64_t i = 0; i < value.exponent; ++i) numerator *= 10;
  for (int64_t i = value.exponent; i < 0; ++i) denominator *= 10;
  return reduced(value.negative ? -numerator : numerator, denominator);
}

std::optional<Rational> parse_rational(std::string_view text) {
  const std::optional<Decimal> value = parse_decimal(text);
  return value ? as_rational(*value) : std::nullopt;
}

std::optional<Rational> quotient(std::string_view above, std::string_view below) {
  const std::optional<Rational> a = parse_rational(above);
  const std::optional<Rational> b = parse_rational(below);
  if (!a || !b) return std::nullopt;
  return reduced(static_cast<__int128>(a->numerator) * b->denominator,
                 static_cast<__int128>(a->denominator) * b->numerator);
}

// a/b, and "w a/b" where a/b is less than one. A blank above the line never groups digits.
std::optional<Rational> parse_slash(std::string_view above, std::string_view below) {
  above = trim(above);
  const bool minus = above.starts_with('-');
  const std::string_view positive = minus ? trim(above.substr(1)) : above;
  const size_t blank = positive.rfind(' ');
  if (blank == std::string_view::npos) return quotient(above, below);
  const std::string_view whole = positive.substr(0, blank);
  const std::string_view part = positive.substr(blank + 1);
  if (!std::all_of(whole.begin(), whole.end(), is_digit) || part.front() == '0' ||
      !std::all_of(part.begin(), part.end(), is_digit)) {
    return std::nullopt;
  }
  const std::optional<Rational> n = parse_rational(whole);
  const std::optional<Rational> less = quotient(part, below);
  if (!n || !less || less->numerator <= 0 || less->numerator >= less->denominator) {
    return std::nullopt;
  }
  const __int128 sum = static_cast<__int128>(n->numerator) * less->denominator + less->numerator;
  return reduced(minus ? -sum : sum, less->denominator);
}

// \frac{a}{b} or \frac ab, after its sign.
std::optional<Rational> parse_frac(std::string_view text) {
  constexpr std::string_view kCommand = "\\frac";
  if (!text.starts_with(kCommand)) return std::nullopt;
  text = trim(text.substr(kCommand.size()));
  if (text.size() == 2) return quotient(text.substr(0, 1), text.substr(1));
  if (!text.starts_with('{')) return std::nullopt;
  const size_t middle = text.find('}');
  if (middle == std::string_view::npos) return std::nullopt;
  const std::string_view above = text.substr(1, middle - 1);
  const std::string_view below = trim(text.substr(middle + 1));
  if (below.size() < 3 || below.front() != '{' || below.find('}') != below.size() - 1) {
    return std::nullopt;
  }
  return quotient(above, below.substr(1, below.size() - 2));
}

std::optional<std::string> normalise_number(std::string_view text) {
  if (text.size() > 2 && text.front() == '(' && text.back() == ')' &&
      text.find_first_of("(,", 1) == std::string_view::npos) {
    text = trim(text.substr(1, text.size() - 2));
  }
  if (const std::optional<Decimal> value = parse_decimal(text)) {
    if (const std::optional<Rational> small = as_rational(*value)) return spelling(*small);
    return (value->negative ? "-" : "") + value->digits + "e" + std::to_string(value->exponent);
  }
  std::optional<Rational> value;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    value = parse_slash(text.substr(0, slash), text.substr(slash + 1));
  } else {
    const bool minus = text.starts_with('-');
    value = parse_frac(minus ? trim(text.substr(1)) : text);
    if (value && minus) value->numerator = -value->numerator;
  }
  return value ? std::optional(spelling(*value)) : std::nullopt;
}

}  // namespace

std::string extract_answer(std::string_view text) {
  if (const auto answer = stated(text)) return std::string(*answer);
  text = trim(text);
  const size_t line = text.rfind('\n');
  return std::string(line == std::string_view::npos ? text : trim(text.substr(line + 1)));
}

std::string voted_answer(std::string_view text, bool held) {
  const std::string_view whole = trim(text);
  if (held) return std::string(whole);
  if (const auto answer = stated(text)) return std::string(*answer);
  if (const auto block = last_block(whole)) return std::string(*block);
  return std::string(trim(last_paragraph(whole)));
}

std::string normalise_answer(std::string_view answer) {
  answer = trim(answer);
  if (answer.size() > kMaxFormulaBytes) return ascii_lower(collapse_blanks(answer));
  const auto without_end = [](std::string_view text) {
    const size_t last = text.find_last_not_of(" \t\r\n.,;");
    return last == std::string_view::npos ? text : text.substr(0, last + 1);
  };
  answer = without_end(answer);
  while (const auto inside = unwrapped(answer)) answer = without_end(trim(*inside));
  if (std::optional<std::string> json = normalise_json(answer)) return *std::move(json);

  std::string text(answer);
  drop_decoration(text);
  text = collapse_blanks(text);
  const size_t equals = text.find('=');
  if (equals != std::string::npos && text.find('=', equals + 1) == std::string::npos &&
      trim(text.substr(0, equals)).size() == 1 && is_letter(text.front())) {
    text = trim(text.substr(equals + 1));
  }
  if (std::optional<std::string> number = normalise_number(text)) return *std::move(number);
  return ascii_lower(has_word(text) ? text : without_idle_blanks(text));
}

bool same_answer(std::string_view a, std::string_view b) {
  const std::string normal = normalise_answer(a);
  return !normal.empty() && normal == normalise_answer(b);
}

}  // namespace reckon
