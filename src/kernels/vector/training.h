// The kernels of training for any instruction set V, in the order of scalar/training.cpp.
#pragma once

#include "kernels/training.h"
#include "kernels/vector/rows.h"
#include "kernels/vector/training_gemm.h"
#include "kernels/vector/training_gemm_bf16.h"

namespace reckon::kernels {
namespace {

template <class V>
float training_dot(const float* x, const float* y, int64_t n) noexcept {
  typename V::Floats sums = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    sums = V::fma(load_n<V>(x + i, count), load_n<V>(y + i, count), sums);
  });
  return V::sum(sums);
}

template <class V>
void rms_norm_backward(const float* x, const float* weight, const float* dy, float epsilon,
                       int64_t n, float* dx, float* dweight) noexcept {
  using Floats = typename V::Floats;
  Floats squares = V::set(0.0f);
  Floats products = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats v = load_n<V>(x + i, count);
    squares = V::fma(v, v, squares);
    const Floats g = V::mul(load_n<V>(dy + i, count), load_n<V>(weight + i, count));
    products = V::fma(g, v, products);
  });
  const float size = static_cast<float>(n);
  const float inverse = 1.0f / __builtin_sqrtf(V::sum(squares) / size + epsilon);
  const float along = (V::sum(products) / size) * (inverse * inverse);
  const Floats r = V::set(inverse);
  const Floats minus_along = V::set(-along);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats v = load_n<V>(x + i, count);
    const Floats d = load_n<V>(dy + i, count);
    const Floats g = V::mul(d, load_n<V>(weight + i, count));
    const Floats across = V::fma(v, minus_along, g);
    store_n<V>(dx + i, count, V::fma(across, r, load_n<V>(dx + i, count)));
    store_n<V>(dweight + i, count, V::fma(d, V::mul(v, r), load_n<V>(dweight + i, count)));
  });
}

template <class V>
void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t n,
                       float* activation, float* dgate, float* dup) noexcept {
  using Floats = typename V::Floats;
  const Floats one = V::set(1.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats g = load_n<V>(gate + i, count);
    const Floats u = load_n<V>(up + i, count);
    const Floats d = load_n<V>(dy + i, count);
    const Floats e = exponential<V>(V::sub(V::set(0.0f), g));
    const Floats s = V::div(one, V::add(one, e));
    const Floats silu = V::mul(g, s);
    const Floats slope = V::mul(s, V::fma(g, V::sub(one, s), one));
    store_n<V>(activation + i, count, V::mul(silu, u));
    store_n<V>(dgate + i, count, V::mul(V::mul(d, u), slope));
    store_n<V>(dup + i, count, V::mul(d, silu));
  });
}

template <class V>
float training_largest(const float* x, int64_t n) noexcept {
  float most = x[0];
  typename V::Floats largest = V::set(most);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) largest = V::max(largest, V::load(x + i));
  most = V::largest(largest);
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

template <class V>
void training_scale(float* x, float factor, int64_t n) noexcept {
  const typename V::Floats f = V::set(factor);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    store_n<V>(x + i, count, V::mul(load_n<V>(x + i, count), f));
  });
}

// exp(scale x - shift), shift = scale max: never above 1 by more than a rounding.
template <class V>
inline typename V::Floats shifted_exponential(typename V::Floats x, typename V::Floats scale,
                                              typename V::Floats shift) {
  return exponential<V>(V::sub(V::mul(x, scale), shift));
}

inline void clear(float* x, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) x[i] = 0.0f;
}

template <class V>
void softmax(float* x, float scale, int64_t n, int64_t n_total, float* max,
             float* inverse_sum) noexcept {
  using Floats = typename V::Floats;
  const float shift = training_largest<V>(x, n) * scale;
  const Floats scales = V::set(scale);
  const Floats shifts = V::set(shift);
  Floats sums = V::set(0.0f);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    store_n<V>(x + i, count, shifted_exponential<V>(load_n<V>(x + i, count), scales, shifts));
    sums = V::add(sums, load_n<V>(x + i, count));
  });
  const float inverse = 1.0f / V::sum(sums);
  training_scale<V>(x, inverse, n);
  clear(x, n, n_total);
  *max = shift;
  *inverse_sum = inverse;
}

template <class V>
void softmax_again(float* x, float scale, float max, float inverse_sum, int64_t n,
                   int64_t n_total) noexcept {
  using Floats = typename V::Floats;
  const Floats scales = V::set(scale);
  const Floats shifts = V::set(max);
  const Floats inverse = V::set(inverse_sum);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats e = shifted_exponential<V>(load_n<V>(x + i, count), scales, shifts);
    store_n<V>(x + i, count, V::mul(e, inverse));
  });
  clear(x, n, n_total);
}

template <class V>
void softmax_backward(const float* p, float scale, int64_t n, float* dp) noexcept {
  using Floats = typename V::Floats;
  const Floats mean = V::set(training_dot<V>(p, dp, n));
  const Floats scales = V::set(scale);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats d = V::sub(load_n<V>(dp + i, count), mean);
    store_n<V>(dp + i, count, V::mul(V::mul(load_n<V>(p + i, count), d), scales));
  });
}

template <class V>
void adamw(const AdamwStep& step, int64_t n, const float* gradient, float* first, float* second,
           float* parameter) noexcept {
  using Floats = typename V::Floats;
  const Floats gradient_scale = V::set(step.gradient_scale);
  const Floats beta1 = V::set(step.beta1);
  const Floats rest1 = V::set(1.0f - step.beta1);
  const Floats beta2 = V::set(step.beta2);
  const Floats rest2 = V::set(1.0f - step.beta2);
  const Floats bias1 = V::set(step.inverse_bias1);
  const Floats bias2 = V::set(step.inverse_bias2);
  const Floats epsilon = V::set(step.epsilon);
  const Floats minus_rate = V::set(-step.learning_rate);
  const Floats minus_decay = V::set(-step.decay);
  for_sixteens(n, [&](int64_t i, int64_t count) {
    const Floats g = V::mul(load_n<V>(gradient + i, count), gradient_scale);
    const Floats m = V::fma(load_n<V>(first + i, count), beta1, V::mul(g, rest1));
    const Floats v = V::fma(load_n<V>(second + i, count), beta2, V::mul(V::mul(g, g), rest2));
    store_n<V>(first + i, count, m);
    store_n<V>(second + i, count, v);
    const Floats p = load_n<V>(parameter + i, count);
    const Floats kept = V::fma(p, minus_decay, p);
    const Floats size = V::add(V::sqrt(V::mul(v, bias2)), epsilon);
    const Floats direction = V::div(V::mul(m, bias1), size);
    store_n<V>(parameter + i, count, V::fma(direction, minus_rate, kept));
  });
}

template <class V>
constexpr TrainingKernels make_training_kernels() {
  return {
      .gemm = training_gemm<V>,
      .gemm_bf16 = training_gemm_bf16<V>,
      .rms_norm_backward = rms_norm_backward<V>,
      .silu_mul_backward = silu_mul_backward<V>,
      .softmax = softmax<V>,
      .softmax_again = softmax_again<V>,
      .softmax_backward = softmax_backward<V>,
      .largest = training_largest<V>,
      .dot = training_dot<V>,
      .scale = training_scale<V>,
      .adamw = adamw<V>,
  };
}

}  // namespace
}  // namespace reckon::kernels
