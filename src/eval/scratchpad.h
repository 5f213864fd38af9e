// Arithmetic worked out in the steps that a small model can do one by one: digits in columns with
// carries written down, products by their partial products, long division by trying the digit that
// a rounded divisor suggests and mending it (its steps are lettered). Numbers up to two digits are
// added in one step. docs/recipe.md says why it looks so.
#pragma once

#include <cstdint>
#include <string>

namespace reckon::eval {

class Scratchpad {
 public:
  // Each writes its work as lines and returns the result; operands of any sign. divide: b != 0 and
  // a a multiple of b.
  int64_t add(int64_t a, int64_t b);
  int64_t subtract(int64_t a, int64_t b);
  int64_t multiply(int64_t a, int64_t b);
  int64_t divide(int64_t a, int64_t b);
  int64_t apply(char operation, int64_t a, int64_t b);

  void line(const std::string& text) { text_ += text + "\n"; }
  // The text without its last line break.
  std::string take();

 private:
  void add_columns(int64_t a, int64_t b);
  void subtract_columns(int64_t a, int64_t b);
  bool difference_columns(int64_t a, int64_t b);
  void multiply_natural(int64_t a, int64_t b);
  void multiply_by_digit(int64_t a, int digit, int n_zeros);
  void divide_natural(int64_t a, int64_t b);
  void divide_step(int64_t current, int64_t b);
  bool try_digit(int64_t digit, int64_t current, int64_t b);

  std::string text_;
};

// "(-26)" for negative numbers inside an expression, "26" for others.
std::string bracketed(int64_t number);

}  // namespace reckon::eval
