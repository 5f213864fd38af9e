// Accumulation over batches, then the update.
#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace reckon::train {

Result<std::unique_ptr<Trainer>> Trainer::create(const NetworkShape& shape, const FloatOps& ops,
                                                 const NetworkOptions& options,
                                                 TrainableStore& store) {
  RECKON_ASSIGN(std::unique_ptr<Network> network, Network::create(shape, ops, options));
  RECKON_ASSIGN(Adamw optimizer, Adamw::create(ops, store.tensors(), store.n_floats()));
  return std::unique_ptr<Trainer>(new Trainer(store, std::move(network), std::move(optimizer)));
}

int64_t Trainer::memory_bytes(const NetworkShape& shape, const FloatOps& ops,
                              const NetworkOptions& options) {
  // Weights, gradients, two moments.
  const int64_t weights = 4 * layout_of(shape).n_floats;
  return static_cast<int64_t>(sizeof(float)) *
         (weights + Network::activation_floats(shape, ops, options));
}

Status check_finite(const StepResult& result, const TrainableStore& store, int64_t step,
                    double learning_rate) {
  std::string what;
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    what = fmt::format("loss {}, gradient norm {}", result.loss, result.gradient_norm);
  } else if (const float* weights = store.parameters();
             !std::all_of(weights, weights + store.n_floats(),
                          [](float weight) { return std::isfinite(weight); })) {
    what = "a weight that is no number";
  } else {
    return {};
  }
  return failed(fmt::format(
      "step {}: the training diverged: {} at a learning rate of {:.3g}; the last checkpoint, where "
      "there is one, holds earlier weights; a lower rate or a longer warm-up may help",
      step, what, learning_rate));
}

Result<StepResult> Trainer::step(std::span<const PackedBatch> batches,
                                 const AdamwSettings& settings, double learning_rate,
                                 int64_t steps_done) {
  StepResult result;
  for (const PackedBatch& batch : batches) {
    result.n_tokens += batch.n_tokens();
    result.n_learned += batch.n_learned();
  }
  store_->clear_gradients();
  double loss = 0;
  for (const PackedBatch& batch : batches) {
    network_->forward_backward(
        batch, *store_, [](int64_t, float) { return -1.0f; }, false, outcomes_);
    for (const TokenOutcome& outcome : outcomes_) loss -= static_cast<double>(outcome.logprob);
  }
  const double n = static_cast<double>(result.n_learned);
  result.loss = loss / n;
  result.gradient_norm = optimizer_.step(settings, learning_rate, 1 / n, steps_done,
                                         store_->gradients(), store_->parameters());
  RECKON_RETURN_IF_ERROR(check_finite(result, *store_, steps_done + 1, learning_rate));
  return result;
}

double Trainer::evaluate(std::span<const PackedBatch> batches) {
  double loss = 0;
  int64_t n = 0;
  for (const PackedBatch& batch : batches) {
    network_->forward(batch, *store_, false, outcomes_);
    for (const TokenOutcome& outcome : outcomes_) loss -= static_cast<double>(outcome.logprob);
    n += batch.n_learned();
  }
  return loss / static_cast<double>(n);
}

}  // namespace reckon::train
