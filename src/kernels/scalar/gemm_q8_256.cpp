// Products of the 256-element formats with 8-bit activations. The sub-blocks' scales are combined
// in whole numbers; a block then adds one term to its output's float accumulator, and one more
// where the format has minima.
#include <cstring>

#include "kernels/activations.h"
#include "kernels/scalar/scalar.h"
#include "quants/blocks.h"
#include "quants/half.h"

namespace reckon::kernels::scalar {
namespace {

// A weight block spread out: value[i] = d * scale[i / 16] * q[i] - dmin * min[i / 16]. Formats with
// sub-blocks of 32 repeat theirs.
struct Spread {
  float d = 0.0f;
  float dmin = 0.0f;
  int scale[16] = {};
  int min[16] = {};
  int8_t q[256];
};

void spread(const BlockQ2_K& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  out.dmin = f16_to_f32(block.dmin);
  for (int s = 0; s < 16; ++s) {
    out.scale[s] = block.scales[s] & 15;
    out.min[s] = block.scales[s] >> 4;
  }
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int plane = i / 32 % 4;
    out.q[i] = static_cast<int8_t>(block.qs[half * 32 + i % 32] >> (2 * plane) & 3);
  }
}

void spread(const BlockQ3_K& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  int8_t scales[16];
  unpack_scales_q3_k(block.scales, scales);
  for (int s = 0; s < 16; ++s) out.scale[s] = scales[s];
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int plane = i / 32 % 4;
    const int low = block.qs[half * 32 + i % 32] >> (2 * plane) & 3;
    const int high = block.hmask[i % 32] >> (i / 32) & 1;
    out.q[i] = static_cast<int8_t>((low | high << 2) - 4);
  }
}

void spread_scales_mins(const uint8_t* packed, Spread& out) {
  uint8_t scales[8];
  uint8_t mins[8];
  unpack_scales_mins(packed, scales, mins);
  for (int s = 0; s < 16; ++s) {
    out.scale[s] = scales[s / 2];
    out.min[s] = mins[s / 2];
  }
}

void spread(const BlockQ4_K& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  out.dmin = f16_to_f32(block.dmin);
  spread_scales_mins(block.scales, out);
  for (int i = 0; i < 256; ++i) {
    out.q[i] = static_cast<int8_t>(block.qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15);
  }
}

void spread(const BlockQ5_K& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  out.dmin = f16_to_f32(block.dmin);
  spread_scales_mins(block.scales, out);
  for (int i = 0; i < 256; ++i) {
    const int low = block.qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
    const int high = block.qh[i % 32] >> (i / 32) & 1;
    out.q[i] = static_cast<int8_t>(low | high << 4);
  }
}

void spread(const BlockQ6_K& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  for (int s = 0; s < 16; ++s) out.scale[s] = block.scales[s];
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int quarter = i / 32 % 4;
    const int low = block.qs[half * 64 + quarter % 2 * 32 + i % 32] >> (quarter / 2 * 4) & 15;
    const int high = block.qh[half * 32 + i % 32] >> (2 * quarter) & 3;
    out.q[i] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

void spread(const BlockIQ4_XS& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  for (int s = 0; s < 16; ++s) out.scale[s] = scale_iq4_xs(block, s / 2);
  for (int i = 0; i < 256; ++i) {
    const uint8_t byte = block.qs[i / 32 * 16 + i % 16];
    out.q[i] = kIq4NlValues[i / 16 % 2 == 0 ? byte & 15 : byte >> 4];
  }
}

// Sum over sub-blocks of scale * (q . a). The largest magnitude any format reaches is Q6_K's,
// 256 * 128 * 32 * 127 = 133,169,152 < 2^31 (IQ4_XS: 256 * 32 * 127 * 127 = 132,128,768;
// Q5_K: 256 * 63 * 31 * 127 = 63,495,936): exact.
int scaled_dot(const Spread& w, const int8_t* a) {
  int total = 0;
  for (int s = 0; s < 16; ++s) {
    int sum = 0;
    for (int i = s * 16; i < s * 16 + 16; ++i) sum += w.q[i] * a[i];
    total += w.scale[s] * sum;
  }
  return total;
}

// At most 63 * 256 * 127 = 2,048,256: exact.
int scaled_sum(const Spread& w, const int16_t* sums_16) {
  int total = 0;
  for (int s = 0; s < 16; ++s) total += w.min[s] * sums_16[s];
  return total;
}

// Columns that share one unpacking of the weights.
constexpr int64_t kColumns = 16;

template <class Block, bool kHasMinimum>
void gemm(const GemmArgs& g) noexcept {
  const int64_t n_blocks = g.depth / 256;
  const int64_t stride = activation_stride_256(g.depth);
  for (int64_t r = g.row_begin; r < g.row_end; ++r) {
    const auto* row = static_cast<const unsigned char*>(g.weights) + r * g.weight_row_bytes;
    for (int64_t first = 0; first < g.n_columns; first += kColumns) {
      const int64_t n = g.n_columns - first < kColumns ? g.n_columns - first : kColumns;
      const auto* columns = static_cast<const unsigned char*>(g.activations) + first * stride;
      float sums[kColumns] = {};
      for (int64_t b = 0; b < n_blocks; ++b) {
        Block block;
        std::memcpy(&block, row + b * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
        Spread w;
        spread(block, w);
        for (int64_t c = 0; c < n; ++c) {
          const auto& a = reinterpret_cast<const ActivationBlock256*>(columns + c * stride)[b];
          sums[c] = fused(w.d * a.d, static_cast<float>(scaled_dot(w, a.q)), sums[c]);
          if constexpr (kHasMinimum) {
            const auto minimum = static_cast<float>(scaled_sum(w, a.sums_16));
            sums[c] = fused(-(w.dmin * a.d), minimum, sums[c]);
          }
        }
      }
      for (int64_t c = 0; c < n; ++c) g.out[(first + c) * g.out_stride + r] = sums[c];
    }
  }
}

}  // namespace

GemmFunction gemm_q8_256(TensorType weight) noexcept {
  switch (weight) {
    case TensorType::kQ2_K: return gemm<BlockQ2_K, true>;
    case TensorType::kQ3_K: return gemm<BlockQ3_K, false>;
    case TensorType::kQ4_K: return gemm<BlockQ4_K, true>;
    case TensorType::kQ5_K: return gemm<BlockQ5_K, true>;
    case TensorType::kQ6_K: return gemm<BlockQ6_K, false>;
    case TensorType::kIQ4_XS: return gemm<BlockIQ4_XS, false>;
    default: return nullptr;
  }
}

}  // namespace reckon::kernels::scalar
