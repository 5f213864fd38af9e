// The qwen2/llama decoder forward and backward by hand, in float32 but for FloatOps' products,
// which may be in bfloat16. Layer by layer:
//   h = norm(x) ; q, k, v = W h + b, rotated ; x' = x + Wo attention(q, k, v)
//   h' = norm(x') ; y = x' + Wdown (silu(Wgate h') o Wup h')
// and backward, for a product Y = X W^T: dX = dY W, dW = dY^T X (docs/training.md lists all).
// Rows (tokens) are independent but in attention, so a block of rows goes through a whole half of a
// layer while it is in the second cache.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "train/attention.h"
#include "train/batch.h"
#include "train/float_ops.h"
#include "train/weights.h"

namespace reckon::train {

// A layer's weights; rows as LayerPlaces says.
struct LayerPointers {
  const float* attn_norm = nullptr;
  const float* qkv = nullptr;
  const float* qkv_bias = nullptr;  // null: none
  const float* attn_output = nullptr;
  const float* ffn_norm = nullptr;
  const float* gate_up = nullptr;
  const float* down = nullptr;
};

enum class LayerMatrix { kQkv, kAttnOutput, kGateUp, kDown };
MatrixSize layer_matrix_size(const NetworkShape& shape, LayerMatrix matrix);

// Where weights come from and gradients go: all of them in memory, or a frozen base with adapters.
class WeightStore {
 public:
  virtual ~WeightStore() = default;
  // Valid until the next call.
  virtual LayerPointers layer(int64_t layer) = 0;
  virtual const float* token_embedding() = 0;  // [vocab_size, d_model]
  virtual const float* output_norm() = 0;
  virtual const float* output() = 0;  // [vocab_size, d_model]

  // dW += dy^T x: dy [n, rows of W], x [n, columns of W], without gaps.
  virtual void add_gradient(int64_t layer, LayerMatrix matrix, const float* dy, const float* x,
                            int64_t n) = 0;
  // Where gradients of vectors are added to; null pointers where they are frozen.
  struct VectorGradients {
    float* attn_norm = nullptr;
    float* qkv_bias = nullptr;
    float* ffn_norm = nullptr;
  };
  virtual VectorGradients vector_gradients(int64_t layer) = 0;
  virtual float* output_norm_gradient() = 0;
  virtual float* token_embedding_gradient() = 0;
  virtual float* output_gradient() = 0;
};

// A store whose gradients an optimiser uses.
class TrainableStore : public WeightStore {
 public:
  virtual const std::vector<TensorSlot>& tensors() const = 0;  // what is trained
  virtual int64_t n_floats() const = 0;                        // of the two arenas
  virtual float* parameters() const = 0;
  virtual float* gradients() const = 0;
  virtual void clear_gradients() = 0;
};

// What the loss made of a learned place: row of PackedBatch::rows -> its target's
// log-probability and the distribution's entropy (nats), at temperature 1.
struct TokenOutcome {
  float logprob = 0;
  float entropy = 0;  // only where asked for
};

// The derivative of the loss by a place's log-probability, given that log-probability: -1 for
// cross-entropy. Called from any thread; i counts PackedBatch::rows.
using LogprobGradient = std::function<float(int64_t i, float logprob)>;

struct NetworkOptions {
  int64_t max_tokens = 0;    // of a batch
  int64_t max_document = 0;  // tokens
  // Keep each layer's input alone and compute the rest again on the way back.
  bool recompute = false;
};

class Network {
 public:
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  static Result<std::unique_ptr<Network>> create(const NetworkShape& shape, const FloatOps& ops,
                                                 const NetworkOptions& options);
  // Floats that create() takes.
  static int64_t activation_floats(const NetworkShape& shape, const FloatOps& ops,
                                   const NetworkOptions& options);

  // outcomes [batch.n_learned()].
  void forward(const PackedBatch& batch, WeightStore& weights, bool wants_entropy,
               std::vector<TokenOutcome>& outcomes);
  // Adds the batch's gradients to the store's.
  void forward_backward(const PackedBatch& batch, WeightStore& weights,
                        const LogprobGradient& gradient, bool wants_entropy,
                        std::vector<TokenOutcome>& outcomes);

 private:
  // What a layer leaves for the way back, n rows each.
  struct LayerState {
    float* input = nullptr;      // [n, d_model]
    float* normed = nullptr;     // [n, d_model]
    float* qkv = nullptr;        // [n, qkv_dim], rotated
    float* row_stats = nullptr;  // [n_heads, n, 2]
    float* attended = nullptr;   // [n, q_dim]
    float* middle = nullptr;     // [n, d_model], after attention
    float* normed2 = nullptr;    // [n, d_model]
    float* gate_up = nullptr;    // [n, 2 ffn_dim]
  };

  Network(const NetworkShape& shape, const FloatOps& ops, const NetworkOptions& options);
  // Shares data out among the pointers below; null only counts. Returns floats.
  int64_t place(float* data);
  int64_t local_floats() const;
  void embed(const PackedBatch& batch, WeightStore& weights);
  void forward_layers(const PackedBatch& batch, WeightStore& weights);
  void pack_forward(const LayerPointers& w);
  void pack_backward(const LayerPointers& w);
  void forward_layer(const PackedBatch& batch, const LayerPointers& w, LayerState& s, float* out);
  void backward_layer(const PackedBatch& batch, WeightStore& weights, int64_t layer);
  void backward_ffn(const PackedBatch& batch, const LayerPointers& w, const LayerState& s,
                    float* dnorm);
  void backward_qkv(const PackedBatch& batch, const LayerPointers& w, const LayerState& s,
                    float* dnorm, float* dbias);
  void backward_embedding(const PackedBatch& batch, float* gradient);
  // Head: outcomes, and with a gradient dx_ of the learned rows and the weights' gradients.
  void head(const PackedBatch& batch, WeightStore& weights, const LogprobGradient* gradient,
            bool wants_entropy, std::vector<TokenOutcome>& outcomes);
  void head_rows(const PackedBatch& batch, int64_t first, int64_t n,
                 const LogprobGradient* gradient, bool wants_entropy,
                 std::vector<TokenOutcome>& outcomes);
  void head_backward(const PackedBatch& batch, WeightStore& weights);
  // Adds the partial sums of row blocks, [n_blocks, n], to sums [n].
  void add_partial_sums(int64_t n_rows, int64_t n, float* sums) const;
  LayerState& state(int64_t layer);
  void rotate(int64_t row, float* qkv, const std::vector<float>& table) const;

  NetworkShape shape_;
  const FloatOps* ops_;
  NetworkOptions options_;
  Attention attention_;
  std::vector<float> cos_sin_;        // [max_document, n_rotated]: cosines, then sines
  std::vector<float> cos_minus_sin_;  // the inverse rotations
  std::vector<int64_t> positions_;    // of the batch's rows in their documents
  std::vector<float> entropy_rows_;   // [n_threads, vocab_size]
  FloatArena arena_;
  std::vector<float*> inputs_;      // [n_layers + 1], each [max_tokens, d_model]
  std::vector<LayerState> states_;  // one, or one a layer
  // A layer's weights in panels (FloatOps::pack), turned for the way forward.
  struct PackedLayer {
    float* qkv = nullptr;
    float* attn_output = nullptr;
    float* gate_up = nullptr;
    float* down = nullptr;
  };
  PackedLayer turned_;
  PackedLayer straight_;
  float* turned_output_ = nullptr;
  float* straight_output_ = nullptr;
  float* dx_ = nullptr;          // [n, d_model]: gradient by a layer's output, then by its input
  float* dmiddle_ = nullptr;     // [n, d_model]
  float* activation_ = nullptr;  // [n, ffn_dim]
  float* dgate_up_ = nullptr;    // [n, 2 ffn_dim]
  float* dattended_ = nullptr;   // [n, q_dim]
  float* dqkv_ = nullptr;        // [n, qkv_dim]
  float* head_in_ = nullptr;     // [n learned, d_model]: final norm's output
  float* dhead_in_ = nullptr;
  float* logits_ = nullptr;   // [head_chunk, vocab_size]
  float* local_ = nullptr;    // [n_threads, row block, max(d_model, ffn_dim)]
  float* partial_ = nullptr;  // [n_blocks, max(d_model, qkv_dim)]: sums of row blocks
};

}  // namespace reckon::train
