// The scalar kernels: the definition of every operation in docs/numerics.md, written as plainly as
// it can be. The vector tables are tested against this one bit for bit. Internal to kernels/scalar.
#pragma once

#include <cstdint>

#include "kernels/exp_constants.h"
#include "kernels/kernels.h"

namespace reckon::kernels::scalar {

void quantize_q8_32(const float* x, int64_t n, void* out) noexcept;
void quantize_q8_256(const float* x, int64_t n, void* out) noexcept;
// Products by the activation format of the weights; null for a type of another format.
GemmFunction gemm_float(TensorType weight) noexcept;
GemmFunction gemm_q8_32(TensorType weight) noexcept;
GemmFunction gemm_q8_256(TensorType weight) noexcept;
// x [n] -> q [n]; returns the scale.
float quantize_block(const float* x, int n, int8_t* q);
void store_k(KvType type, const float* x, int64_t head_dim, int64_t p, void* tile) noexcept;
void store_v(KvType type, const float* x, int64_t head_dim, int64_t p, void* tile) noexcept;
void attention(const AttentionArgs& args) noexcept;
void attention_output(const AttentionArgs& args, int64_t n_states) noexcept;

// A real fused multiply-add everywhere: where the processor's baseline has none, the compiler calls
// the C library's, which is exact.
static inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

// Sums over k run in 16 lanes, lane k mod 16, so that vectors of 4, 8 or 16 floats all give the
// same bits. A row is taken as padded with zeros to whole sixteens.
struct Lanes {
  float lane[16] = {};

  // (l, l + 8), (l, l + 4), (l, l + 2), (l, l + 1).
  float sum() const {
    float s[16];
    for (int l = 0; l < 16; ++l) s[l] = lane[l];
    for (int half = 8; half >= 1; half /= 2) {
      for (int l = 0; l < half; ++l) s[l] = s[l] + s[l + half];
    }
    return s[0];
  }
};

// e^x within 1 ulp; NaN for NaN.
static inline float exponential(float x) {
  if (x != x) return x;
  if (x > kExpMax) return __builtin_inff();
  if (x < kExpMin) return 0.0f;
  const float shifted = fused(x, kLog2E, kRoundShift);
  const float n = shifted - kRoundShift;
  float r = fused(n, -kLn2High, x);
  r = fused(n, -kLn2Low, r);
  float c = kExpC6;
  c = fused(c, r, kExpC5);
  c = fused(c, r, kExpC4);
  c = fused(c, r, kExpC3);
  c = fused(c, r, kExpC2);
  const float e = 1.0f + fused(r * r, c, r);
  // Times 2^n: n is added to e's exponent. The shift drops all of shifted's bits but n.
  const uint32_t bits =
      __builtin_bit_cast(uint32_t, e) + (__builtin_bit_cast(uint32_t, shifted) << 23);
  return __builtin_bit_cast(float, bits);
}

// To the nearest whole number, ties to even; |x| < 2^22.
static inline float round_even(float x) { return (x + kRoundShift) - kRoundShift; }

// The largest magnitude of x [n] as bits: whole-number comparison orders magnitudes, and puts NaN
// above infinity, the same way on every processor.
static inline uint32_t largest_magnitude_bits(const float* x, int64_t n) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x[i]) & 0x7fffffffu;
    if (bits > largest) largest = bits;
  }
  return largest;
}
constexpr uint32_t kInfinityBits = 0x7f800000u;

}  // namespace reckon::kernels::scalar
