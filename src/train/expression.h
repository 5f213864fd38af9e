// Arithmetic expressions in answers: "(25 - 7) × 3" -> its exact value and the numbers in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace reckon::train {

// In lowest terms, denominator > 0.
struct Fraction {
  int64_t numerator = 0;
  int64_t denominator = 1;
};

struct Expression {
  Fraction value;
  std::vector<int64_t> numbers;  // as they stand, in order
};

// + - * / × ÷ · and brackets over whole numbers of up to 9 digits, minus signs before brackets and
// numbers too; "= ..." at the end is left out. Empty for what is no such expression, divides by
// zero, nests deeper than 32, is longer than 1000 bytes, or leaves 18 digits on the way.
std::optional<Expression> parse_expression(std::string_view text);

}  // namespace reckon::train
