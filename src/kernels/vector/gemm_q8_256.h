// Products of the 256-element formats with kQ8_256 activations, for any instruction set V. The
// order of operations is that of scalar/gemm_q8_256.cpp.
#pragma once

#include "kernels/vector/k_formats.h"
#include "kernels/vector/products.h"
#include "quants/tensor_type.h"

namespace reckon::kernels {
namespace {

// Scales of one block of each of V::kRows rows. Of a format with minima, pairs holds the minima; of
// one with an offset, the scales: what has to be multiplied with the activations' own sums.
template <class V, class Format>
struct BlockScales {
  static constexpr int kSubBlocks = 256 / Format::kSubElements;
  typename V::Factors factor[kSubBlocks];
  typename V::Pairs pairs[kSubBlocks / 2];
  typename V::RowFloats d;
  typename V::RowFloats dmin;

  void set_d(typename V::RowFloats x) { d = x; }
  void set_dmin(typename V::RowFloats x) { dmin = x; }
  void set_factors(int first, const typename V::Ints (&scales)[4]) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) factor[first + i] = V::factors(scales[i]);
  }
  void set_pairs(int first, const typename V::Ints (&values)[4]) {
    pairs[first / 2] = V::pairs(values[0], values[1]);
    pairs[first / 2 + 1] = V::pairs(values[2], values[3]);
  }

  // The block's terms joined to an output's chain. Totals are exact: stored quants reach at most
  // 256 * 128 * 63 * 127 = 262,176,768 (Q6_K) or, for IQ4_XS kept with an offset of 128,
  // 256 * 32 * 255 * 127 = 265,297,920, both below 2^31, before the offset's part is taken off.
  typename V::RowFloats add_to(typename V::RowFloats sum, typename V::Ints total,
                               const ActivationBlock256& a) const {
    typename V::Ints correction = V::no_ints();
    if constexpr (Format::kMinimum || Format::kOffset != 0) {
      const int16_t* own_sums = Format::kSubElements == 16 ? a.sums_16 : a.sums_32;
      RECKON_UNROLL
      for (int i = 0; i < kSubBlocks / 2; ++i) {
        correction = V::add_pairs(correction, pairs[i], own_sums + 2 * i);
      }
    }
    if constexpr (Format::kOffset != 0) {
      total = V::sub(total, V::template up<log2_of(Format::kOffset)>(correction));
    }
    const typename V::RowFloats da = V::row_set(a.d);
    sum = V::row_fma(V::row_mul(d, da), V::to_float(total), sum);
    if constexpr (Format::kMinimum) {
      sum = V::row_fnma(V::row_mul(dmin, da), V::to_float(correction), sum);
    }
    return sum;
  }
};

// One block of each row, kept for all columns.
template <class V, class Format>
struct StoredBlocks : BlockScales<V, Format> {
  typename V::Words w[64];

  [[gnu::always_inline]] void put(int i, typename V::Words word) { w[i] = word; }
};

// One block of each row, multiplied with one column word by word as it is unpacked.
template <class V, class Format>
struct PassingBlocks : BlockScales<V, Format> {
  static constexpr int kWords = Format::kSubElements / 4;
  static constexpr int kRun =
      V::run_words(Format::kMaxWeight) < kWords ? V::run_words(Format::kMaxWeight) : kWords;
  const int8_t* a;
  typename V::Ints total;
  typename V::Sums sums[64 / kRun];

  explicit PassingBlocks(const int8_t* q) : a(q), total(V::no_ints()) {}
  [[gnu::always_inline]] void put(int i, typename V::Words word) {
    typename V::Sums& sum = sums[i / kRun];
    sum = V::template dot<Format::kMaxWeight>(i % kRun == 0 ? V::no_sums() : sum, word, a + 4 * i);
    if (i % kRun == kRun - 1) total = V::add_scaled(total, sum, this->factor[i / kWords]);
  }
};

template <class V, class Format>
struct KPanel {
  StoredBlocks<V, Format> blocks;

  static constexpr int64_t kBlock = 256;
  static constexpr int64_t kBlockBytes = Format::kBlockBytes;
  static constexpr int64_t kSingleStep = 256;
  static constexpr int kSteps = 256 / Format::kSubElements;
  static int64_t activation_stride(int64_t depth) { return activation_stride_256(depth); }

  template <class Group>
  void unpack(const Group& group, int64_t k, int64_t) {
    Format::template unpack<V>(group, k / 256 * kBlockBytes, blocks);
  }

  template <int kGroups, int kColumns>
  static void multiply(const KPanel* panels, const uint8_t* activations, int64_t stride, int64_t k,
                       typename V::RowFloats* sums, Ahead* ahead, int64_t lines) {
    constexpr int kWords = Format::kSubElements / 4;
    const ActivationBlock256* a[kColumns];
    const int8_t* q[kColumns];
    typename V::Ints totals[kGroups][kColumns];
    RECKON_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      a[c] = reinterpret_cast<const ActivationBlock256*>(activations + c * stride) + k / 256;
      q[c] = a[c]->q;
      RECKON_UNROLL
      for (int g = 0; g < kGroups; ++g) totals[g][c] = V::no_ints();
    }
    for (int s = 0; s < kSteps; ++s) {
      for (int g = 0; g < kGroups; ++g) ahead[g].fetch(lines);
      typename V::Factors factor[kGroups];
      const typename V::Words* w[kGroups];
      RECKON_UNROLL
      for (int g = 0; g < kGroups; ++g) {
        factor[g] = panels[g].blocks.factor[s];
        w[g] = panels[g].blocks.w + kWords * s;
      }
      add_dots<V, kWords, Format::kMaxWeight, true>(totals, w, factor, q);
      RECKON_UNROLL
      for (int c = 0; c < kColumns; ++c) q[c] += Format::kSubElements;
    }
    RECKON_UNROLL
    for (int g = 0; g < kGroups; ++g) {
      RECKON_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        typename V::RowFloats& sum = sums[g * kColumnTile + c];
        sum = panels[g].blocks.add_to(sum, totals[g][c], *a[c]);
      }
    }
  }

  template <class Group>
  static typename V::RowFloats multiply_one(const Group& rows, int64_t at, const void* activations,
                                            int64_t k, typename V::RowFloats sum) {
    const auto& a = static_cast<const ActivationBlock256*>(activations)[k / 256];
    PassingBlocks<V, Format> passing(a.q);
    Format::template unpack<V>(rows, at, passing);
    return passing.add_to(sum, passing.total, a);
  }
};

template <class V>
GemmFunction find_gemm_q8_256(TensorType weight) noexcept {
  switch (weight) {
    case TensorType::kQ2_K: return gemm<V, KPanel<V, FormatQ2_K>>;
    case TensorType::kQ3_K: return gemm<V, KPanel<V, FormatQ3_K>>;
    case TensorType::kQ4_K: return gemm<V, KPanel<V, FormatQ4_K>>;
    case TensorType::kQ5_K: return gemm<V, KPanel<V, FormatQ5_K>>;
    case TensorType::kQ6_K: return gemm<V, KPanel<V, FormatQ6_K>>;
    case TensorType::kIQ4_XS: return gemm<V, KPanel<V, FormatIQ4_XS<V>>>;
    default: return nullptr;
  }
}

}  // namespace
}  // namespace reckon::kernels
