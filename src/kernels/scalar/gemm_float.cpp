// Products of float weights with float activations: 16 lanes of fused multiply-adds an output.
#include <cstring>

#include "kernels/activations.h"
#include "kernels/scalar/scalar.h"
#include "quants/half.h"

namespace reckon::kernels::scalar {
namespace {

float weight_f32(const unsigned char* row, int64_t k) {
  float value;
  std::memcpy(&value, row + 4 * k, 4);
  return value;
}

uint16_t weight_bits(const unsigned char* row, int64_t k) {
  uint16_t bits;
  std::memcpy(&bits, row + 2 * k, 2);
  return bits;
}

float weight_f16(const unsigned char* row, int64_t k) { return f16_to_f32(weight_bits(row, k)); }
float weight_bf16(const unsigned char* row, int64_t k) { return bf16_to_f32(weight_bits(row, k)); }

template <float (*weight)(const unsigned char*, int64_t)>
void gemm(const GemmArgs& g) noexcept {
  for (int64_t r = g.row_begin; r < g.row_end; ++r) {
    const auto* row = static_cast<const unsigned char*>(g.weights) + r * g.weight_row_bytes;
    for (int64_t c = 0; c < g.n_columns; ++c) {
      const float* column = static_cast<const float*>(g.activations) + c * g.depth;
      Lanes lanes;
      for (int64_t k = 0; k < padded_16(g.depth); ++k) {
        float& lane = lanes.lane[k % 16];
        lane = k < g.depth ? fused(weight(row, k), column[k], lane) : fused(0.0f, 0.0f, lane);
      }
      g.out[c * g.out_stride + r] = lanes.sum();
    }
  }
}

}  // namespace

GemmFunction gemm_float(TensorType weight) noexcept {
  switch (weight) {
    case TensorType::kF32: return gemm<weight_f32>;
    case TensorType::kF16: return gemm<weight_f16>;
    case TensorType::kBF16: return gemm<weight_bf16>;
    default: return nullptr;
  }
}

}  // namespace reckon::kernels::scalar
