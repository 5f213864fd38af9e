// Products of the formats of 32 with 8-bit activations. One float accumulator an output; a block's
// sum of quant products is an exact integer.
#include <cstring>

#include "kernels/activations.h"
#include "kernels/scalar/scalar.h"
#include "quants/blocks.h"
#include "quants/half.h"

namespace reckon::kernels::scalar {
namespace {

// A weight block spread out: value[i] = d * q[i] + m.
struct Spread {
  float d = 0.0f;
  float m = 0.0f;
  int8_t q[32];
};

// Elements j and j + 16 share byte j of the nibble formats.
int low_nibble(uint8_t byte) { return byte & 15; }
int high_nibble(uint8_t byte) { return byte >> 4; }
int fifth_bit(const uint8_t* qh, int i) { return (qh[i / 8] >> (i % 8) & 1) << 4; }

void spread(const BlockQ4_0& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out.q[j] = static_cast<int8_t>(low_nibble(block.qs[j]) - 8);
    out.q[j + 16] = static_cast<int8_t>(high_nibble(block.qs[j]) - 8);
  }
}

void spread(const BlockQ4_1& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  out.m = f16_to_f32(block.m);
  for (int j = 0; j < 16; ++j) {
    out.q[j] = static_cast<int8_t>(low_nibble(block.qs[j]));
    out.q[j + 16] = static_cast<int8_t>(high_nibble(block.qs[j]));
  }
}

void spread(const BlockQ5_0& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out.q[j] = static_cast<int8_t>((low_nibble(block.qs[j]) | fifth_bit(block.qh, j)) - 16);
    out.q[j + 16] =
        static_cast<int8_t>((high_nibble(block.qs[j]) | fifth_bit(block.qh, j + 16)) - 16);
  }
}

void spread(const BlockQ5_1& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  out.m = f16_to_f32(block.m);
  for (int j = 0; j < 16; ++j) {
    out.q[j] = static_cast<int8_t>(low_nibble(block.qs[j]) | fifth_bit(block.qh, j));
    out.q[j + 16] = static_cast<int8_t>(high_nibble(block.qs[j]) | fifth_bit(block.qh, j + 16));
  }
}

void spread(const BlockQ8_0& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  std::memcpy(out.q, block.qs, 32);
}

void spread(const BlockIQ4_NL& block, Spread& out) {
  out.d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out.q[j] = kIq4NlValues[low_nibble(block.qs[j])];
    out.q[j + 16] = kIq4NlValues[high_nibble(block.qs[j])];
  }
}

// At most 32 * 128 * 127 = 520,192 in magnitude: exact, and so is its conversion to float.
int dot_32(const int8_t* w, const int8_t* a) {
  int sum = 0;
  for (int i = 0; i < 32; ++i) sum += w[i] * a[i];
  return sum;
}

// Columns that share one unpacking of the weights.
constexpr int64_t kColumns = 16;

template <class Block, bool kHasMinimum>
void gemm(const GemmArgs& g) noexcept {
  const int64_t n_blocks = g.depth / 32;
  const int64_t stride = activation_stride_32(g.depth);
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
          const auto& a = reinterpret_cast<const ActivationBlock32*>(columns + c * stride)[b];
          sums[c] = fused(w.d * a.d, static_cast<float>(dot_32(w.q, a.q)), sums[c]);
          if constexpr (kHasMinimum) {
            sums[c] = fused(w.m * a.d, static_cast<float>(a.sum), sums[c]);
          }
        }
      }
      for (int64_t c = 0; c < n; ++c) g.out[(first + c) * g.out_stride + r] = sums[c];
    }
  }
}

}  // namespace

GemmFunction gemm_q8_32(TensorType weight) noexcept {
  switch (weight) {
    case TensorType::kQ4_0: return gemm<BlockQ4_0, false>;
    case TensorType::kQ4_1: return gemm<BlockQ4_1, true>;
    case TensorType::kQ5_0: return gemm<BlockQ5_0, false>;
    case TensorType::kQ5_1: return gemm<BlockQ5_1, true>;
    case TensorType::kQ8_0: return gemm<BlockQ8_0, false>;
    case TensorType::kIQ4_NL: return gemm<BlockIQ4_NL, false>;
    default: return nullptr;
  }
}

}  // namespace reckon::kernels::scalar
