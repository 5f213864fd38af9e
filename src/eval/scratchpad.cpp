// A column is " 76:13": the digits of one place, ones first, then what they make with the carry of
// the column before, its own carry in front; in a difference the borrow stands there. Every column
// has the same width, so that a digit is always found at the same distance.
#include "eval/scratchpad.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace reckon::eval {
namespace {

// Up to here numbers are added and subtracted in one step.
constexpr int64_t kLargestInOneStep = 99;
// Divisors below this, and round ones, are known well enough to find the digit at once.
constexpr int64_t kSmallestRounded = 20;

int digit_at(const std::string& digits, size_t place) {
  return digits[digits.size() - 1 - place] - '0';
}

std::string padded(int64_t number, size_t width) {
  std::string digits = std::to_string(number);
  digits.insert(0, width - std::min(width, digits.size()), '0');
  return digits;
}

// The digit that the divisor rounded to tens suggests.
int64_t first_try(int64_t current, int64_t b) {
  if (b < kSmallestRounded || b % 10 == 0) return current / b;
  return std::clamp<int64_t>(current / ((b + 5) / 10 * 10), 1, 9);
}

bool is_round(int64_t number) {
  while (number >= 10 && number % 10 == 0) number /= 10;
  return number == 1;
}

}  // namespace

std::string bracketed(int64_t number) {
  return number < 0 ? fmt::format("({})", number) : std::to_string(number);
}

std::string Scratchpad::take() {
  if (text_.ends_with('\n')) text_.pop_back();
  return std::exchange(text_, {});
}

int64_t Scratchpad::apply(char operation, int64_t a, int64_t b) {
  switch (operation) {
    case '+': return add(a, b);
    case '-': return subtract(a, b);
    case '*': return multiply(a, b);
    default: return divide(a, b);
  }
}

int64_t Scratchpad::add(int64_t a, int64_t b) {
  if (a >= 0 && b >= 0) {
    if (a <= kLargestInOneStep && b <= kLargestInOneStep) {
      line(fmt::format("{}+{}={}", a, b, a + b));
    } else {
      add_columns(a, b);
    }
    return a + b;
  }
  if (a < 0 && b < 0) {
    line(fmt::format("{}+({})=-({}+{})", a, b, -a, -b));
    line(fmt::format("-{}", add(-a, -b)));
    return a + b;
  }
  const int64_t plus = std::max(a, b);
  const int64_t minus = -std::min(a, b);
  line(fmt::format("{}+{}={}-{}", a, bracketed(b), plus, minus));
  return subtract(plus, minus);
}

int64_t Scratchpad::subtract(int64_t a, int64_t b) {
  if (b < 0) {
    line(fmt::format("{}-({})={}+{}", a, b, a, -b));
    return add(a, -b);
  }
  if (a < 0) {
    line(fmt::format("{}-{}=-({}+{})", a, b, -a, b));
    line(fmt::format("-{}", add(-a, b)));
    return a - b;
  }
  if (a < b) {
    line(fmt::format("{}-{}=-({}-{})", a, b, b, a));
    line(fmt::format("-{}", subtract(b, a)));
    return a - b;
  }
  if (a <= kLargestInOneStep) {
    line(fmt::format("{}-{}={}", a, b, a - b));
  } else {
    subtract_columns(a, b);
  }
  return a - b;
}

int64_t Scratchpad::multiply(int64_t a, int64_t b) {
  if (a < 0 || b < 0) {
    const bool negative = (a < 0) != (b < 0);
    const int64_t x = std::abs(a);
    const int64_t y = std::abs(b);
    line(negative ? fmt::format("{}*{}=-({}*{})", a, bracketed(b), x, y)
                  : fmt::format("{}*{}={}*{}", a, bracketed(b), x, y));
    multiply_natural(x, y);
    if (negative) line(fmt::format("-{}", x * y));
    return a * b;
  }
  multiply_natural(a, b);
  return a * b;
}

int64_t Scratchpad::divide(int64_t a, int64_t b) {
  RECKON_CHECK(b != 0 && a % b == 0);
  if (a < 0 || b < 0) {
    const bool negative = (a < 0) != (b < 0);
    const int64_t x = std::abs(a);
    const int64_t y = std::abs(b);
    line(negative ? fmt::format("{}/{}=-({}/{})", a, bracketed(b), x, y)
                  : fmt::format("{}/{}={}/{}", a, bracketed(b), x, y));
    divide_natural(x, y);
    if (negative) line(fmt::format("-{}", x / y));
    return a / b;
  }
  divide_natural(a, b);
  return a / b;
}

void Scratchpad::add_columns(int64_t a, int64_t b) {
  const size_t width = std::to_string(std::max(a, b)).size();
  const std::string x = padded(a, width);
  const std::string y = padded(b, width);
  text_ += fmt::format("{}+{}:", x, y);
  int carry = 0;
  for (size_t place = 0; place < width; ++place) {
    const int sum = digit_at(x, place) + digit_at(y, place) + carry;
    text_ += fmt::format(" {}{}:{:02}", digit_at(x, place), digit_at(y, place), sum);
    carry = sum / 10;
  }
  line(fmt::format(" ={}", a + b));
}

void Scratchpad::subtract_columns(int64_t a, int64_t b) {
  difference_columns(a, b);
  line(fmt::format(" ={}", a - b));
}

// True when a borrow is left: b is the larger one.
bool Scratchpad::difference_columns(int64_t a, int64_t b) {
  const size_t width = std::to_string(std::max(a, b)).size();
  const std::string x = padded(a, width);
  const std::string y = padded(b, width);
  text_ += fmt::format("{}-{}:", x, y);
  bool borrowed = false;
  for (size_t place = 0; place < width; ++place) {
    int difference = digit_at(x, place) - digit_at(y, place) - (borrowed ? 1 : 0);
    const bool borrows = difference < 0;
    if (borrows) difference += 10;
    text_ += fmt::format(" {}{}:{}{}", digit_at(x, place), digit_at(y, place), borrows ? 1 : 0,
                         difference);
    borrowed = borrows;
  }
  return borrowed;
}

// A factor of one digit, then zeros: its products of the digits of a, carries added.
void Scratchpad::multiply_by_digit(int64_t a, int digit, int n_zeros) {
  const std::string zeros(static_cast<size_t>(n_zeros), '0');
  const std::string x = std::to_string(a);
  text_ += fmt::format("{}*{}{}:", x, digit, zeros);
  int carry = 0;
  for (size_t place = 0; place < x.size(); ++place) {
    const int product = digit_at(x, place) * digit;
    text_ += fmt::format(" {:02}:{:02}", product, product + carry);
    carry = (product + carry) / 10;
  }
  line(fmt::format(" ={}{}", a * digit, zeros));
}

void Scratchpad::multiply_natural(int64_t a, int64_t b) {
  if (a < b) {
    line(fmt::format("{}*{}={}*{}", a, b, b, a));
    std::swap(a, b);
  }
  if (b == 0 || is_round(b) || is_round(a) || a <= 9) {
    line(fmt::format("{}*{}={}", a, b, a * b));
    return;
  }
  int64_t sum = 0;
  int64_t place_value = 1;
  int n_parts = 0;
  for (int n_zeros = 0; place_value <= b; ++n_zeros, place_value *= 10) {
    const int digit = static_cast<int>(b / place_value % 10);
    if (digit == 0) continue;
    multiply_by_digit(a, digit, n_zeros);
    const int64_t part = a * digit * place_value;
    if (n_parts++ > 0) add(sum, part);
    sum += part;
  }
}

// "3*26=60+18=78 85-78: 58:17 87:00 =7": true unless the columns end in a borrow, which says that
// the digit is too large. Of one-digit divisors the remainder is known at once.
bool Scratchpad::try_digit(int64_t digit, int64_t current, int64_t b) {
  const int64_t product = digit * b;
  if (b <= 9) {
    text_ +=
        fmt::format("{}*{}={} {}-{}={}", digit, b, product, current, product, current - product);
    return true;
  }
  text_ += b % 10 == 0 ? fmt::format("{}*{}={} ", digit, b, product)
                       : fmt::format("{}*{}={}+{}={} ", digit, b, digit * (b / 10 * 10),
                                     digit * (b % 10), product);
  if (difference_columns(current, product)) return false;
  text_ += fmt::format(" ={}", current - product);
  return true;
}

void Scratchpad::divide_step(int64_t current, int64_t b) {
  const int64_t quotient = current / b;
  if (quotient == 0) {
    text_ += fmt::format("0 {}-0={}", current, current);
    return;
  }
  int64_t digit = first_try(current, b);
  for (;;) {
    const bool fits = try_digit(digit, current, b);
    if (digit == quotient) return;
    text_ += ", wait, ";
    digit += fits ? 1 : -1;
  }
}

void Scratchpad::divide_natural(int64_t a, int64_t b) {
  if (b == 1 || a == 0 || (is_round(b) && a % b == 0)) {
    line(fmt::format("{}/{}={}", a, b, a / b));
    return;
  }
  const std::string digits = std::to_string(a);
  text_ += fmt::format("{}/{}:", a, b);
  int64_t current = 0;
  size_t place = 0;
  for (const char digit : digits) {
    current = current * 10 + (digit - '0');
    if (place == 0 && current < b) continue;
    text_ += fmt::format(" {}{}:", static_cast<char>('a' + place++), current);
    divide_step(current, b);
    current %= b;
  }
  line(fmt::format(" ={}", a / b));
}

}  // namespace reckon::eval
