// Attention in one pass over the cache (Milakov and Gimelshein 2018: softmax with a running
// maximum), tile by tile, so that no score outlives its tile.
#include "kernels/activations.h"
#include "kernels/scalar/scalar.h"
#include "quants/half.h"

namespace reckon::kernels::scalar {
namespace {

float half_at(const uint8_t* bytes) {
  uint16_t half;
  __builtin_memcpy(&half, bytes, 2);
  return f16_to_f32(half);
}

// One query's state, somewhere in an AttentionState.
struct State {
  float* sums;
  float* maximum;
  float* normaliser;
};

State state_of(const AttentionArgs& args, float* states, int64_t query) {
  const AttentionState at = attention_state(args.n_tokens * args.n_heads, args.head_dim);
  return {.sums = states + at.sums + query * padded_16(args.head_dim),
          .maximum = states + at.maxima + query,
          .normaliser = states + at.normalisers + query};
}

// A query, scaled and, for kQ8, in blocks of 32.
struct Query {
  const float* values;
  const float* scales;
  const int8_t* bytes;
};

Query prepare(const AttentionArgs& args, const float* query) {
  const AttentionScratch at = attention_scratch(args.n_tokens * args.n_heads, args.head_dim);
  float* values = args.scratch + at.queries;
  float* scales = args.scratch + at.query_scales;
  auto* bytes = reinterpret_cast<int8_t*>(args.scratch + at.query_bytes);
  for (int64_t i = 0; i < args.head_dim; ++i) values[i] = query[i] * args.scale;
  if (args.kv_type == KvType::kQ8) {
    for (int64_t b = 0; b < args.head_dim / 32; ++b) {
      scales[b] = quantize_block(values + 32 * b, 32, bytes + 32 * b);
    }
  }
  return {.values = values, .scales = scales, .bytes = bytes};
}

float score(const AttentionArgs& args, const Query& query, const uint8_t* tile, int64_t p) {
  const int64_t head = args.head_dim;
  float sum = 0.0f;
  if (args.kv_type == KvType::kF16) {
    for (int64_t i = 0; i < head; ++i) {
      sum = fused(query.values[i], half_at(tile + key_half_at(head, p, i)), sum);
    }
    return sum;
  }
  for (int64_t b = 0; b < head; b += 32) {
    int32_t dot = 0;
    for (int64_t i = b; i < b + 32; ++i) {
      dot += static_cast<int8_t>(tile[key_word_at(head, p, i) + i % 4]) * query.bytes[i];
    }
    const float d = half_at(tile + key_scale_at(head, p, b)) * query.scales[b / 32];
    sum = fused(d, static_cast<float>(dot), sum);
  }
  return sum;
}

// sums = sums * correction + weights . values over the tile's first n positions.
void add_values(const AttentionArgs& args, float* weights, int64_t n, const uint8_t* tile,
                float correction, float* sums) {
  const int64_t head = args.head_dim;
  if (args.kv_type == KvType::kF16) {
    for (int64_t i = 0; i < head; ++i) {
      sums[i] = sums[i] * correction;
      for (int64_t p = 0; p < n; ++p) {
        sums[i] = fused(weights[p], half_at(tile + (p * head + i) * 2), sums[i]);
      }
    }
    return;
  }
  int8_t bytes[kAttentionTile];
  for (int64_t p = 0; p < kAttentionTile; ++p) {
    weights[p] = p < n ? weights[p] * half_at(tile + value_scale_at(head, p)) : 0.0f;
  }
  const float d = quantize_block(weights, kAttentionTile, bytes);
  for (int64_t i = 0; i < head; ++i) {
    int32_t dot = 0;
    for (int64_t p = 0; p < n; ++p) {
      dot += bytes[p] * static_cast<int8_t>(tile[value_byte_at(head, p, i)]);
    }
    sums[i] = fused(d, static_cast<float>(dot), sums[i] * correction);
  }
}

// Positions [begin, end), begin a segment's first, into a state of their own.
void sum_segment(const AttentionArgs& args, const Query& query, int64_t begin, int64_t end,
                 const State& state) {
  *state.maximum = -__builtin_inff();
  *state.normaliser = 0.0f;
  for (int64_t i = 0; i < args.head_dim; ++i) state.sums[i] = 0.0f;
  for (int64_t first = begin; first < end; first += kAttentionTile) {
    const int64_t left = end - first;
    const int64_t n = left < kAttentionTile ? left : kAttentionTile;
    const auto* keys = reinterpret_cast<const uint8_t*>(args.k_tiles[first / kAttentionTile]);
    const auto* values = reinterpret_cast<const uint8_t*>(args.v_tiles[first / kAttentionTile]);
    float weights[kAttentionTile];
    float maximum = *state.maximum;
    for (int64_t p = 0; p < n; ++p) {
      weights[p] = score(args, query, keys, p);
      if (weights[p] > maximum) maximum = weights[p];
    }
    const float correction = exponential(*state.maximum - maximum);
    *state.maximum = maximum;
    Lanes lanes;
    for (int64_t p = 0; p < n; ++p) {
      weights[p] = exponential(weights[p] - maximum);
      lanes.lane[p % 16] = lanes.lane[p % 16] + weights[p];
    }
    *state.normaliser = fused(*state.normaliser, correction, lanes.sum());
    add_values(args, weights, n, values, correction, state.sums);
  }
}

// Joins what came after to what was summed before.
void join(const AttentionArgs& args, const State& before, const State& after) {
  const float maximum = *after.maximum > *before.maximum ? *after.maximum : *before.maximum;
  const float a = exponential(*before.maximum - maximum);
  const float b = exponential(*after.maximum - maximum);
  *before.maximum = maximum;
  *before.normaliser = fused(*before.normaliser, a, *after.normaliser * b);
  for (int64_t i = 0; i < args.head_dim; ++i) {
    before.sums[i] = fused(before.sums[i], a, after.sums[i] * b);
  }
}

}  // namespace

void attention(const AttentionArgs& args) noexcept {
  const AttentionScratch scratch = attention_scratch(args.n_tokens * args.n_heads, args.head_dim);
  for (int64_t q = 0; q < args.n_tokens * args.n_heads; ++q) {
    const int64_t token = q / args.n_heads;
    const Query query =
        prepare(args, args.queries + token * args.token_stride + q % args.n_heads * args.head_dim);
    const State state = state_of(args, args.states, q);
    const State of_segment = state_of(args, args.scratch + scratch.state, q);
    const int64_t n_positions = args.first_position + token + 1;
    for (int64_t s = args.segment_begin; s < args.segment_end; ++s) {
      const int64_t begin = s * kAttentionSegment;
      if (begin >= n_positions) break;
      const int64_t end =
          n_positions - begin < kAttentionSegment ? n_positions : begin + kAttentionSegment;
      sum_segment(args, query, begin, end, s == args.segment_begin ? state : of_segment);
      if (s > args.segment_begin) join(args, state, of_segment);
    }
  }
}

void attention_output(const AttentionArgs& args, int64_t n_states) noexcept {
  const auto stride =
      static_cast<int64_t>(attention_state(args.n_tokens * args.n_heads, args.head_dim).total);
  for (int64_t q = 0; q < args.n_tokens * args.n_heads; ++q) {
    const State first = state_of(args, args.states, q);
    const int64_t n_positions = args.first_position + q / args.n_heads + 1;
    for (int64_t s = 1; s < n_states && s * kAttentionSegment < n_positions; ++s) {
      join(args, first, state_of(args, args.states + s * stride, q));
    }
    float* out = args.out + q / args.n_heads * args.token_stride + q % args.n_heads * args.head_dim;
    for (int64_t i = 0; i < args.head_dim; ++i) out[i] = first.sums[i] / *first.normaliser;
  }
}

}  // namespace reckon::kernels::scalar
