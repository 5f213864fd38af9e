// A seeded source of random numbers whose values are the same on every machine (the standard
// library's distributions are not): SplitMix64 (Steele, Lea and Flood 2014).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace reckon::eval {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // From low to high, both included; the bias is below (high - low) / 2^64.
  int64_t between(int64_t low, int64_t high) {
    const auto span = static_cast<uint64_t>(high - low) + 1;
    return low + static_cast<int64_t>(static_cast<unsigned __int128>(next()) * span >> 64);
  }
  bool chance(int percent) { return between(1, 100) <= percent; }
  size_t index(size_t n) { return static_cast<size_t>(between(0, static_cast<int64_t>(n) - 1)); }
  template <class List>
  const auto& pick(const List& list) {
    return list[index(std::size(list))];
  }
  template <class Item>
  void shuffle(std::vector<Item>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[index(i)]);
  }
  // A number of 1 to max_digits digits: the length first, so that short ones are no rarity.
  int64_t number(int max_digits) { return with_digits(static_cast<int>(between(1, max_digits))); }
  int64_t with_digits(int n_digits) {
    int64_t low = 1;
    for (int i = 1; i < n_digits; ++i) low *= 10;
    return between(low, low * 10 - 1);
  }

 private:
  uint64_t state_;
};

}  // namespace reckon::eval
