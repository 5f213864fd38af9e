// Four floats side by side, by the compilers' own vector types: the encoders' searches in a form
// that every processor of the baseline runs four at a time, with one fixed order of sums, so that
// encoding gives the same bytes everywhere.
#pragma once

#include <cstring>

namespace reckon {

using Lanes = float __attribute__((vector_size(16)));
constexpr int kLanes = 4;

inline Lanes splat(float value) { return Lanes{value, value, value, value}; }

inline Lanes load_lanes(const float* values) {
  Lanes lanes;
  std::memcpy(&lanes, values, sizeof(lanes));
  return lanes;
}

inline void store_lanes(Lanes lanes, float* out) { std::memcpy(out, &lanes, sizeof(lanes)); }

inline Lanes clamp_lanes(Lanes x, float low, float high) {
  const Lanes lows = splat(low);
  const Lanes highs = splat(high);
  x = x < lows ? lows : x;
  return x > highs ? highs : x;
}

// To the nearest whole number, ties to even. Exact for |x| < 2^22, since at 1.5 * 2^23 a float's
// last bit is worth one.
inline Lanes round_lanes(Lanes x) {
  const Lanes shift = splat(0x1.8p23f);
  return (x + shift) - shift;
}

inline float sum_lanes(Lanes x) { return (x[0] + x[1]) + (x[2] + x[3]); }

}  // namespace reckon
