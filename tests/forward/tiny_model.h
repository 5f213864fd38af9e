// A tiny random model in a temporary file, with weight matrices of any type: what the decoder's
// tests run. The same seed gives the same bytes on every machine.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gguf/gguf_writer.h"
#include "model/model.h"
#include "quants/blocks.h"
#include "quants/codec.h"
#include "quants/half.h"

namespace reckon::test {

struct TinyModelSpec {
  std::string architecture = "qwen2";
  TensorType type = TensorType::kF32;
  int64_t n_layers = 2;
  int64_t d_model = 256;
  int64_t n_heads = 4;
  int64_t n_kv_heads = 2;
  int64_t ffn_dim = 256;
  int64_t vocab_size = 96;
  bool tied = false;
  int64_t damaged_token = -1;  // this token's embedding (of type F32) starts with an infinity
};

// SplitMix64 (Steele, Lea and Flood 2014): one 64-bit state, no library involved.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Uniform in [-1, 1), a multiple of 2^-23.
  float unit() {
    return static_cast<float>(static_cast<int32_t>(bits() >> 40) - (1 << 23)) * 0x1p-23f;
  }

 private:
  uint64_t state_;
};

// One block of random bytes whose scales make values of about +-magnitude.
template <class Block>
void fill_block(Random& random, void* out, float magnitude) {
  Block block;
  for (size_t i = 0; i < sizeof(Block); ++i) {
    reinterpret_cast<uint8_t*>(&block)[i] = static_cast<uint8_t>(random.bits() >> 56);
  }
  if constexpr (requires { block.scales_h; }) {
    block.d = f32_to_f16(magnitude / (32 * 127));
  } else if constexpr (std::is_same_v<Block, BlockIQ4_NL> || std::is_same_v<Block, BlockQ8_0>) {
    block.d = f32_to_f16(magnitude / 127);
  } else if constexpr (std::is_same_v<Block, BlockQ6_K>) {
    block.d = f32_to_f16(magnitude / (32 * 127));
  } else if constexpr (requires { block.dmin; }) {
    // Sub-block scales up to 15 (Q2_K) or 63; quants up to 3, 15 or 31.
    const float levels = std::is_same_v<Block, BlockQ2_K>   ? 15 * 3.0f
                         : std::is_same_v<Block, BlockQ4_K> ? 63 * 15.0f
                                                            : 63 * 31.0f;
    block.d = f32_to_f16(2 * magnitude / levels);
    block.dmin = f32_to_f16(magnitude / (std::is_same_v<Block, BlockQ2_K> ? 15.0f : 63.0f));
  } else if constexpr (std::is_same_v<Block, BlockQ3_K>) {
    block.d = f32_to_f16(magnitude / (32 * 4));
  } else if constexpr (requires { block.m; }) {
    block.d = f32_to_f16(2 * magnitude / (requires { block.qh; } ? 31.0f : 15.0f));
    block.m = f32_to_f16(-magnitude);
  } else {
    block.d = f32_to_f16(magnitude / (requires { block.qh; } ? 16.0f : 8.0f));
  }
  std::memcpy(out, &block, sizeof(Block));
}

inline std::vector<std::byte> random_weights(Random& random, TensorType type, int64_t n,
                                             float magnitude) {
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(type, n)));
  const TensorTypeInfo& info = tensor_type_info(type);
  for (int64_t b = 0; b < n / info.block_elements; ++b) {
    void* out = bytes.data() + b * info.block_bytes;
    switch (type) {
      case TensorType::kF32: {
        const float value = random.unit() * magnitude;
        std::memcpy(out, &value, sizeof(value));
        break;
      }
      case TensorType::kF16:
      case TensorType::kBF16: {
        const float value = random.unit() * magnitude;
        const uint16_t half = type == TensorType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
        std::memcpy(out, &half, sizeof(half));
        break;
      }
      case TensorType::kQ4_0: fill_block<BlockQ4_0>(random, out, magnitude); break;
      case TensorType::kQ4_1: fill_block<BlockQ4_1>(random, out, magnitude); break;
      case TensorType::kQ5_0: fill_block<BlockQ5_0>(random, out, magnitude); break;
      case TensorType::kQ5_1: fill_block<BlockQ5_1>(random, out, magnitude); break;
      case TensorType::kQ8_0: fill_block<BlockQ8_0>(random, out, magnitude); break;
      case TensorType::kQ2_K: fill_block<BlockQ2_K>(random, out, magnitude); break;
      case TensorType::kQ3_K: fill_block<BlockQ3_K>(random, out, magnitude); break;
      case TensorType::kQ4_K: fill_block<BlockQ4_K>(random, out, magnitude); break;
      case TensorType::kQ5_K: fill_block<BlockQ5_K>(random, out, magnitude); break;
      case TensorType::kQ6_K: fill_block<BlockQ6_K>(random, out, magnitude); break;
      case TensorType::kIQ4_NL: fill_block<BlockIQ4_NL>(random, out, magnitude); break;
      case TensorType::kIQ4_XS: fill_block<BlockIQ4_XS>(random, out, magnitude); break;
    }
  }
  return bytes;
}

// The path of the file; the caller removes it.
inline std::string write_tiny_model(const TinyModelSpec& spec, uint64_t seed) {
  const int64_t d = spec.d_model;
  const int64_t kv = d / spec.n_heads * spec.n_kv_heads;
  struct Entry {
    std::string name;
    TensorType type;
    std::vector<int64_t> dims;
    float magnitude;
  };
  // Matrices of depth n have entries of about 2 / sqrt(n), so that signals keep their size.
  std::vector<Entry> entries;
  const auto matrix = [&](const std::string& name, int64_t rows, int64_t cols) {
    entries.push_back({name, spec.type, {cols, rows}, 2.0f / std::sqrt(static_cast<float>(cols))});
  };
  const auto vector = [&](const std::string& name, int64_t n) {
    entries.push_back({name, TensorType::kF32, {n}, 1.0f});
  };
  matrix("token_embd.weight", spec.vocab_size, d);
  entries.back().magnitude = 1.0f;
  vector("output_norm.weight", d);
  if (!spec.tied) matrix("output.weight", spec.vocab_size, d);
  for (int64_t layer = 0; layer < spec.n_layers; ++layer) {
    const std::string p = "blk." + std::to_string(layer) + ".";
    vector(p + "attn_norm.weight", d);
    matrix(p + "attn_q.weight", d, d);
    matrix(p + "attn_k.weight", kv, d);
    matrix(p + "attn_v.weight", kv, d);
    matrix(p + "attn_output.weight", d, d);
    vector(p + "ffn_norm.weight", d);
    matrix(p + "ffn_gate.weight", spec.ffn_dim, d);
    matrix(p + "ffn_up.weight", spec.ffn_dim, d);
    matrix(p + "ffn_down.weight", d, spec.ffn_dim);
    if (spec.architecture == "qwen2") {
      vector(p + "attn_q.bias", d);
      vector(p + "attn_k.bias", kv);
      vector(p + "attn_v.bias", kv);
    }
  }
  GgufWriter writer;
  const std::string& a = spec.architecture;
  writer.add_string("general.architecture", a);
  writer.add_uint32(a + ".context_length", 4096);
  writer.add_uint32(a + ".embedding_length", static_cast<uint32_t>(d));
  writer.add_uint32(a + ".block_count", static_cast<uint32_t>(spec.n_layers));
  writer.add_uint32(a + ".feed_forward_length", static_cast<uint32_t>(spec.ffn_dim));
  writer.add_uint32(a + ".attention.head_count", static_cast<uint32_t>(spec.n_heads));
  writer.add_uint32(a + ".attention.head_count_kv", static_cast<uint32_t>(spec.n_kv_heads));
  writer.add_float32(a + ".attention.layer_norm_rms_epsilon", 1e-6f);
  writer.add_float32(a + ".rope.freq_base", 10000.0f);
  for (const Entry& entry : entries) writer.add_tensor(entry.name, entry.type, entry.dims);
  static int counter = 0;
  const std::string path = ::testing::TempDir() + "reckon_tiny_" + std::to_string(::getpid()) +
                           "_" + std::to_string(counter++) + ".gguf";
  EXPECT_TRUE(writer.begin(path).ok());
  Random random(seed);
  for (const Entry& entry : entries) {
    int64_t n = 1;
    for (const int64_t dim : entry.dims) n *= dim;
    std::vector<std::byte> weights = random_weights(random, entry.type, n, entry.magnitude);
    if (entry.name == "token_embd.weight" && spec.damaged_token >= 0) {
      const float infinity = std::numeric_limits<float>::infinity();
      std::memcpy(weights.data() + row_bytes(entry.type, d) * spec.damaged_token, &infinity,
                  sizeof(infinity));
    }
    EXPECT_TRUE(writer.write_tensor_data(weights).ok());
  }
  EXPECT_TRUE(writer.commit().ok());
  return path;
}

inline std::shared_ptr<Model> open_tiny_model(const std::string& path) {
  const auto file = GgufFile::open(path);
  if (!file.ok()) {
    ADD_FAILURE() << file.error().message;
    return nullptr;
  }
  const auto model = Model::load(*file);
  if (!model.ok()) {
    ADD_FAILURE() << model.error().message;
    return nullptr;
  }
  return *model;
}

inline std::shared_ptr<Model> make_tiny_model(const TinyModelSpec& spec, uint64_t seed) {
  const std::string path = write_tiny_model(spec, seed);
  std::shared_ptr<Model> model = open_tiny_model(path);
  std::filesystem::remove(path);
  return model;
}

}  // namespace reckon::test
