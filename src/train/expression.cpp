// Recursive descent: sum = product {+- product}; product = factor {*/ factor}; factor = number,
// bracket or minus factor.
#include "train/expression.h"

#include <cctype>

namespace reckon::train {
namespace {

constexpr size_t kMaxBytes = 1000;
constexpr int kMaxDepth = 32;
constexpr size_t kMaxDigits = 9;
constexpr __int128 kLargest = 1'000'000'000'000'000'000;

std::optional<Fraction> lowest(__int128 numerator, __int128 denominator) {
  if (denominator == 0) return std::nullopt;
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  __int128 a = numerator < 0 ? -numerator : numerator;
  __int128 b = denominator;
  while (b != 0) {
    const __int128 rest = a % b;
    a = b;
    b = rest;
  }
  numerator /= a;
  denominator /= a;
  if (numerator > kLargest || numerator < -kLargest || denominator > kLargest) return std::nullopt;
  return Fraction{static_cast<int64_t>(numerator), static_cast<int64_t>(denominator)};
}

// The products fit: each factor is at most 10^18 < 2^60, so their sum is below 2^121.
std::optional<Fraction> apply(char operation, const Fraction& a, const Fraction& b) {
  const __int128 an = a.numerator;
  const __int128 ad = a.denominator;
  switch (operation) {
    case '+': return lowest(an * b.denominator + b.numerator * ad, ad * b.denominator);
    case '-': return lowest(an * b.denominator - b.numerator * ad, ad * b.denominator);
    case '*': return lowest(an * b.numerator, ad * b.denominator);
    default: return lowest(an * b.denominator, ad * b.numerator);
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<Expression> run() {
    const auto value = sum(0);
    if (!value || (sign() != '=' && !rest_.empty())) return std::nullopt;
    return Expression{*value, std::move(numbers_)};
  }

 private:
  // The sign that comes next, blanks skipped; 0 for anything else.
  char sign() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
    bytes_of_sign_ = 2;
    if (rest_.starts_with("×") || rest_.starts_with("·")) return '*';
    if (rest_.starts_with("÷")) return '/';
    bytes_of_sign_ = 3;
    if (rest_.starts_with("−")) return '-';
    bytes_of_sign_ = 1;
    return rest_.empty() ? '\0' : rest_[0];
  }
  void take_sign() { rest_.remove_prefix(bytes_of_sign_); }

  std::optional<Fraction> sum(int depth) {
    auto value = product(depth);
    for (char c = sign(); value && (c == '+' || c == '-'); c = sign()) {
      take_sign();
      const auto next = product(depth);
      value = next ? apply(c, *value, *next) : std::nullopt;
    }
    return value;
  }

  std::optional<Fraction> product(int depth) {
    auto value = factor(depth);
    for (char c = sign(); value && (c == '*' || c == '/'); c = sign()) {
      take_sign();
      const auto next = factor(depth);
      value = next ? apply(c, *value, *next) : std::nullopt;
    }
    return value;
  }

  std::optional<Fraction> factor(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    const char c = sign();
    if (c == '-') {
      take_sign();
      const auto value = factor(depth + 1);
      return value ? lowest(-__int128{value->numerator}, value->denominator) : std::nullopt;
    }
    if (c == '(') {
      take_sign();
      const auto value = sum(depth + 1);
      if (sign() != ')') return std::nullopt;
      take_sign();
      return value;
    }
    int64_t number = 0;
    size_t n_digits = 0;
    while (!rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_[0])) != 0) {
      if (++n_digits > kMaxDigits) return std::nullopt;
      number = number * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    if (n_digits == 0) return std::nullopt;
    numbers_.push_back(number);
    return Fraction{number, 1};
  }

  std::string_view rest_;
  size_t bytes_of_sign_ = 1;
  std::vector<int64_t> numbers_;
};

}  // namespace

std::optional<Expression> parse_expression(std::string_view text) {
  if (text.size() > kMaxBytes) return std::nullopt;
  return Parser(text).run();
}

}  // namespace reckon::train
