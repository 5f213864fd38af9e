// The optimiser over pieces of tensors.
#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/scalar_math.h"

namespace reckon::train {
namespace {

constexpr int64_t kPiece = 16384;

// beta^n by products, the same everywhere (pow is the C library's).
double power(double beta, int64_t n) {
  double result = 1;
  for (double factor = beta; n > 0; n /= 2, factor *= factor) {
    if (n % 2 == 1) result *= factor;
  }
  return result;
}

}  // namespace

double LearningRate::at(int64_t step) const {
  if (step < warmup_steps) {
    return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  }
  const int64_t span = std::max<int64_t>(1, n_steps - 1 - warmup_steps);
  const double share =
      std::min(1.0, static_cast<double>(step - warmup_steps) / static_cast<double>(span));
  double sine = 0;
  double cosine = 0;
  exact_sin_cos(std::numbers::pi * share, &sine, &cosine);
  return peak * (final_share + (1 - final_share) * 0.5 * (1 + cosine));
}

Result<Adamw> Adamw::create(const FloatOps& ops, std::vector<TensorSlot> tensors,
                            int64_t n_floats) {
  Adamw adamw(ops);
  adamw.tensors_ = std::move(tensors);
  RECKON_ASSIGN(adamw.first_, FloatArena::create(n_floats, "the optimiser's first moments"));
  RECKON_ASSIGN(adamw.second_, FloatArena::create(n_floats, "the optimiser's second moments"));
  return adamw;
}

double Adamw::step(const AdamwSettings& settings, double learning_rate, double gradient_scale,
                   int64_t steps_done, const float* gradients, float* parameters) {
  double squares = 0;
  for (const TensorSlot& slot : tensors_) {
    squares += ops_->sum_of_squares(gradients + slot.offset, slot.size());
  }
  const double norm = gradient_scale * std::sqrt(squares);
  if (!std::isfinite(norm)) return norm;
  const bool clips = settings.clip_norm > 0 && norm > settings.clip_norm;
  const double scale = clips ? gradient_scale * settings.clip_norm / norm : gradient_scale;
  kernels::AdamwStep step{};
  step.gradient_scale = static_cast<float>(scale);
  step.beta1 = static_cast<float>(settings.beta1);
  step.beta2 = static_cast<float>(settings.beta2);
  step.inverse_bias1 = static_cast<float>(1 / (1 - power(settings.beta1, steps_done + 1)));
  step.inverse_bias2 = static_cast<float>(1 / (1 - power(settings.beta2, steps_done + 1)));
  step.learning_rate = static_cast<float>(learning_rate);
  step.epsilon = static_cast<float>(settings.epsilon);
  for (const TensorSlot& slot : tensors_) {
    step.decay = slot.decays() ? static_cast<float>(learning_rate * settings.weight_decay) : 0.0f;
    const int64_t n_pieces = (slot.size() + kPiece - 1) / kPiece;
    ops_->pool().parallel_for(n_pieces, [&](int64_t piece, int) {
      const int64_t begin = piece * kPiece;
      const int64_t at = slot.offset + begin;
      ops_->training().adamw(step, std::min(kPiece, slot.size() - begin), gradients + at,
                             first_.data() + at, second_.data() + at, parameters + at);
    });
  }
  return norm;
}

}  // namespace reckon::train
