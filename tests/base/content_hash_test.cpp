// The hash that finds damage: every bit, every length and every pair of bits counts.
#include "base/content_hash.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <vector>

namespace reckon {
namespace {

std::vector<std::byte> counting(size_t n) {
  std::vector<std::byte> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

TEST(ContentHashTest, EveryBitAndEveryLengthCounts) {
  std::set<uint64_t> seen;
  for (const size_t n : {0, 1, 7, 8, 63, 64, 65, 200}) {
    std::vector<std::byte> bytes = counting(n);
    EXPECT_TRUE(seen.insert(content_hash(bytes)).second) << n;
    for (size_t bit = 0; bit < 8 * n; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      EXPECT_TRUE(seen.insert(content_hash(bytes)).second) << "bit " << bit << " of " << n;
      bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
  }
}

TEST(ContentHashTest, TwoTurnedBitsDontMakeUpForEachOther) {
  std::vector<std::byte> bytes = counting(136);  // two words a lane and one more
  const uint64_t whole = content_hash(bytes);
  const auto turn = [&](size_t bit) { bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8); };
  for (size_t a = 0; a < 8 * bytes.size(); ++a) {
    turn(a);
    for (size_t b = 0; b < a; ++b) {
      turn(b);
      EXPECT_NE(content_hash(bytes), whole) << a << " and " << b;
      turn(b);
    }
    turn(a);
  }
}

TEST(ContentHashTest, ZerosAtTheEndAndPlacesCount) {
  std::vector<std::byte> bytes(256);
  std::set<uint64_t> seen;
  for (size_t n = 0; n <= bytes.size(); ++n) {
    EXPECT_TRUE(seen.insert(content_hash(std::span(bytes).first(n))).second) << n;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = std::byte{1};
    EXPECT_TRUE(seen.insert(content_hash(bytes)).second) << i;
    bytes[i] = std::byte{0};
  }
}

}  // namespace
}  // namespace reckon
