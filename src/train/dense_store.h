// Full training: every weight in memory, with a gradient of its own.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "train/network.h"
#include "train/weights.h"

namespace reckon::train {

class DenseStore : public TrainableStore {
 public:
  // with_gradients: false for a frozen model that is only evaluated.
  static Result<std::unique_ptr<DenseStore>> create(const NetworkShape& shape, const FloatOps& ops,
                                                    bool with_gradients);

  const WeightLayout& layout() const { return layout_; }
  float* weights() const { return weights_.data(); }

  const std::vector<TensorSlot>& tensors() const override { return layout_.tensors; }
  int64_t n_floats() const override { return layout_.n_floats; }
  float* parameters() const override { return weights_.data(); }
  float* gradients() const override { return gradients_.data(); }
  void clear_gradients() override;

  LayerPointers layer(int64_t layer) override;
  const float* token_embedding() override { return weights() + layout_.token_embedding; }
  const float* output_norm() override { return weights() + layout_.output_norm; }
  const float* output() override { return weights() + layout_.output; }
  void add_gradient(int64_t layer, LayerMatrix matrix, const float* dy, const float* x,
                    int64_t n) override;
  VectorGradients vector_gradients(int64_t layer) override;
  float* output_norm_gradient() override { return gradients() + layout_.output_norm; }
  float* token_embedding_gradient() override { return gradients() + layout_.token_embedding; }
  float* output_gradient() override { return gradients() + layout_.output; }

 private:
  DenseStore(const NetworkShape& shape, const FloatOps& ops)
      : shape_(shape), ops_(ops), layout_(layout_of(shape)) {}

  NetworkShape shape_;
  const FloatOps& ops_;
  WeightLayout layout_;
  FloatArena weights_;
  FloatArena gradients_;
};

}  // namespace reckon::train
