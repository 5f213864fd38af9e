// Master weights in float32: where each tensor lies in one long row of floats, so that gradients
// and the optimiser's moments have the same places; made at random or read from a model file, and
// written to one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/huge_buffer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "model/config.h"
#include "model/model.h"

namespace reckon::train {

// What the arithmetic needs to know of a model.
struct NetworkShape {
  ModelConfig config;
  bool tied_embedding = true;            // the head is the embedding
  bool has_biases = true;                // of q, k and v
  std::vector<double> rope_frequencies;  // [n_rotated / 2], radians a position

  int64_t qkv_dim() const { return config.q_dim() + 2 * config.kv_dim(); }
};
// Errors: kBadFile for biases of some of q, k, v only.
Result<NetworkShape> shape_of(const Model& model);

struct TensorSlot {
  std::string name;  // as in GGUF
  int64_t rows = 1;  // 1 for vectors
  int64_t cols = 0;
  int64_t offset = 0;  // floats
  bool is_vector = false;
  // Weight decay falls on matrices alone (Loshchilov and Hutter 2019 leave the choice open; norms
  // and biases have no scale to keep small).
  bool decays() const { return !is_vector; }
  int64_t size() const { return rows * cols; }
};

// Places of a layer's tensors; q, k, v lie one after the other as one matrix, so do their biases,
// and gate and up. -1: none.
struct LayerPlaces {
  int64_t attn_norm = 0;    // [d_model]
  int64_t qkv = 0;          // [qkv_dim, d_model]
  int64_t qkv_bias = -1;    // [qkv_dim]
  int64_t attn_output = 0;  // [d_model, q_dim]
  int64_t ffn_norm = 0;     // [d_model]
  int64_t gate_up = 0;      // [2 ffn_dim, d_model]
  int64_t down = 0;         // [d_model, ffn_dim]
};

struct WeightLayout {
  std::vector<TensorSlot> tensors;
  std::vector<LayerPlaces> layers;
  int64_t token_embedding = 0;  // [vocab_size, d_model]
  int64_t output_norm = 0;      // [d_model]
  int64_t output = 0;           // [vocab_size, d_model]; token_embedding when tied
  int64_t n_floats = 0;
  int64_t n_parameters() const;
};
WeightLayout layout_of(const NetworkShape& shape);

// Floats for every tensor of a layout, zero at first.
class FloatArena {
 public:
  static Result<FloatArena> create(int64_t n_floats, const char* what);
  FloatArena() = default;
  float* data() const { return reinterpret_cast<float*>(buffer_.data()); }
  int64_t size() const { return n_floats_; }
  std::span<float> floats() const { return {data(), static_cast<size_t>(n_floats_)}; }

 private:
  HugeBuffer buffer_;
  int64_t n_floats_ = 0;
};

// Decodes all of a model's tensors to their places. Errors: kBadFile for a number that isn't
// finite.
Status read_weights(const Model& model, const WeightLayout& layout, ThreadPool& pool,
                    float* weights);

// Normal numbers of deviation 0.02, those that write to the residual stream divided by
// sqrt(2 n_layers) (Radford et al. 2019, section 2.3); norms 1, biases 0. The same on every
// machine.
void random_weights(const NetworkShape& shape, const WeightLayout& layout, uint64_t seed,
                    ThreadPool& pool, float* weights);

// Metadata of the architecture, as `convert` writes it.
void add_architecture(const NetworkShape& shape, GgufWriter& writer);

// Writes a model file with float32 tensors; metadata is copied from base but for what describes
// its tensor types. Errors: kFailed when the file can't be written.
Status write_model(const GgufFile& base, const WeightLayout& layout, const float* weights,
                   const std::string& path);
// Declares the tensors, opens the file, writes the data, puts it in place. as_it_is: one more,
// copied from another file, or null.
Status write_tensors(GgufWriter& writer, const WeightLayout& layout, const float* weights,
                     const std::string& path, const GgufTensor* as_it_is = nullptr);

}  // namespace reckon::train
