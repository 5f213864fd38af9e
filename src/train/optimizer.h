// AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), the learning rate's
// course, and clipping by the global norm (Pascanu et al. 2013, algorithm 1).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "train/float_ops.h"
#include "train/weights.h"

namespace reckon::train {

struct AdamwSettings {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;  // of matrices; none on norms and biases
  double clip_norm = 1.0;     // 0: none
};

// Linear warm-up from 0 over warmup_steps, then a cosine from peak to final_share * peak at the
// last of n_steps (Loshchilov and Hutter 2017, eq. 5, one period). step counts from 0.
struct LearningRate {
  double peak = 1e-3;
  double final_share = 0.1;
  int64_t warmup_steps = 0;
  int64_t n_steps = 1;

  double at(int64_t step) const;
};

class Adamw {
 public:
  // tensors: the parameters, all below n_floats.
  static Result<Adamw> create(const FloatOps& ops, std::vector<TensorSlot> tensors,
                              int64_t n_floats);

  // gradients * gradient_scale is the gradient. Returns its norm before clipping; the update is
  // left out when that isn't finite. steps_done: before this one.
  double step(const AdamwSettings& settings, double learning_rate, double gradient_scale,
              int64_t steps_done, const float* gradients, float* parameters);

  FloatArena& first() { return first_; }
  FloatArena& second() { return second_; }

 private:
  explicit Adamw(const FloatOps& ops) : ops_(&ops) {}

  const FloatOps* ops_;
  std::vector<TensorSlot> tensors_;
  FloatArena first_;   // the gradients' moving mean
  FloatArena second_;  // and that of their squares
};

}  // namespace reckon::train
