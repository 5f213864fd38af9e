// The kernels of training for any instruction set V, in the order of scalar/training.cpp.
#pragma once

#include "kernels/training.h"
#include "kernels/vector/rows.h"
#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

// ---- products ----

// A piece of b, depth deep: panels of sixteen columns without gaps, panel_stride floats apart.
struct TrainingPanels {
  const float* data;
  int64_t panel_stride;
};

// kRows x 16 kVectors outputs. a is read where it lies, its rows reached from every third one so
// that few registers hold addresses (x86 scales an index by up to 8), or packed as
// [depth, kRows].
template <class V, int kRows, int kVectors, bool kPacked>
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
      for (int v = 0; v < kVectors; ++v) sums[r][v] = V::fma(x, y[v], sums[r][v]);
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
template <class V, bool kPacked>
inline void training_pass(const FloatGemmArgs& g, const float* a, TrainingPanels b, float* out,
                          int64_t n_rows, int64_t n_columns, int64_t depth, bool accumulate) {
  constexpr int kVectors = V::kTrainingVectors;
  for (int64_t column = 0; column < n_columns; column += 16 * kVectors) {
    const int64_t left = n_columns - column;
    const int64_t n = left < 16 * kVectors ? left : 16 * kVectors;
    const TrainingPanels panels = {b.data + column / 16 * b.panel_stride, b.panel_stride};
    for_row_tiles<V>(n_rows, [&]<int kRows>(int64_t row) {
      training_tile<V, kRows, kVectors, kPacked>(g, a + row * (kPacked ? depth : g.a_row_stride),
                                                 panels, depth, out + row * g.out_stride + column,
                                                 n, accumulate);
    });
  }
}

template <class V>
void training_gemm(const FloatGemmArgs& g) noexcept {
  if (g.depth == 0 && !g.accumulate) {
    for (int64_t i = 0; i < g.rows; ++i) {
      for (int64_t j = 0; j < g.columns; ++j) g.out[i * g.out_stride + j] = 0.0f;
    }
  }
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
        training_pass<V, false>(g, a, b, out, g.rows, n_columns, depth, accumulate);
        continue;
      }
      float* packed = g.scratch + kFloatGemmPanels;
      for (int64_t row = 0; row < g.rows; row += kFloatGemmRows) {
        const int64_t n_rows = g.rows - row < kFloatGemmRows ? g.rows - row : kFloatGemmRows;
        pack_training_rows<V>(g, a + row, n_rows, depth, packed);
        training_pass<V, true>(g, packed, b, out + row * g.out_stride, n_rows, n_columns, depth,
                               accumulate);
      }
    }
  }
}

// ---- rows ----

template <class V>
float training_dot(const float* x, const float* y, int64_t n) noexcept {
  typename V::Floats sums = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    sums = V::fma(load_n<V>(x + i, count), load_n<V>(y + i, count), sums);
  });
  return V::sum(sums);
}

template <class V>
void rms_norm_backward(const float* x, const float* weight, const float* dy, float epsilon,
                       int64_t n, float* dx, float* dweight) noexcept {
  using Floats = typename V::Floats;
  Floats squares = V::set(0.0f);
  Floats products = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats v = load_n<V>(x + i, count);
    squares = V::fma(v, v, squares);
    const Floats g = V::mul(load_n<V>(dy + i, count), load_n<V>(weight + i, count));
    products = V::fma(g, v, products);
  });
  const float size = static_cast<float>(n);
  const float inverse = 1.0f / __builtin_sqrtf(V::sum(squares) / size + epsilon);
  const float along = (V::sum(products) / size) * (inverse * inverse);
  const Floats r = V::set(inverse);
  const Floats minus_along = V::set(-along);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats v = load_n<V>(x + i, count);
    const Floats d = load_n<V>(dy + i, count);
    const Floats g = V::mul(d, load_n<V>(weight + i, count));
    const Floats across = V::fma(v, minus_along, g);
    store_n<V>(dx + i, count, V::fma(across, r, load_n<V>(dx + i, count)));
    store_n<V>(dweight + i, count, V::fma(d, V::mul(v, r), load_n<V>(dweight + i, count)));
  });
}

template <class V>
void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t n,
                       float* activation, float* dgate, float* dup) noexcept {
  using Floats = typename V::Floats;
  const Floats one = V::set(1.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats g = load_n<V>(gate + i, count);
    const Floats u = load_n<V>(up + i, count);
    const Floats d = load_n<V>(dy + i, count);
    const Floats e = exponential<V>(V::sub(V::set(0.0f), g));
    const Floats s = V::div(one, V::add(one, e));
    const Floats silu = V::mul(g, s);
    const Floats slope = V::mul(s, V::fma(g, V::sub(one, s), one));
    store_n<V>(activation + i, count, V::mul(silu, u));
    store_n<V>(dgate + i, count, V::mul(V::mul(d, u), slope));
    store_n<V>(dup + i, count, V::mul(d, silu));
  });
}

template <class V>
float training_largest(const float* x, int64_t n) noexcept {
  float most = x[0];
  typename V::Floats largest = V::set(most);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) largest = V::max(largest, V::load(x + i));
  most = V::largest(largest);
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

template <class V>
void training_scale(float* x, float factor, int64_t n) noexcept {
  const typename V::Floats f = V::set(factor);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    store_n<V>(x + i, count, V::mul(load_n<V>(x + i, count), f));
  });
}

// exp(scale x - shift), shift = scale max: never above 1 by more than a rounding.
template <class V>
inline typename V::Floats shifted_exponential(typename V::Floats x, typename V::Floats scale,
                                              typename V::Floats shift) {
  return exponential<V>(V::sub(V::mul(x, scale), shift));
}

inline void clear(float* x, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) x[i] = 0.0f;
}

template <class V>
void softmax(float* x, float scale, int64_t n, int64_t n_total, float* max,
             float* inverse_sum) noexcept {
  using Floats = typename V::Floats;
  const float shift = training_largest<V>(x, n) * scale;
  const Floats scales = V::set(scale);
  const Floats shifts = V::set(shift);
  Floats sums = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    store_n<V>(x + i, count, shifted_exponential<V>(load_n<V>(x + i, count), scales, shifts));
    sums = V::add(sums, load_n<V>(x + i, count));
  });
  const float inverse = 1.0f / V::sum(sums);
  training_scale<V>(x, inverse, n);
  clear(x, n, n_total);
  *max = shift;
  *inverse_sum = inverse;
}

template <class V>
void softmax_again(float* x, float scale, float max, float inverse_sum, int64_t n,
                   int64_t n_total) noexcept {
  using Floats = typename V::Floats;
  const Floats scales = V::set(scale);
  const Floats shifts = V::set(max);
  const Floats inverse = V::set(inverse_sum);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats e = shifted_exponential<V>(load_n<V>(x + i, count), scales, shifts);
    store_n<V>(x + i, count, V::mul(e, inverse));
  });
  clear(x, n, n_total);
}

template <class V>
void softmax_backward(const float* p, float scale, int64_t n, float* dp) noexcept {
  using Floats = typename V::Floats;
  const Floats mean = V::set(training_dot<V>(p, dp, n));
  const Floats scales = V::set(scale);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats d = V::sub(load_n<V>(dp + i, count), mean);
    store_n<V>(dp + i, count, V::mul(V::mul(load_n<V>(p + i, count), d), scales));
  });
}

template <class V>
void adamw(const AdamwStep& step, int64_t n, const float* gradient, float* first, float* second,
           float* parameter) noexcept {
  using Floats = typename V::Floats;
  const Floats gradient_scale = V::set(step.gradient_scale);
  const Floats beta1 = V::set(step.beta1);
  const Floats rest1 = V::set(1.0f - step.beta1);
  const Floats beta2 = V::set(step.beta2);
  const Floats rest2 = V::set(1.0f - step.beta2);
  const Floats bias1 = V::set(step.inverse_bias1);
  const Floats bias2 = V::set(step.inverse_bias2);
  const Floats epsilon = V::set(step.epsilon);
  const Floats minus_rate = V::set(-step.learning_rate);
  const Floats minus_decay = V::set(-step.decay);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats g = V::mul(load_n<V>(gradient + i, count), gradient_scale);
    const Floats m = V::fma(load_n<V>(first + i, count), beta1, V::mul(g, rest1));
    const Floats v = V::fma(load_n<V>(second + i, count), beta2, V::mul(V::mul(g, g), rest2));
    store_n<V>(first + i, count, m);
    store_n<V>(second + i, count, v);
    const Floats p = load_n<V>(parameter + i, count);
    const Floats kept = V::fma(p, minus_decay, p);
    const Floats size = V::add(V::sqrt(V::mul(v, bias2)), epsilon);
    const Floats direction = V::div(V::mul(m, bias1), size);
    store_n<V>(parameter + i, count, V::fma(direction, minus_rate, kept));
  });
}

template <class V>
constexpr TrainingKernels make_training_kernels() {
  return {
      .gemm = training_gemm<V>,
      .rms_norm_backward = rms_norm_backward<V>,
      .silu_mul_backward = silu_mul_backward<V>,
      .softmax = softmax<V>,
      .softmax_again = softmax_again<V>,
      .softmax_backward = softmax_backward<V>,
      .largest = training_largest<V>,
      .dot = training_dot<V>,
      .scale = training_scale<V>,
      .adamw = adamw<V>,
  };
}

}  // namespace
}  // namespace reckon::kernels
