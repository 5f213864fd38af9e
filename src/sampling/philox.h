// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a random
// number is a function of (key, counter), so the draw for a token depends on its seed and position
// alone, whatever was batched, preempted or speculated around it.
#pragma once

#include <array>
#include <cstdint>

namespace reckon {

inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                          std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9;
  constexpr uint32_t kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

// 64 random bits for the token at this position of a sequence with this seed.
inline uint64_t random_bits(uint64_t seed, uint64_t position) {
  const std::array<uint32_t, 4> words =
      philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<uint64_t>(words[1]) << 32 | words[0];
}

// The seed of one of several answers to the same question: the first has the seed itself, so it is
// the answer that one alone would have been; the others' are drawn where no token's draw comes
// from.
inline uint64_t path_seed(uint64_t seed, uint64_t path) {
  if (path == 0) return seed;
  const std::array<uint32_t, 4> words =
      philox4x32({static_cast<uint32_t>(path), static_cast<uint32_t>(path >> 32), 1, 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<uint64_t>(words[1]) << 32 | words[0];
}

}  // namespace reckon
