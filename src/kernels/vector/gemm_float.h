// Products of F32, F16 and BF16 weights with float activations, for any instruction set V: 16 lanes
// an output, k mod 16 in lane, fused multiply-adds in ascending k, then the fixed tree.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector/unroll.h"
#include "quants/tensor_type.h"

namespace reckon::kernels {
namespace {

template <class V>
struct WeightsF32 {
  static constexpr int64_t kBytes = 4;
  static typename V::Floats load(const void* w) { return V::load(static_cast<const float*>(w)); }
};
template <class V>
struct WeightsF16 {
  static constexpr int64_t kBytes = 2;
  static typename V::Floats load(const void* w) { return V::load_f16(w); }
};
template <class V>
struct WeightsBF16 {
  static constexpr int64_t kBytes = 2;
  static typename V::Floats load(const void* w) { return V::load_bf16(w); }
};

// kRows x kColumns outputs. The weights' last, partial sixteen is read through a zeroed copy, and
// so is the activations'.
template <class V, class W, int kRows, int kColumns>
inline void float_tile(const GemmArgs& g, int64_t row, int64_t column) {
  const auto* weights = static_cast<const uint8_t*>(g.weights) + row * g.weight_row_bytes;
  const float* activations = static_cast<const float*>(g.activations) + column * g.depth;
  typename V::Floats sums[kRows][kColumns];
  RECKON_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) sums[r][c] = V::set(0.0f);
  }
  const int64_t whole = g.depth / 16 * 16;
  for (int64_t k = 0; k < whole; k += 16) {
    typename V::Floats w[kRows];
    RECKON_UNROLL
    for (int r = 0; r < kRows; ++r)
      w[r] = W::load(weights + r * g.weight_row_bytes + k * W::kBytes);
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const typename V::Floats a = V::load(activations + c * g.depth + k);
      RECKON_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r][c] = V::fma(w[r], a, sums[r][c]);
    }
  }
  if (whole < g.depth) {
    const auto n = static_cast<uint64_t>(g.depth - whole);
    typename V::Floats w[kRows];
    RECKON_UNROLL
    for (int r = 0; r < kRows; ++r) {
      alignas(64) uint8_t bytes[16 * W::kBytes] = {};
      __builtin_memcpy(bytes, weights + r * g.weight_row_bytes + whole * W::kBytes, n * W::kBytes);
      w[r] = W::load(bytes);
    }
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      float values[16] = {};
      __builtin_memcpy(values, activations + c * g.depth + whole, n * sizeof(float));
      const typename V::Floats a = V::load(values);
      RECKON_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r][c] = V::fma(w[r], a, sums[r][c]);
    }
  }
  RECKON_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      g.out[(column + c) * g.out_stride + row + r] = V::sum(sums[r][c]);
    }
  }
}

template <class V, class W, int kRows>
inline void float_rows(const GemmArgs& g, int64_t row) {
  int64_t c = 0;
  for (; c + V::kFloatColumns <= g.n_columns; c += V::kFloatColumns) {
    float_tile<V, W, kRows, V::kFloatColumns>(g, row, c);
  }
  for (; c < g.n_columns; ++c) float_tile<V, W, kRows, 1>(g, row, c);
}

template <class V, class W>
void gemm_float(const GemmArgs& g) noexcept {
  int64_t r = g.row_begin;
  for (; r + V::kFloatRows <= g.row_end; r += V::kFloatRows) float_rows<V, W, V::kFloatRows>(g, r);
  for (; r < g.row_end; ++r) float_rows<V, W, 1>(g, r);
}

template <class V>
GemmFunction find_gemm_float(TensorType weight) noexcept {
  switch (weight) {
    case TensorType::kF32: return gemm_float<V, WeightsF32<V>>;
    case TensorType::kF16: return gemm_float<V, WeightsF16<V>>;
    case TensorType::kBF16: return gemm_float<V, WeightsBF16<V>>;
    default: return nullptr;
  }
}

}  // namespace
}  // namespace reckon::kernels
