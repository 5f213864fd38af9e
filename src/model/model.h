// A model ready for the decoder: its configuration and every weight as a pointer whose shape has
// been proven. Norms and biases are decoded to float32; matrices stay where the file is mapped
// until read_weights() packs them for the kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/huge_buffer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf_file.h"
#include "model/adapter.h"
#include "model/config.h"
#include "quants/tensor_type.h"

namespace reckon {

struct LowRank;

// What came of the file that packed matrices are kept in (model/packed_file.h).
struct KeptWeights {
  enum class State { kNotWanted, kRead, kMade, kFailed };
  State state = State::kNotWanted;
  std::string problem;  // of kFailed: why they could not be kept; they are in memory all the same
};

// A weight matrix [rows, cols] as blocks of its type, row after row; the first n_packed_rows are
// packed (kernels/packed.h).
struct Matrix {
  TensorType type = TensorType::kF32;
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_bytes = 0;
  int64_t n_packed_rows = 0;
  const LowRank* low_rank = nullptr;  // what adapters add to its products; null without any

  int64_t bytes() const { return rows * row_bytes; }
};

// The adapters of one matrix W, side by side: W x + b (a x), scales in b.
struct LowRank {
  Matrix a;  // F32 [rank, cols]
  Matrix b;  // F32 [rows, rank]
  std::vector<float> a_values;
  std::vector<float> b_values;
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

// Immutable after load, set_adapters and read_weights, so safe to share between threads.
class Model {
 public:
  // Errors: kBadFile naming the tensor or key, what was expected and what was found.
  static Result<std::shared_ptr<Model>> load(std::shared_ptr<const GgufFile> file);

  // Adds what adapters for this model (read_adapter) add to its products; at most once, before it
  // is shared.
  void set_adapters(const std::vector<Adapter>& adapters);
  // The largest sum of ranks at one matrix; 0 without adapters.
  int64_t adapter_rank() const { return adapter_rank_; }
  int64_t adapter_bytes() const;

  // Reads all matrices into memory, so that the first answer is as fast as the later ones. packed:
  // those that products use and that can be are packed into memory of their own, one after the
  // other, and the file's pages given back; else they stay the file's, as the embedding always
  // does. keep_in: a folder where the packed ones are kept and found again by the next load; empty:
  // nowhere. At most once. Errors: kBadFile when the file can't be read any more, kFailed when
  // memory is short.
  using Progress = std::function<void(int64_t done_bytes, int64_t total_bytes)>;
  Result<KeptWeights> read_weights(bool packed, ThreadPool& pool, const Progress& progress,
                                   const std::string& keep_in = {});
  // What stands in memory after that: the file, and a second time an embedding that is the output's
  // matrix too and packed as such.
  int64_t resident_bytes(bool packed) const;

  const GgufFile& file() const { return *file_; }
  const ModelConfig& config() const { return config_; }
  const Matrix& token_embedding() const { return token_embedding_; }  // [vocab_size, d_model]
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const Vector& output_norm() const { return output_norm_; }  // [d_model]
  const Matrix& output() const { return output_; }            // [vocab_size, d_model]
  bool tied_embedding() const { return tied_embedding_; }
  // Rotations per position of each pair, in radians, scaling applied: [n_rotated / 2].
  const std::vector<double>& rope_frequencies() const { return rope_frequencies_; }

 private:
  std::shared_ptr<const GgufFile> file_;
  ModelConfig config_;
  Matrix token_embedding_;
  std::vector<LayerWeights> layers_;
  Vector output_norm_;
  Matrix output_;
  bool tied_embedding_ = false;
  std::vector<double> rope_frequencies_;
  HugeBuffer packed_;
  std::deque<LowRank> low_ranks_;
  int64_t adapter_rank_ = 0;

  std::vector<Matrix*> product_matrices();
  Status pack_matrices(const std::vector<Matrix*>& matrices, ThreadPool& pool,
                       const std::function<void(int64_t done_bytes)>& progress);
};

}  // namespace reckon
