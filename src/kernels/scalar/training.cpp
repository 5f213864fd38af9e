// The kernels of training as plainly as they can be written: the definition that the vector ones
// are tested against bit for bit.
#include "kernels/scalar/scalar.h"
#include "kernels/training_tables.h"
#include "quants/half.h"

namespace reckon::kernels::scalar {
namespace {

constexpr float kLeastNormal = 0x1p-126f;

void gemm(const FloatGemmArgs& g) noexcept {
  for (int64_t i = 0; i < g.rows; ++i) {
    for (int64_t j = 0; j < g.columns; ++j) {
      float sum = g.accumulate ? g.out[i * g.out_stride + j] : 0.0f;
      for (int64_t k = 0; k < g.depth; ++k) {
        const float y =
            g.b[j / kPanelColumns * g.b_panel_stride + k * g.b_stride + j % kPanelColumns];
        sum = fused(g.a[i * g.a_row_stride + k * g.a_depth_stride], y, sum);
      }
      g.out[i * g.out_stride + j] = sum;
    }
  }
}

// As a bfloat16: half to even, a NaN made quiet, a subnormal number zero.
float rounded_bf16(float x) {
  return bf16_to_f32(
      f32_to_bf16(__builtin_fabsf(x) < kLeastNormal ? __builtin_copysignf(0.0f, x) : x));
}

// x y + z of numbers that aren't subnormal, rounded once to float's 24 bits as if the exponent had
// no least value, and zero of its sign where that is below the least normal number. 2^64 times all
// keeps the 24 bits; where that overflows, the sum is either exactly zero or far from it.
float flushed_fused(float x, float y, float z) {
  const float scaled = fused(x * 0x1p64f, y, z * 0x1p64f);
  const float sum = fused(x, y, z);
  return __builtin_fabsf(scaled) < 0x1p64f * kLeastNormal ? __builtin_copysignf(0.0f, sum) : sum;
}

void gemm_bf16(const FloatGemmArgs& g) noexcept {
  for (int64_t i = 0; i < g.rows; ++i) {
    for (int64_t j = 0; j < g.columns; ++j) {
      float sum = g.accumulate ? g.out[i * g.out_stride + j] : 0.0f;
      const auto add_product = [&](int64_t k) {
        float x = 0;
        float y = 0;
        if (k < g.depth) {
          x = g.a[i * g.a_row_stride + k * g.a_depth_stride];
          y = g.b[j / kPanelColumns * g.b_panel_stride + k * g.b_stride + j % kPanelColumns];
        }
        sum = flushed_fused(rounded_bf16(x), rounded_bf16(y), sum);
      };
      for (int64_t k = 0; k < g.depth; k += 2) {
        if (__builtin_fabsf(sum) < kLeastNormal) sum = __builtin_copysignf(0.0f, sum);
        add_product(k + 1);
        add_product(k);
      }
      g.out[i * g.out_stride + j] = sum;
    }
  }
}

float dot(const float* x, const float* y, int64_t n) noexcept {
  Lanes sums;
  for (int64_t i = 0; i < n; ++i) sums.lane[i % 16] = fused(x[i], y[i], sums.lane[i % 16]);
  return sums.sum();
}

void rms_norm_backward(const float* x, const float* weight, const float* dy, float epsilon,
                       int64_t n, float* dx, float* dweight) noexcept {
  Lanes products;
  for (int64_t i = 0; i < n; ++i) {
    products.lane[i % 16] = fused(dy[i] * weight[i], x[i], products.lane[i % 16]);
  }
  const float size = static_cast<float>(n);
  const float inverse = 1.0f / __builtin_sqrtf(dot(x, x, n) / size + epsilon);
  const float along = (products.sum() / size) * (inverse * inverse);
  for (int64_t i = 0; i < n; ++i) {
    const float across = fused(x[i], -along, dy[i] * weight[i]);
    dx[i] = fused(across, inverse, dx[i]);
    dweight[i] = fused(dy[i], x[i] * inverse, dweight[i]);
  }
}

void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t n,
                       float* activation, float* dgate, float* dup) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float u = up[i];
    const float d = dy[i];
    const float s = 1.0f / (1.0f + exponential(0.0f - g));
    const float silu = g * s;
    activation[i] = silu * u;
    dgate[i] = (d * u) * (s * fused(g, 1.0f - s, 1.0f));
    dup[i] = d * silu;
  }
}

float largest(const float* x, int64_t n) noexcept {
  float most = x[0];
  for (int64_t i = 1; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

void scale(float* x, float factor, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] * factor;
}

void softmax(float* x, float scale_factor, int64_t n, int64_t n_total, float* max,
             float* inverse_sum) noexcept {
  const float shift = largest(x, n) * scale_factor;
  Lanes sums;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = exponential(x[i] * scale_factor - shift);
    sums.lane[i % 16] = sums.lane[i % 16] + x[i];
  }
  const float inverse = 1.0f / sums.sum();
  scale(x, inverse, n);
  for (int64_t i = n; i < n_total; ++i) x[i] = 0.0f;
  *max = shift;
  *inverse_sum = inverse;
}

void softmax_again(float* x, float scale_factor, float max, float inverse_sum, int64_t n,
                   int64_t n_total) noexcept {
  for (int64_t i = 0; i < n; ++i) x[i] = exponential(x[i] * scale_factor - max) * inverse_sum;
  for (int64_t i = n; i < n_total; ++i) x[i] = 0.0f;
}

void softmax_backward(const float* p, float scale_factor, int64_t n, float* dp) noexcept {
  const float mean = dot(p, dp, n);
  for (int64_t i = 0; i < n; ++i) dp[i] = (p[i] * (dp[i] - mean)) * scale_factor;
}

void adamw(const AdamwStep& step, int64_t n, const float* gradient, float* first, float* second,
           float* parameter) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * step.gradient_scale;
    first[i] = fused(first[i], step.beta1, g * (1.0f - step.beta1));
    second[i] = fused(second[i], step.beta2, (g * g) * (1.0f - step.beta2));
    const float kept = fused(parameter[i], -step.decay, parameter[i]);
    const float size = __builtin_sqrtf(second[i] * step.inverse_bias2) + step.epsilon;
    parameter[i] = fused((first[i] * step.inverse_bias1) / size, -step.learning_rate, kept);
  }
}

}  // namespace

const TrainingKernels kTraining = {
    .gemm = gemm,
    .gemm_bf16 = gemm_bf16,
    .rms_norm_backward = rms_norm_backward,
    .silu_mul_backward = silu_mul_backward,
    .softmax = softmax,
    .softmax_again = softmax_again,
    .softmax_backward = softmax_backward,
    .largest = largest,
    .dot = dot,
    .scale = scale,
    .adamw = adamw,
};

}  // namespace reckon::kernels::scalar
