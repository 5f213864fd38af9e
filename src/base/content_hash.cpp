// Eight words at a time, each in a lane of its own.
#include "base/content_hash.h"

#include <array>
#include <bit>
#include <cstring>

namespace reckon {
namespace {

// A step takes about eight cycles until its result is there, and has two multiplications, of which
// one can begin in each cycle: eight lanes keep the multiplier busy, 4 bytes a cycle.
constexpr size_t kLanes = 8;
using Stripe = std::array<uint64_t, kLanes>;

// Odd, and their bits follow no pattern: the fractions of the golden ratio and of the square root
// of 3, in 64 bits.
constexpr uint64_t kStateFactor = 0x9e3779b97f4a7c15u;
constexpr uint64_t kWordFactor = 0xbb67ae8584caa73bu;

// Each part can be undone: for a given word different states stay different, and for a given state
// different words make different ones. Two multiplications: one passes a difference in the highest
// bit alone on as just that, which a turned bit of the next word could take back.
uint64_t step(uint64_t state, uint64_t word) {
  return std::rotl(state ^ word * kWordFactor, 29) * kStateFactor;
}

}  // namespace

uint64_t content_hash(std::span<const std::byte> bytes) {
  static_assert(std::endian::native == std::endian::little);
  Stripe lanes;
  for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = (lane + 1) * kStateFactor;
  const auto add = [&](const std::byte* from, size_t n) {
    Stripe words{};
    std::memcpy(words.data(), from, n);
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = step(lanes[lane], words[lane]);
  };
  size_t at = 0;
  for (; at + sizeof(Stripe) <= bytes.size(); at += sizeof(Stripe)) {
    add(bytes.data() + at, sizeof(Stripe));
  }
  if (at < bytes.size()) add(bytes.data() + at, bytes.size() - at);
  uint64_t hash = bytes.size();
  for (const uint64_t lane : lanes) hash = step(hash, lane);
  return step(hash, hash >> 32);
}

}  // namespace reckon
