// Encoders of the blocks of 32: one half-precision scale, for Q4_1 and Q5_1 also a half-precision
// minimum. The scale is fitted (scale_fit.h), rounded to half, and compared with the one that just
// spans the range, in the precision that the file stores; the better one is kept.
#include <algorithm>
#include <array>

#include "quants/encode_block.h"
#include "quants/half.h"
#include "quants/scale_fit.h"

namespace reckon {
namespace {

constexpr std::array<float, kSmallBlock> kEqualWeights = [] {
  std::array<float, kSmallBlock> weights{};
  weights.fill(1.0f);
  return weights;
}();

Run run_of(const float* x, const float* importance) {
  return {x, importance != nullptr ? importance : kEqualWeights.data(), kSmallBlock};
}

// The scale's half; quants [32] get the places on the grid.
uint16_t encode_symmetric(const Run& run, Grid grid, float* quants) {
  const uint16_t fitted = half_of_scale(fit_symmetric(run, grid));
  uint16_t best = fitted;
  float best_error = symmetric_error(run, grid, f16_to_f32(fitted));
  const auto consider = [&](uint16_t candidate) {
    const float error = symmetric_error(run, grid, f16_to_f32(candidate));
    if (error >= best_error) return;
    best = candidate;
    best_error = error;
  };
  if ((fitted & 0x7fffu) != 0) {
    consider(half_of_scale(largest_value(run.x, run.n).value / grid.low));
    if (is_coarse(fitted)) {
      consider(static_cast<uint16_t>(fitted + 1));
      consider(static_cast<uint16_t>(fitted - 1));
    }
  }
  place_on_grid(run, grid, {f16_to_f32(best), 0}, quants);
  return best;
}

struct HalfAffine {
  uint16_t scale = 0;
  uint16_t offset = 0;

  Affine map() const { return {f16_to_f32(scale), f16_to_f32(offset)}; }
};

HalfAffine half_of_affine(Affine map) {
  HalfAffine half{half_of_scale(map.scale), 0};
  half.offset = f32_to_f16(std::clamp(map.offset, -65504.0f, 65504.0f));
  return half;
}

HalfAffine encode_affine(const Run& run, Grid grid, float* quants) {
  const auto [low, high] = std::minmax_element(run.x, run.x + run.n);
  HalfAffine best = half_of_affine(fit_affine(run, grid, OffsetSign::kAny));
  const HalfAffine spanning = half_of_affine({(*high - *low) / grid.high, *low});
  if (affine_error(run, grid, spanning.map()) < affine_error(run, grid, best.map())) {
    best = spanning;
  }
  place_on_grid(run, grid, best.map(), quants);
  return best;
}

// quants [32], 0..31 -> nibbles of qs [16], fifth bits in qh [4] where the format has them.
void pack(const float* quants, float bias, uint8_t* qs, uint8_t* qh) {
  uint32_t high = 0;
  for (int j = 0; j < 16; ++j) {
    const auto first = static_cast<uint32_t>(quants[j] + bias);
    const auto second = static_cast<uint32_t>(quants[j + 16] + bias);
    qs[j] = static_cast<uint8_t>((first & 15) | (second & 15) << 4);
    high |= (first >> 4) << j | (second >> 4) << (j + 16);
  }
  if (qh == nullptr) return;
  for (int i = 0; i < 4; ++i) qh[i] = static_cast<uint8_t>(high >> (8 * i));
}

}  // namespace

void encode_block(const float* x, const float* importance, BlockQ4_0& block) {
  float quants[kSmallBlock];
  block.d = encode_symmetric(run_of(x, importance), {-8, 7}, quants);
  pack(quants, 8, block.qs, nullptr);
}

void encode_block(const float* x, const float* importance, BlockQ4_1& block) {
  float quants[kSmallBlock];
  const HalfAffine map = encode_affine(run_of(x, importance), {0, 15}, quants);
  block.d = map.scale;
  block.m = map.offset;
  pack(quants, 0, block.qs, nullptr);
}

void encode_block(const float* x, const float* importance, BlockQ5_0& block) {
  float quants[kSmallBlock];
  block.d = encode_symmetric(run_of(x, importance), {-16, 15}, quants);
  pack(quants, 16, block.qs, block.qh);
}

void encode_block(const float* x, const float* importance, BlockQ5_1& block) {
  float quants[kSmallBlock];
  const HalfAffine map = encode_affine(run_of(x, importance), {0, 31}, quants);
  block.d = map.scale;
  block.m = map.offset;
  pack(quants, 0, block.qs, block.qh);
}

// -128 is left out: programs that negate quants in eight bits would overflow on it.
void encode_block(const float* x, const float* importance, BlockQ8_0& block) {
  float quants[kSmallBlock];
  block.d = encode_symmetric(run_of(x, importance), {-127, 127}, quants);
  for (int i = 0; i < kSmallBlock; ++i) block.qs[i] = static_cast<int8_t>(quants[i]);
}

}  // namespace reckon
