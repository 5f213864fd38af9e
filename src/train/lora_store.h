// Low-rank adapters (Hu et al. 2022, eq. 3): W + alpha / r B A with W frozen, in its model file's
// own quantised blocks. A layer's weights are decoded and its adapters added when the layer is
// computed, so forward and backward are those of a full model; only the adapters have gradients:
//   dB = s dY^T (X A^T),  dA = s (dY B)^T X,  s = alpha / r.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/adapter.h"
#include "model/model.h"
#include "train/network.h"
#include "train/weights.h"

namespace reckon::train {

struct LoraShape {
  int64_t rank = 16;
  double alpha = 32;
  bool targets[kLoraTargetCount] = {true, true, true, true, true, true, true};

  double scale() const { return alpha / static_cast<double>(rank); }
};
// "q,k,v,o,gate,up,down", "all", or GGUF's names. Errors: kUsage.
Status parse_lora_targets(std::string_view text, LoraShape& shape);

// One matrix's adapter: places in the arenas, -1 without one.
struct LoraPlaces {
  int64_t a = -1;  // [rank, columns of W]
  int64_t b = -1;  // [rows of W, rank]
};

class LoraStore : public TrainableStore {
 public:
  // model must outlive the store, its weights as they are in the file (not packed). A is random
  // (uniform, deviation 1 / sqrt(columns)), B zero.
  static Result<std::unique_ptr<LoraStore>> create(const Model& model, const NetworkShape& shape,
                                                   const LoraShape& lora, uint64_t seed,
                                                   const FloatOps& ops, int64_t max_tokens);
  static int64_t memory_bytes(const NetworkShape& shape, const LoraShape& lora, int64_t max_tokens);

  const LoraShape& lora() const { return lora_; }
  // [n_layers][kLoraTargetCount].
  const std::vector<std::vector<LoraPlaces>>& places() const { return places_; }

  const std::vector<TensorSlot>& tensors() const override { return tensors_; }
  int64_t n_floats() const override { return n_floats_; }
  float* parameters() const override { return parameters_.data(); }
  float* gradients() const override { return gradients_.data(); }
  void clear_gradients() override { ops_.clear(gradients_.data(), n_floats_); }

  LayerPointers layer(int64_t layer) override;
  const float* token_embedding() override { return embedding_.data(); }
  const float* output_norm() override { return model_.output_norm().data(); }
  const float* output() override;
  void add_gradient(int64_t layer, LayerMatrix matrix, const float* dy, const float* x,
                    int64_t n) override;
  VectorGradients vector_gradients(int64_t) override { return {}; }
  float* output_norm_gradient() override { return nullptr; }
  float* token_embedding_gradient() override { return nullptr; }
  float* output_gradient() override { return nullptr; }

 private:
  LoraStore(const Model& model, const NetworkShape& shape, const LoraShape& lora,
            const FloatOps& ops)
      : model_(model), shape_(shape), lora_(lora), ops_(ops) {}
  void place();
  void decode(const Matrix& from, float* to) const;
  // W + s B A of one matrix, [rows, cols].
  void make(const Matrix& from, const LoraPlaces& adapter, float* to);

  const Model& model_;
  NetworkShape shape_;
  LoraShape lora_;
  const FloatOps& ops_;
  std::vector<TensorSlot> tensors_;
  std::vector<std::vector<LoraPlaces>> places_;
  int64_t n_floats_ = 0;
  FloatArena parameters_;
  FloatArena gradients_;
  FloatArena embedding_;
  FloatArena head_;  // where it isn't the embedding
  FloatArena layer_weights_;
  std::vector<float> bias_;    // [qkv_dim]
  std::vector<float> scaled_;  // s B of one matrix, or X A^T, or dY B: [n, rank]
  std::vector<float> panels_;  // of A or A^T
  int64_t loaded_layer_ = -1;
};

// What was trained, to be written.
Adapter adapter_of(const LoraStore& store, const ModelConfig& config);

}  // namespace reckon::train
