// What a model's metadata says about its arithmetic. Read once, checked against limits that keep
// every later product in range; a key that could change the arithmetic and isn't understood is an
// error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/gguf_file.h"

namespace reckon {

enum class Architecture { kLlama, kQwen2 };

// Which elements of a head form a rotary pair (Su et al. 2021, section 3.4.2).
enum class RopeLayout {
  kInterleaved,  // (2i, 2i + 1): llama files, whose q and k rows are permuted for it
  kHalfSplit,    // (i, i + n_rotated / 2): qwen2
};

// Limits of every configuration, from a GGUF or from a config.json: far above any real model, far
// below the overflow of any product that is made of them.
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxDim = int64_t{1} << 20;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxVocab = int64_t{1} << 24;
inline constexpr int64_t kMaxContext = int64_t{1} << 30;
inline constexpr double kMaxRopeTheta = 1e12;

struct MatrixSize {
  int64_t rows = 0;
  int64_t cols = 0;
};

struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  std::string architecture_name;  // general.architecture, the prefix of its keys
  std::string name;               // general.name, may be empty
  int64_t n_layers = 0;
  int64_t d_model = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn_dim = 0;
  int64_t vocab_size = 0;
  int64_t context_length = 0;  // positions the model was trained for
  int64_t n_rotated = 0;       // rotary elements of a head, even, at most head_dim
  RopeLayout rope_layout = RopeLayout::kInterleaved;
  double rope_theta = 10000.0;
  double rope_linear_factor = 1.0;  // positions are divided by it (linear scaling)
  float rms_epsilon = 1e-5f;

  int64_t q_dim() const { return n_heads * head_dim; }
  int64_t kv_dim() const { return n_kv_heads * head_dim; }
};

// Errors: kBadFile naming the key, what was expected and what was found.
Result<ModelConfig> read_config(const GgufFile& file);

}  // namespace reckon
