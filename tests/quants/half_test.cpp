// Conversions of half and bfloat16, exhaustively where 16 bits allow it.
#include "quants/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace reckon {
namespace {

bool is_nan_half(uint32_t half) { return (half & 0x7fff) > 0x7c00; }

TEST(Half, EveryValueByItsDefinition) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = f16_to_f32(static_cast<uint16_t>(half));
    if (is_nan_half(half)) {
      EXPECT_TRUE(std::isnan(value)) << half;
      continue;
    }
    const int exponent = (half >> 10) & 31;
    const int mantissa = half & 1023;
    double expected =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31) expected = std::numeric_limits<double>::infinity();
    if (half & 0x8000) expected = -expected;
    EXPECT_EQ(value, expected) << half;
    EXPECT_EQ(f32_to_f16(value), half);
  }
}

TEST(Half, RoundsToNearestEven) {
  // Between every two neighbours: the midpoint goes to the even one, a hair beside it to its side.
  for (uint32_t half = 0; half < 0x7bff; ++half) {
    const float low = f16_to_f32(static_cast<uint16_t>(half));
    const float high = f16_to_f32(static_cast<uint16_t>(half + 1));
    const float middle = low + (high - low) / 2;  // exact: one more bit than a half has
    EXPECT_EQ(f32_to_f16(middle), half + (half & 1));
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), half);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), half + 1);
    EXPECT_EQ(f32_to_f16(-middle), 0x8000 + half + (half & 1));
  }
  EXPECT_EQ(f32_to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(3e38f), 0x7c00);
  EXPECT_EQ(f32_to_f16(1e-40f), 0);
  EXPECT_TRUE(is_nan_half(f32_to_f16(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Half, Bfloat16) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(value))));
    } else {
      EXPECT_EQ(f32_to_bf16(value), bits);
    }
  }
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace reckon
