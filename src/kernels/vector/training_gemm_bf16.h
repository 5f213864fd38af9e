// Products of training in bfloat16 (kernels/training.h) for any instruction set V: both operands of
// a pass are packed as words of two bfloat16, the even depth in the low half, and multiplied by the
// float32 products' tiles with V::dot_pairs for a step.
#pragma once

#include "kernels/vector/training_gemm.h"

namespace reckon::kernels {
namespace {

template <class V>
struct PairStep {
  using Floats = typename V::Floats;
  static Floats add(Floats x, Floats y, Floats sums) { return V::dot_pairs(x, y, sums); }
};

// Of one pass, in words: twice the float32 products' columns, which are as many bytes.
constexpr int64_t kPairs = kFloatGemmDepth / 2;
constexpr int64_t kPairColumns = 2 * kFloatGemmColumns;
// Between rows of a that stand one after the other; no power of two, for the cache's sake.
constexpr int64_t kPairRowStride = kPairs + 16;
constexpr int64_t kPairRows = kFloatGemmRows * kPairRowStride;
static_assert(kFloatGemmDepth % 2 == 0, "no pass but the last ends within a pair");
static_assert(kPairRows + kPairColumns / 16 * (16 * kPairs + 16) <= kFloatGemmScratch);

// Rows of a whose depth is contiguous: rows of words.
template <class V>
inline void pack_pair_rows(const float* a, int64_t row_stride, int64_t n_rows, int64_t depth,
                           float* to) {
  for (int64_t row = 0; row < n_rows; ++row) {
    for_sixteens(depth, [&](int64_t k, int64_t count) {
      V::store_rounded_bf16(to + row * kPairRowStride + k / 2,
                            load_n<V>(a + row * row_stride + k, count));
    });
  }
}

// Sixteen words from two depths of a matrix; a last depth without a second one has zeros for it.
template <class V>
inline typename V::Floats load_pairs(const float* even, int64_t depth_stride, bool has_odd,
                                     int64_t count) {
  return V::bf16_pairs(load_n<V>(even, count),
                       has_odd ? load_n<V>(even + depth_stride, count) : V::set(0.0f));
}

// Rows of a whose depth runs in strides, tile after tile as [pairs, rows of the tile].
template <class V>
inline void pack_turned_pair_rows(const float* a, int64_t depth_stride, int64_t n_rows,
                                  int64_t depth, float* to) {
  const int64_t n_pairs = (depth + 1) / 2;
  float line[kFloatGemmRows];  // a pair of every row
  for (int64_t pair = 0; pair < n_pairs; ++pair) {
    const float* from = a + 2 * pair * depth_stride;
    for_sixteens(n_rows, [&](int64_t row, int64_t count) {
      __builtin_prefetch(from + kTrainingAhead * depth_stride + row);
      __builtin_prefetch(from + (kTrainingAhead + 1) * depth_stride + row);
      V::store(line + row, load_pairs<V>(from + row, depth_stride, 2 * pair + 1 < depth, count));
    });
    for_row_tiles<V>(n_rows, [&]<int kRows>(int64_t row) {
      __builtin_memcpy(to + row * n_pairs + pair * kRows, line + row, kRows * sizeof(float));
    });
  }
}

// Columns of b that lie in rows side by side, as panels of [pairs, 16].
template <class V>
inline void pack_pair_panels(const float* b, int64_t stride, int64_t n_columns, int64_t depth,
                             float* to) {
  const int64_t n_pairs = (depth + 1) / 2;
  for (int64_t pair = 0; pair < n_pairs; ++pair) {
    const float* from = b + 2 * pair * stride;
    for_sixteens(n_columns, [&](int64_t column, int64_t count) {
      __builtin_prefetch(from + kTrainingAhead * stride + column);
      __builtin_prefetch(from + (kTrainingAhead + 1) * stride + column);
      V::store(to + column / 16 * packed_panel_stride(n_pairs) + 16 * pair,
               load_pairs<V>(from + column, stride, 2 * pair + 1 < depth, count));
    });
  }
}

// Not inlined: nothing of it may be computed outside of V's flushing of subnormal numbers.
template <class V>
[[gnu::noinline]] void training_bf16_passes(const FloatGemmArgs& g) noexcept {
  using Step = PairStep<V>;
  FloatGemmArgs words = g;
  words.a_row_stride = kPairRowStride;
  float* rows = g.scratch;
  float* panels = g.scratch + kPairRows;
  // Panels that are given are packed one at a time, in the order in which they lie.
  const int64_t packed_at_once = g.b_stride == kPanelColumns ? kPanelColumns : kPairColumns;
  for (int64_t k = 0; k < g.depth; k += kFloatGemmDepth) {
    const int64_t depth = g.depth - k < kFloatGemmDepth ? g.depth - k : kFloatGemmDepth;
    const int64_t n_pairs = (depth + 1) / 2;
    const bool accumulate = g.accumulate || k > 0;
    for (int64_t column = 0; column < g.columns; column += kPairColumns) {
      const int64_t left = g.columns - column;
      const int64_t n_columns = left < kPairColumns ? left : kPairColumns;
      const TrainingPanels b = {panels, packed_panel_stride(n_pairs)};
      for (int64_t i = 0; i < n_columns; i += packed_at_once) {
        const int64_t n = n_columns - i < packed_at_once ? n_columns - i : packed_at_once;
        pack_pair_panels<V>(g.b + (column + i) / 16 * g.b_panel_stride + k * g.b_stride, g.b_stride,
                            n, depth, panels + i / 16 * b.panel_stride);
      }
      for (int64_t row = 0; row < g.rows; row += kFloatGemmRows) {
        const int64_t n_rows = g.rows - row < kFloatGemmRows ? g.rows - row : kFloatGemmRows;
        const float* a = g.a + row * g.a_row_stride + k * g.a_depth_stride;
        float* out = g.out + row * g.out_stride + column;
        if (g.a_depth_stride == 1) {
          pack_pair_rows<V>(a, g.a_row_stride, n_rows, depth, rows);
          training_pass<V, Step, false>(words, rows, b, out, n_rows, n_columns, n_pairs,
                                        accumulate);
        } else {
          pack_turned_pair_rows<V>(a, g.a_depth_stride, n_rows, depth, rows);
          training_pass<V, Step, true>(words, rows, b, out, n_rows, n_columns, n_pairs, accumulate);
        }
      }
    }
  }
}

template <class V>
void training_gemm_bf16(const FloatGemmArgs& g) noexcept {
  clear_unless_accumulated(g);
  const unsigned before = V::flush_subnormals();
  training_bf16_passes<V>(g);
  V::restore_subnormals(before);
}

}  // namespace
}  // namespace reckon::kernels
