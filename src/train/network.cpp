// The layers. The head, from the last layer's output to the loss and back, is network_head.cpp.
#include "train/network.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/scalar_math.h"
#include "train/network_blocks.h"

namespace reckon::train {
namespace {

// Hands out parts of an arena, or only counts them while data is null.
class Carver {
 public:
  explicit Carver(float* data) : data_(data) {}
  float* take(int64_t n) {
    float* part = data_ == nullptr ? nullptr : data_ + used_;
    used_ += (n + 15) / 16 * 16;
    return part;
  }
  int64_t used() const { return used_; }

 private:
  float* data_;
  int64_t used_ = 0;
};

void copy_rows(const float* from, int64_t n, float* to) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

}  // namespace

MatrixSize layer_matrix_size(const NetworkShape& shape, LayerMatrix matrix) {
  const ModelConfig& c = shape.config;
  switch (matrix) {
    case LayerMatrix::kQkv: return {shape.qkv_dim(), c.d_model};
    case LayerMatrix::kAttnOutput: return {c.d_model, c.q_dim()};
    case LayerMatrix::kGateUp: return {2 * c.ffn_dim, c.d_model};
    case LayerMatrix::kDown: return {c.d_model, c.ffn_dim};
  }
  return {};
}

int64_t head_chunk_rows(int64_t vocab_size) {
  // 4 MiB of logits, but at least as many rows as one piece of a product has.
  return std::clamp<int64_t>((int64_t{1} << 20) / vocab_size / 12 * 12, kRowBlock, 1536);
}

Network::Network(const NetworkShape& shape, const FloatOps& ops, const NetworkOptions& options)
    : shape_(shape), ops_(&ops), options_(options), attention_(shape_, ops) {
  attention_.reserve(options.max_document);
  const int64_t half = shape.config.n_rotated / 2;
  cos_sin_.resize(static_cast<size_t>(options.max_document * 2 * half));
  cos_minus_sin_.resize(cos_sin_.size());
  for (int64_t p = 0; p < options.max_document; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      double sine = 0;
      double cosine = 0;
      exact_sin_cos(static_cast<double>(p) * shape.rope_frequencies[static_cast<size_t>(i)], &sine,
                    &cosine);
      const auto at = static_cast<size_t>(p * 2 * half + i);
      cos_sin_[at] = cos_minus_sin_[at] = static_cast<float>(cosine);
      cos_sin_[at + static_cast<size_t>(half)] = static_cast<float>(sine);
      cos_minus_sin_[at + static_cast<size_t>(half)] = -static_cast<float>(sine);
    }
  }
}

Result<std::unique_ptr<Network>> Network::create(const NetworkShape& shape, const FloatOps& ops,
                                                 const NetworkOptions& options) {
  std::unique_ptr<Network> network(new Network(shape, ops, options));
  const int64_t n = network->place(nullptr);
  RECKON_ASSIGN(network->arena_, FloatArena::create(n, "the activations of training"));
  network->place(network->arena_.data());
  return network;
}

int64_t Network::activation_floats(const NetworkShape& shape, const FloatOps& ops,
                                   const NetworkOptions& options) {
  NetworkOptions small = options;
  small.max_document = 1;
  Network network(shape, ops, small);
  network.options_ = options;
  return network.place(nullptr) +
         ops.pool().n_threads() * network.attention_.scratch_floats(options.max_document) +
         2 * options.max_document * shape.config.n_rotated;
}

int64_t Network::place(float* data) {
  const ModelConfig& c = shape_.config;
  const int64_t n = options_.max_tokens;
  const int64_t d = c.d_model;
  const int64_t qkv = shape_.qkv_dim();
  Carver carve(data);
  inputs_.clear();
  for (int64_t i = 0; i <= c.n_layers; ++i) inputs_.push_back(carve.take(n * d));
  states_.clear();
  for (int64_t i = 0; i < (options_.recompute ? 1 : c.n_layers); ++i) {
    LayerState s;
    s.normed = carve.take(n * d);
    s.qkv = carve.take(n * qkv);
    s.row_stats = carve.take(n * c.n_heads * 2);
    s.attended = carve.take(n * c.q_dim());
    s.middle = carve.take(n * d);
    s.normed2 = carve.take(n * d);
    s.gate_up = carve.take(n * 2 * c.ffn_dim);
    states_.push_back(s);
  }
  turned_ = {.qkv = carve.take(panel_floats(d, qkv)),
             .attn_output = carve.take(panel_floats(c.q_dim(), d)),
             .gate_up = carve.take(panel_floats(d, 2 * c.ffn_dim)),
             .down = carve.take(panel_floats(c.ffn_dim, d))};
  straight_ = {.qkv = carve.take(panel_floats(qkv, d)),
               .attn_output = carve.take(panel_floats(d, c.q_dim())),
               .gate_up = carve.take(panel_floats(2 * c.ffn_dim, d)),
               .down = carve.take(panel_floats(d, c.ffn_dim))};
  turned_output_ = carve.take(panel_floats(d, c.vocab_size));
  straight_output_ = carve.take(panel_floats(c.vocab_size, d));
  dx_ = carve.take(n * d);
  dmiddle_ = carve.take(n * d);
  activation_ = carve.take(n * c.ffn_dim);
  dgate_up_ = carve.take(n * 2 * c.ffn_dim);
  dattended_ = carve.take(n * c.q_dim());
  dqkv_ = carve.take(n * qkv);
  head_in_ = carve.take(n * d);
  dhead_in_ = carve.take(n * d);
  logits_ = carve.take(head_chunk_rows(c.vocab_size) * c.vocab_size);
  local_ = carve.take(ops_->pool().n_threads() * local_floats());
  partial_ = carve.take(row_blocks(n) * std::max(d, qkv));
  return carve.used();
}

int64_t Network::local_floats() const {
  return kRowBlock * std::max(shape_.config.d_model, shape_.config.ffn_dim);
}

Network::LayerState& Network::state(int64_t layer) {
  LayerState& s = states_[options_.recompute ? 0 : static_cast<size_t>(layer)];
  s.input = inputs_[static_cast<size_t>(layer)];
  return s;
}

void Network::embed(const PackedBatch& batch, WeightStore& weights) {
  RECKON_CHECK(batch.n_tokens() <= options_.max_tokens);
  const int64_t d = shape_.config.d_model;
  const float* table = weights.token_embedding();
  positions_.resize(batch.tokens.size());
  for (int64_t doc = 0; doc < batch.n_documents(); ++doc) {
    const int64_t begin = batch.begins[static_cast<size_t>(doc)];
    const int64_t end = batch.begins[static_cast<size_t>(doc) + 1];
    for (int64_t i = begin; i < end; ++i) positions_[static_cast<size_t>(i)] = i - begin;
  }
  ops_->pool().parallel_for(row_blocks(batch.n_tokens()), [&](int64_t block, int) {
    const RowBlock rows(block, batch.n_tokens());
    for (int64_t i = rows.begin; i < rows.end(); ++i) {
      copy_rows(table + batch.tokens[static_cast<size_t>(i)] * d, d, inputs_[0] + i * d);
    }
  });
}

void Network::forward_layers(const PackedBatch& batch, WeightStore& weights) {
  embed(batch, weights);
  for (int64_t layer = 0; layer < shape_.config.n_layers; ++layer) {
    const LayerPointers w = weights.layer(layer);
    forward_layer(batch, w, state(layer), inputs_[static_cast<size_t>(layer) + 1]);
  }
}

// For X W^T.
void Network::pack_forward(const LayerPointers& w) {
  const ModelConfig& c = shape_.config;
  ops_->pack_turned(w.qkv, shape_.qkv_dim(), c.d_model, turned_.qkv);
  ops_->pack_turned(w.attn_output, c.d_model, c.q_dim(), turned_.attn_output);
  ops_->pack_turned(w.gate_up, 2 * c.ffn_dim, c.d_model, turned_.gate_up);
  ops_->pack_turned(w.down, c.d_model, c.ffn_dim, turned_.down);
}

// For dY W.
void Network::pack_backward(const LayerPointers& w) {
  const ModelConfig& c = shape_.config;
  ops_->pack(w.qkv, shape_.qkv_dim(), c.d_model, straight_.qkv);
  ops_->pack(w.attn_output, c.d_model, c.q_dim(), straight_.attn_output);
  ops_->pack(w.gate_up, 2 * c.ffn_dim, c.d_model, straight_.gate_up);
  ops_->pack(w.down, c.d_model, c.ffn_dim, straight_.down);
}

void Network::rotate(int64_t row, float* qkv, const std::vector<float>& table) const {
  const ModelConfig& c = shape_.config;
  const float* angles = table.data() + positions_[static_cast<size_t>(row)] * c.n_rotated;
  const auto turn = c.rope_layout == RopeLayout::kHalfSplit ? ops_->rows().rope_half_split
                                                            : ops_->rows().rope_interleaved;
  // Keys follow the queries.
  for (int64_t head = 0; head < c.n_heads + c.n_kv_heads; ++head) {
    turn(qkv + head * c.head_dim, angles, c.n_rotated);
  }
}

void Network::forward_layer(const PackedBatch& batch, const LayerPointers& w, LayerState& s,
                            float* out) {
  const ModelConfig& c = shape_.config;
  const kernels::KernelTable& k = ops_->rows();
  const int64_t n = batch.n_tokens();
  const int64_t d = c.d_model;
  const int64_t qkv = shape_.qkv_dim();
  pack_forward(w);
  ops_->pool().parallel_for(row_blocks(n), [&](int64_t block, int thread) {
    const RowBlock rows(block, n);
    for (int64_t i = rows.begin; i < rows.end(); ++i) {
      k.rms_norm(s.input + i * d, w.attn_norm, c.rms_epsilon, d, s.normed + i * d);
      if (w.qkv_bias != nullptr) copy_rows(w.qkv_bias, qkv, s.qkv + i * qkv);
    }
    ops_->gemm_here(row_product(rows, s.normed, d, turned_.qkv, qkv, s.qkv, w.qkv_bias != nullptr),
                    thread);
    for (int64_t i = rows.begin; i < rows.end(); ++i) rotate(i, s.qkv + i * qkv, cos_sin_);
  });
  attention_.forward(batch.begins, s.qkv, s.attended, s.row_stats);
  ops_->pool().parallel_for(row_blocks(n), [&](int64_t block, int thread) {
    const RowBlock rows(block, n);
    const int64_t f = c.ffn_dim;
    copy_rows(s.input + rows.begin * d, rows.n * d, s.middle + rows.begin * d);
    ops_->gemm_here(
        row_product(rows, s.attended, c.q_dim(), turned_.attn_output, d, s.middle, true), thread);
    for (int64_t i = rows.begin; i < rows.end(); ++i) {
      k.rms_norm(s.middle + i * d, w.ffn_norm, c.rms_epsilon, d, s.normed2 + i * d);
    }
    ops_->gemm_here(row_product(rows, s.normed2, d, turned_.gate_up, 2 * f, s.gate_up, false),
                    thread);
    float* activation = local_ + thread * local_floats();
    for (int64_t i = 0; i < rows.n; ++i) {
      const float* gate = s.gate_up + (rows.begin + i) * 2 * f;
      k.silu_mul(gate, gate + f, f, activation + i * f);
    }
    copy_rows(s.middle + rows.begin * d, rows.n * d, out + rows.begin * d);
    kernels::FloatGemmArgs down = row_product(rows, activation, f, turned_.down, d, out, true);
    down.a = activation;
    ops_->gemm_here(down, thread);
  });
}

void Network::add_partial_sums(int64_t n_rows, int64_t n, float* sums) const {
  for (int64_t block = 0; block < row_blocks(n_rows); ++block) {
    ops_->rows().add(sums, partial_ + block * n, n);
  }
}

// From dx_, the gradient by the layer's output: dactivation = dx Wdown; through SwiGLU;
// dnormed2 = dgate_up Wgate_up; dmiddle = dx + the norm's share; dattended = dmiddle Wo.
void Network::backward_ffn(const PackedBatch& batch, const LayerPointers& w, const LayerState& s,
                           float* dnorm) {
  const ModelConfig& c = shape_.config;
  const int64_t n = batch.n_tokens();
  const int64_t d = c.d_model;
  const int64_t f = c.ffn_dim;
  ops_->pool().parallel_for(row_blocks(n), [&](int64_t block, int thread) {
    const RowBlock rows(block, n);
    float* local = local_ + thread * local_floats();
    kernels::FloatGemmArgs product = row_product(rows, dx_, d, straight_.down, f, local, false);
    product.out = local;
    ops_->gemm_here(product, thread);
    for (int64_t i = 0; i < rows.n; ++i) {
      const int64_t row = rows.begin + i;
      const float* gate = s.gate_up + row * 2 * f;
      float* dgate = dgate_up_ + row * 2 * f;
      ops_->training().silu_mul_backward(gate, gate + f, local + i * f, f, activation_ + row * f,
                                         dgate, dgate + f);
    }
    product = row_product(rows, dgate_up_, 2 * f, straight_.gate_up, d, local, false);
    product.out = local;
    ops_->gemm_here(product, thread);
    copy_rows(dx_ + rows.begin * d, rows.n * d, dmiddle_ + rows.begin * d);
    float* partial = partial_ + block * d;
    std::fill_n(partial, d, 0.0f);
    for (int64_t i = 0; i < rows.n; ++i) {
      const int64_t row = rows.begin + i;
      ops_->training().rms_norm_backward(s.middle + row * d, w.ffn_norm, local + i * d,
                                         c.rms_epsilon, d, dmiddle_ + row * d, partial);
    }
    ops_->gemm_here(
        row_product(rows, dmiddle_, d, straight_.attn_output, c.q_dim(), dattended_, false),
        thread);
  });
  if (dnorm != nullptr) add_partial_sums(n, d, dnorm);
}

// From dqkv_ of the rotated rows: turned back, dnormed = dqkv Wqkv, dx = dmiddle + the norm's
// share.
void Network::backward_qkv(const PackedBatch& batch, const LayerPointers& w, const LayerState& s,
                           float* dnorm, float* dbias) {
  const ModelConfig& c = shape_.config;
  const int64_t n = batch.n_tokens();
  const int64_t d = c.d_model;
  const int64_t qkv = shape_.qkv_dim();
  ops_->pool().parallel_for(row_blocks(n), [&](int64_t block, int) {
    const RowBlock rows(block, n);
    float* partial = partial_ + block * qkv;
    std::fill_n(partial, qkv, 0.0f);
    for (int64_t i = rows.begin; i < rows.end(); ++i) {
      rotate(i, dqkv_ + i * qkv, cos_minus_sin_);
      ops_->rows().add(partial, dqkv_ + i * qkv, qkv);
    }
  });
  if (dbias != nullptr) add_partial_sums(n, qkv, dbias);
  ops_->pool().parallel_for(row_blocks(n), [&](int64_t block, int thread) {
    const RowBlock rows(block, n);
    float* local = local_ + thread * local_floats();
    kernels::FloatGemmArgs product = row_product(rows, dqkv_, qkv, straight_.qkv, d, local, false);
    product.out = local;
    ops_->gemm_here(product, thread);
    copy_rows(dmiddle_ + rows.begin * d, rows.n * d, dx_ + rows.begin * d);
    float* partial = partial_ + block * d;
    std::fill_n(partial, d, 0.0f);
    for (int64_t i = 0; i < rows.n; ++i) {
      const int64_t row = rows.begin + i;
      ops_->training().rms_norm_backward(s.input + row * d, w.attn_norm, local + i * d,
                                         c.rms_epsilon, d, dx_ + row * d, partial);
    }
  });
  if (dnorm != nullptr) add_partial_sums(n, d, dnorm);
}

void Network::backward_layer(const PackedBatch& batch, WeightStore& weights, int64_t layer) {
  const int64_t n = batch.n_tokens();
  LayerState& s = state(layer);
  const LayerPointers w = weights.layer(layer);
  if (options_.recompute) {
    // Writes the next layer's input once more, with the same bits.
    forward_layer(batch, w, s, inputs_[static_cast<size_t>(layer) + 1]);
  }
  pack_backward(w);
  const WeightStore::VectorGradients g = weights.vector_gradients(layer);
  backward_ffn(batch, w, s, g.ffn_norm);
  weights.add_gradient(layer, LayerMatrix::kDown, dx_, activation_, n);
  weights.add_gradient(layer, LayerMatrix::kGateUp, dgate_up_, s.normed2, n);
  weights.add_gradient(layer, LayerMatrix::kAttnOutput, dmiddle_, s.attended, n);
  attention_.backward(batch.begins, s.qkv, s.row_stats, dattended_, dqkv_);
  backward_qkv(batch, w, s, g.attn_norm, g.qkv_bias);
  weights.add_gradient(layer, LayerMatrix::kQkv, dqkv_, s.normed, n);
}

// Rows of the embedding that stand several times in the batch get their sums in ascending order.
void Network::backward_embedding(const PackedBatch& batch, float* gradient) {
  constexpr int64_t kColumns = 32;
  const int64_t d = shape_.config.d_model;
  ops_->pool().parallel_for((d + kColumns - 1) / kColumns, [&](int64_t piece, int) {
    const int64_t column = piece * kColumns;
    const int64_t n = std::min(kColumns, d - column);
    for (int64_t i = 0; i < batch.n_tokens(); ++i) {
      ops_->rows().add(gradient + batch.tokens[static_cast<size_t>(i)] * d + column,
                       dx_ + i * d + column, n);
    }
  });
}

void Network::forward(const PackedBatch& batch, WeightStore& weights, bool wants_entropy,
                      std::vector<TokenOutcome>& outcomes) {
  forward_layers(batch, weights);
  head(batch, weights, nullptr, wants_entropy, outcomes);
}

void Network::forward_backward(const PackedBatch& batch, WeightStore& weights,
                               const LogprobGradient& gradient, bool wants_entropy,
                               std::vector<TokenOutcome>& outcomes) {
  forward_layers(batch, weights);
  head(batch, weights, &gradient, wants_entropy, outcomes);
  for (int64_t layer = shape_.config.n_layers - 1; layer >= 0; --layer) {
    backward_layer(batch, weights, layer);
  }
  if (float* dembedding = weights.token_embedding_gradient()) {
    backward_embedding(batch, dembedding);
  }
}

}  // namespace reckon::train
