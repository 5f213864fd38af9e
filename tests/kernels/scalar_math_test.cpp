// Our elementary functions against the C library's in long double, and their bits against a hash
// that is the same on every processor.
#include "kernels/scalar_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>

#include "tests/kernels/support.h"

namespace reckon {
namespace {

using kernels::test::Random;

// Error in units of the last place of the expected value.
double ulps(double found, long double expected) {
  const int exponent = std::max(std::ilogb(static_cast<double>(expected)), -1022);
  return static_cast<double>(std::fabs(found - expected) / std::ldexp(1.0L, exponent - 52));
}

double spread(Random& random, double low, double high) {
  const double unit = static_cast<double>(random.bits() >> 11) * 0x1p-53;
  return low + (high - low) * unit;
}

TEST(ExactExp, IsWithinOneUlp) {
  Random random(1);
  double worst = 0.0;
  for (int i = 0; i < 200000; ++i) {
    const double x = i % 2 == 0 ? spread(random, -708.0, 709.78) : spread(random, -1.0, 1.0);
    worst = std::max(worst, ulps(exact_exp(x), std::exp(static_cast<long double>(x))));
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(exact_exp(0.0), 1.0);
  EXPECT_EQ(exact_exp(710.0), HUGE_VAL);
  EXPECT_EQ(exact_exp(-746.0), 0.0);
  EXPECT_EQ(exact_exp(-744.0), 0x1p-1074 * std::round(std::exp(-744.0L) / 0x1p-1074L));
  EXPECT_EQ(exact_exp(-HUGE_VAL), 0.0);
  EXPECT_TRUE(std::isnan(exact_exp(NAN)));
}

TEST(ExactLog, IsWithinOneUlp) {
  Random random(2);
  double worst = 0.0;
  for (int i = 0; i < 200000; ++i) {
    double x = spread(random, 0.5, 2.0);
    if (i % 3 == 1) x = std::ldexp(x, static_cast<int>(random.below(2000)) - 1000);
    if (i % 3 == 2) x = 1.0 + spread(random, -1e-6, 1e-6);
    if (x == 1.0) continue;
    worst = std::max(worst, ulps(exact_log(x), std::log(static_cast<long double>(x))));
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(exact_log(1.0), 0.0);
  EXPECT_LT(ulps(exact_log(0x1p-1074), std::log(0x1p-1074L)), 1.0);
  EXPECT_LT(ulps(exact_log(DBL_MAX), std::log(static_cast<long double>(DBL_MAX))), 1.0);
  EXPECT_EQ(exact_log(0.0), -HUGE_VAL);
  EXPECT_EQ(exact_log(HUGE_VAL), HUGE_VAL);
  EXPECT_TRUE(std::isnan(exact_log(-1.0)));
}

TEST(ExactSinCos, IsWithinOneUlp) {
  Random random(3);
  double worst = 0.0;
  const double limits[] = {1.0, 100.0, 131072.0, 0x1p31};
  for (int i = 0; i < 200000; ++i) {
    const double limit = limits[i % 4];
    const double x = spread(random, -limit, limit);
    double sine = 0.0;
    double cosine = 0.0;
    exact_sin_cos(x, &sine, &cosine);
    worst = std::max(worst, ulps(sine, std::sin(static_cast<long double>(x))));
    worst = std::max(worst, ulps(cosine, std::cos(static_cast<long double>(x))));
  }
  // The doubles nearest to multiples of pi / 2, where the reduction loses the most.
  for (int64_t n = 1; n < 1000000; n += 997) {
    const double x = static_cast<double>(n) * 1.5707963267948966;
    double sine = 0.0;
    double cosine = 0.0;
    exact_sin_cos(x, &sine, &cosine);
    worst = std::max(worst, ulps(sine, std::sin(static_cast<long double>(x))));
    worst = std::max(worst, ulps(cosine, std::cos(static_cast<long double>(x))));
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.0);
}

TEST(ExactMath, GivesTheSameBitsOnEveryProcessor) {
  Random random(4);
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](double value) {
    hash = (hash ^ std::bit_cast<uint64_t>(value)) * 0x100000001b3u;
  };
  for (int i = 0; i < 20000; ++i) {
    double sine = 0.0;
    double cosine = 0.0;
    exact_sin_cos(spread(random, 0.0, 200000.0), &sine, &cosine);
    add(sine);
    add(cosine);
    add(exact_exp(spread(random, -700.0, 700.0)));
    add(exact_log(spread(random, 1e-9, 1e9)));
  }
  EXPECT_EQ(hash, 9714717311376964014u);
}

}  // namespace
}  // namespace reckon
