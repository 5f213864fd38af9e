// Shared by the training tests: a small network with random weights, and batches.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/scalar_math.h"
#include "model/synth_weights.h"
#include "train/dense_store.h"
#include "train/network.h"

namespace reckon::train::test {

struct SmallShape {
  int64_t n_layers = 2;
  int64_t d_model = 24;
  int64_t n_heads = 4;
  int64_t n_kv_heads = 2;
  int64_t ffn_dim = 40;
  int64_t vocab_size = 37;
  bool tied = true;
  bool qwen2 = true;
};

inline NetworkShape make_shape(const SmallShape& small) {
  NetworkShape shape;
  ModelConfig& c = shape.config;
  c.architecture = small.qwen2 ? Architecture::kQwen2 : Architecture::kLlama;
  c.architecture_name = small.qwen2 ? "qwen2" : "llama";
  c.n_layers = small.n_layers;
  c.d_model = small.d_model;
  c.n_heads = small.n_heads;
  c.n_kv_heads = small.n_kv_heads;
  c.head_dim = small.d_model / small.n_heads;
  c.ffn_dim = small.ffn_dim;
  c.vocab_size = small.vocab_size;
  c.context_length = 256;
  c.n_rotated = c.head_dim;
  c.rope_layout = small.qwen2 ? RopeLayout::kHalfSplit : RopeLayout::kInterleaved;
  c.rope_theta = 10000;
  c.rms_epsilon = 1e-6f;
  shape.tied_embedding = small.tied;
  shape.has_biases = small.qwen2;
  for (int64_t i = 0; i < c.n_rotated / 2; ++i) {
    shape.rope_frequencies.push_back(
        exact_exp(-2.0 * static_cast<double>(i) / static_cast<double>(c.n_rotated) *
                  exact_log(c.rope_theta)));
  }
  return shape;
}

// A number in [-1, 1) that index and key alone decide; make_fixtures.py has the same function.
inline double uniform(uint64_t key, uint64_t index) {
  return static_cast<double>(static_cast<int64_t>(mix_bits(mix_bits(key) + index)) >> 11) * 0x1p-52;
}

// Weights large enough that every part of the arithmetic matters.
inline void fill_weights(const WeightLayout& layout, uint64_t key, float* weights) {
  uint64_t tensor = 0;
  for (const TensorSlot& slot : layout.tensors) {
    ++tensor;
    const bool norm = slot.name.ends_with("norm.weight");
    const double size = slot.is_vector ? 0.3 : 1.5 / std::sqrt(static_cast<double>(slot.cols));
    for (int64_t i = 0; i < slot.size(); ++i) {
      const double value = size * uniform(key + tensor, static_cast<uint64_t>(i));
      weights[slot.offset + i] = static_cast<float>(norm ? 1 + value : value);
    }
  }
}

inline Example make_example(int64_t n, int64_t vocab_size, uint64_t key) {
  Example example;
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t bits = mix_bits(mix_bits(key + 1000) + static_cast<uint64_t>(i));
    example.tokens.push_back(
        static_cast<TokenId>((bits >> 20) % static_cast<uint64_t>(vocab_size)));
    example.learned.push_back((bits >> 10) % 4 != 0);
  }
  return example;
}

inline PackedBatch make_batch(const std::vector<int64_t>& lengths, int64_t vocab_size,
                              uint64_t key) {
  PackedBatch batch;
  for (const int64_t length : lengths) batch.add(make_example(length, vocab_size, ++key));
  return batch;
}

// Everything a forward and backward pass needs, on a number of threads and an instruction set.
struct Rig {
  Rig(const SmallShape& small, int n_threads, const char* isa = nullptr, bool recompute = false,
      ComputeProfile profile = ComputeProfile::kF32)
      : shape(make_shape(small)),
        pool(n_threads),
        table(isa == nullptr ? *kernels::default_table() : *kernels::find_table(isa)),
        ops(*table, pool, profile) {
    auto made = DenseStore::create(shape, ops, true);
    EXPECT_TRUE(made.ok());
    store = std::move(made).value();
    fill_weights(store->layout(), 1, store->weights());
    auto net = Network::create(shape, ops,
                               {.max_tokens = 600, .max_document = 400, .recompute = recompute});
    EXPECT_TRUE(net.ok());
    network = std::move(net).value();
  }

  // The summed cross-entropy of the learned places.
  double loss(const PackedBatch& batch) {
    std::vector<TokenOutcome> outcomes;
    network->forward(batch, *store, false, outcomes);
    double sum = 0;
    for (const TokenOutcome& outcome : outcomes) sum -= static_cast<double>(outcome.logprob);
    return sum;
  }
  double backward(const PackedBatch& batch) {
    store->clear_gradients();
    std::vector<TokenOutcome> outcomes;
    network->forward_backward(batch, *store, [](int64_t, float) { return -1.0f; }, true, outcomes);
    double sum = 0;
    for (const TokenOutcome& outcome : outcomes) sum -= static_cast<double>(outcome.logprob);
    return sum;
  }
  std::vector<float> gradients() const {
    return {store->gradients(), store->gradients() + store->layout().n_floats};
  }

  NetworkShape shape;
  ThreadPool pool;
  const kernels::KernelTable* table;
  FloatOps ops;
  std::unique_ptr<DenseStore> store;
  std::unique_ptr<Network> network;
};

}  // namespace reckon::train::test
