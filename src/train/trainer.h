// One optimiser step over packed batches: the decoder, its gradients and AdamW together.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/batch.h"
#include "train/network.h"
#include "train/optimizer.h"

namespace reckon::train {

struct StepResult {
  double loss = 0;           // mean over the learned tokens, nats
  double gradient_norm = 0;  // before clipping
  int64_t n_tokens = 0;
  int64_t n_learned = 0;
};

// After an update. Errors: kFailed when loss, norm or a weight isn't finite.
Status check_finite(const StepResult& result, const TrainableStore& store, int64_t step,
                    double learning_rate);

class Trainer {
 public:
  // ops and store must outlive the trainer.
  static Result<std::unique_ptr<Trainer>> create(const NetworkShape& shape, const FloatOps& ops,
                                                 const NetworkOptions& options,
                                                 TrainableStore& store);
  // Bytes that create() takes, and a DenseStore beside it.
  static int64_t memory_bytes(const NetworkShape& shape, const FloatOps& ops,
                              const NetworkOptions& options);

  Network& network() { return *network_; }
  Adamw& optimizer() { return optimizer_; }

  // Cross-entropy on the learned places of all batches, then one update.
  Result<StepResult> step(std::span<const PackedBatch> batches, const AdamwSettings& settings,
                          double learning_rate, int64_t steps_done);
  // The mean cross-entropy, nothing learned.
  double evaluate(std::span<const PackedBatch> batches);

 private:
  Trainer(TrainableStore& store, std::unique_ptr<Network> network, Adamw optimizer)
      : store_(&store), network_(std::move(network)), optimizer_(std::move(optimizer)) {}

  TrainableStore* store_;
  std::unique_ptr<Network> network_;
  Adamw optimizer_;
  std::vector<TokenOutcome> outcomes_;
};

}  // namespace reckon::train
