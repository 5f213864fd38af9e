// Attention and the cached rows, for any instruction set V, in the order of scalar/attention.cpp.
// Cached rows are turned into floats once for all queries that share the head.
#pragma once

#include "kernels/vector/rows.h"
#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

template <class V>
inline void store_kv_block(const float* x, KvBlockQ8& block) {
  const typename V::Floats a = V::load(x);
  const typename V::Floats b = V::load(x + 16);
  const uint32_t bits =
      V::largest_magnitude(V::larger_magnitudes(V::larger_magnitudes(V::no_magnitudes(), a), b));
  uint16_t d = V::half_of_float(__builtin_bit_cast(float, bits) / 127.0f);
  if (bits >= kInfinityBits || d >= 0x7c00u) d = 0x7e00u;
  block.d = d;
  if (d == 0 || d >= 0x7c00u) {
    for (int8_t& q : block.q) q = 0;
    return;
  }
  const typename V::Floats inverse = V::set(1.0f / V::float_of_half(d));
  for (int i = 0; i < 2; ++i) {
    typename V::Floats q = V::mul(i == 0 ? a : b, inverse);
    q = V::where_above(q, 127.0f, 127.0f, q);
    q = V::where_below(q, -127.0f, -127.0f, q);
    V::store_i8(block.q + 16 * i, q);
  }
}

template <class V>
void store_kv(KvType type, const float* x, int64_t head_dim, void* row) noexcept {
  if (type == KvType::kQ8) {
    auto* blocks = static_cast<KvBlockQ8*>(row);
    for (int64_t b = 0; b < head_dim / 32; ++b) store_kv_block<V>(x + b * 32, blocks[b]);
    return;
  }
  auto* halves = static_cast<uint8_t*>(row);
  for_sixteens(head_dim, [&](int64_t i, int64_t count) {
    const typename V::Floats v = load_n<V>(x + i, count);
    if (count == 16) return V::store_f16(halves + 2 * i, v);
    uint16_t values[16];
    V::store_f16(values, v);
    __builtin_memcpy(halves + 2 * i, values, static_cast<uint64_t>(2 * count));
  });
}

// One cached row -> floats, zeros up to the padded head size.
template <class V>
inline void load_row(const AttentionArgs& args, const std::byte* const* pages, int64_t p,
                     float* out) {
  const auto* row = reinterpret_cast<const uint8_t*>(pages[p / args.page_positions]) +
                    p % args.page_positions * kv_stride(args.kv_type == KvType::kQ8, args.head_dim);
  if (args.kv_type == KvType::kQ8) {
    for (int64_t b = 0; b < args.head_dim / 32; ++b) {
      const auto& block = reinterpret_cast<const KvBlockQ8*>(row)[b];
      const typename V::Floats d = V::set(V::float_of_half(block.d));
      V::store(out + b * 32, V::mul(d, V::load_i8(block.q)));
      V::store(out + b * 32 + 16, V::mul(d, V::load_i8(block.q + 16)));
    }
    return;
  }
  for_sixteens(args.head_dim, [&](int64_t i, int64_t count) {
    if (count == 16) return V::store(out + i, V::load_f16(row + 2 * i));
    uint16_t values[16] = {};
    __builtin_memcpy(values, row + 2 * i, static_cast<uint64_t>(2 * count));
    V::store(out + i, V::load_f16(values));
  });
}

// Attention's state over one call.
template <class V>
struct AttentionPass {
  const AttentionArgs& args;
  const int64_t head;  // padded size
  float* rows;         // [kAttentionRows, head]
  float* queries;      // [n_queries, head]
  float* sums;         // [n_queries, head]
  float* weights;      // [n_queries, kAttentionTile]
  float* maxima;       // [n_queries]
  float* normalisers;  // [n_queries]

  explicit AttentionPass(const AttentionArgs& a) : args(a), head(padded_head(a.head_dim)) {
    const AttentionScratch s = attention_scratch(a.n_queries, a.head_dim);
    rows = a.scratch + s.rows;
    queries = a.scratch + s.queries;
    sums = a.scratch + s.sums;
    weights = a.scratch + s.weights;
    maxima = a.scratch + s.maxima;
    normalisers = a.scratch + s.normalisers;
    for (int64_t i = 0; i < kAttentionRows * head; i += 16) V::store(rows + i, V::set(0.0f));
    for (int64_t q = 0; q < a.n_queries; ++q) {
      maxima[q] = -__builtin_inff();
      normalisers[q] = 0.0f;
      for_sixteens(a.head_dim, [&](int64_t i, int64_t count) {
        V::store(queries + q * head + i, load_n<V>(a.queries + q * a.head_dim + i, count));
        V::store(sums + q * head + i, V::set(0.0f));
      });
    }
  }

  // Rows [first, first + n) of K or V -> rows.
  void load_rows(const std::byte* const* pages, int64_t first, int64_t n) {
    for (int64_t j = 0; j < n; ++j) load_row<V>(args, pages, first + j, rows + j * head);
  }

  // weights[q][j] = scale * query . key for the tile's n positions; the rest -infinity, whose
  // exponential adds nothing.
  void score_tile(int64_t first, int64_t n) {
    for (int64_t j = 0; j < n; j += kAttentionRows) {
      const int64_t count = n - j < kAttentionRows ? n - j : kAttentionRows;
      load_rows(args.page_k, first + j, count);
      for (int64_t q = 0; q < args.n_queries; ++q) {
        for (int64_t i = 0; i < count; i += 4) {
          // Rows the tile lacks hold older ones or zeros: their scores are overwritten below.
          score_four(queries + q * head, rows + i * head, weights + q * kAttentionTile + j + i);
        }
      }
    }
    for (int64_t q = 0; q < args.n_queries; ++q) {
      for (int64_t j = n; j < kAttentionTile; ++j) {
        weights[q * kAttentionTile + j] = -__builtin_inff();
      }
    }
  }

  void score_four(const float* query, const float* keys, float* out) const {
    typename V::Floats dots[4] = {V::set(0.0f), V::set(0.0f), V::set(0.0f), V::set(0.0f)};
    for (int64_t i = 0; i < head; i += 16) {
      const typename V::Floats x = V::load(query + i);
      RECKON_UNROLL
      for (int r = 0; r < 4; ++r) dots[r] = V::fma(x, V::load(keys + r * head + i), dots[r]);
    }
    V::sum4(dots, out);
    RECKON_UNROLL
    for (int r = 0; r < 4; ++r) out[r] = out[r] * args.scale;
  }

  // Scores -> exponentials below the running maximum; what was summed before is scaled to it.
  void normalise_tile(int64_t q) {
    float* w = weights + q * kAttentionTile;
    const typename V::Floats low = V::load(w);
    const typename V::Floats high = V::load(w + 16);
    const float tile_maximum = V::largest(V::max(low, high));
    const float maximum = tile_maximum > maxima[q] ? tile_maximum : maxima[q];
    float corrections[16];
    V::store(corrections, exponential<V>(V::set(maxima[q] - maximum)));
    const float correction = corrections[0];
    maxima[q] = maximum;
    const typename V::Floats m = V::set(maximum);
    const typename V::Floats p_low = exponential<V>(V::sub(low, m));
    const typename V::Floats p_high = exponential<V>(V::sub(high, m));
    V::store(w, p_low);
    V::store(w + 16, p_high);
    const float tile_sum = V::sum(V::add(p_low, p_high));
    normalisers[q] = __builtin_fmaf(normalisers[q], correction, tile_sum);
    for (int64_t i = 0; i < head; i += 16) {
      V::store(sums + q * head + i, V::mul(V::load(sums + q * head + i), V::set(correction)));
    }
  }

  void add_values(int64_t first, int64_t n) {
    for (int64_t j = 0; j < n; j += kAttentionRows) {
      const int64_t count = n - j < kAttentionRows ? n - j : kAttentionRows;
      load_rows(args.page_v, first + j, count);
      for (int64_t q = 0; q < args.n_queries; ++q) {
        const float* w = weights + q * kAttentionTile + j;
        int64_t i = 0;
        for (; i + 32 <= head; i += 32) add_value_columns<2>(w, count, q, i);
        if (i < head) add_value_columns<1>(w, count, q, i);
      }
    }
  }

  template <int kVectors>
  void add_value_columns(const float* w, int64_t count, int64_t q, int64_t i) {
    float* out = sums + q * head + i;
    typename V::Floats s[kVectors];
    RECKON_UNROLL
    for (int v = 0; v < kVectors; ++v) s[v] = V::load(out + 16 * v);
    for (int64_t j = 0; j < count; ++j) {
      const typename V::Floats p = V::set(w[j]);
      RECKON_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        s[v] = V::fma(p, V::load(rows + j * head + i + 16 * v), s[v]);
      }
    }
    RECKON_UNROLL
    for (int v = 0; v < kVectors; ++v) V::store(out + 16 * v, s[v]);
  }

  void write_out() {
    for (int64_t q = 0; q < args.n_queries; ++q) {
      const typename V::Floats normaliser = V::set(normalisers[q]);
      for_sixteens(args.head_dim, [&](int64_t i, int64_t count) {
        store_n<V>(args.out + q * args.head_dim + i, count,
                   V::div(V::load(sums + q * head + i), normaliser));
      });
    }
  }
};

template <class V>
void attention(const AttentionArgs& args) noexcept {
  AttentionPass<V> pass(args);
  for (int64_t first = 0; first < args.n_positions; first += kAttentionTile) {
    const int64_t left = args.n_positions - first;
    const int64_t n = left < kAttentionTile ? left : kAttentionTile;
    pass.score_tile(first, n);
    for (int64_t q = 0; q < args.n_queries; ++q) pass.normalise_tile(q);
    pass.add_values(first, n);
  }
  pass.write_out();
}

}  // namespace
}  // namespace reckon::kernels
