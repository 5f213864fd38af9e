// Result and its macros: the value comes through, the first error leaves the function.
#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace reckon {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return usage_error("expected an even number, found " + std::to_string(x));
  return x / 2;
}

Result<int> quarter(int x) {
  RECKON_ASSIGN(const int once, half(x));
  RECKON_ASSIGN(const int twice, half(once));
  return twice;
}

Status both_even(int a, int b) {
  RECKON_RETURN_IF_ERROR(half(a));
  RECKON_RETURN_IF_ERROR(half(b));
  return {};
}

TEST(Result, CarriesTheValueThrough) {
  const Result<int> result = quarter(12);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, 3);
}

TEST(Result, LeavesWithTheFirstError) {
  const Result<int> result = quarter(6);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(result.error().message, "expected an even number, found 3");
  EXPECT_EQ(both_even(2, 5).error().message, "expected an even number, found 5");
  EXPECT_TRUE(both_even(2, 4).ok());
}

TEST(Result, MovesWhatCanOnlyMove) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> moved = std::move(result).value();
  EXPECT_EQ(*moved, 7);
}

TEST(ResultDeathTest, TheMissingHalfIsAProgrammersMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH({ (void)half(1).value(); }, "internal error");
  EXPECT_DEATH({ (void)half(2).error(); }, "internal error");
}

}  // namespace
}  // namespace reckon
