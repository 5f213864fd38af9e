// Activations and cached rows in 8 bits.
#include "kernels/activations.h"
#include "kernels/scalar/scalar.h"
#include "quants/half.h"

namespace reckon::kernels::scalar {

// x [n] -> q [n]; returns the scale d. A block that holds an infinity or a NaN becomes d = NaN, so
// that damage shows in every product; one below kLeastActivation becomes zeros.
float quantize_block(const float* x, int n, int8_t* q) {
  for (int i = 0; i < n; ++i) q[i] = 0;
  const uint32_t bits = largest_magnitude_bits(x, n);
  if (bits >= kInfinityBits) return __builtin_nanf("");
  const float largest = __builtin_bit_cast(float, bits);
  if (largest < kLeastActivation) return 0.0f;
  const float inverse = 127.0f / largest;
  // |x * inverse| <= 127 (1 + 2^-23), which rounds to 127: no clamping needed.
  for (int i = 0; i < n; ++i) q[i] = static_cast<int8_t>(round_even(x[i] * inverse));
  return largest / 127.0f;
}

namespace {

int sum_of(const int8_t* q, int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += q[i];
  return sum;
}

}  // namespace

void quantize_q8_32(const float* x, int64_t n, void* out) noexcept {
  auto* blocks = static_cast<ActivationBlock32*>(out);
  for (int64_t b = 0; b < n / 32; ++b) {
    blocks[b].d = quantize_block(x + b * 32, 32, blocks[b].q);
    blocks[b].sum = sum_of(blocks[b].q, 32);
  }
}

void quantize_q8_256(const float* x, int64_t n, void* out) noexcept {
  auto* blocks = static_cast<ActivationBlock256*>(out);
  for (int64_t b = 0; b < n / 256; ++b) {
    ActivationBlock256& block = blocks[b];
    block.d = quantize_block(x + b * 256, 256, block.q);
    for (int s = 0; s < 16; ++s) {
      block.sums_16[s] = static_cast<int16_t>(sum_of(block.q + s * 16, 16));
    }
    for (int s = 0; s < 8; ++s) {
      block.sums_32[s] = static_cast<int16_t>(sum_of(block.q + s * 32, 32));
    }
    for (uint8_t& byte : block.zero) byte = 0;
  }
}

namespace {

// The scale of n cached values, as a half. Too large for a half means damage, as infinities and
// NaNs do.
uint16_t cached_scale(const float* x, int64_t n) {
  const uint32_t bits = largest_magnitude_bits(x, n);
  const uint16_t d = f32_to_f16(__builtin_bit_cast(float, bits) / 127.0f);
  return bits >= kInfinityBits || d >= 0x7c00u ? 0x7e00u : d;
}

int8_t cached_quant(float x, uint16_t d) {
  if (d == 0 || d >= 0x7c00u) return 0;
  // A subnormal half may lie far below the scale it stands for: hence the clamp.
  float q = x * (1.0f / f16_to_f32(d));
  q = q > 127.0f ? 127.0f : q;
  q = q < -127.0f ? -127.0f : q;
  return static_cast<int8_t>(round_even(q));
}

void store_half(uint8_t* at, uint16_t half) { __builtin_memcpy(at, &half, 2); }

}  // namespace

void store_k(KvType type, const float* x, int64_t head_dim, int64_t p, void* tile) noexcept {
  auto* bytes = static_cast<uint8_t*>(tile);
  if (type == KvType::kF16) {
    for (int64_t i = 0; i < head_dim; ++i) {
      store_half(bytes + key_half_at(head_dim, p, i), f32_to_f16(x[i]));
    }
    return;
  }
  for (int64_t b = 0; b < head_dim; b += 32) {
    const uint16_t d = cached_scale(x + b, 32);
    store_half(bytes + key_scale_at(head_dim, p, b), d);
    for (int64_t i = b; i < b + 32; ++i) {
      bytes[key_word_at(head_dim, p, i) + i % 4] = static_cast<uint8_t>(cached_quant(x[i], d));
    }
  }
}

void store_v(KvType type, const float* x, int64_t head_dim, int64_t p, void* tile) noexcept {
  auto* bytes = static_cast<uint8_t*>(tile);
  if (type == KvType::kF16) {
    for (int64_t i = 0; i < head_dim; ++i) {
      store_half(bytes + (p * head_dim + i) * 2, f32_to_f16(x[i]));
    }
    return;
  }
  const uint16_t d = cached_scale(x, head_dim);
  store_half(bytes + value_scale_at(head_dim, p), d);
  for (int64_t i = 0; i < head_dim; ++i) {
    bytes[value_byte_at(head_dim, p, i)] = static_cast<uint8_t>(cached_quant(x[i], d));
  }
}

}  // namespace reckon::kernels::scalar
