// exp, log, sine and cosine in double precision from exactly rounded operations alone, in one fixed
// order. Each error stated is the bound that the tests hold against 80-bit and 128-bit results.
#include "kernels/scalar_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace reckon {
namespace {

// 1.5 * 2^52: adding it rounds to a whole number, to nearest even, left in the low mantissa bits.
constexpr double kRoundShift = 0x1.8p52;
constexpr double kLog2E = 0x1.71547652b82fep0;
// ln 2 in two parts; the high one ends in eleven zero bits, so that n times it is exact, |n| <=
// 1100.
constexpr double kLn2High = 0x1.62e42fefa38p-1;
constexpr double kLn2Low = 0x1.ef35793c7673p-45;
// pi / 2 in three parts.
constexpr double kHalfPi1 = 0x1.921fb54442d18p0;
constexpr double kHalfPi2 = 0x1.1a62633145c07p-54;
constexpr double kHalfPi3 = -0x1.f1976b7ed8fbcp-110;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;

// Of x rounded to a whole number: the number, and its low bits.
struct Rounded {
  double value;
  int64_t integer;
};
Rounded round_even(double x) {
  const double shifted = x + kRoundShift;
  const auto integer =
      static_cast<int64_t>(std::bit_cast<uint64_t>(shifted) - std::bit_cast<uint64_t>(kRoundShift));
  return {shifted - kRoundShift, integer};
}

// 2^n for a normal result.
double power_of_two(int64_t n) {
  return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52);
}

// terms[0] + x (terms[1] + x (...)), innermost first.
template <size_t n>
double horner(double x, const double (&terms)[n]) {
  double sum = terms[n - 1];
  for (size_t i = n - 1; i-- > 0;) sum = std::fma(sum, x, terms[i]);
  return sum;
}

// 1/2!, 1/3!, ... 1/14!: after them the series of e^r leaves less than 2^-60 for |r| <= ln(2) / 2.
constexpr double kExpTerms[] = {
    1.0 / 2,         1.0 / 6,          1.0 / 24,          1.0 / 120,     1.0 / 720,
    1.0 / 5040,      1.0 / 40320,      1.0 / 362880,      1.0 / 3628800, 1.0 / 39916800,
    1.0 / 479001600, 1.0 / 6227020800, 1.0 / 87178291200,
};

// 2/3, 2/5, ... 2/23: log((1 + s) / (1 - s)) = 2 s + s (2/3 s^2 + 2/5 s^4 + ...), |s| < 0.1716.
constexpr double kLogTerms[] = {
    2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
    2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23,
};

// sin r = r + r^3 (-1/3! + r^2/5! - ...), cos r = 1 - r^2/2 + r^4 (1/4! - ...), |r| <= pi / 4.
constexpr double kSineTerms[] = {
    -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
    -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000,
};
constexpr double kCosineTerms[] = {
    1.0 / 24,        -1.0 / 720,         1.0 / 40320,          -1.0 / 3628800,
    1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000, -1.0 / 6402373705728000,
};

}  // namespace

double exact_exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 709.79) return std::numeric_limits<double>::infinity();
  if (x < -745.2) return 0.0;
  const Rounded n = round_even(x * kLog2E);
  const double high = std::fma(-n.value, kLn2High, x);
  const double r = std::fma(-n.value, kLn2Low, high);
  // What rounding r lost; e^(r + low) = e^r + e^r low.
  const double low = std::fma(-n.value, kLn2Low, high - r);
  const double tail = std::fma(r * r, horner(r, kExpTerms), std::fma(low, r, low));
  const double e = 1.0 + (r + tail);
  // In two steps, because 2^1024 is no double and a subnormal result must be rounded once.
  const int64_t half = n.integer / 2;
  return (e * power_of_two(half)) * power_of_two(n.integer - half);
}

double exact_log(double x) {
  if (!(x > 0.0)) {
    return x == 0.0 ? -std::numeric_limits<double>::infinity()
                    : std::numeric_limits<double>::quiet_NaN();
  }
  if (x > std::numeric_limits<double>::max()) return x;
  int64_t exponent = 0;
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    exponent = -54;
  }
  // x = m 2^exponent, m in [sqrt(1/2), sqrt(2)).
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  const int64_t shift = static_cast<int64_t>(bits - kSqrtHalf) >> 52;
  exponent += shift;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(shift) << 52));
  // With f = m - 1 (exact) and s = f / (2 + f): 2 s = f - s f, so log m = f - s (f - rest).
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double s2 = s * s;
  const double rest = s2 * horner(s2, kLogTerms);
  const auto n = static_cast<double>(exponent);
  return std::fma(n, kLn2High, f - (std::fma(s, f - rest, -n * kLn2Low)));
}

void exact_sin_cos(double x, double* sine, double* cosine) {
  const Rounded n = round_even(x * kTwoOverPi);
  // The first step is exact: for n != 0 both x and n kHalfPi1 are multiples of 2^-53 and their
  // difference is below 1.
  const double first = std::fma(-n.value, kHalfPi1, x);
  // r + low = first - n kHalfPi2 - n kHalfPi3: the second product's rounding error and that of the
  // difference (Knuth's two-sum) go into low, which matters where first and the product cancel.
  const double product = n.value * kHalfPi2;
  const double product_error = std::fma(n.value, kHalfPi2, -product);
  const double r = first - product;
  const double taken = first - r;
  const double difference_error = (first - (r + taken)) + (taken - product);
  const double low = (difference_error - product_error) - n.value * kHalfPi3;
  const double r2 = r * r;
  const double sin_r = r + std::fma(r2 * r, horner(r2, kSineTerms), std::fma(-0.5 * r2, low, low));
  // 1 - r^2/2 is rounded once; what it lost joins the small terms.
  const double half = 0.5 * r2;
  const double w = 1.0 - half;
  const double lost = (1.0 - w) - half;
  const double half_error = 0.5 * std::fma(r, r, -r2);
  const double cos_r =
      w + (lost + std::fma(r2 * r2, horner(r2, kCosineTerms), std::fma(-r, low, -half_error)));
  // The quarter turn n mod 4.
  const bool swap = (n.integer & 1) != 0;
  const double s = swap ? cos_r : sin_r;
  const double c = swap ? sin_r : cos_r;
  *sine = (n.integer & 2) != 0 ? -s : s;
  *cosine = ((n.integer + 1) & 2) != 0 ? -c : c;
}

}  // namespace reckon
