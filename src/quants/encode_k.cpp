// Encoders of the K formats: blocks of 256 whose sub-blocks have small integer scales (and minima),
// multiplied by the block's half-precision d (and dmin).
//
// Each sub-block is first fitted by itself (scale_fit.h). The fitted scales set d, and then two
// steps take turns: with d fixed, every sub-block picks the best of the integer scales near its
// own; with the integers and quants fixed, d (and dmin) are the solution of a least-squares problem
// over the whole block. All errors are measured with the halves that the file will hold.
//
// Errors are weighted as llama.cpp weighs them when it knows nothing of the activations, so that
// both are judged by one measure: by rms + |x| in Q4_K and Q5_K, by x^2 in Q6_K.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quants/encode_block.h"
#include "quants/half.h"
#include "quants/scale_fit.h"

namespace reckon {
namespace {

constexpr int kRounds = 2;  // of the two steps; a third gains nothing measurable

struct Weights {
  float w[kSuperBlock];
};

// rms + |x|, the rms taken over each sub-block of 32.
void weigh_linear(const float* x, const float* importance, Weights& weights) {
  for (int s = 0; s < kSuperBlock; s += 32) {
    float square_sum = 0;
    for (int i = s; i < s + 32; ++i) square_sum += x[i] * x[i];
    const float rms = std::sqrt(square_sum / 32);
    for (int i = s; i < s + 32; ++i) weights.w[i] = rms + std::fabs(x[i]);
  }
  if (importance == nullptr) return;
  for (int i = 0; i < kSuperBlock; ++i) weights.w[i] *= importance[i];
}

void weigh_square(const float* x, const float* importance, Weights& weights) {
  for (int i = 0; i < kSuperBlock; ++i) weights.w[i] = x[i] * x[i];
  if (importance == nullptr) return;
  for (int i = 0; i < kSuperBlock; ++i) weights.w[i] *= importance[i];
}

// --- Q4_K and Q5_K: value = d * scale * quant - dmin * min, 8 sub-blocks of 32 ---

struct AffineBlock {
  uint16_t d = 0;
  uint16_t dmin = 0;
  int scales[8] = {};
  int mins[8] = {};
  double error = 0;

  // As the decoder computes it.
  Affine map(int s) const {
    return {f16_to_f32(d) * static_cast<float>(scales[s]),
            -(f16_to_f32(dmin) * static_cast<float>(mins[s]))};
  }
};

int nearest_index(float value, float unit, int low, int high) {
  if (unit == 0) return 0;
  return static_cast<int>(
      std::lrint(std::clamp(value / unit, static_cast<float>(low), static_cast<float>(high))));
}

// Fills scales, mins and error for the block's d and dmin.
void choose_indices(const Run* runs, Grid grid, const Affine* fits, AffineBlock& block) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  block.error = 0;
  for (int s = 0; s < 8; ++s) {
    const int scale_near = nearest_index(fits[s].scale, d, 0, 63);
    const int min_near = nearest_index(-fits[s].offset, dmin, 0, 63);
    float best = -1;
    for (int scale = std::max(scale_near - 1, 0); scale <= std::min(scale_near + 1, 63); ++scale) {
      for (int min = std::max(min_near - 1, 0); min <= std::min(min_near + 1, 63); ++min) {
        const Affine map{d * static_cast<float>(scale), -(dmin * static_cast<float>(min))};
        const float error = affine_error(runs[s], grid, map);
        if (best >= 0 && error >= best) continue;
        best = error;
        block.scales[s] = scale;
        block.mins[s] = min;
      }
    }
    block.error += best;
  }
}

// The d and dmin that suit the block's integers and quants best: the least squares of
// x ~ d a - dmin b with a = scale * quant, b = min. False when they are not determined.
bool solve_units(const Run* runs, Grid grid, const AffineBlock& block, AffineBlock& next) {
  double aa = 0;
  double ab = 0;
  double bb = 0;
  double xa = 0;
  double xb = 0;
  float quants[32];
  for (int s = 0; s < 8; ++s) {
    place_on_grid(runs[s], grid, block.map(s), quants);
    double q_sum = 0;
    double qq_sum = 0;
    double xq_sum = 0;
    double w_sum = 0;
    double x_sum = 0;
    for (int i = 0; i < 32; ++i) {
      const double w = runs[s].w[i];
      const double x = runs[s].x[i];
      const double q = quants[i];
      q_sum += w * q;
      qq_sum += w * q * q;
      xq_sum += w * q * x;
      w_sum += w;
      x_sum += w * x;
    }
    const double scale = block.scales[s];
    const double min = block.mins[s];
    aa += scale * scale * qq_sum;
    ab += scale * min * q_sum;
    bb += min * min * w_sum;
    xa += scale * xq_sum;
    xb += min * x_sum;
  }
  double d = aa > 0 ? xa / aa : 0;
  double dmin = 0;
  const double determinant = aa * bb - ab * ab;
  if (bb > 0 && determinant > 1e-9 * aa * bb) {
    d = (xa * bb - xb * ab) / determinant;
    dmin = (xa * ab - xb * aa) / determinant;
  }
  if (!(d > 0) || dmin < 0) return false;
  next.d = half_of_scale(static_cast<float>(d));
  next.dmin = half_of_scale(static_cast<float>(dmin));
  return true;
}

AffineBlock fit_affine_block(const float* x, const Weights& weights, Grid grid) {
  AffineBlock block;
  if (largest_value(x, kSuperBlock).magnitude < kMinEncodable) return block;
  Run runs[8];
  Affine fits[8];
  float max_scale = 0;
  float max_min = 0;
  for (int s = 0; s < 8; ++s) {
    runs[s] = {x + 32 * s, weights.w + 32 * s, 32};
    fits[s] = fit_affine(runs[s], grid, OffsetSign::kNotPositive);
    max_scale = std::max(max_scale, fits[s].scale);
    max_min = std::max(max_min, -fits[s].offset);
  }
  block.d = half_of_scale(max_scale / 63);
  block.dmin = half_of_scale(max_min / 63);
  choose_indices(runs, grid, fits, block);
  for (int round = 0; round < kRounds; ++round) {
    AffineBlock next;
    if (!solve_units(runs, grid, block, next)) break;
    choose_indices(runs, grid, fits, next);
    if (next.error >= block.error) break;
    block = next;
  }
  if (block.d == 0 || !is_coarse(block.d)) return block;
  for (const int step : {1, -1}) {
    AffineBlock next;
    next.d = static_cast<uint16_t>(block.d + step);
    next.dmin = block.dmin;
    choose_indices(runs, grid, fits, next);
    if (next.error < block.error) block = next;
  }
  return block;
}

// The inverse of unpack_scales_mins.
void pack_scales_mins(const AffineBlock& block, uint8_t* packed) {
  for (int s = 0; s < 4; ++s) {
    const int scale_high = block.scales[s + 4] >> 4;
    const int min_high = block.mins[s + 4] >> 4;
    packed[s] = static_cast<uint8_t>(block.scales[s] | scale_high << 6);
    packed[s + 4] = static_cast<uint8_t>(block.mins[s] | min_high << 6);
    const int low = (block.scales[s + 4] & 15) | (block.mins[s + 4] & 15) << 4;
    packed[s + 8] = static_cast<uint8_t>(low);
  }
}

// Fits x and writes everything that Q4_K and Q5_K share; quants [256] get the places on the grid.
template <class Block>
void encode_affine_block(const float* x, const float* importance, Grid grid, Block& block,
                         uint8_t* quants) {
  Weights weights;
  weigh_linear(x, importance, weights);
  const AffineBlock fit = fit_affine_block(x, weights, grid);
  block.d = fit.d;
  block.dmin = fit.dmin;
  pack_scales_mins(fit, block.scales);
  float places[32];
  for (int s = 0; s < 8; ++s) {
    place_on_grid({x + 32 * s, weights.w + 32 * s, 32}, grid, fit.map(s), places);
    for (int i = 0; i < 32; ++i) quants[32 * s + i] = static_cast<uint8_t>(places[i]);
  }
  for (int c = 0; c < 4; ++c) {
    const uint8_t* low = quants + 64 * c;
    for (int l = 0; l < 32; ++l) {
      block.qs[32 * c + l] = static_cast<uint8_t>((low[l] & 15) | (low[l + 32] & 15) << 4);
    }
  }
}

// --- Q6_K: value = d * scale * quant, 16 sub-blocks of 16 ---

constexpr Grid kGridQ6_K{-32, 31};

struct SymmetricBlock {
  uint16_t d = 0;
  int scales[16] = {};
  double error = 0;

  float scale(int s) const { return f16_to_f32(d) * static_cast<float>(scales[s]); }
};

void choose_indices(const Run* runs, const float* fits, SymmetricBlock& block) {
  const float d = f16_to_f32(block.d);
  block.error = 0;
  for (int s = 0; s < 16; ++s) {
    const int near = nearest_index(fits[s], d, -128, 127);
    float best = -1;
    for (int scale = std::max(near - 1, -128); scale <= std::min(near + 1, 127); ++scale) {
      const float error = symmetric_error(runs[s], kGridQ6_K, d * static_cast<float>(scale));
      if (best >= 0 && error >= best) continue;
      best = error;
      block.scales[s] = scale;
    }
    block.error += best;
  }
}

float solve_unit(const Run* runs, const SymmetricBlock& block) {
  double aa = 0;
  double xa = 0;
  for (int s = 0; s < 16; ++s) {
    if (block.scales[s] == 0) continue;
    const SymmetricSums sums = symmetric_sums(runs[s], kGridQ6_K, 1.0f / block.scale(s));
    const double scale = block.scales[s];
    aa += scale * scale * sums.qq;
    xa += scale * sums.xq;
  }
  return aa > 0 ? static_cast<float>(xa / aa) : 0.0f;
}

SymmetricBlock fit_symmetric_block(const float* x, const Weights& weights) {
  SymmetricBlock block;
  Run runs[16];
  float fits[16];
  for (int s = 0; s < 16; ++s) {
    runs[s] = {x + 16 * s, weights.w + 16 * s, 16};
    fits[s] = fit_symmetric(runs[s], kGridQ6_K);
  }
  const LargestValue largest = largest_value(fits, 16);
  if (largest.magnitude == 0) return block;
  // The largest scale takes -128, the end of int8 that lies farther out.
  block.d = half_of_scale(largest.value / -128);
  choose_indices(runs, fits, block);
  for (int round = 0; round < kRounds; ++round) {
    const float unit = solve_unit(runs, block);
    if (unit == 0) break;
    SymmetricBlock next;
    next.d = half_of_scale(unit);
    choose_indices(runs, fits, next);
    if (next.error >= block.error) break;
    block = next;
  }
  if (!is_coarse(block.d)) return block;
  for (const int step : {1, -1}) {
    SymmetricBlock next;
    next.d = static_cast<uint16_t>(block.d + step);
    choose_indices(runs, fits, next);
    if (next.error < block.error) block = next;
  }
  return block;
}

}  // namespace

void encode_block(const float* x, const float* importance, BlockQ4_K& block) {
  uint8_t quants[kSuperBlock];
  encode_affine_block(x, importance, {0, 15}, block, quants);
}

void encode_block(const float* x, const float* importance, BlockQ5_K& block) {
  uint8_t quants[kSuperBlock];
  encode_affine_block(x, importance, {0, 31}, block, quants);
  for (int l = 0; l < 32; ++l) {
    int high = 0;
    for (int s = 0; s < 8; ++s) high |= (quants[32 * s + l] >> 4) << s;
    block.qh[l] = static_cast<uint8_t>(high);
  }
}

void encode_block(const float* x, const float* importance, BlockQ6_K& block) {
  Weights weights;
  weigh_square(x, importance, weights);
  const SymmetricBlock fit = fit_symmetric_block(x, weights);
  block.d = fit.d;
  uint8_t quants[kSuperBlock];
  float places[16];
  for (int s = 0; s < 16; ++s) {
    block.scales[s] = static_cast<int8_t>(fit.scales[s]);
    place_on_grid({x + 16 * s, weights.w + 16 * s, 16}, kGridQ6_K, {fit.scale(s), 0}, places);
    for (int i = 0; i < 16; ++i) quants[16 * s + i] = static_cast<uint8_t>(places[i] + 32);
  }
  for (int h = 0; h < 2; ++h) {
    const uint8_t* q = quants + 128 * h;
    for (int l = 0; l < 32; ++l) {
      block.qs[64 * h + l] = static_cast<uint8_t>((q[l] & 15) | (q[l + 64] & 15) << 4);
      block.qs[64 * h + 32 + l] = static_cast<uint8_t>((q[l + 32] & 15) | (q[l + 96] & 15) << 4);
      block.qh[32 * h + l] = static_cast<uint8_t>(q[l] >> 4 | q[l + 32] >> 4 << 2 |
                                                  q[l + 64] >> 4 << 4 | q[l + 96] >> 4 << 6);
    }
  }
}

}  // namespace reckon
