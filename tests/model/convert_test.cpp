// Folders made by transformers (tools/convert_fixtures.py) to GGUF and back: names, values, order
// of rows, tokenizer; and folders that reckon must refuse.
#include "model/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "gguf/gguf_file.h"
#include "gguf/safetensors.h"
#include "model/convert_config.h"
#include "model/convert_tensors.h"
#include "model/model.h"
#include "model/quantize.h"
#include "quants/codec.h"
#include "quants/half.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using testing::HasSubstr;

std::string fixture(std::string_view name) {
  return std::string(RECKON_SOURCE_DIR "/tests/model/fixtures/") + std::string(name);
}

std::string text_of(const std::string& path) { return *read_file(path, 1 << 24); }

class ConvertTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              ("convert_" + std::to_string(::getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  // A fresh copy of a fixture that the test may spoil.
  std::string copy(std::string_view name) const {
    const std::string target = path("copy_of_" + std::string(name));
    fs::remove_all(target);
    fs::copy(fixture(name), target);
    return target;
  }
  std::string verdict(const std::string& folder,
                      std::optional<TensorType> type = std::nullopt) const {
    fs::remove(path("out.gguf"));
    const Status status = convert_hf_to_gguf(folder, path("out.gguf"), type);
    EXPECT_EQ(status.ok(), fs::exists(path("out.gguf")));
    return status.ok() ? "converted" : status.error().message;
  }
  std::shared_ptr<const GgufFile> converted(std::string_view name,
                                            std::optional<TensorType> type = std::nullopt) const {
    EXPECT_EQ(verdict(fixture(name), type), "converted");
    return *GgufFile::open(path("out.gguf"));
  }

  fs::path folder_;
};

std::vector<float> values_of(TensorType type, const void* data, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  decode_row(type, data, values.data(), n);
  return values;
}
std::vector<float> values_of(const GgufTensor* tensor) {
  return values_of(tensor->type, tensor->data, tensor->n_elements);
}
std::vector<float> values_of(const SafetensorsTensor* tensor) {
  const int64_t n = static_cast<int64_t>(tensor->data.size()) / row_bytes(tensor->type, 1);
  const std::vector<std::byte> aligned(tensor->data.begin(), tensor->data.end());
  return values_of(tensor->type, aligned.data(), n);
}

TEST_F(ConvertTest, LlamaMetadata) {
  const auto file = converted("hf_llama");
  EXPECT_EQ(*file->require_string("general.architecture"), "llama");
  EXPECT_EQ(*file->require_string("general.type"), "model");
  EXPECT_EQ(*file->require_string("general.name"), "hf_llama");
  EXPECT_EQ(*file->require_uint("general.file_type"), 32u);
  EXPECT_EQ(*file->require_uint("llama.block_count"), 2u);
  EXPECT_EQ(*file->require_uint("llama.context_length"), 128u);
  EXPECT_EQ(*file->require_uint("llama.embedding_length"), 32u);
  EXPECT_EQ(*file->require_uint("llama.feed_forward_length"), 48u);
  EXPECT_EQ(*file->require_uint("llama.attention.head_count"), 4u);
  EXPECT_EQ(*file->require_uint("llama.attention.head_count_kv"), 2u);
  EXPECT_EQ(*file->require_uint("llama.attention.key_length"), 16u);
  EXPECT_EQ(*file->require_uint("llama.attention.value_length"), 16u);
  EXPECT_EQ(*file->require_uint("llama.rope.dimension_count"), 16u);
  EXPECT_EQ(*file->require_uint("llama.vocab_size"), 300u);
  EXPECT_EQ(*file->require_float("llama.rope.freq_base"), 500000.0);
  EXPECT_EQ(*file->require_float("llama.attention.layer_norm_rms_epsilon"),
            static_cast<double>(1e-6f));
  EXPECT_EQ(*file->require_string("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(*file->require_string("tokenizer.ggml.pre"), "llama-bpe");
  EXPECT_EQ(*file->require_uint("tokenizer.ggml.bos_token_id"), 292u);
  EXPECT_EQ(*file->require_uint("tokenizer.ggml.eos_token_id"), 293u);
  EXPECT_EQ(*file->require_uint("tokenizer.ggml.padding_token_id"), 294u);
  EXPECT_EQ(*file->get_bool("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(*file->require_string("tokenizer.chat_template"),
            text_of(fixture("hf_llama/chat_template.jinja")));
  EXPECT_EQ(*file->require_float("general.sampling.temp"), static_cast<double>(0.6f));
  EXPECT_EQ(*file->require_float("general.sampling.top_p"), static_cast<double>(0.95f));
  const GgufArray* tokens = *file->get_array("tokenizer.ggml.tokens", GgufValueType::kString);
  const GgufArray* kinds = *file->get_array("tokenizer.ggml.token_type", GgufValueType::kInt32);
  ASSERT_EQ(tokens->count, 300u);
  EXPECT_EQ(tokens->strings[292], "<|begin|>");
  EXPECT_EQ(kinds->int_at(292), 3);
  EXPECT_EQ(tokens->strings[295], "<think>");
  EXPECT_EQ(kinds->int_at(295), 4);
  EXPECT_EQ(tokens->strings[299], "[PAD299]");
  EXPECT_EQ(kinds->int_at(299), 5);
  EXPECT_EQ(kinds->int_at(0), 1);
}

TEST_F(ConvertTest, LlamaTensors) {
  const auto file = converted("hf_llama");
  const auto source = *Safetensors::open_folder(fixture("hf_llama"));
  EXPECT_EQ(file->tensors().size(), source->tensors().size() + 1);  // rope_freqs
  EXPECT_EQ(file->find_tensor("token_embd.weight")->type, TensorType::kBF16);
  EXPECT_EQ(file->find_tensor("output_norm.weight")->type, TensorType::kF32);
  EXPECT_EQ(values_of(file->find_tensor("output.weight")),
            values_of(source->find("lm_head.weight")));
  EXPECT_EQ(values_of(file->find_tensor("blk.1.ffn_norm.weight")),
            values_of(source->find("model.layers.1.post_attention_layernorm.weight")));
  EXPECT_EQ(values_of(file->find_tensor("blk.1.attn_v.weight")),
            values_of(source->find("model.layers.1.self_attn.v_proj.weight")));
  EXPECT_EQ(file->find_tensor("blk.0.ffn_down.weight")->shape_text(), "[48, 32]");
  // Row 2 j of a head is its row j, row 2 j + 1 its row j + 8.
  for (const auto& [ours, theirs, heads] :
       {std::tuple("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight", 4),
        std::tuple("blk.0.attn_k.weight", "model.layers.0.self_attn.k_proj.weight", 2)}) {
    const std::vector<float> found = values_of(file->find_tensor(ours));
    const std::vector<float> plain = values_of(source->find(theirs));
    ASSERT_EQ(found.size(), static_cast<size_t>(heads * 16 * 32));
    for (int head = 0; head < heads; ++head) {
      for (int j = 0; j < 16; ++j) {
        const int from = j % 2 == 0 ? j / 2 : j / 2 + 8;
        for (int c = 0; c < 32; ++c) {
          ASSERT_EQ(found[static_cast<size_t>(((head * 16) + j) * 32 + c)],
                    plain[static_cast<size_t>(((head * 16) + from) * 32 + c)]);
        }
      }
    }
  }
  // What transformers divides the frequencies by, to its single precision.
  const float expected[] = {1, 2.4422593f, 8, 8, 8, 8, 8, 8};
  EXPECT_THAT(values_of(file->find_tensor("rope_freqs.weight")),
              testing::Pointwise(testing::FloatNear(1e-6f), expected));
}

TEST_F(ConvertTest, Qwen2) {
  const auto file = converted("hf_qwen2");
  const auto source = *Safetensors::open_folder(fixture("hf_qwen2"));
  EXPECT_EQ(*file->require_string("general.architecture"), "qwen2");
  EXPECT_EQ(*file->require_string("tokenizer.ggml.pre"), "qwen2");
  EXPECT_EQ(*file->get_bool("tokenizer.ggml.add_bos_token"), false);
  EXPECT_EQ(file->find("qwen2.attention.key_length"), nullptr);
  EXPECT_EQ(file->find_tensor("output.weight"), nullptr);  // tied
  EXPECT_EQ(file->find_tensor("rope_freqs.weight"), nullptr);
  for (const auto& [ours, theirs] :
       {std::pair("blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight"),
        std::pair("blk.1.attn_k.bias", "model.layers.1.self_attn.k_proj.bias")}) {
    EXPECT_EQ(values_of(file->find_tensor(ours)), values_of(source->find(theirs)));
  }
  EXPECT_EQ(file->find_tensor("blk.1.attn_k.bias")->type, TensorType::kF32);
}

TEST_F(ConvertTest, LoadsAsAModelWithItsTokenizer) {
  for (const char* name : {"hf_llama", "hf_qwen2"}) {
    const auto file = converted(name);
    const auto model = Model::load(file);
    ASSERT_TRUE(model.ok()) << model.error().message;
    const auto tokenizer = Tokenizer::from_gguf(*file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    std::vector<TokenId> ids;
    (*tokenizer)->encode("think about <think>1234", SpecialTokens::kParse, ids);
    EXPECT_THAT(ids, testing::Contains(295));
    EXPECT_EQ((*tokenizer)->decode(ids), "think about <think>1234");
  }
}

TEST_F(ConvertTest, RoundTripKeepsEveryBit) {
  for (const char* name : {"hf_llama", "hf_qwen2"}) {
    SCOPED_TRACE(name);
    converted(name);
    const std::string back = path(std::string("back/") + name);
    const Status status = convert_gguf_to_hf(path("out.gguf"), back);
    ASSERT_TRUE(status.ok()) << status.error().message;
    const auto source = *Safetensors::open_folder(fixture(name));
    const auto found = *Safetensors::open_folder(back);
    ASSERT_EQ(found->tensors().size(), source->tensors().size());
    for (const SafetensorsTensor& tensor : source->tensors()) {
      const SafetensorsTensor* twin = found->find(tensor.name);
      ASSERT_NE(twin, nullptr) << tensor.name;
      EXPECT_EQ(twin->type, tensor.type) << tensor.name;
      EXPECT_EQ(twin->shape, tensor.shape);
      EXPECT_TRUE(std::ranges::equal(twin->data, tensor.data)) << tensor.name;
    }
    const auto before = *read_hf_config(text_of(fixture(name) + "/config.json"), "before");
    const auto after = *read_hf_config(text_of(back + "/config.json"), "after");
    EXPECT_EQ(after.n_kv_heads, before.n_kv_heads);
    EXPECT_EQ(after.head_dim, before.head_dim);
    EXPECT_EQ(after.rope_theta, before.rope_theta);
    EXPECT_EQ(after.rms_epsilon, before.rms_epsilon);
    EXPECT_EQ(after.tied_embedding, before.tied_embedding);
    EXPECT_EQ(after.llama3_rope, before.llama3_rope);
    EXPECT_EQ(after.bos, before.bos);
    EXPECT_THAT(text_of(back + "/config.json"), HasSubstr("\"torch_dtype\":\"bfloat16\""));
    // And once more: the same file, byte by byte, save for its name.
    const std::string first = text_of(path("out.gguf"));
    EXPECT_EQ(verdict(back), "converted");
    EXPECT_EQ(text_of(path("out.gguf")), first);
  }
}

TEST_F(ConvertTest, TypesOnDemand) {
  const auto source = *Safetensors::open_folder(fixture("hf_qwen2"));
  const std::vector<float> plain = values_of(source->find("model.layers.0.mlp.gate_proj.weight"));
  const auto f32 = converted("hf_qwen2", TensorType::kF32);
  EXPECT_EQ(f32->find_tensor("blk.0.ffn_gate.weight")->type, TensorType::kF32);
  EXPECT_EQ(*f32->require_uint("general.file_type"), 0u);
  EXPECT_EQ(values_of(f32->find_tensor("blk.0.ffn_gate.weight")), plain);
  const auto f16 = converted("hf_qwen2", TensorType::kF16);
  EXPECT_EQ(f16->find_tensor("blk.0.ffn_gate.weight")->type, TensorType::kF16);
  EXPECT_EQ(*f16->require_uint("general.file_type"), 1u);
  const std::vector<float> halves = values_of(f16->find_tensor("blk.0.ffn_gate.weight"));
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_EQ(halves[i], f16_to_f32(f32_to_f16(plain[i])));
  }
  const Status wrong = convert_hf_to_gguf(fixture("hf_qwen2"), path("out.gguf"), TensorType::kQ8_0);
  EXPECT_EQ(wrong.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(convert_gguf_to_hf(path("out.gguf"), path("x"), TensorType::kF16).error().kind,
            ErrorKind::kUsage);
}

TEST_F(ConvertTest, QuantisedModelsAreDequantised) {
  converted("hf_llama");
  ThreadPool pool(1);
  const Status quantised =
      quantize_file(path("out.gguf"), path("q8.gguf"), QuantizeTarget::kQ8_0, pool);
  ASSERT_TRUE(quantised.ok()) << quantised.error().message;
  for (const auto& [type, name] :
       {std::pair(TensorType::kF32, "float32"), std::pair(TensorType::kBF16, "bfloat16")}) {
    const Status status = convert_gguf_to_hf(path("q8.gguf"), path(name), type);
    ASSERT_TRUE(status.ok()) << status.error().message;
    const auto file = *GgufFile::open(path("q8.gguf"));
    const auto folder = *Safetensors::open_folder(path(name));
    const GgufTensor* q8 = file->find_tensor("blk.0.attn_v.weight");
    ASSERT_EQ(q8->type, TensorType::kQ8_0);
    std::vector<float> expected = values_of(q8);
    if (type == TensorType::kBF16) {
      for (float& value : expected) value = bf16_to_f32(f32_to_bf16(value));
    }
    const SafetensorsTensor* found = folder->find("model.layers.0.self_attn.v_proj.weight");
    EXPECT_EQ(found->type, type);
    EXPECT_EQ(values_of(found), expected);
    // What didn't fit q8_0's blocks is f16, so that only float32 holds everything.
    EXPECT_EQ(file->find_tensor("blk.0.ffn_down.weight")->type, TensorType::kF16);
    EXPECT_THAT(text_of(path(name) + "/config.json"), HasSubstr("\"torch_dtype\":\"float32\""));
  }
}

TEST_F(ConvertTest, StopsWhenAsked) {
  int calls = 0;
  const Status status = convert_hf_to_gguf(fixture("hf_llama"), path("stopped.gguf"), std::nullopt,
                                           [&](const ConvertProgress& progress) {
                                             EXPECT_EQ(progress.n_tensors, 21);
                                             EXPECT_LE(progress.bytes_done, progress.bytes);
                                             return ++calls < 5;
                                           });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(calls, 5);
  EXPECT_TRUE(fs::is_empty(folder_));
}

// config.json of a fixture with one field set, or removed when value is empty.
std::string config_with(std::string_view name, std::string_view key, std::string_view value) {
  json::object config = parse_json(text_of(fixture(name) + "/config.json"), "c")->get_object();
  const json::string_view json_key(key.data(), key.size());
  if (value.empty()) {
    config.erase(json_key);
  } else {
    config[json_key] = json::parse(json::string_view(value.data(), value.size()));
  }
  return json::serialize(config);
}

struct ConfigCase {
  const char* fixture;
  const char* key;
  const char* value;
  const char* expected;  // of the error; empty: it's taken
};

TEST(HfConfigTest, FieldsOneByOne) {
  constexpr const char* kLlama = "hf_llama";
  constexpr const char* kQwen2 = "hf_qwen2";
  const ConfigCase cases[] = {
      {kLlama, "architectures", R"(["LlamaForCausalLM"])", ""},
      {kLlama, "architectures", "", "architectures: expected one of Qwen2ForCausalLM and"},
      {kLlama, "architectures", "[]", "architectures: expected"},
      {kLlama, "architectures", R"("LlamaForCausalLM")", "architectures: expected"},
      {kLlama, "architectures", R"(["MistralForCausalLM"])", "found \"[\\\"MistralForCausalLM"},
      {kLlama, "architectures", R"(["Qwen3ForCausalLM"])", "architectures: expected"},
      {kLlama, "architectures", R"(["LlamaForCausalLM","Qwen2ForCausalLM"])", "architectures"},
      {kLlama, "architectures", "[1]", "architectures: expected"},
      {kLlama, "quantization_config", R"({"quant_method":"fp8"})", "quantization_config: expected"},
      {kLlama, "quantization_config", "null", ""},
      {kLlama, "auto_map", R"({"AutoModel":"x.py"})", "auto_map: expected no such field"},
      {kLlama, "hidden_act", R"("gelu")", "hidden_act: expected \"silu\""},
      {kLlama, "hidden_act", "3", "hidden_act: expected a string"},
      {kLlama, "hidden_act", "", ""},
      {kLlama, "attention_bias", "true", "attention_bias: expected false"},
      {kLlama, "attention_bias", "0", "attention_bias: expected true or false"},
      {kLlama, "mlp_bias", "true", "mlp_bias: expected false"},
      {kQwen2, "use_sliding_window", "true", "use_sliding_window: expected false"},
      {kQwen2, "use_mrope", "true", "use_mrope: expected false"},
      {kQwen2, "sliding_window", "4096", ""},
      {kQwen2, "layer_types", R"(["full_attention","sliding_attention"])", "layer_types: expected"},
      {kQwen2, "layer_types", R"(["full_attention","full_attention"])", ""},
      {kQwen2, "layer_types", R"("full_attention")", "layer_types: expected"},
      {kLlama, "partial_rotary_factor", "0.5", "partial_rotary_factor: expected 1"},
      {kLlama, "logits_scaling", "8", "logits_scaling: expected 1"},
      {kLlama, "residual_multiplier", "1.0", ""},
      {kLlama, "final_logit_softcapping", "30", "final_logit_softcapping: expected 0"},
      {kLlama, "num_local_experts", "8", "num_local_experts: expected 0"},
      {kLlama, "num_experts", "null", ""},
      {kLlama, "model_type", R"("granite")", "model_type: expected \"llama\" beside Llama"},
      {kQwen2, "model_type", R"("qwen3")", "model_type: expected \"qwen2\" beside Qwen2"},
      {kQwen2, "model_type", "", ""},
      {kLlama, "some_key_of_a_tool", R"({"x":[1]})", ""},
      {kLlama, "num_hidden_layers", "",
       "num_hidden_layers: expected a whole number from 1 to 1024"},
      {kLlama, "num_hidden_layers", "0", "num_hidden_layers: expected"},
      {kLlama, "num_hidden_layers", "1000000", "num_hidden_layers: expected"},
      {kLlama, "num_hidden_layers", "-1", "num_hidden_layers: expected"},
      {kLlama, "num_hidden_layers", "2.0", "num_hidden_layers: expected"},
      {kLlama, "num_hidden_layers", R"("2")", "num_hidden_layers: expected"},
      {kLlama, "hidden_size", "18446744073709551615", "hidden_size: expected"},
      {kLlama, "hidden_size", "9223372036854775807", "hidden_size: expected"},
      {kLlama, "hidden_size", "null", "hidden_size: expected"},
      {kQwen2, "hidden_size", "30", "hidden_size: expected heads of an even size"},
      {kQwen2, "hidden_size", "12", "hidden_size: expected heads of an even size"},
      {kLlama, "intermediate_size", "0", "intermediate_size: expected"},
      {kLlama, "num_attention_heads", "0", "num_attention_heads: expected"},
      {kLlama, "num_attention_heads", "[4]", "num_attention_heads: expected"},
      {kLlama, "num_key_value_heads", "0", "num_key_value_heads: expected"},
      {kLlama, "num_key_value_heads", "3", "num_key_value_heads: expected a divisor of 4"},
      {kLlama, "num_key_value_heads", "8", "num_key_value_heads: expected"},
      {kLlama, "num_key_value_heads", "", ""},
      {kQwen2, "num_key_value_heads", "", "num_key_value_heads: expected a divisor of 4"},
      {kLlama, "head_dim", "0", "head_dim: expected"},
      {kLlama, "head_dim", "15", "head_dim: expected heads of an even size"},
      {kLlama, "head_dim", "1", "head_dim: expected heads of an even size"},
      {kLlama, "head_dim", "null", ""},
      {kLlama, "vocab_size", "0", "vocab_size: expected"},
      {kLlama, "vocab_size", "100000000", "vocab_size: expected"},
      {kLlama, "max_position_embeddings", "", "max_position_embeddings: expected"},
      {kLlama, "max_position_embeddings", "4294967296", "max_position_embeddings: expected"},
      {kLlama, "rms_norm_eps", "", "rms_norm_eps: expected a number, found none"},
      {kLlama, "rms_norm_eps", "0", "rms_norm_eps: expected more than 0"},
      {kLlama, "rms_norm_eps", "2.0", "rms_norm_eps: expected more than 0 and less than 1"},
      {kLlama, "rms_norm_eps", "-1e-6", "rms_norm_eps: expected more than 0"},
      {kLlama, "rms_norm_eps", R"("1e-6")", "rms_norm_eps: expected a number"},
      {kLlama, "tie_word_embeddings", R"("no")", "tie_word_embeddings: expected true or false"},
      {kLlama, "rope_parameters", "", ""},
      {kQwen2, "rope_parameters", R"({"rope_theta":1e13})",
       "rope_theta: expected more than 1 and at most 1e12"},
      {kLlama, "rope_parameters", R"({"full_attention":{"rope_type":"yarn","factor":4}})",
       "rope_parameters: full_attention: expected no object"},
      {kLlama, "rope_parameters", R"({"factor":2.0})",
       "rope_parameters: factor: expected 1, or a rope_type beside it"},
      {kLlama, "rope_parameters", R"({"rope_type":"default","factor":1.0})", ""},
      {kLlama, "rope_parameters", R"({"rope_type":"default","type":"linear","factor":8})",
       "rope_parameters: type: expected \"default\", as rope_type"},
      {kLlama, "rope_parameters", "[]", "rope_parameters: expected an object"},
      {kLlama, "rope_parameters", R"({"rope_type":"yarn","factor":4})",
       "rope_parameters: rope_type: expected \"default\" or \"llama3\", found \"\\\"yarn"},
      {kLlama, "rope_parameters", R"({"type":"linear","factor":4})", "type: expected"},
      {kLlama, "rope_parameters", R"({"rope_type":"dynamic"})", "rope_type: expected"},
      {kLlama, "rope_parameters", R"({"rope_type":"llama3"})", "factor: expected a number"},
      {kLlama, "rope_parameters", R"({"rope_type":1})", "rope_type: expected a string"},
      {kLlama, "rope_parameters",
       R"({"rope_type":"llama3","factor":0.5,"low_freq_factor":1,"high_freq_factor":4,)"
       R"("original_max_position_embeddings":64})",
       "factor: expected 1 and more"},
      {kLlama, "rope_parameters",
       R"({"rope_type":"llama3","factor":8,"low_freq_factor":0,"high_freq_factor":4,)"
       R"("original_max_position_embeddings":64})",
       "low_freq_factor: expected more than 0"},
      {kLlama, "rope_parameters",
       R"({"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,)"
       R"("original_max_position_embeddings":64})",
       "high_freq_factor: expected more than low_freq_factor"},
      {kLlama, "rope_parameters",
       R"({"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,)"
       R"("original_max_position_embeddings":0})",
       "original_max_position_embeddings: expected"},
      {kLlama, "rope_parameters", R"({"rope_type":"default","rope_theta":1})",
       "rope_theta: expected more than 1"},
      {kLlama, "rope_parameters", R"({"partial_rotary_factor":0.25})", "partial_rotary_factor"},
      {kQwen2, "rope_parameters", R"({"rope_type":"llama3","factor":8})", "expected \"default\""},
      {kQwen2, "rope_scaling", R"({"type":"yarn","factor":4})",
       "rope_scaling: expected none beside rope_parameters, or the same"},
      {kQwen2, "rope_theta", "10000.0", ""},
      {kQwen2, "rope_theta", "20000.0", "rope_theta: expected 20000, as outside of it"},
      {kQwen2, "rope_theta", R"("1e4")", "rope_theta: expected a number"},
      {kLlama, "bos_token_id", "[128000,128001]", ""},
      {kLlama, "bos_token_id", "-1", ""},
      {kLlama, "bos_token_id", R"("<s>")", "bos_token_id: expected a token's id"},
      {kLlama, "eos_token_id", "[]", "eos_token_id: expected a token's id"},
      {kLlama, "eos_token_id", "1.5", "eos_token_id: expected a token's id"},
  };
  for (const ConfigCase& c : cases) {
    SCOPED_TRACE(std::string(c.key) + " = " + c.value);
    const auto config = read_hf_config(config_with(c.fixture, c.key, c.value), "config.json");
    if (config.ok()) {
      EXPECT_STREQ(c.expected, "");
    } else {
      EXPECT_STRNE(c.expected, "");
      EXPECT_EQ(config.error().kind, ErrorKind::kBadFile);
      EXPECT_THAT(config.error().message, HasSubstr(c.expected));
    }
  }
  for (const char* text : {"", "{", "[]", "null", "\"x\"", "{}", "{\"a\":1,\"a\":1}", "\xff"}) {
    EXPECT_FALSE(read_hf_config(text, "config.json").ok()) << text;
  }
}

TEST(HfConfigTest, OlderFields) {
  const auto config = read_hf_config(
      R"({"architectures":["LlamaForCausalLM"],"hidden_size":64,"intermediate_size":96,
          "num_hidden_layers":2,"num_attention_heads":4,"vocab_size":128256,
          "max_position_embeddings":131072,"rms_norm_eps":1e-05,"rope_theta":500000.0,
          "rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
          "original_max_position_embeddings":8192,"rope_type":"llama3"},
          "eos_token_id":[128001,128008,128009],"pretraining_tp":1})",
      "config.json");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->n_kv_heads, 4);
  EXPECT_EQ(config->rope_theta, 500000.0);
  EXPECT_EQ(config->llama3_rope, (Llama3Rope{8, 1, 4, 8192}));
  EXPECT_EQ(config->eos, 128001);
  EXPECT_FALSE(config->tied_embedding);
}

TEST(HfConfigTest, EveryCutAndBitFlip) {
  const std::string good = text_of(fixture("hf_llama/config.json"));
  for (size_t length = 0; length + 1 < good.size(); ++length) {
    EXPECT_FALSE(read_hf_config(good.substr(0, length), "c").ok() && good[length] != '\n');
  }
  int taken = 0;
  std::string flipped = good;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    flipped[bit / 8] = static_cast<char>(good[bit / 8] ^ (1 << (bit % 8)));
    taken += read_hf_config(flipped, "c").ok() ? 1 : 0;
    flipped[bit / 8] = good[bit / 8];
  }
  EXPECT_GT(taken, 0);
}

// Rewrites the fixture's weights as one file with a change to what is written.
using Change = std::function<void(std::string& name, TensorType& type, std::vector<int64_t>& shape,
                                  std::vector<std::byte>& data)>;
void rewrite_weights(const std::string& folder, const Change& change) {
  const auto source = *Safetensors::open_folder(folder);
  SafetensorsWriter writer;
  std::vector<std::vector<std::byte>> all;
  for (const SafetensorsTensor& tensor : source->tensors()) {
    std::string name = tensor.name;
    TensorType type = tensor.type;
    std::vector<int64_t> shape = tensor.shape;
    std::vector<std::byte> data(tensor.data.begin(), tensor.data.end());
    change(name, type, shape, data);
    if (name.empty()) continue;
    writer.add_tensor(name, type, shape);
    all.push_back(std::move(data));
  }
  ASSERT_TRUE(writer.begin(folder + "/model.safetensors").ok());
  for (const auto& data : all) ASSERT_TRUE(writer.write_tensor_data(data).ok());
  ASSERT_TRUE(writer.commit().ok());
}

TEST_F(ConvertTest, WrongWeights) {
  const auto verdict_with = [&](const Change& change) {
    const std::string folder = copy("hf_qwen2");
    rewrite_weights(folder, change);
    return verdict(folder, TensorType::kF16);
  };
  const auto nothing = [](auto&&...) {};
  EXPECT_EQ(verdict_with(nothing), "converted");
  EXPECT_THAT(verdict_with([](std::string& name, auto&&...) {
                if (name == "model.norm.weight") name = "";
              }),
              HasSubstr("model.norm.weight: expected this tensor, found none"));
  EXPECT_THAT(verdict_with([](std::string& name, auto&&...) {
                if (name.ends_with("layers.1.self_attn.q_proj.bias")) name += "es";
              }),
              HasSubstr("model.layers.1.self_attn.q_proj.bias: expected this tensor, found none"));
  EXPECT_THAT(verdict_with([](std::string& name, TensorType&, std::vector<int64_t>& shape, auto&&) {
                if (name == "model.layers.0.mlp.up_proj.weight") std::swap(shape[0], shape[1]);
              }),
              HasSubstr("model.layers.0.mlp.up_proj.weight: expected [48, 32], found [32, 48]"));
  // 65504 is the largest half, and bfloat16's 0x477f (65280) the last below it.
  const auto with_value = [&](uint16_t bits) {
    return verdict_with([bits](std::string& name, TensorType&, std::vector<int64_t>&,
                               std::vector<std::byte>& data) {
      if (name == "model.layers.0.mlp.up_proj.weight") std::memcpy(&data[64], &bits, 2);
    });
  };
  EXPECT_EQ(with_value(0x477f), "converted");
  EXPECT_THAT(with_value(0x4780),
              HasSubstr("row 1: expected numbers that f16 can hold, found 65536"));
  EXPECT_THAT(with_value(0x7f80), HasSubstr("found inf"));
  EXPECT_THAT(with_value(0xffc0), HasSubstr("nan"));
}

TEST_F(ConvertTest, TensorsThatTransformersIgnores) {
  // A tied model's folder may hold the output matrix all the same, an old one its frequencies.
  const std::string folder = copy("hf_qwen2");
  const auto source = *Safetensors::open_folder(fixture("hf_qwen2"));
  SafetensorsWriter writer;
  for (const SafetensorsTensor& tensor : source->tensors()) {
    writer.add_tensor(tensor.name, tensor.type, tensor.shape);
  }
  const int64_t shape[] = {1};
  writer.add_tensor("lm_head.weight", TensorType::kF32, shape);
  writer.add_tensor("model.layers.0.self_attn.rotary_emb.inv_freq", TensorType::kF32, shape);
  ASSERT_TRUE(writer.begin(folder + "/model.safetensors").ok());
  for (const SafetensorsTensor& tensor : source->tensors()) {
    ASSERT_TRUE(writer.write_tensor_data(tensor.data).ok());
  }
  const float one[] = {1};
  ASSERT_TRUE(writer.write_tensor_data(std::as_bytes(std::span(one))).ok());
  ASSERT_TRUE(writer.write_tensor_data(std::as_bytes(std::span(one))).ok());
  ASSERT_TRUE(writer.commit().ok());
  EXPECT_EQ(verdict(folder), "converted");
  std::ofstream(folder + "/config.json") << config_with("hf_qwen2", "tie_word_embeddings", "false");
  EXPECT_THAT(verdict(folder), HasSubstr("lm_head.weight: expected [300, 32], found [1]"));
  std::ofstream(folder + "/config.json") << config_with("hf_qwen2", "num_hidden_layers", "1");
  EXPECT_THAT(verdict(folder), HasSubstr("layers.1"));
}

TEST_F(ConvertTest, WrongFolders) {
  EXPECT_THAT(verdict(path("absent")), HasSubstr("config.json: can't be opened"));
  const auto without = [&](const char* name) {
    const std::string folder = copy("hf_qwen2");
    fs::remove(folder + "/" + name);
    return verdict(folder);
  };
  EXPECT_THAT(without("model.safetensors"), HasSubstr("weights: expected model.safetensors"));
  EXPECT_THAT(without("tokenizer.json"), HasSubstr("tokenizer.json: can't be opened"));
  EXPECT_EQ(without("generation_config.json"), "converted");
  EXPECT_EQ(without("tokenizer_config.json"), "converted");
  const auto with = [&](const char* name, std::string_view text) {
    const std::string folder = copy("hf_qwen2");
    std::ofstream(folder + "/" + name) << text;
    return verdict(folder);
  };
  EXPECT_THAT(with("tokenizer.json", "{}"), HasSubstr("tokenizer.json"));
  EXPECT_THAT(with("tokenizer_config.json", "[]"), HasSubstr("tokenizer_config.json"));
  EXPECT_THAT(with("generation_config.json", "{"),
              HasSubstr("generation_config.json: not the JSON"));
  EXPECT_THAT(with("generation_config.json", R"({"do_sample":true,"top_k":"x"})"),
              HasSubstr("top_k: expected a whole number"));
  EXPECT_EQ(with("generation_config.json", R"({"do_sample":false,"top_k":"x"})"), "converted");
  EXPECT_THAT(with("config.json", config_with("hf_qwen2", "vocab_size", "290")),
              HasSubstr("model.embed_tokens.weight: expected [290, 32], found [300, 32]"));
}

TEST_F(ConvertTest, ChatTemplates) {
  const std::string folder = copy("hf_qwen2");
  const auto found = [&](std::string_view tokenizer_config) -> std::string {
    std::ofstream(folder + "/tokenizer_config.json") << tokenizer_config;
    const std::string result = verdict(folder);
    if (result != "converted") return result;
    const auto file = *GgufFile::open(path("out.gguf"));
    return std::string((*file->get_string("tokenizer.chat_template")).value_or("none"));
  };
  const std::string jinja = text_of(folder + "/chat_template.jinja");
  EXPECT_EQ(found(R"({"chat_template":"inner"})"), jinja);  // the file goes first
  fs::remove(folder + "/chat_template.jinja");
  EXPECT_EQ(found(R"({"chat_template":"inner"})"), "inner");
  EXPECT_EQ(found("{}"), "none");
  EXPECT_EQ(found(R"({"chat_template":[{"name":"tools","template":"t"},
                      {"name":"default","template":"d"}]})"),
            "d");
  EXPECT_THAT(found(R"({"chat_template":[{"name":"tools","template":"t"}]})"),
              HasSubstr("chat_template: expected a text, or a list with one named"));
  EXPECT_THAT(found(R"({"chat_template":[1]})"), HasSubstr("chat_template: expected a text"));
  EXPECT_THAT(found(R"({"chat_template":1})"), HasSubstr("chat_template: expected a string"));
}

TEST_F(ConvertTest, GgufThatNoFolderCanHold) {
  converted("hf_llama");
  const auto source = *GgufFile::open(path("out.gguf"));
  // Copies the file with one key or tensor changed.
  const auto verdict_with = [&](std::string_view key, const std::function<void(GgufWriter&)>& add,
                                std::string_view without_tensor = {}, bool spoil_freqs = false) {
    GgufWriter writer;
    for (const GgufKeyValue& kv : source->metadata()) {
      if (kv.key != key) writer.add_value(kv.key, kv.value);
    }
    if (add) add(writer);
    for (const GgufTensor& tensor : source->tensors()) {
      if (tensor.name == without_tensor) continue;
      writer.add_tensor(tensor.name, tensor.type,
                        std::span(tensor.dims).first(static_cast<size_t>(tensor.n_dims)));
    }
    EXPECT_TRUE(writer.begin(path("changed.gguf")).ok());
    for (const GgufTensor& tensor : source->tensors()) {
      if (tensor.name == without_tensor) continue;
      std::vector<std::byte> data(tensor.data, tensor.data + tensor.bytes);
      if (spoil_freqs && tensor.name == "rope_freqs.weight") data[7] = std::byte{0x45};
      EXPECT_TRUE(writer.write_tensor_data(data).ok());
    }
    EXPECT_TRUE(writer.commit().ok());
    const Status status = convert_gguf_to_hf(path("changed.gguf"), path("back"));
    return status.ok() ? std::string("converted") : status.error().message;
  };
  EXPECT_EQ(verdict_with("", {}), "converted");
  EXPECT_THAT(verdict_with("tokenizer.ggml.pre",
                           [](GgufWriter& w) { w.add_string("tokenizer.ggml.pre", "default"); }),
              HasSubstr("tokenizer.ggml.pre: expected one that tokenizer.json can state"));
  EXPECT_THAT(verdict_with("llama.rope.dimension_count",
                           [](GgufWriter& w) { w.add_uint32("llama.rope.dimension_count", 8); }),
              HasSubstr("rope.dimension_count: config.json can't express it"));
  EXPECT_THAT(verdict_with("", {}, "blk.1.ffn_up.weight"),
              HasSubstr("blk.1.ffn_up.weight: expected [32, 48], found none"));
  EXPECT_THAT(verdict_with("", {}, "", true), HasSubstr("expected the scaling of Llama 3"));
  EXPECT_THAT(verdict_with("llama.block_count",
                           [](GgufWriter& w) { w.add_uint32("llama.block_count", 1); }),
              HasSubstr("this tensor is not part of the architecture"));
  EXPECT_THAT(verdict_with("tokenizer.ggml.model", {}), HasSubstr("tokenizer.ggml.model"));
  EXPECT_THAT(convert_gguf_to_hf(path("absent.gguf"), path("back")).error().message,
              HasSubstr("can't be opened"));
}

TEST(ConvertTensorsTest, RowOrdersAreInverse) {
  for (const int64_t rows_per_head : {2, 4, 16, 128}) {
    for (int64_t row = 0; row < 3 * rows_per_head; ++row) {
      const int64_t there = source_row(RowOrder::kToInterleaved, row, rows_per_head);
      EXPECT_EQ(source_row(RowOrder::kFromInterleaved, there, rows_per_head), row);
      EXPECT_EQ(there / rows_per_head, row / rows_per_head);
    }
  }
  EXPECT_EQ(source_row(RowOrder::kSame, 77, 16), 77);
}

TEST(ConvertTensorsTest, Survives) {
  const float exact[] = {0.0f, -0.0f, 1.5f, -256.0f};
  const float fine[] = {1.0f, 1.0009765625f};  // 1 + 2^-10: a half, no bfloat16
  const float finer[] = {1.0001f};
  EXPECT_TRUE(survives(TensorType::kBF16, exact));
  EXPECT_TRUE(survives(TensorType::kF16, exact));
  EXPECT_FALSE(survives(TensorType::kBF16, fine));
  EXPECT_TRUE(survives(TensorType::kF16, fine));
  EXPECT_FALSE(survives(TensorType::kF16, finer));
  EXPECT_TRUE(survives(TensorType::kF32, finer));
}

}  // namespace
}  // namespace reckon
