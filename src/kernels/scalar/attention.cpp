// Attention in one pass over the cache (Milakov and Gimelshein 2018: softmax with a running
// maximum), tile by tile, so that no score outlives its tile.
#include "kernels/activations.h"
#include "kernels/scalar/scalar.h"
#include "quants/half.h"

namespace reckon::kernels::scalar {
namespace {

// Element i of a cached row; both forms are exact in float (a half has 11 significant bits, q 7).
float cached_value(KvType type, const std::byte* row, int64_t i) {
  if (type == KvType::kF16) return f16_to_f32(reinterpret_cast<const uint16_t*>(row)[i]);
  const KvBlockQ8& block = reinterpret_cast<const KvBlockQ8*>(row)[i / 32];
  return f16_to_f32(block.d) * static_cast<float>(block.q[i % 32]);
}

const std::byte* cached_row(const AttentionArgs& args, const std::byte* const* pages, int64_t p) {
  return pages[p / args.page_positions] +
         p % args.page_positions * kv_stride(args.kv_type == KvType::kQ8, args.head_dim);
}

float score(const AttentionArgs& args, const float* query, int64_t p) {
  const std::byte* key = cached_row(args, args.page_k, p);
  Lanes lanes;
  for (int64_t i = 0; i < padded_16(args.head_dim); ++i) {
    float& lane = lanes.lane[i % 16];
    lane = i < args.head_dim ? fused(query[i], cached_value(args.kv_type, key, i), lane)
                             : fused(0.0f, 0.0f, lane);
  }
  return lanes.sum() * args.scale;
}

void attend_one(const AttentionArgs& args, const float* query, float* out) {
  float maximum = -__builtin_inff();
  float normaliser = 0.0f;
  for (int64_t i = 0; i < args.head_dim; ++i) out[i] = 0.0f;
  for (int64_t first = 0; first < args.n_positions; first += kAttentionTile) {
    const int64_t left = args.n_positions - first;
    const int64_t n = left < kAttentionTile ? left : kAttentionTile;
    float weights[kAttentionTile];
    float new_maximum = maximum;
    for (int64_t j = 0; j < n; ++j) {
      weights[j] = score(args, query, first + j);
      if (weights[j] > new_maximum) new_maximum = weights[j];
    }
    const float correction = exponential(maximum - new_maximum);
    maximum = new_maximum;
    Lanes lanes;
    for (int64_t j = 0; j < n; ++j) {
      weights[j] = exponential(weights[j] - maximum);
      lanes.lane[j % 16] = lanes.lane[j % 16] + weights[j];
    }
    normaliser = fused(normaliser, correction, lanes.sum());
    for (int64_t i = 0; i < args.head_dim; ++i) out[i] = out[i] * correction;
    for (int64_t j = 0; j < n; ++j) {
      const std::byte* value = cached_row(args, args.page_v, first + j);
      for (int64_t i = 0; i < args.head_dim; ++i) {
        out[i] = fused(weights[j], cached_value(args.kv_type, value, i), out[i]);
      }
    }
  }
  for (int64_t i = 0; i < args.head_dim; ++i) out[i] = out[i] / normaliser;
}

}  // namespace

void attention(const AttentionArgs& args) noexcept {
  for (int64_t q = 0; q < args.n_queries; ++q) {
    attend_one(args, args.queries + q * args.head_dim, args.out + q * args.head_dim);
  }
}

}  // namespace reckon::kernels::scalar
