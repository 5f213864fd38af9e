// Questions of arithmetic in many wordings, each with its work on a scratchpad.
#pragma once

#include "eval/problem.h"
#include "eval/random.h"

namespace reckon::eval {

Problem make_sum(Random& random);         // up to 6 digits each
Problem make_difference(Random& random);  // likewise; below zero now and then
Problem make_product(Random& random);     // up to 3 x 3 digits
Problem make_division(Random& random);    // exact, divisor up to 2 digits
Problem make_negative(Random& random);    // one operation, at least one number below zero
Problem make_expression(Random& random);  // 3 or 4 numbers, with and without brackets
Problem make_percent(Random& random);     // whole results
Problem make_fraction(Random& random);    // of a number, sums, differences, products, lowest terms

}  // namespace reckon::eval
