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

// A cached row in 8 bits: blocks of value[i] = d * q[i], d an IEEE half, |q| <= 127.
struct KvBlockQ8 {
  uint16_t d;
  int8_t q[32];
};
static_assert(sizeof(KvBlockQ8) == 34);

static inline int64_t kv_stride(bool is_q8, int64_t head_dim) {
  return is_q8 ? head_dim / 32 * static_cast<int64_t>(sizeof(KvBlockQ8)) : head_dim * 2;
}

// Head sizes are rounded up to whole 16-lane vectors inside the attention scratch.
static inline int64_t padded_head(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

// Cached rows that attention turns into floats at a time.
constexpr int64_t kAttentionRows = 8;
static_assert(kAttentionTile % kAttentionRows == 0);

// The scratch of one call, in floats from its start.
struct AttentionScratch {
  int64_t rows;         // [kAttentionRows, padded head]: keys or values
  int64_t queries;      // [n_queries, padded head]
  int64_t sums;         // [n_queries, padded head]: the weighted values so far
  int64_t weights;      // [n_queries, kAttentionTile]: scores, then their exponentials
  int64_t maxima;       // [n_queries]
  int64_t normalisers;  // [n_queries]
  int64_t total;
};
static inline AttentionScratch attention_scratch(int64_t n_queries, int64_t head_dim) {
  const int64_t head = padded_head(head_dim);
  AttentionScratch s;
  s.rows = 0;
  s.queries = s.rows + kAttentionRows * head;
  s.sums = s.queries + n_queries * head;
  s.weights = s.sums + n_queries * head;
  s.maxima = s.weights + n_queries * kAttentionTile;
  s.normalisers = s.maxima + n_queries;
  s.total = s.normalisers + n_queries;
  return s;
}

}  // namespace reckon::kernels
