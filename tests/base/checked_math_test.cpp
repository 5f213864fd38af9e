// Products and sums that overflow are empty, up to the last one that fits.
#include "base/checked_math.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(CheckedMath, MultipliesUpToTheLimit) {
  EXPECT_EQ(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1), 0xffffffff00000000u);
  EXPECT_EQ(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_mul(UINT64_MAX, 0), 0u);
  EXPECT_EQ(checked_mul(0x8000000000000000u, 2), std::nullopt);
}

TEST(CheckedMath, AddsUpToTheLimit) {
  EXPECT_EQ(checked_add(UINT64_MAX, 0), UINT64_MAX);
  EXPECT_EQ(checked_add(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_add(UINT64_MAX - 5, 5), UINT64_MAX);
}

}  // namespace
}  // namespace reckon
