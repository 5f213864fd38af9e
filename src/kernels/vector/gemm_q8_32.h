// Products of the formats of 32 with kQ8_32 activations, for any instruction set V. The order of
// operations is that of scalar/gemm_q8_32.cpp.
#pragma once

#include "kernels/vector/products.h"
#include "kernels/vector/small_formats.h"
#include "quants/tensor_type.h"

namespace reckon::kernels {
namespace {

// The exact sums of true quant times activation of one block, for kGroups groups of rows and
// kColumns columns. w: the block's words.
template <class V, class Format, int kGroups, int kColumns>
[[gnu::always_inline]] inline void dot_small_block(const typename V::Words* const (&w)[kGroups],
                                                   const ActivationBlock32* const (&a)[kColumns],
                                                   typename V::Ints (&dots)[kGroups][kColumns]) {
  const int8_t* q[kColumns];
  typename V::Factors factor[kGroups];
  RECKON_UNROLL
  for (int c = 0; c < kColumns; ++c) q[c] = a[c]->q;
  RECKON_UNROLL
  for (int g = 0; g < kGroups; ++g) {
    factor[g] = V::same_factor(1);
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) dots[g][c] = V::no_ints();
  }
  add_dots<V, 8, Format::kMaxWeight, false>(dots, w, factor, q);
  if constexpr (Format::kOffset != 0) {
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const typename V::Ints offset =
          V::template up<log2_of(Format::kOffset)>(V::same_int(a[c]->sum));
      RECKON_UNROLL
      for (int g = 0; g < kGroups; ++g) dots[g][c] = V::sub(dots[g][c], offset);
    }
  }
}

// One block's terms joined to an output's chain.
template <class V, class Format>
[[gnu::always_inline]] inline typename V::RowFloats add_small_block(typename V::RowFloats d,
                                                                    typename V::RowFloats m,
                                                                    typename V::Ints dots,
                                                                    const ActivationBlock32& a,
                                                                    typename V::RowFloats sum) {
  const typename V::RowFloats da = V::row_set(a.d);
  sum = V::row_fma(V::row_mul(d, da), V::to_float(dots), sum);
  if constexpr (Format::kMinimum) {
    sum = V::row_fma(V::row_mul(m, da), V::to_float(V::same_int(a.sum)), sum);
  }
  return sum;
}

// Up to eight blocks of each of V::kRows rows, unpacked.
template <class V, class Format>
struct SmallPanel {
  typename V::Words w[kPanel / 4];
  typename V::RowFloats d[kPanel / 32];
  typename V::RowFloats m[kPanel / 32];
  int n_blocks;

  static constexpr int64_t kBlock = 32;
  static constexpr int64_t kBlockBytes = Format::kBlockBytes;
  static constexpr int64_t kSingleStep = 32;
  static constexpr int kSteps = kPanel / 32;
  static int64_t activation_stride(int64_t depth) { return activation_stride_32(depth); }

  template <class Group>
  void unpack(const Group& group, int64_t k, int64_t n) {
    n_blocks = static_cast<int>(n / 32);
    for (int j = 0; j < n_blocks; ++j) {
      Format::template unpack<V>(group, (k / 32 + j) * kBlockBytes, w + 8 * j, d[j], m[j]);
    }
  }

  template <int kGroups, int kColumns>
  static void multiply(const SmallPanel* panels, const uint8_t* activations, int64_t stride,
                       int64_t k, typename V::RowFloats* sums, Ahead* ahead, int64_t lines) {
    const ActivationBlock32* a[kColumns];
    typename V::RowFloats sum[kGroups][kColumns];
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      a[c] = reinterpret_cast<const ActivationBlock32*>(activations + c * stride) + k / 32;
      RECKON_UNROLL
      for (int g = 0; g < kGroups; ++g) sum[g][c] = sums[g * kColumnTile + c];
    }
    for (int j = 0; j < panels[0].n_blocks; ++j) {
      for (int g = 0; g < kGroups; ++g) ahead[g].fetch(lines);
      const typename V::Words* words[kGroups];
      typename V::Ints dots[kGroups][kColumns];
      RECKON_UNROLL
      for (int g = 0; g < kGroups; ++g) words[g] = panels[g].w + 8 * j;
      dot_small_block<V, Format>(words, a, dots);
      RECKON_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        RECKON_UNROLL
        for (int g = 0; g < kGroups; ++g) {
          sum[g][c] = add_small_block<V, Format>(panels[g].d[j], panels[g].m[j], dots[g][c], *a[c],
                                                 sum[g][c]);
        }
        ++a[c];
      }
    }
    RECKON_UNROLL
    for (int g = 0; g < kGroups; ++g) {
      RECKON_UNROLL
      for (int c = 0; c < kColumns; ++c) sums[g * kColumnTile + c] = sum[g][c];
    }
  }

  template <class Group>
  static typename V::RowFloats multiply_one(const Group& rows, int64_t at, const void* activations,
                                            int64_t k, typename V::RowFloats sum) {
    const ActivationBlock32* const a[1] = {static_cast<const ActivationBlock32*>(activations) +
                                           k / 32};
    typename V::Words words[8];
    typename V::RowFloats scale;
    typename V::RowFloats minimum = V::row_zero();
    Format::template unpack<V>(rows, at, words, scale, minimum);
    const typename V::Words* const group[1] = {words};
    typename V::Ints dots[1][1];
    dot_small_block<V, Format>(group, a, dots);
    return add_small_block<V, Format>(scale, minimum, dots[0][0], *a[0], sum);
  }
};

template <class V>
GemmFunction find_gemm_q8_32(TensorType weight) noexcept {
  switch (weight) {
    case TensorType::kQ4_0: return gemm<V, SmallPanel<V, FormatQ4_0>>;
    case TensorType::kQ4_1: return gemm<V, SmallPanel<V, FormatQ4_1>>;
    case TensorType::kQ5_0: return gemm<V, SmallPanel<V, FormatQ5_0>>;
    case TensorType::kQ5_1: return gemm<V, SmallPanel<V, FormatQ5_1>>;
    case TensorType::kQ8_0: return gemm<V, SmallPanel<V, FormatQ8_0<V>>>;
    case TensorType::kIQ4_NL: return gemm<V, SmallPanel<V, FormatIQ4_NL<V>>>;
    default: return nullptr;
  }
}

}  // namespace
}  // namespace reckon::kernels
