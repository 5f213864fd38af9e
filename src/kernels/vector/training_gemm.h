// Products of training for any instruction set V: tiles of outputs, and the packing of float32
// operands. Those of bfloat16 are training_gemm_bf16.h.
#pragma once

#include "kernels/training.h"
#include "kernels/vector/rows.h"
#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

// A piece of b, depth deep: panels of sixteen columns without gaps, panel_stride floats apart. (For
// the tile a float may be a word of two bfloat16: then Step reads it as that.)
struct TrainingPanels {
  const float* data;
  int64_t panel_stride;
};

// The step that a tile takes for each depth: sums + x y.
template <class V>
struct FloatStep {
  using Floats = typename V::Floats;
  static Floats add(Floats x, Floats y, Floats sums) { return V::fma(x, y, sums); }
};

// kRows x 16 kVectors outputs. a is read where it lies, its rows reached from every third one so
// that few registers hold addresses (x86 scales an index by up to 8), or packed as
// [depth, kRows].
template <class V, class Step, int kRows, int kVectors, bool kPacked>
inline void training_tile(const FloatGemmArgs& g, const float* a, TrainingPanels b, int64_t depth,
                          float* out, int64_t n_columns, bool accumulate) {
  using Floats = typename V::Floats;
  constexpr int kBases = kPacked ? 1 : (kRows + 2) / 3;
  const bool whole = n_columns == 16 * kVectors;
  Floats sums[kRows][kVectors];
  RECKON_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RECKON_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int64_t left = n_columns - 16 * v;
      if (!accumulate || left <= 0) {
        sums[r][v] = V::set(0.0f);
      } else {
        const float* from = out + r * g.out_stride + 16 * v;
        sums[r][v] = whole ? V::load(from) : load_n<V>(from, left < 16 ? left : 16);
      }
    }
  }
  const int64_t row_stride = g.a_row_stride;
  const float* bases[kBases];
  RECKON_UNROLL
  for (int i = 0; i < kBases; ++i) bases[i] = a + 3 * i * row_stride;
  // Without columns for the second vector its sums are thrown away.
  const float* panels[kVectors];
  RECKON_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    panels[v] = b.data + (n_columns > 16 * v ? v * b.panel_stride : 0);
  }
  RECKON_UNROLL_4
  for (int64_t k = 0; k < depth; ++k) {
    Floats y[kVectors];
    RECKON_UNROLL
    for (int v = 0; v < kVectors; ++v) y[v] = V::load(panels[v] + 16 * k);
    RECKON_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Floats x = V::set(kPacked ? bases[0][r] : bases[r / 3 % kBases][r % 3 * row_stride]);
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[r][v] = Step::add(x, y[v], sums[r][v]);
    }
    RECKON_UNROLL
    for (int i = 0; i < kBases; ++i) bases[i] += kPacked ? kRows : 1;
  }
  RECKON_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RECKON_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int64_t left = n_columns - 16 * v;
      float* to = out + r * g.out_stride + 16 * v;
      if (whole) {
        V::store(to, sums[r][v]);
      } else if (left > 0) {
        store_n<V>(to, left < 16 ? left : 16, sums[r][v]);
      }
    }
  }
}

// Calls body.template operator()<n>(row) for the tiles of n_rows rows: the widest, threes, ones.
template <class V, class Body>
inline void for_row_tiles(int64_t n_rows, const Body& body) {
  int64_t row = 0;
  for (; row + V::kTrainingRows <= n_rows; row += V::kTrainingRows) {
    body.template operator()<V::kTrainingRows>(row);
  }
  for (; row + 3 <= n_rows; row += 3) body.template operator()<3>(row);
  for (; row < n_rows; ++row) body.template operator()<1>(row);
}

// Rows that are fetched ahead of the one that is packed: pieces of rows that lie pages apart are
// nothing that the processor foresees.
constexpr int64_t kTrainingAhead = 8;

// Rows of a whose depth runs in strides, tile after tile as [depth, rows of the tile]. Read in the
// order in which they lie: a tile at a time would touch a line a depth, strides of pages apart.
template <class V>
inline void pack_training_rows(const FloatGemmArgs& g, const float* a, int64_t n_rows,
                               int64_t depth, float* to) {
  for (int64_t k = 0; k < depth; ++k) {
    const float* from = a + k * g.a_depth_stride;
    for (int64_t row = 0; row < n_rows; row += 16) {
      __builtin_prefetch(from + kTrainingAhead * g.a_depth_stride + row);
    }
    for_row_tiles<V>(n_rows, [&]<int kRows>(int64_t row) {
      __builtin_memcpy(to + row * depth + k * kRows, from + row, kRows * sizeof(float));
    });
  }
}

// Floats between the packed panels of a pass: not a power of two, so that the same depth of all
// panels doesn't fall on one set of the cache.
inline int64_t packed_panel_stride(int64_t depth) { return 16 * depth + 16; }

// Columns of b that lie in rows, as panels.
template <class V>
inline void pack_training_panels(const float* b, int64_t stride, int64_t n_columns, int64_t depth,
                                 float* to) {
  for (int64_t k = 0; k < depth; ++k) {
    const float* from = b + k * stride;
    for (int64_t column = 0; column < n_columns; column += 16) {
      __builtin_prefetch(from + kTrainingAhead * stride + column);
    }
    for_sixteens(n_columns, [&](int64_t column, int64_t count) {
      V::store(to + column / 16 * packed_panel_stride(depth) + 16 * k,
               load_n<V>(from + column, count));
    });
  }
}

// One pass: some columns of some rows, some of the depth.
template <class V, class Step, bool kPacked>
inline void training_pass(const FloatGemmArgs& g, const float* a, TrainingPanels b, float* out,
                          int64_t n_rows, int64_t n_columns, int64_t depth, bool accumulate) {
  constexpr int kVectors = V::kTrainingVectors;
  for (int64_t column = 0; column < n_columns; column += 16 * kVectors) {
    const int64_t left = n_columns - column;
    const int64_t n = left < 16 * kVectors ? left : 16 * kVectors;
    const TrainingPanels panels = {b.data + column / 16 * b.panel_stride, b.panel_stride};
    for_row_tiles<V>(n_rows, [&]<int kRows>(int64_t row) {
      training_tile<V, Step, kRows, kVectors, kPacked>(
          g, a + row * (kPacked ? depth : g.a_row_stride), panels, depth,
          out + row * g.out_stride + column, n, accumulate);
    });
  }
}

// What a product without depth leaves.
inline void clear_unless_accumulated(const FloatGemmArgs& g) {
  if (g.depth != 0 || g.accumulate) return;
  for (int64_t i = 0; i < g.rows; ++i) {
    for (int64_t j = 0; j < g.columns; ++j) g.out[i * g.out_stride + j] = 0.0f;
  }
}

template <class V>
void training_gemm(const FloatGemmArgs& g) noexcept {
  using Step = FloatStep<V>;
  clear_unless_accumulated(g);
  const bool b_is_packed = g.b_stride == kPanelColumns;
  for (int64_t k = 0; k < g.depth; k += kFloatGemmDepth) {
    const int64_t depth = g.depth - k < kFloatGemmDepth ? g.depth - k : kFloatGemmDepth;
    const bool accumulate = g.accumulate || k > 0;
    const float* a = g.a + k * g.a_depth_stride;
    const int64_t most_columns = b_is_packed ? g.columns : kFloatGemmColumns;
    for (int64_t column = 0; column < g.columns; column += most_columns) {
      const int64_t left = g.columns - column;
      const int64_t n_columns = left < most_columns ? left : most_columns;
      const float* from = g.b + column / 16 * g.b_panel_stride + k * g.b_stride;
      TrainingPanels b = {from, g.b_panel_stride};
      if (!b_is_packed) {
        pack_training_panels<V>(from, g.b_stride, n_columns, depth, g.scratch);
        b = {g.scratch, packed_panel_stride(depth)};
      }
      float* out = g.out + column;
      if (g.a_depth_stride == 1) {
        training_pass<V, Step, false>(g, a, b, out, g.rows, n_columns, depth, accumulate);
        continue;
      }
      float* packed = g.scratch + kFloatGemmPanels;
      for (int64_t row = 0; row < g.rows; row += kFloatGemmRows) {
        const int64_t n_rows = g.rows - row < kFloatGemmRows ? g.rows - row : kFloatGemmRows;
        pack_training_rows<V>(g, a + row, n_rows, depth, packed);
        training_pass<V, Step, true>(g, packed, b, out + row * g.out_stride, n_rows, n_columns,
                                     depth, accumulate);
      }
    }
  }
}

}  // namespace
}  // namespace reckon::kernels
