// The operations on one row (norm, SwiGLU, rotation, softmax's sum) and the quantisation of rows,
// for any instruction set V, in the order of scalar/table.cpp and scalar/quantize.cpp.
#pragma once

#include "kernels/activations.h"
#include "kernels/exp_constants.h"
#include "kernels/kernels.h"

namespace reckon::kernels {
namespace {

// Calls body(begin, n) for every sixteen elements, n = 16 but for a partial end.
template <class Body>
inline void for_sixteens(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, 16);
  if (i < n) body(i, n - i);
}

// The first n floats, the rest zeros; only these are read or written.
template <class V>
inline typename V::Floats load_n(const float* x, int64_t n) {
  if (n == 16) return V::load(x);
  float values[16] = {};
  for (int64_t i = 0; i < n; ++i) values[i] = x[i];
  return V::load(values);
}
template <class V>
inline void store_n(float* x, int64_t n, typename V::Floats v) {
  if (n == 16) return V::store(x, v);
  float values[16];
  V::store(values, v);
  for (int64_t i = 0; i < n; ++i) x[i] = values[i];
}

// e^x (exp_constants.h).
template <class V>
inline typename V::Floats exponential(typename V::Floats x) {
  using Floats = typename V::Floats;
  const Floats shifted = V::fma(x, V::set(kLog2E), V::set(kRoundShift));
  const Floats n = V::sub(shifted, V::set(kRoundShift));
  Floats r = V::fma(n, V::set(-kLn2High), x);
  r = V::fma(n, V::set(-kLn2Low), r);
  Floats c = V::set(kExpC6);
  c = V::fma(c, r, V::set(kExpC5));
  c = V::fma(c, r, V::set(kExpC4));
  c = V::fma(c, r, V::set(kExpC3));
  c = V::fma(c, r, V::set(kExpC2));
  const Floats e = V::add(V::set(1.0f), V::fma(V::mul(r, r), c, r));
  Floats result = V::add_exponent(e, shifted);
  result = V::where_above(x, kExpMax, __builtin_inff(), result);
  result = V::where_below(x, kExpMin, 0.0f, result);
  return V::where_nan(x, result);
}

template <class V>
void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* out) noexcept {
  typename V::Floats squares = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const typename V::Floats v = load_n<V>(x + i, count);
    squares = V::fma(v, v, squares);
  });
  const float mean = V::sum(squares) / static_cast<float>(n);
  const typename V::Floats inverse = V::set(1.0f / __builtin_sqrtf(mean + epsilon));
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const typename V::Floats v = V::mul(load_n<V>(x + i, count), inverse);
    store_n<V>(out + i, count, V::mul(v, load_n<V>(weight + i, count)));
  });
}

template <class V>
void add(float* x, const float* y, int64_t n) noexcept {
  for_sixteens(n, [&](int64_t i, int64_t count) {
    store_n<V>(x + i, count, V::add(load_n<V>(x + i, count), load_n<V>(y + i, count)));
  });
}

template <class V>
void silu_mul(const float* gate, const float* up, int64_t n, float* out) noexcept {
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const typename V::Floats g = load_n<V>(gate + i, count);
    // 0 - g differs from -g only in the sign of a zero, and e^0 = e^-0.
    const typename V::Floats e = exponential<V>(V::sub(V::set(0.0f), g));
    const typename V::Floats silu = V::div(g, V::add(V::set(1.0f), e));
    store_n<V>(out + i, count, V::mul(silu, load_n<V>(up + i, count)));
  });
}

template <class V>
void rope_half_split(float* head, const float* cos_sin, int64_t n_rotated) noexcept {
  const int64_t half = n_rotated / 2;
  for_sixteens(half, [&](int64_t i, int64_t count) {
    const typename V::Floats x = load_n<V>(head + i, count);
    const typename V::Floats y = load_n<V>(head + half + i, count);
    const typename V::Floats cosine = load_n<V>(cos_sin + i, count);
    const typename V::Floats sine = load_n<V>(cos_sin + half + i, count);
    store_n<V>(head + i, count, V::fms(x, cosine, V::mul(y, sine)));
    store_n<V>(head + half + i, count, V::fma(x, sine, V::mul(y, cosine)));
  });
}

// The same arithmetic over neighbouring pairs, left to the compiler: it is a thousandth of a token.
inline void rope_interleaved(float* head, const float* cos_sin, int64_t n_rotated) noexcept {
  const int64_t half = n_rotated / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float x = head[2 * i];
    const float y = head[2 * i + 1];
    const float cosine = cos_sin[i];
    const float sine = cos_sin[half + i];
    head[2 * i] = __builtin_fmaf(x, cosine, -(y * sine));
    head[2 * i + 1] = __builtin_fmaf(x, sine, y * cosine);
  }
}

template <class V>
float exp_sum(const float* x, float max, int64_t n, float* out) noexcept {
  typename V::Floats sums = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const typename V::Floats e = exponential<V>(V::sub(load_n<V>(x + i, count), V::set(max)));
    store_n<V>(out + i, count, e);
    if (count == 16) {
      sums = V::add(sums, e);
    } else {
      sums = V::add(sums, load_n<V>(out + i, count));  // with zeros past the end
    }
  });
  return V::sum(sums);
}

constexpr uint32_t kInfinityBits = 0x7f800000u;

// x [kSixteens * 16] -> q; sums of 16 q each; returns the scale.
template <class V, int kSixteens>
inline float quantize_block(const float* x, int8_t* q, int (&sums)[kSixteens]) {
  typename V::Magnitudes largest_bits = V::no_magnitudes();
  for (int i = 0; i < kSixteens; ++i) {
    largest_bits = V::larger_magnitudes(largest_bits, V::load(x + 16 * i));
  }
  const uint32_t bits = V::largest_magnitude(largest_bits);
  const float largest = __builtin_bit_cast(float, bits);
  if (bits >= kInfinityBits || largest < kLeastActivation) {
    for (int i = 0; i < 16 * kSixteens; ++i) q[i] = 0;
    for (int& sum : sums) sum = 0;
    return bits >= kInfinityBits ? __builtin_nanf("") : 0.0f;
  }
  const typename V::Floats inverse = V::set(127.0f / largest);
  for (int i = 0; i < kSixteens; ++i) {
    sums[i] = V::store_i8(q + 16 * i, V::mul(V::load(x + 16 * i), inverse));
  }
  return largest / 127.0f;
}

template <class V>
void quantize_q8_32(const float* x, int64_t n, void* out) noexcept {
  auto* blocks = static_cast<ActivationBlock32*>(out);
  for (int64_t b = 0; b < n / 32; ++b) {
    int sums[2];
    blocks[b].d = quantize_block<V>(x + b * 32, blocks[b].q, sums);
    blocks[b].sum = sums[0] + sums[1];
  }
}

template <class V>
void quantize_q8_256(const float* x, int64_t n, void* out) noexcept {
  auto* blocks = static_cast<ActivationBlock256*>(out);
  for (int64_t b = 0; b < n / 256; ++b) {
    ActivationBlock256& block = blocks[b];
    int sums[16];
    block.d = quantize_block<V>(x + b * 256, block.q, sums);
    for (int s = 0; s < 16; ++s) block.sums_16[s] = static_cast<int16_t>(sums[s]);
    for (int s = 0; s < 8; ++s) {
      block.sums_32[s] = static_cast<int16_t>(sums[2 * s] + sums[2 * s + 1]);
    }
    for (uint8_t& byte : block.zero) byte = 0;
  }
}

}  // namespace
}  // namespace reckon::kernels
