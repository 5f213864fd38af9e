// The searches behind the encoders: for a run of values and weights, the scale (and offset) of a
// grid of whole numbers that leaves the least weighted squared error. Used by encode_small.cpp and
// encode_k.cpp.
//
// Both searches go the same way. A first guess of the scale places every value on the grid; with
// the places fixed, the best scale and offset are the solution of a linear least-squares problem
// whose sums are taken in the same pass. Several first guesses around "the whole range just fits"
// are tried, since clipping the extremes a little often pays, and the best is polished by placing
// and solving in turn (Lloyd 1982, section V), which never makes the error larger.
#pragma once

#include <cstdint>

namespace reckon {

// Values [n] and the weights [n] of their squared errors; n is a multiple of 4. |x| at most
// kMaxEncodable, so that no sum overflows.
struct Run {
  const float* x;
  const float* w;
  int n;
};

// The quants a format can store.
struct Grid {
  float low;
  float high;
};

// Beyond what the widest format reaches (Q6_K: 65504 * 128 * 32 < 2^28): encoders clip to it.
inline constexpr float kMaxEncodable = 0x1p28f;

// The smallest step of any format is the smallest half, 2^-24: what is under half of that is
// nearest to zero.
inline constexpr float kMinEncodable = 0x1p-25f;

// The half nearest to scale, kept finite, and nonzero when scale is nonzero.
uint16_t half_of_scale(float scale);

// Whether a half is a subnormal with so few bits left (a step is over 1/256 of it) that its
// neighbours are real alternatives to the nearest one.
inline bool is_coarse(uint16_t half) { return (half & 0x7fffu) < 256; }

struct LargestValue {
  float magnitude = 0;
  float value = 0;  // with its sign
};
LargestValue largest_value(const float* x, int n);

// x ~ scale * q, q in the grid.
// Sum of w (x - scale q)^2 with every q the nearest; scale may be 0.
float symmetric_error(const Run& run, Grid grid, float scale);
// Best scale with the quants that 1 / inverse_scale gives, as a quotient: xq / qq.
struct SymmetricSums {
  float xq = 0;
  float qq = 0;
};
SymmetricSums symmetric_sums(const Run& run, Grid grid, float inverse_scale);
float fit_symmetric(const Run& run, Grid grid);

// x ~ scale * q + offset.
struct Affine {
  float scale = 0;
  float offset = 0;
};
float affine_error(const Run& run, Grid grid, Affine map);
enum class OffsetSign { kAny, kNotPositive };
// grid.low is 0. scale >= 0.
Affine fit_affine(const Run& run, Grid grid, OffsetSign sign);

// The nearest quants themselves, as the error functions place them.
void place_on_grid(const Run& run, Grid grid, Affine map, float* quants);

}  // namespace reckon
