// Attention and the cache's tiles, for any instruction set V, in the order of scalar/attention.cpp.
//
// A score's sum runs along its own lane: sixteen positions side by side, as store_k lays them. The
// weighted values' sums run along theirs: sixteen elements side by side. So no sum crosses lanes, a
// load of keys or values serves several queries, and a load of a query two vectors of positions.
#pragma once

#include "kernels/vector/products.h"
#include "kernels/vector/rows.h"
#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

// ---- storing ------------------------------------------------------------------------------------

// The scale of n cached values, a multiple of 16, as a half.
template <class V>
inline uint16_t cached_scale(const float* x, int64_t n) {
  typename V::Magnitudes largest = V::no_magnitudes();
  for (int64_t i = 0; i < n; i += 16) largest = V::larger_magnitudes(largest, V::load(x + i));
  const uint32_t bits = V::largest_magnitude(largest);
  const uint16_t d = V::half_of_float(__builtin_bit_cast(float, bits) / 127.0f);
  return bits >= kInfinityBits || d >= 0x7c00u ? 0x7e00u : d;
}

template <class V>
inline void cached_quants(const float* x, uint16_t d, int8_t (&q)[16]) {
  if (d == 0 || d >= 0x7c00u) {
    for (int8_t& zero : q) zero = 0;
    return;
  }
  typename V::Floats v = V::mul(V::load(x), V::set(1.0f / V::float_of_half(d)));
  v = V::where_above(v, 127.0f, 127.0f, v);
  v = V::where_below(v, -127.0f, -127.0f, v);
  V::store_i8(q, v);
}

template <class V>
inline void to_halves(const float* x, int64_t n, uint16_t (&halves)[16]) {
  V::store_f16(halves, load_n<V>(x, n));
}

template <class V>
void store_k(KvType type, const float* x, int64_t head_dim, int64_t p, void* tile) noexcept {
  auto* bytes = static_cast<uint8_t*>(tile);
  if (type == KvType::kF16) {
    for_sixteens(head_dim, [&](int64_t i, int64_t n) {
      uint16_t halves[16];
      to_halves<V>(x + i, n, halves);
      for (int64_t j = 0; j < n; ++j) {
        __builtin_memcpy(bytes + key_half_at(head_dim, p, i + j), &halves[j], 2);
      }
    });
    return;
  }
  for (int64_t b = 0; b < head_dim; b += 32) {
    const uint16_t d = cached_scale<V>(x + b, 32);
    __builtin_memcpy(bytes + key_scale_at(head_dim, p, b), &d, 2);
    for (int64_t i = b; i < b + 32; i += 16) {
      int8_t q[16];
      cached_quants<V>(x + i, d, q);
      for (int64_t j = 0; j < 16; j += 4) {
        __builtin_memcpy(bytes + key_word_at(head_dim, p, i + j), &q[j], 4);
      }
    }
  }
}

template <class V>
void store_v(KvType type, const float* x, int64_t head_dim, int64_t p, void* tile) noexcept {
  auto* bytes = static_cast<uint8_t*>(tile);
  if (type == KvType::kF16) {
    for_sixteens(head_dim, [&](int64_t i, int64_t n) {
      uint16_t halves[16];
      to_halves<V>(x + i, n, halves);
      __builtin_memcpy(bytes + (p * head_dim + i) * 2, halves, static_cast<uint64_t>(2 * n));
    });
    return;
  }
  const uint16_t d = cached_scale<V>(x, head_dim);
  __builtin_memcpy(bytes + value_scale_at(head_dim, p), &d, 2);
  for (int64_t i = 0; i < head_dim; i += 16) {
    int8_t q[16];
    cached_quants<V>(x + i, d, q);
    for (int64_t j = 0; j < 16; ++j) {
      bytes[value_byte_at(head_dim, p, i + j)] = static_cast<uint8_t>(q[j]);
    }
  }
}

// ---- attending ----------------------------------------------------------------------------------

struct AttentionStateView {
  float* sums;
  float* maxima;
  float* normalisers;
};
inline AttentionStateView view_of(float* states, int64_t n_queries, int64_t head_dim) {
  const AttentionState at = attention_state(n_queries, head_dim);
  return {states + at.sums, states + at.maxima, states + at.normalisers};
}

// One call. Queries are numbered token by token, so that those who see a position are the last
// ones.
template <class V>
struct AttentionPass {
  const AttentionArgs& args;
  const int64_t n_queries;
  const int64_t head;    // head_dim
  const int64_t padded;  // to whole sixteens
  const bool is_q8;
  float* queries;        // [n_queries, padded]
  int8_t* query_bytes;   // [n_queries, head]
  float* query_scales;   // [n_queries, head / 32]
  int32_t* query_sums;   // [n_queries, head / 32], times -V::kKeyOffset
  float* weights;        // [n_queries, kAttentionTile]
  int8_t* weight_bytes;  // [n_queries, kAttentionTile]
  float* weight_scales;
  float* corrections;
  float* new_maxima;
  float* value_scales;  // [kAttentionTile]

  // The tile at hand.
  const uint8_t* keys = nullptr;
  const uint8_t* values = nullptr;
  AttentionStateView state = {};

  explicit AttentionPass(const AttentionArgs& a)
      : args(a),
        n_queries(a.n_tokens * a.n_heads),
        head(a.head_dim),
        padded(padded_16(a.head_dim)),
        is_q8(a.kv_type == KvType::kQ8) {
    const AttentionScratch at = attention_scratch(n_queries, head);
    queries = a.scratch + at.queries;
    query_bytes = reinterpret_cast<int8_t*>(a.scratch + at.query_bytes);
    query_scales = a.scratch + at.query_scales;
    query_sums = reinterpret_cast<int32_t*>(a.scratch + at.query_sums);
    weights = a.scratch + at.weights;
    weight_bytes = reinterpret_cast<int8_t*>(a.scratch + at.weight_bytes);
    weight_scales = a.scratch + at.weight_scales;
    corrections = a.scratch + at.corrections;
    new_maxima = a.scratch + at.new_maxima;
    value_scales = a.scratch + at.value_scales;
    for (int64_t q = 0; q < n_queries; ++q) prepare_query(q);
  }

  void prepare_query(int64_t q) const {
    const float* from =
        args.queries + q / args.n_heads * args.token_stride + q % args.n_heads * head;
    float* to = queries + q * padded;
    for_sixteens(head, [&](int64_t i, int64_t n) {
      V::store(to + i, V::mul(load_n<V>(from + i, n), V::set(args.scale)));
    });
    if (!is_q8) return;
    for (int64_t b = 0; b < head / 32; ++b) {
      int sums[2];
      query_scales[q * (head / 32) + b] =
          quantize_block<V>(to + 32 * b, query_bytes + q * head + 32 * b, sums);
      query_sums[q * (head / 32) + b] = -V::kKeyOffset * (sums[0] + sums[1]);
    }
  }

  int64_t positions_of(int64_t q) const { return args.first_position + q / args.n_heads + 1; }

  // Positions [begin, end of each query's) of a segment into a state of their own.
  void sum_segment(int64_t begin, float* states) {
    state = view_of(states, n_queries, head);
    for (int64_t i = 0; i < n_queries * padded; i += 16) V::store(state.sums + i, V::set(0.0f));
    for (int64_t q = 0; q < padded_16(n_queries); q += 16) {
      V::store(state.maxima + q, V::set(-__builtin_inff()));
      V::store(state.normalisers + q, V::set(0.0f));
      V::store(new_maxima + q, V::set(0.0f));
    }
    const int64_t last = positions_of(n_queries - 1);
    const int64_t end = last < begin + kAttentionSegment ? last : begin + kAttentionSegment;
    for (int64_t first = begin; first < end; first += kAttentionTile) {
      keys = reinterpret_cast<const uint8_t*>(args.k_tiles[first / kAttentionTile]);
      values = reinterpret_cast<const uint8_t*>(args.v_tiles[first / kAttentionTile]);
      add_tile(first);
    }
  }

  void add_tile(int64_t first) {
    // Tokens before this one see nothing of the tile.
    const int64_t token = first > args.first_position ? first - args.first_position : 0;
    const int64_t q_begin = token * args.n_heads;
    const int64_t most = positions_of(n_queries - 1) - first;
    const bool all_see_all = positions_of(q_begin) - first >= kAttentionTile;
    const int64_t n_groups = most < kAttentionTile ? (most + 15) / 16 : kAttentionTile / 16;
    score_tile(q_begin, n_groups);
    if (is_q8) {
      for (int64_t g = 0; g < n_groups; ++g) {
        V::store(value_scales + 16 * g, V::load_f16(values + value_scale_at(head, 16 * g)));
      }
    }
    for (int64_t q = q_begin; q < n_queries; ++q) find_maximum(q, positions_of(q) - first);
    update_maxima(q_begin);
    for (int64_t q = q_begin; q < n_queries; ++q) {
      weigh(q, positions_of(q) - first, n_groups);
    }
    if (is_q8) {
      add_values_q8(q_begin, n_groups);
    } else if (all_see_all) {
      add_values_f16(q_begin, n_queries, kAttentionTile);
    } else {
      for (int64_t q = q_begin; q < n_queries; q += args.n_heads) {
        const int64_t n = positions_of(q) - first;
        add_values_f16(q, q + args.n_heads, n < kAttentionTile ? n : kAttentionTile);
      }
    }
  }

  // ---- scores ----

  void score_tile(int64_t q_begin, int64_t n_groups) {
    int64_t g = 0;
    for (; g + V::kAttentionVectors <= n_groups; g += V::kAttentionVectors) {
      score_groups<V::kAttentionVectors>(q_begin, g);
    }
    for (; g < n_groups; ++g) score_groups<1>(q_begin, g);
  }

  template <int kVectors>
  void score_groups(int64_t q_begin, int64_t group) {
    for_column_tiles<V::kAttentionQueries>(n_queries - q_begin, [&](int64_t c, auto columns) {
      constexpr int kQueries = decltype(columns)::kCount;
      typename V::Floats scores[kVectors][kQueries];
      if (is_q8) {
        score_q8<kVectors, kQueries>(q_begin + c, group, scores);
      } else {
        score_f16<kVectors, kQueries>(q_begin + c, group, scores);
      }
      RECKON_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        RECKON_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          V::store(weights + (q_begin + c + q) * kAttentionTile + 16 * (group + v), scores[v][q]);
        }
      }
    });
  }

  template <int kVectors, int kQueries>
  void score_f16(int64_t first_query, int64_t group,
                 typename V::Floats (&scores)[kVectors][kQueries]) const {
    const uint8_t* key[kVectors];
    const float* query = queries + first_query * padded;
    RECKON_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      key[v] = keys + key_half_at(head, 16 * (group + v), 0);
      RECKON_UNROLL
      for (int q = 0; q < kQueries; ++q) scores[v][q] = V::set(0.0f);
    }
    for (int64_t i = 0; i < head; ++i) {
      typename V::Floats k[kVectors];
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) k[v] = V::load_f16(key[v] + 32 * i);
      RECKON_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        const typename V::Floats x = V::set(query[q * padded + i]);
        RECKON_UNROLL
        for (int v = 0; v < kVectors; ++v) scores[v][q] = V::fma(x, k[v], scores[v][q]);
      }
    }
  }

  template <int kVectors, int kQueries>
  void score_q8(int64_t first_query, int64_t group,
                typename V::Floats (&scores)[kVectors][kQueries]) const {
    const int64_t n_blocks = head / 32;
    const float* scale = query_scales + first_query * n_blocks;
    const int32_t* sum = query_sums + first_query * n_blocks;
    RECKON_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      RECKON_UNROLL
      for (int q = 0; q < kQueries; ++q) scores[v][q] = V::set(0.0f);
    }
    for (int64_t b = 0; b < n_blocks; ++b) {
      typename V::Lanes dots[kVectors][kQueries];
      RECKON_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        RECKON_UNROLL
        for (int v = 0; v < kVectors; ++v) dots[v][q] = V::lanes(sum[q * n_blocks + b]);
      }
      const uint8_t* key[kVectors];
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v)
        key[v] = keys + key_word_at(head, 16 * (group + v), 32 * b);
      const int8_t* query = query_bytes + first_query * head + 32 * b;
      RECKON_UNROLL
      for (int w = 0; w < 8; ++w) {
        typename V::KeyBytes k[kVectors];
        RECKON_UNROLL
        for (int v = 0; v < kVectors; ++v) k[v] = V::load_keys(key[v] + 64 * w);
        RECKON_UNROLL
        for (int q = 0; q < kQueries; ++q) {
          RECKON_UNROLL
          for (int v = 0; v < kVectors; ++v) {
            dots[v][q] = V::dot_keys(dots[v][q], k[v], query + q * head + 4 * w);
          }
        }
      }
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const typename V::Floats d =
            V::load_f16(keys + key_scale_at(head, 16 * (group + v), 32 * b));
        RECKON_UNROLL
        for (int q = 0; q < kQueries; ++q) {
          scores[v][q] = V::fma(V::mul(d, V::set(scale[q * n_blocks + b])),
                                V::lanes_to_floats(dots[v][q]), scores[v][q]);
        }
      }
    }
  }

  // ---- softmax ----

  // Scores that the query doesn't see become -infinity, whose exponential adds nothing.
  void find_maximum(int64_t q, int64_t n) const {
    float* w = weights + q * kAttentionTile;
    for (int64_t p = n; p < kAttentionTile; ++p) w[p] = -__builtin_inff();
    const typename V::Floats low = V::max(V::load(w), V::load(w + 16));
    const typename V::Floats high = V::max(V::load(w + 32), V::load(w + 48));
    const float largest = V::largest(V::max(low, high));
    new_maxima[q] = largest > state.maxima[q] ? largest : state.maxima[q];
  }

  void update_maxima(int64_t q_begin) const {
    for (int64_t q = q_begin / 16 * 16; q < n_queries; q += 16) {
      const typename V::Floats maxima = V::load(new_maxima + q);
      V::store(corrections + q, exponential<V>(V::sub(V::load(state.maxima + q), maxima)));
    }
    for (int64_t q = q_begin; q < n_queries; ++q) state.maxima[q] = new_maxima[q];
  }

  // Scores -> exponentials below the running maximum; for kQ8, times the values' scales and in
  // bytes.
  void weigh(int64_t q, int64_t n, int64_t n_groups) const {
    float* w = weights + q * kAttentionTile;
    const typename V::Floats maximum = V::set(state.maxima[q]);
    typename V::Floats sums = V::set(0.0f);
    for (int64_t g = 0; g < n_groups; ++g) {
      const typename V::Floats e = exponential<V>(V::sub(V::load(w + 16 * g), maximum));
      sums = V::add(sums, e);
      V::store(w + 16 * g, is_q8 ? V::mul(e, V::load(value_scales + 16 * g)) : e);
    }
    state.normalisers[q] = __builtin_fmaf(state.normalisers[q], corrections[q], V::sum(sums));
    if (!is_q8) return;
    for (int64_t p = n; p < kAttentionTile; ++p) w[p] = 0.0f;
    int unused[4];
    weight_scales[q] = quantize_block<V>(w, weight_bytes + q * kAttentionTile, unused);
  }

  // ---- values ----

  void add_values_q8(int64_t q_begin, int64_t n_groups) const {
    for_column_tiles<V::kAttentionQueries>(n_queries - q_begin, [&](int64_t c, auto columns) {
      constexpr int kQueries = decltype(columns)::kCount;
      int64_t i = 0;
      for (; i + 16 * V::kAttentionVectors <= head; i += 16 * V::kAttentionVectors) {
        add_columns_q8<V::kAttentionVectors, kQueries>(q_begin + c, i, n_groups);
      }
      for (; i < head; i += 16) add_columns_q8<1, kQueries>(q_begin + c, i, n_groups);
    });
  }

  template <int kVectors, int kQueries>
  void add_columns_q8(int64_t first_query, int64_t i, int64_t n_groups) const {
    typename V::Lanes dots[kVectors][kQueries];
    RECKON_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) dots[v][q] = V::lanes(0);
    }
    const int8_t* weight = weight_bytes + first_query * kAttentionTile;
    const uint8_t* value = values + 4 * i;
    for (int64_t p = 0; p < 16 * n_groups; p += 4) {
      typename V::ValueBytes x[kVectors];
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) x[v] = V::load_values(value + p * head + 64 * v);
      RECKON_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        RECKON_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          dots[v][q] = V::dot_values(dots[v][q], x[v], weight + q * kAttentionTile + p);
        }
      }
    }
    RECKON_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const typename V::Floats d = V::set(weight_scales[first_query + q]);
      const typename V::Floats correction = V::set(corrections[first_query + q]);
      float* out = state.sums + (first_query + q) * padded + i;
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const typename V::Floats before = V::mul(V::load(out + 16 * v), correction);
        V::store(out + 16 * v, V::fma(d, V::lanes_to_floats(dots[v][q]), before));
      }
    }
  }

  // For queries [begin, end), all of which see the tile's first n positions.
  void add_values_f16(int64_t begin, int64_t end, int64_t n) const {
    for_column_tiles<V::kAttentionQueries>(end - begin, [&](int64_t c, auto columns) {
      constexpr int kQueries = decltype(columns)::kCount;
      int64_t i = 0;
      for (; i + 16 * V::kAttentionVectors <= head; i += 16 * V::kAttentionVectors) {
        add_columns_f16<V::kAttentionVectors, kQueries>(begin + c, i, n);
      }
      for (; i < head; i += 16) add_columns_f16<1, kQueries>(begin + c, i, n);
    });
  }

  // Sixteen halves of a row, or those that are left, behind them zeros.
  typename V::Floats load_values_f16(int64_t p, int64_t i) const {
    const uint8_t* at = values + (p * head + i) * 2;
    if (i + 16 <= head) return V::load_f16(at);
    uint16_t halves[16] = {};
    __builtin_memcpy(halves, at, static_cast<uint64_t>(2 * (head - i)));
    return V::load_f16(halves);
  }

  template <int kVectors, int kQueries>
  void add_columns_f16(int64_t first_query, int64_t i, int64_t n) const {
    typename V::Floats sums[kVectors][kQueries];
    float* out = state.sums + first_query * padded + i;
    RECKON_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const typename V::Floats correction = V::set(corrections[first_query + q]);
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        sums[v][q] = V::mul(V::load(out + q * padded + 16 * v), correction);
      }
    }
    const float* weight = weights + first_query * kAttentionTile;
    for (int64_t p = 0; p < n; ++p) {
      typename V::Floats x[kVectors];
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) x[v] = load_values_f16(p, i + 16 * v);
      RECKON_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        const typename V::Floats w = V::set(weight[q * kAttentionTile + p]);
        RECKON_UNROLL
        for (int v = 0; v < kVectors; ++v) sums[v][q] = V::fma(w, x[v], sums[v][q]);
      }
    }
    RECKON_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) V::store(out + q * padded + 16 * v, sums[v][q]);
    }
  }
};

// Joins query q of `after` to `before`.
template <class V>
inline void join_states(int64_t q, int64_t padded, const AttentionStateView& before,
                        const AttentionStateView& after) {
  const float maximum = after.maxima[q] > before.maxima[q] ? after.maxima[q] : before.maxima[q];
  float factors[16] = {before.maxima[q] - maximum, after.maxima[q] - maximum};
  V::store(factors, exponential<V>(V::load(factors)));
  before.maxima[q] = maximum;
  before.normalisers[q] =
      __builtin_fmaf(before.normalisers[q], factors[0], after.normalisers[q] * factors[1]);
  const typename V::Floats a = V::set(factors[0]);
  const typename V::Floats b = V::set(factors[1]);
  for (int64_t i = q * padded; i < (q + 1) * padded; i += 16) {
    V::store(before.sums + i,
             V::fma(V::load(before.sums + i), a, V::mul(V::load(after.sums + i), b)));
  }
}

template <class V>
void attention(const AttentionArgs& args) noexcept {
  AttentionPass<V> pass(args);
  pass.sum_segment(args.segment_begin * kAttentionSegment, args.states);
  const AttentionStateView before = view_of(args.states, pass.n_queries, pass.head);
  for (int64_t s = args.segment_begin + 1; s < args.segment_end; ++s) {
    const int64_t begin = s * kAttentionSegment;
    pass.sum_segment(begin, args.scratch);
    for (int64_t q = 0; q < pass.n_queries; ++q) {
      if (pass.positions_of(q) > begin) join_states<V>(q, pass.padded, before, pass.state);
    }
  }
}

template <class V>
void attention_output(const AttentionArgs& args, int64_t n_states) noexcept {
  const int64_t n_queries = args.n_tokens * args.n_heads;
  const int64_t padded = padded_16(args.head_dim);
  const int64_t stride = attention_state(n_queries, args.head_dim).total;
  const AttentionStateView first = view_of(args.states, n_queries, args.head_dim);
  for (int64_t q = 0; q < n_queries; ++q) {
    const int64_t n_positions = args.first_position + q / args.n_heads + 1;
    for (int64_t s = 1; s < n_states && s * kAttentionSegment < n_positions; ++s) {
      join_states<V>(q, padded, first, view_of(args.states + s * stride, n_queries, args.head_dim));
    }
    float* out = args.out + q / args.n_heads * args.token_stride + q % args.n_heads * args.head_dim;
    const typename V::Floats normaliser = V::set(first.normalisers[q]);
    for_sixteens(args.head_dim, [&](int64_t i, int64_t n) {
      store_n<V>(out + i, n, V::div(V::load(first.sums + q * padded + i), normaliser));
    });
  }
}

}  // namespace
}  // namespace reckon::kernels
