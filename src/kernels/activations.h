// Quantised activations, as the quantize functions write them and the products read them: blocks of
// a float scale, the quants' sums and the quants. Internal to kernels/.
//
// Everything here has internal linkage: instruction-set objects must not export weak symbols.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace reckon::kernels {

// kQ8_32: value[i] = d * q[i], |q| <= 127.
struct ActivationBlock32 {
  float d;
  int32_t sum;  // of q
  int8_t q[32];
};
static_assert(sizeof(ActivationBlock32) == 40);

// kQ8_256: one cache line of scale and sums, four of quants.
struct ActivationBlock256 {
  float d;
  int16_t sums_16[16];  // of 16 consecutive q each: at most 16 * 127 = 2,032
  int16_t sums_32[8];   // of 32 consecutive q each: at most 4,064
  uint8_t zero[12];
  int8_t q[256];
};
static_assert(sizeof(ActivationBlock256) == 320);

// Blocks whose largest magnitude is below this are stored as zeros: 127 / amax stays finite.
constexpr float kLeastActivation = 0x1p-100f;

// A row's bytes, rounded up to an odd number of cache lines: columns then never lie a power of two
// apart, where they would compete for the same cache sets.
static inline int64_t odd_lines(int64_t bytes) { return ((bytes + 63) / 64 | 1) * 64; }
static inline int64_t activation_stride_32(int64_t n) {
  return odd_lines(n / 32 * static_cast<int64_t>(sizeof(ActivationBlock32)));
}
static inline int64_t activation_stride_256(int64_t n) {
  return odd_lines(n / 256 * static_cast<int64_t>(sizeof(ActivationBlock256)));
}

// ---- tiles of the KV cache ----
//
// kF16. Keys: the tile's positions in groups of 16; in a group, for each element, 16 halves, one a
// position. Values: a row of halves a position.
//
// kQ8. Keys: value = d * q with a half d for 32 elements, |q| <= 127. In a group of 16 positions,
// for each four elements, four bytes a position; behind all groups, for each group and 32 elements,
// the 16 positions' d. Values: value = d * q with a half d for the whole row. For each four
// positions, for each element, four bytes, one a position; behind them the positions' d.
constexpr int64_t kPositionGroup = 16;

static inline int64_t key_half_at(int64_t head_dim, int64_t p, int64_t i) {
  return ((p / 16 * head_dim + i) * 16 + p % 16) * 2;
}
static inline int64_t key_word_at(int64_t head_dim, int64_t p, int64_t i) {
  return (p / 16 * (head_dim / 4) + i / 4) * 64 + p % 16 * 4;
}
static inline int64_t key_scale_at(int64_t head_dim, int64_t p, int64_t i) {
  return kAttentionTile * head_dim + ((p / 16 * (head_dim / 32) + i / 32) * 16 + p % 16) * 2;
}
static inline int64_t value_byte_at(int64_t head_dim, int64_t p, int64_t i) {
  return (p / 4 * head_dim + i) * 4 + p % 4;
}
static inline int64_t value_scale_at(int64_t head_dim, int64_t p) {
  return kAttentionTile * head_dim + p * 2;
}

// Head sizes are rounded up to whole 16-lane vectors inside the attention's own memory.
static inline int64_t padded_16(int64_t n) { return (n + 15) / 16 * 16; }

// What attention keeps of the positions it has seen, in floats from its start.
struct AttentionState {
  int64_t sums;         // [n_queries, padded head]: the weighted values
  int64_t maxima;       // [n_queries, padded]: the largest score
  int64_t normalisers;  // [n_queries, padded]: the sum of the weights
  int64_t total;
};
static inline AttentionState attention_state(int64_t n_queries, int64_t head_dim) {
  AttentionState s;
  s.sums = 0;
  s.maxima = s.sums + n_queries * padded_16(head_dim);
  s.normalisers = s.maxima + padded_16(n_queries);
  s.total = s.normalisers + padded_16(n_queries);
  return s;
}

// The scratch of one call, in floats from its start.
struct AttentionScratch {
  int64_t state;          // an AttentionState: of a segment that is to be joined to others
  int64_t queries;        // [n_queries, padded head], times the scale
  int64_t query_bytes;    // kQ8: [n_queries, head_dim] bytes
  int64_t query_scales;   // kQ8: [n_queries, head_dim / 32]
  int64_t query_sums;     // kQ8: [n_queries, head_dim / 32] whole numbers
  int64_t weights;        // [n_queries, kAttentionTile]: scores, then their exponentials
  int64_t weight_bytes;   // kQ8: [n_queries, kAttentionTile] bytes
  int64_t weight_scales;  // kQ8: [n_queries, padded]
  int64_t corrections;    // [n_queries, padded]
  int64_t new_maxima;     // [n_queries, padded]
  int64_t value_scales;   // kQ8: [kAttentionTile]
  int64_t total;
};
static inline AttentionScratch attention_scratch(int64_t n_queries, int64_t head_dim) {
  const int64_t n_blocks = padded_16(n_queries * ((head_dim + 31) / 32));
  AttentionScratch s;
  s.state = 0;
  s.queries = s.state + attention_state(n_queries, head_dim).total;
  s.query_bytes = s.queries + n_queries * padded_16(head_dim);
  s.query_scales = s.query_bytes + n_queries * padded_16(head_dim) / 4;
  s.query_sums = s.query_scales + n_blocks;
  s.weights = s.query_sums + n_blocks;
  s.weight_bytes = s.weights + n_queries * kAttentionTile;
  s.weight_scales = s.weight_bytes + n_queries * kAttentionTile / 4;
  s.corrections = s.weight_scales + padded_16(n_queries);
  s.new_maxima = s.corrections + padded_16(n_queries);
  s.value_scales = s.new_maxima + padded_16(n_queries);
  s.total = s.value_scales + kAttentionTile;
  return s;
}

}  // namespace reckon::kernels
