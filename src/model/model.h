// A model ready for the decoder: its configuration and every weight as a pointer whose shape has
// been proven. Weights stay where the file is mapped; norms and biases are decoded to float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "model/config.h"
#include "quants/tensor_type.h"

namespace reckon {

// A weight matrix [rows, cols] as blocks of its type, row after row.
struct Matrix {
  TensorType type = TensorType::kF32;
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_bytes = 0;

  const std::byte* row(int64_t r) const { return data + r * row_bytes; }
};

// A vector that is added or multiplied element by element; empty when the model has none.
using Vector = std::vector<float>;

struct LayerWeights {
  Vector attn_norm;    // [d_model]
  Matrix attn_q;       // [n_heads * head_dim, d_model]
  Matrix attn_k;       // [n_kv_heads * head_dim, d_model]
  Matrix attn_v;       // [n_kv_heads * head_dim, d_model]
  Vector attn_q_bias;  // [n_heads * head_dim] or empty
  Vector attn_k_bias;  // [n_kv_heads * head_dim] or empty
  Vector attn_v_bias;  // [n_kv_heads * head_dim] or empty
  Matrix attn_output;  // [d_model, n_heads * head_dim]
  Vector ffn_norm;     // [d_model]
  Matrix ffn_gate;     // [ffn_dim, d_model]
  Matrix ffn_up;       // [ffn_dim, d_model]
  Matrix ffn_down;     // [d_model, ffn_dim]
};

// Immutable after load, so safe to share between threads.
class Model {
 public:
  // Errors: kBadFile naming the tensor or key, what was expected and what was found.
  static Result<std::shared_ptr<const Model>> load(std::shared_ptr<const GgufFile> file);

  const GgufFile& file() const { return *file_; }
  const ModelConfig& config() const { return config_; }
  const Matrix& token_embedding() const { return token_embedding_; }  // [vocab_size, d_model]
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const Vector& output_norm() const { return output_norm_; }  // [d_model]
  const Matrix& output() const { return output_; }            // [vocab_size, d_model]
  bool tied_embedding() const { return output_.data == token_embedding_.data; }
  // Rotations per position of each pair, in radians, scaling applied: [n_rotated / 2].
  const std::vector<double>& rope_frequencies() const { return rope_frequencies_; }

 private:
  std::shared_ptr<const GgufFile> file_;
  ModelConfig config_;
  Matrix token_embedding_;
  std::vector<LayerWeights> layers_;
  Vector output_norm_;
  Matrix output_;
  std::vector<double> rope_frequencies_;
};

}  // namespace reckon
