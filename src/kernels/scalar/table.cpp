// The row-wise operations, and the table.
#include "kernels/kernels.h"
#include "kernels/scalar/scalar.h"
#include "kernels/tables.h"

namespace reckon::kernels {
namespace scalar {
namespace {

GemmFunction gemm(TensorType weight) noexcept {
  if (GemmFunction function = gemm_float(weight)) return function;
  if (GemmFunction function = gemm_q8_32(weight)) return function;
  return gemm_q8_256(weight);
}

void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* out) noexcept {
  Lanes squares;
  for (int64_t i = 0; i < n; ++i) {
    squares.lane[i % 16] = fused(x[i], x[i], squares.lane[i % 16]);
  }
  const float mean = squares.sum() / static_cast<float>(n);
  const float inverse = 1.0f / __builtin_sqrtf(mean + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] * inverse) * weight[i];
}

void add(float* x, const float* y, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] + y[i];
}

void silu_mul(const float* gate, const float* up, int64_t n, float* out) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = (gate[i] / (1.0f + exponential(-gate[i]))) * up[i];
  }
}

void rotate(float* first, float* second, float cosine, float sine) {
  const float x = *first;
  const float y = *second;
  *first = fused(x, cosine, -(y * sine));
  *second = fused(x, sine, y * cosine);
}

void rope_half_split(float* head, const float* cos_sin, int64_t n_rotated) noexcept {
  const int64_t half = n_rotated / 2;
  for (int64_t i = 0; i < half; ++i) {
    rotate(head + i, head + i + half, cos_sin[i], cos_sin[half + i]);
  }
}

void rope_interleaved(float* head, const float* cos_sin, int64_t n_rotated) noexcept {
  const int64_t half = n_rotated / 2;
  for (int64_t i = 0; i < half; ++i) {
    rotate(head + 2 * i, head + 2 * i + 1, cos_sin[i], cos_sin[half + i]);
  }
}

float exp_sum(const float* x, float max, int64_t n, float* out) noexcept {
  Lanes sums;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = exponential(x[i] - max);
    sums.lane[i % 16] = sums.lane[i % 16] + out[i];
  }
  return sums.sum();
}

}  // namespace
}  // namespace scalar

const KernelTable kScalarTable = {
    .name = "scalar",
    .reads_packed = false,
    .quantize_q8_32 = scalar::quantize_q8_32,
    .quantize_q8_256 = scalar::quantize_q8_256,
    .gemm = scalar::gemm,
    .rms_norm = scalar::rms_norm,
    .add = scalar::add,
    .silu_mul = scalar::silu_mul,
    .rope_half_split = scalar::rope_half_split,
    .rope_interleaved = scalar::rope_interleaved,
    .store_k = scalar::store_k,
    .store_v = scalar::store_v,
    .attention = scalar::attention,
    .attention_output = scalar::attention_output,
    .exp_sum = scalar::exp_sum,
};

}  // namespace reckon::kernels
