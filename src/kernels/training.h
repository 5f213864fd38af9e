// The arithmetic of training in float32, products in bfloat16 too, as raw-pointer functions behind
// one table for each instruction set, all giving the same bits (docs/training.md). Functions are
// noexcept and unchecked: the callers prove the shapes once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reckon::kernels {

struct KernelTable;

// out[i][j] = sum over k of a[i][k] * b[k][j], i < rows, j < columns, k < depth. One chain of fused
// multiply-adds an output, k ascending, from +0 or, when accumulate, from the output's old value:
// cutting k in two calls changes no bit.
struct FloatGemmArgs {
  const float* a;  // element (i, k) at a[i * a_row_stride + k * a_depth_stride]
  int64_t a_row_stride;
  int64_t a_depth_stride;  // 1, or a_row_stride is 1
  // Element (k, j) at b[j / 16 * b_panel_stride + k * b_stride + j % 16]: rows side by side are a
  // panel stride of 16; panels of sixteen columns packed without gaps have a b_stride of 16, and
  // zeros where the last one has no columns.
  const float* b;
  int64_t b_stride;
  int64_t b_panel_stride;
  float* out;  // element (i, j) at out[i * out_stride + j]
  int64_t out_stride;
  int64_t rows;
  int64_t columns;
  int64_t depth;
  bool accumulate;
  float* scratch;  // kFloatGemmScratch floats of the calling thread's own
};
inline constexpr int64_t kPanelColumns = 16;
// Of one pass: a panel of b is 16 KiB, in the first cache; 192 rows of a are 192 KiB in the second.
inline constexpr int64_t kFloatGemmDepth = 256;
inline constexpr int64_t kFloatGemmColumns = 512;
inline constexpr int64_t kFloatGemmRows = 192;
// Room for the columns in panels, sixteen floats of gap after each, and for the rows.
inline constexpr int64_t kFloatGemmPanels = kFloatGemmColumns * (kFloatGemmDepth + 1);
inline constexpr int64_t kFloatGemmScratch = kFloatGemmPanels + kFloatGemmDepth * kFloatGemmRows;

// Loshchilov and Hutter 2019, algorithm 2, with what is the same for every parameter worked out.
struct AdamwStep {
  float gradient_scale;  // clipping and accumulation
  float beta1;
  float beta2;
  float inverse_bias1;  // 1 / (1 - beta1^t)
  float inverse_bias2;
  float learning_rate;
  float epsilon;
  float decay;  // learning_rate * weight_decay, 0 where there is none
};

struct TrainingKernels {
  void (*gemm)(const FloatGemmArgs&) noexcept;
  // The same product in bfloat16, float32 in and out. a and b are rounded to bfloat16: to nearest,
  // half to even, a NaN to a quiet one; a subnormal number counts as zero of its sign. An output is
  // one chain over pairs of depths p = 0, 2, 4 ...,
  //   sum = fma(a[i][p + 1], b[p + 1][j], sum), then sum = fma(a[i][p], b[p][j], sum),
  // where an odd depth goes on with +0 in both operands. Each fma is rounded once to float32's 24
  // bits, to nearest, half to even, and what is then below 2^-126 becomes zero of its sign; a
  // subnormal old value counts as one too. That is what Intel publishes for VDPBF16PS (SDM volume
  // 2: DAZ, FTZ, the odd element first; tiny is judged after rounding, volume 1, 4.9.1.5), which
  // computes it where the processor has it. Cutting k in two calls at an even place changes no bit.
  void (*gemm_bf16)(const FloatGemmArgs&) noexcept;

  // Backward of rms_norm, y = x r w with r = 1 / sqrt(mean(x^2) + epsilon):
  //   dx_i += r (dy_i w_i - x_i r^2 / n sum_j dy_j w_j x_j),  dw_i += dy_i x_i r.
  void (*rms_norm_backward)(const float* x, const float* weight, const float* dy, float epsilon,
                            int64_t n, float* dx, float* dweight) noexcept;
  // y = g s(g) u, s the logistic function: activation = y, dgate = dy u s (1 + g (1 - s)),
  // dup = dy g s.
  void (*silu_mul_backward)(const float* gate, const float* up, const float* dy, int64_t n,
                            float* activation, float* dgate, float* dup) noexcept;

  // x[i] = exp(scale x[i] - max) / sum for i < n, 0 for n <= i < n_total. max and sum are of the
  // row, and are handed out for softmax_again.
  void (*softmax)(float* x, float scale, int64_t n, int64_t n_total, float* max,
                  float* inverse_sum) noexcept;
  // The same values from the row's max and 1 / sum.
  void (*softmax_again)(float* x, float scale, float max, float inverse_sum, int64_t n,
                        int64_t n_total) noexcept;
  // dp[i] = scale p[i] (dp[i] - sum_j p[j] dp[j]).
  void (*softmax_backward)(const float* p, float scale, int64_t n, float* dp) noexcept;

  // The largest of x[0 .. n), n >= 1; NaN's place in it is not defined.
  float (*largest)(const float* x, int64_t n) noexcept;
  // sum of x[i] * y[i].
  float (*dot)(const float* x, const float* y, int64_t n) noexcept;
  // x[i] *= factor.
  void (*scale)(float* x, float factor, int64_t n) noexcept;

  void (*adamw)(const AdamwStep& step, int64_t n, const float* gradient, float* first,
                float* second, float* parameter) noexcept;
};

// Those of the same instruction set as table (kernels/kernels.h).
const TrainingKernels& training_kernels(const KernelTable& table);
// Whether their gemm_bf16 has an instruction for what it does (AVX-512 BF16). Elsewhere it is no
// faster than gemm.
bool has_native_bf16(const KernelTable& table);

}  // namespace reckon::kernels
