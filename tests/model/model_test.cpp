// Metadata and tensor directory -> Model: what is accepted, and what each refusal says.
#include "model/model.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf_writer.h"

namespace reckon {
namespace {

using ::testing::TempDir;

// A tiny model file that tests bend: metadata by kind, tensors by shape, all of it F32.
struct TinyFile {
  std::string architecture = "llama";
  std::map<std::string, uint32_t> uints;
  std::map<std::string, float> floats;
  std::map<std::string, std::string> strings;
  std::map<std::string, bool> bools;
  std::map<std::string, std::vector<int64_t>> tensors;
  std::string poisoned_tensor;           // its first element is NaN
  std::vector<std::string_view> tokens;  // of a vocabulary, if there is one

  explicit TinyFile(const std::string& arch) : architecture(arch) {
    const int64_t d = 8, q = 8, kv = 4, ffn = 12, vocab = 10;
    uints = {{"context_length", 64},      {"embedding_length", 8},
             {"block_count", 2},          {"feed_forward_length", 12},
             {"attention.head_count", 2}, {"attention.head_count_kv", 1}};
    floats = {{"attention.layer_norm_rms_epsilon", 1e-5f}, {"rope.freq_base", 10000.0f}};
    tensors = {{"token_embd.weight", {d, vocab}}, {"output_norm.weight", {d}}};
    for (int layer = 0; layer < 2; ++layer) {
      const std::string p = "blk." + std::to_string(layer) + ".";
      tensors[p + "attn_norm.weight"] = {d};
      tensors[p + "attn_q.weight"] = {d, q};
      tensors[p + "attn_k.weight"] = {d, kv};
      tensors[p + "attn_v.weight"] = {d, kv};
      tensors[p + "attn_output.weight"] = {q, d};
      tensors[p + "ffn_norm.weight"] = {d};
      tensors[p + "ffn_gate.weight"] = {d, ffn};
      tensors[p + "ffn_up.weight"] = {d, ffn};
      tensors[p + "ffn_down.weight"] = {ffn, d};
      if (arch == "qwen2") {
        tensors[p + "attn_q.bias"] = {q};
        tensors[p + "attn_k.bias"] = {kv};
        tensors[p + "attn_v.bias"] = {kv};
      }
    }
  }

  Result<std::shared_ptr<Model>> load() const {
    static int counter = 0;
    const std::string path = TempDir() + "reckon_model_test_" + std::to_string(::getpid()) + "_" +
                             std::to_string(counter++) + ".gguf";
    GgufWriter writer;
    writer.add_string("general.architecture", architecture);
    for (const auto& [key, value] : uints) writer.add_uint32(architecture + "." + key, value);
    for (const auto& [key, value] : floats) writer.add_float32(architecture + "." + key, value);
    for (const auto& [key, value] : strings) writer.add_string(architecture + "." + key, value);
    for (const auto& [key, value] : bools) writer.add_bool(architecture + "." + key, value);
    if (!tokens.empty()) writer.add_strings("tokenizer.ggml.tokens", tokens);
    writer.add_string("general.description", "kept and shown");
    for (const auto& [name, dims] : tensors) writer.add_tensor(name, TensorType::kF32, dims);
    EXPECT_TRUE(writer.begin(path).ok());
    for (const auto& [name, dims] : tensors) {
      size_t n = 1;
      for (const int64_t dim : dims) n *= static_cast<size_t>(dim);
      std::vector<float> values(n, 0.5f);
      if (name == poisoned_tensor) values[0] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(writer.write_tensor_data(std::as_bytes(std::span(values))).ok());
    }
    EXPECT_TRUE(writer.commit().ok());
    auto file = GgufFile::open(path);
    std::filesystem::remove(path);
    if (!file.ok()) return file.error();
    return Model::load(*file);
  }
};

TEST(ModelTest, LoadsBothArchitectures) {
  for (const char* architecture : {"llama", "qwen2"}) {
    const auto model = TinyFile(architecture).load();
    ASSERT_TRUE(model.ok()) << model.error().message;
    const ModelConfig& config = (*model)->config();
    EXPECT_EQ(config.n_layers, 2);
    EXPECT_EQ(config.head_dim, 4);
    EXPECT_EQ(config.kv_dim(), 4);
    EXPECT_EQ(config.vocab_size, 10);
    EXPECT_TRUE((*model)->tied_embedding());
    EXPECT_EQ(config.rope_layout == RopeLayout::kHalfSplit, config.architecture_name == "qwen2");
  }
}

TEST(ModelTest, UntiedHeadAndRopeFrequencies) {
  TinyFile tiny("llama");
  tiny.tensors["output.weight"] = {8, 10};
  tiny.tensors["rope_freqs.weight"] = {2};  // all 0.5: every frequency doubles
  const auto model = tiny.load();
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_FALSE((*model)->tied_embedding());
  ASSERT_EQ((*model)->rope_frequencies().size(), 2u);
  EXPECT_DOUBLE_EQ((*model)->rope_frequencies()[0], 2.0);
  EXPECT_NEAR((*model)->rope_frequencies()[1], 2.0 * 0.01, 1e-15);
}

TEST(ModelTest, LinearRopeScaling) {
  TinyFile tiny("qwen2");
  tiny.strings["rope.scaling.type"] = "linear";
  tiny.floats["rope.scaling.factor"] = 4.0f;
  const auto model = tiny.load();
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_DOUBLE_EQ((*model)->rope_frequencies()[0], 0.25);
}

TEST(ModelTest, NeutralKeysAreAccepted) {
  TinyFile tiny("llama");
  tiny.uints["expert_count"] = 0;
  tiny.uints["attention.sliding_window"] = 0;
  tiny.floats["logit_scale"] = 1.0f;
  tiny.bools["attention.causal"] = true;
  tiny.strings["tensor_data_layout"] = "Meta AI original pth";
  EXPECT_TRUE(tiny.load().ok());
  // As wide as the context.
  tiny.uints["attention.sliding_window"] = 64;
  const auto model = tiny.load();
  EXPECT_TRUE(model.ok()) << model.error().message;
}

struct Refusal {
  const char* name;
  const char* architecture;
  std::function<void(TinyFile&)> bend;
  std::vector<std::string> says;  // all of these stand in the message
};

class ModelRefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(ModelRefusalTest, NamesObjectExpectedAndFound) {
  const Refusal& refusal = GetParam();
  TinyFile tiny(refusal.architecture);
  refusal.bend(tiny);
  const auto model = tiny.load();
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().kind, ErrorKind::kBadFile);
  for (const std::string& text : refusal.says) {
    EXPECT_NE(model.error().message.find(text), std::string::npos)
        << "expected \"" << text << "\" in: " << model.error().message;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ModelRefusalTest,
    ::testing::Values(
        Refusal{
            "architecture", "gemma", [](TinyFile&) {}, {"general.architecture", "found \"gemma\""}},
        Refusal{"no_layers",
                "llama",
                [](TinyFile& f) { f.uints["block_count"] = 0; },
                {"llama.block_count", "found 0"}},
        Refusal{"a_million_layers",
                "llama",
                [](TinyFile& f) { f.uints["block_count"] = 1000000; },
                {"llama.block_count", "found 1000000"}},
        Refusal{"more_layers_than_tensors",
                "llama",
                [](TinyFile& f) { f.uints["block_count"] = 3; },
                {"blk.2.attn_norm.weight", "found none"}},
        Refusal{"fewer_layers_than_tensors",
                "llama",
                [](TinyFile& f) { f.uints["block_count"] = 1; },
                {"blk.1.", "not part of"}},
        Refusal{"no_heads",
                "llama",
                [](TinyFile& f) { f.uints["attention.head_count"] = 0; },
                {"llama.attention.head_count", "found 0"}},
        Refusal{"heads_do_not_divide",
                "llama",
                [](TinyFile& f) { f.uints["attention.head_count"] = 3; },
                {"llama.attention.head_count", "found 3"}},
        Refusal{"kv_heads_do_not_divide",
                "qwen2",
                [](TinyFile& f) {
                  f.uints["attention.head_count"] = 4;
                  f.uints["attention.head_count_kv"] = 3;
                },
                {"qwen2.attention.head_count_kv", "found 3"}},
        Refusal{"missing_key",
                "llama",
                [](TinyFile& f) { f.uints.erase("embedding_length"); },
                {"llama.embedding_length"}},
        Refusal{"missing_epsilon",
                "llama",
                [](TinyFile& f) { f.floats.erase("attention.layer_norm_rms_epsilon"); },
                {"llama.attention.layer_norm_rms_epsilon"}},
        Refusal{"epsilon_not_a_number",
                "llama",
                [](TinyFile& f) {
                  f.floats["attention.layer_norm_rms_epsilon"] =
                      std::numeric_limits<float>::quiet_NaN();
                },
                {"llama.attention.layer_norm_rms_epsilon"}},
        Refusal{"unknown_rope_key",
                "llama",
                [](TinyFile& f) { f.floats["rope.scaling.beta_fast"] = 32.0f; },
                {"llama.rope.scaling.beta_fast", "does not understand"}},
        Refusal{"unknown_attention_key",
                "llama",
                [](TinyFile& f) { f.floats["attention.temperature"] = 2.0f; },
                {"llama.attention.temperature", "does not understand"}},
        Refusal{"softcap",
                "llama",
                [](TinyFile& f) { f.floats["attn_logit_softcapping"] = 50.0f; },
                {"llama.attn_logit_softcapping", "expected 0", "found 50"}},
        Refusal{"experts",
                "llama",
                [](TinyFile& f) { f.uints["expert_count"] = 8; },
                {"llama.expert_count", "found 8"}},
        Refusal{"sliding_window",
                "qwen2",
                [](TinyFile& f) { f.uints["attention.sliding_window"] = 63; },
                {"qwen2.attention.sliding_window", "found 63"}},
        Refusal{"layout",
                "qwen2",
                [](TinyFile& f) { f.strings["tensor_data_layout"] = "weird"; },
                {"qwen2.tensor_data_layout", "does not understand"}},
        Refusal{"yarn",
                "qwen2",
                [](TinyFile& f) { f.strings["rope.scaling.type"] = "yarn"; },
                {"qwen2.rope.scaling.type", "found \"yarn\""}},
        Refusal{"factor_without_type",
                "llama",
                [](TinyFile& f) { f.floats["rope.scaling.factor"] = 4.0f; },
                {"llama.rope.scaling.type"}},
        Refusal{"odd_rotation",
                "llama",
                [](TinyFile& f) { f.uints["rope.dimension_count"] = 3; },
                {"llama.rope.dimension_count", "found 3"}},
        Refusal{"rotation_over_head",
                "llama",
                [](TinyFile& f) { f.uints["rope.dimension_count"] = 6; },
                {"llama.rope.dimension_count", "found 6"}},
        Refusal{"negative_theta",
                "llama",
                [](TinyFile& f) { f.floats["rope.freq_base"] = -1.0f; },
                {"llama.rope.freq_base", "found -1"}},
        Refusal{"more_tokens_than_rows",
                "llama",
                [](TinyFile& f) { f.tokens.assign(11, "a"); },
                {"tokenizer.ggml.tokens", "expected at most 10", "found 11"}},
        Refusal{"vocab_size_disagrees",
                "llama",
                [](TinyFile& f) { f.uints["vocab_size"] = 11; },
                {"llama.vocab_size", "expected 10", "found 11"}},
        Refusal{"wrong_shape",
                "llama",
                [](TinyFile& f) { f.tensors["blk.0.attn_q.weight"] = {8, 4}; },
                {"blk.0.attn_q.weight", "expected [8, 8]", "found [8, 4]"}},
        Refusal{"transposed",
                "llama",
                [](TinyFile& f) { f.tensors["blk.1.ffn_down.weight"] = {8, 12}; },
                {"blk.1.ffn_down.weight", "expected [12, 8]", "found [8, 12]"}},
        Refusal{"three_dims",
                "llama",
                [](TinyFile& f) { f.tensors["blk.0.ffn_up.weight"] = {8, 12, 1}; },
                {"blk.0.ffn_up.weight"}},
        Refusal{"no_embedding",
                "llama",
                [](TinyFile& f) { f.tensors.erase("token_embd.weight"); },
                {"token_embd.weight", "found none"}},
        Refusal{"no_bias",
                "qwen2",
                [](TinyFile& f) { f.tensors.erase("blk.0.attn_k.bias"); },
                {"blk.0.attn_k.bias", "found none"}},
        Refusal{"unknown_tensor",
                "llama",
                [](TinyFile& f) { f.tensors["blk.0.attn_q_norm.weight"] = {4}; },
                {"blk.0.attn_q_norm.weight", "not part of"}},
        Refusal{"norm_not_finite",
                "llama",
                [](TinyFile& f) { f.poisoned_tensor = "blk.1.ffn_norm.weight"; },
                {"blk.1.ffn_norm.weight[0]", "finite"}}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace reckon
