// The mixes against llama-quantize's own choices, and whole files through quantize_file.
#include "model/quantize.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "gguf/gguf_writer.h"
#include "quants/codec.h"
#include "tests/quants/sample_weights.h"

namespace reckon {
namespace {

using test::Distribution;

TEST(QuantizeTargets, NamesAndNumbers) {
  EXPECT_EQ(quantize_target_from_name("q4_k_m"), QuantizeTarget::kQ4_K_M);
  EXPECT_EQ(quantize_target_from_name("BF16"), QuantizeTarget::kBF16);
  EXPECT_EQ(quantize_target_from_name("q4_k"), std::nullopt);
  EXPECT_EQ(quantize_target_from_name(""), std::nullopt);
  EXPECT_EQ(all_quantize_targets().size(), 7u);
  for (const QuantizeTargetInfo& info : all_quantize_targets()) {
    EXPECT_EQ(quantize_target_from_name(info.name), info.target);
    EXPECT_EQ(&quantize_target_info(info.target), &info);
    EXPECT_TRUE(can_encode(info.base_type));
  }
}

struct Shape {
  std::string name;
  MixFacts facts;
  std::map<std::string, std::vector<int64_t>> dims;  // by name, layers as "blk.*."
};

Shape parse_shape(std::istringstream& line) {
  Shape shape;
  std::string architecture;
  int64_t d = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  int64_t vocab = 0;
  bool own_output = false;
  MixFacts& facts = shape.facts;
  line >> shape.name >> architecture >> facts.n_layers >> d >> facts.n_heads >> facts.n_kv_heads >>
      head_dim >> ffn >> vocab >> own_output;
  EXPECT_TRUE(line) << shape.name;
  facts.architecture = architecture == "qwen2" ? Architecture::kQwen2 : Architecture::kLlama;
  facts.tied_embedding = !own_output;
  const int64_t q = facts.n_heads * head_dim;
  const int64_t kv = facts.n_kv_heads * head_dim;
  shape.dims = {{"token_embd.weight", {d, vocab}},    {"output.weight", {d, vocab}},
                {"output_norm.weight", {d}},          {"rope_freqs.weight", {head_dim / 2}},
                {"blk.*.attn_norm.weight", {d}},      {"blk.*.ffn_norm.weight", {d}},
                {"blk.*.attn_q.weight", {d, q}},      {"blk.*.attn_k.weight", {d, kv}},
                {"blk.*.attn_v.weight", {d, kv}},     {"blk.*.attn_q.bias", {q}},
                {"blk.*.attn_k.bias", {kv}},          {"blk.*.attn_v.bias", {kv}},
                {"blk.*.attn_output.weight", {q, d}}, {"blk.*.ffn_gate.weight", {d, ffn}},
                {"blk.*.ffn_up.weight", {d, ffn}},    {"blk.*.ffn_down.weight", {ffn, d}}};
  return shape;
}

TEST(QuantizeMix, AsLlamaQuantizeChooses) {
  std::ifstream file(RECKON_SOURCE_DIR "/tests/model/fixtures/mix_types.txt");
  ASSERT_TRUE(file);
  Shape shape;
  int n_shapes = 0;
  int n_checked = 0;
  for (std::string text; std::getline(file, text);) {
    if (text.starts_with("#")) continue;
    std::istringstream line(text);
    std::string target_name;
    line >> target_name;
    if (target_name == "shape") {
      shape = parse_shape(line);
      ++n_shapes;
      continue;
    }
    const auto target = quantize_target_from_name(target_name);
    ASSERT_TRUE(target.has_value()) << text;
    std::string tensor;
    line >> tensor;
    ASSERT_TRUE(shape.dims.contains(tensor)) << text;
    int layer = 0;
    for (std::string run; line >> run;) {
      const size_t star = run.find('*');
      const auto expected = tensor_type_from_name(run.substr(0, star));
      ASSERT_TRUE(expected.has_value()) << text;
      for (int i = std::stoi(run.substr(star + 1)); i > 0; --i, ++layer, ++n_checked) {
        std::string name = tensor;
        if (name.starts_with("blk.*.")) name.replace(4, 1, std::to_string(layer));
        const TensorType chosen =
            choose_tensor_type(*target, name, shape.dims[tensor], shape.facts);
        EXPECT_EQ(tensor_type_info(chosen).name, tensor_type_info(*expected).name)
            << shape.name << " " << target_name << " " << name;
      }
    }
  }
  EXPECT_EQ(n_shapes, 12);
  EXPECT_EQ(n_checked, 36463);
}

TEST(QuantizeMix, LeavesAloneWhatIsNoMatrix) {
  const MixFacts facts{Architecture::kLlama, 4, 8, 2, false};
  const auto choose = [&](std::string_view name, std::vector<int64_t> dims) {
    return choose_tensor_type(QuantizeTarget::kQ4_K_M, name, dims, facts, TensorType::kBF16);
  };
  EXPECT_EQ(choose("blk.0.attn_norm.weight", {256}), TensorType::kBF16);
  EXPECT_EQ(choose("blk.0.attn_norm.weight", {256, 256}), TensorType::kBF16);
  EXPECT_EQ(choose("blk.0.attn_q.bias", {256, 256}), TensorType::kBF16);
  EXPECT_EQ(choose("blk.0.attn_q.weight", {256, 1}), TensorType::kBF16);
  EXPECT_EQ(choose("blk.0.attn_q.weight", {256, 2}), TensorType::kQ4_K);
  EXPECT_EQ(choose("blk.x.ffn_down.weight", {256, 2}), TensorType::kQ4_K);
}

// --- whole files ---

constexpr int64_t kWidth = 256;
constexpr int64_t kFfn = 512;
constexpr int64_t kLayers = 3;
constexpr int64_t kVocab = 40;

class QuantizeFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::path(testing::TempDir()) / ("reckon_quantize_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // A llama file, matrices of one type and norms in F32; value stands at the given elements of the
  // spoilt tensor.
  void write_model(const std::string& out, TensorType type = TensorType::kF32,
                   const std::string& spoilt = "", const std::vector<int64_t>& elements = {},
                   float value = 0) {
    GgufWriter writer;
    writer.add_string("general.architecture", "llama");
    writer.add_string("general.name", "tiny");
    writer.add_uint32("general.file_type", 0);
    writer.add_uint32("llama.block_count", kLayers);
    writer.add_uint32("llama.context_length", 64);
    writer.add_uint32("llama.embedding_length", kWidth);
    writer.add_uint32("llama.feed_forward_length", kFfn);
    writer.add_uint32("llama.attention.head_count", 4);
    writer.add_uint32("llama.attention.head_count_kv", 2);
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    const std::vector<std::string_view> tokens(kVocab, "t");
    writer.add_strings("tokenizer.ggml.tokens", tokens);
    std::vector<std::pair<std::string, std::vector<int64_t>>> tensors = {
        {"token_embd.weight", {kWidth, kVocab}}};
    for (int i = 0; i < kLayers; ++i) {
      const std::string p = "blk." + std::to_string(i) + ".";
      tensors.push_back({p + "attn_norm.weight", {kWidth}});
      tensors.push_back({p + "attn_q.weight", {kWidth, kWidth}});
      tensors.push_back({p + "attn_k.weight", {kWidth, kWidth / 2}});
      tensors.push_back({p + "attn_v.weight", {kWidth, kWidth / 2}});
      tensors.push_back({p + "attn_output.weight", {kWidth, kWidth}});
      tensors.push_back({p + "ffn_norm.weight", {kWidth}});
      tensors.push_back({p + "ffn_gate.weight", {kWidth, kFfn}});
      tensors.push_back({p + "ffn_up.weight", {kWidth, kFfn}});
      tensors.push_back({p + "ffn_down.weight", {kFfn, kWidth}});
    }
    tensors.push_back({"output_norm.weight", {kWidth}});
    tensors.push_back({"output.weight", {kWidth, kVocab}});
    for (const auto& [name, dims] : tensors) {
      writer.add_tensor(name, dims.size() == 1 ? TensorType::kF32 : type, dims);
    }
    ASSERT_TRUE(writer.begin(out).ok());
    for (const auto& [name, dims] : tensors) {
      const int64_t n = dims.size() == 1 ? dims[0] : dims[0] * dims[1];
      std::vector<float> values = sample_weights(Distribution::kLaplacian, static_cast<size_t>(n));
      if (name == spoilt) {
        for (const int64_t element : elements) values[static_cast<size_t>(element)] = value;
      }
      const TensorType stored = dims.size() == 1 ? TensorType::kF32 : type;
      std::vector<std::byte> blocks(static_cast<size_t>(row_bytes(stored, n)));
      encode_row(stored, values.data(), blocks.data(), n);
      ASSERT_TRUE(writer.write_tensor_data(blocks).ok());
    }
    ASSERT_TRUE(writer.commit().ok());
  }

  static std::string bytes_of(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  static std::vector<float> decode(const GgufTensor& tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.n_elements));
    decode_row(tensor.type, tensor.data, values.data(), tensor.n_elements);
    return values;
  }

  std::filesystem::path folder_;
  ThreadPool pool_{3};
};

TEST_F(QuantizeFile, EveryTarget) {
  write_model(path("in.gguf"));
  const auto in = GgufFile::open(path("in.gguf"));
  ASSERT_TRUE(in.ok()) << in.error().message;
  const MixFacts facts{Architecture::kLlama, kLayers, 4, 2, false};
  for (const QuantizeTargetInfo& info : all_quantize_targets()) {
    const Status status = quantize_file(path("in.gguf"), path("out.gguf"), info.target, pool_);
    ASSERT_TRUE(status.ok()) << status.error().message;
    const auto out = GgufFile::open(path("out.gguf"));
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ((*out)->require_uint("general.file_type").value(), info.file_type);
    EXPECT_EQ((*out)->require_uint("general.quantization_version").value(), 2u);
    EXPECT_EQ((*out)->require_string("general.name").value(), "tiny");
    EXPECT_EQ((*out)->metadata().size(), (*in)->metadata().size() + 1);
    EXPECT_EQ((*out)->metadata()[2].key, "general.file_type");
    ASSERT_EQ((*out)->tensors().size(), (*in)->tensors().size());
    for (size_t t = 0; t < (*in)->tensors().size(); ++t) {
      const GgufTensor& before = (*in)->tensors()[t];
      const GgufTensor& after = (*out)->tensors()[t];
      EXPECT_EQ(after.name, before.name);
      EXPECT_EQ(after.dims, before.dims);
      EXPECT_EQ(after.type, choose_tensor_type(info.target, before.name,
                                               {before.dims.data(), size_t(before.n_dims)}, facts));
      // Each tensor's bytes are what encoding it in one go gives.
      const std::vector<float> values = decode(before);
      std::vector<std::byte> expected(after.bytes);
      encode_row(after.type, values.data(), expected.data(), before.n_elements);
      EXPECT_EQ(std::memcmp(after.data, expected.data(), after.bytes), 0)
          << info.name << " " << after.name;
    }
  }
}

TEST_F(QuantizeFile, SameBytesWithAnyNumberOfThreads) {
  write_model(path("in.gguf"), TensorType::kF16);
  ThreadPool one(1);
  ASSERT_TRUE(quantize_file(path("in.gguf"), path("a.gguf"), QuantizeTarget::kQ4_K_M, one).ok());
  ASSERT_TRUE(quantize_file(path("in.gguf"), path("b.gguf"), QuantizeTarget::kQ4_K_M, pool_).ok());
  EXPECT_EQ(bytes_of(path("a.gguf")), bytes_of(path("b.gguf")));
  // A file that already has the target's types is copied.
  ASSERT_TRUE(quantize_file(path("a.gguf"), path("c.gguf"), QuantizeTarget::kQ4_K_M, pool_).ok());
  EXPECT_EQ(bytes_of(path("a.gguf")), bytes_of(path("c.gguf")));
  // And may be written over itself.
  ASSERT_TRUE(quantize_file(path("b.gguf"), path("b.gguf"), QuantizeTarget::kQ8_0, pool_).ok());
  ASSERT_TRUE(quantize_file(path("a.gguf"), path("d.gguf"), QuantizeTarget::kQ8_0, pool_).ok());
  EXPECT_EQ(bytes_of(path("b.gguf")), bytes_of(path("d.gguf")));
}

TEST_F(QuantizeFile, RefusesWhatNoTypeCanHold) {
  struct Case {
    float value;
    QuantizeTarget target;
    std::string message;
  };
  const float infinity = std::numeric_limits<float>::infinity();
  const Case cases[] = {
      {std::nanf(""), QuantizeTarget::kQ4_K_M, "expected a finite number, found nan"},
      {-infinity, QuantizeTarget::kF16, "expected a finite number, found -inf"},
      {70000.0f, QuantizeTarget::kF16,
       "expected a magnitude of at most 65504 to go into f16, found 70000"},
      {std::numeric_limits<float>::max(), QuantizeTarget::kBF16,
       "expected a magnitude of at most 3.3895314e+38 to go into bf16, found 3.4028235e+38"},
      {-1e6f, QuantizeTarget::kQ8_0,
       "expected a magnitude of at most 65504 to go into q8_0, found -1000000"},
  };
  for (const Case& c : cases) {
    // Row 300 of 512, column 7; the last piece of the tensor.
    write_model(path("in.gguf"), TensorType::kF32, "blk.1.ffn_gate.weight", {300 * kWidth + 7},
                c.value);
    const Status status = quantize_file(path("in.gguf"), path("out.gguf"), c.target, pool_);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::kBadFile);
    EXPECT_EQ(status.error().message,
              path("in.gguf") + ": blk.1.ffn_gate.weight[300, 7]: " + c.message);
    EXPECT_FALSE(std::filesystem::exists(path("out.gguf")));
  }
  // A large number is no error where it is only copied; a bad one is, even there.
  write_model(path("in.gguf"), TensorType::kF32, "output_norm.weight", {3}, 1e6f);
  EXPECT_TRUE(quantize_file(path("in.gguf"), path("out.gguf"), QuantizeTarget::kQ8_0, pool_).ok());
  write_model(path("in.gguf"), TensorType::kF32, "output_norm.weight", {3}, infinity);
  const Status status =
      quantize_file(path("in.gguf"), path("x.gguf"), QuantizeTarget::kQ8_0, pool_);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("output_norm.weight[3]"), std::string::npos);
}

TEST_F(QuantizeFile, NamesTheFirstOfSeveralBadElements) {
  // Two pieces hold bad elements and either thread may be first; the message is always the same.
  write_model(path("in.gguf"), TensorType::kF32, "blk.0.ffn_gate.weight",
              {400 * kWidth, 200 * kWidth + 3, 200 * kWidth + 9}, std::nanf(""));
  for (int i = 0; i < 20; ++i) {
    const Status status =
        quantize_file(path("in.gguf"), path("out.gguf"), QuantizeTarget::kQ6_K, pool_);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("blk.0.ffn_gate.weight[200, 3]"), std::string::npos)
        << status.error().message;
  }
}

TEST_F(QuantizeFile, TellsProgressAndStops) {
  write_model(path("in.gguf"));
  uint64_t bytes = 0;
  QuantizeProgress last;
  const auto watch = [&](const QuantizeProgress& progress) {
    EXPECT_GT(progress.bytes_done, bytes);
    bytes = progress.bytes_done;
    last = progress;
    return true;
  };
  ASSERT_TRUE(
      quantize_file(path("in.gguf"), path("out.gguf"), QuantizeTarget::kQ8_0, pool_, watch).ok());
  EXPECT_EQ(last.bytes_done, last.bytes);
  EXPECT_EQ(last.tensors_done, last.n_tensors - 1);
  const std::string before = bytes_of(path("out.gguf"));
  int calls = 0;
  const Status stopped = quantize_file(path("in.gguf"), path("out.gguf"), QuantizeTarget::kQ4_0,
                                       pool_, [&](const QuantizeProgress&) { return ++calls < 4; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(bytes_of(path("out.gguf")), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 2);
}

TEST_F(QuantizeFile, RefusesBadInput) {
  EXPECT_FALSE(
      quantize_file(path("none.gguf"), path("out.gguf"), QuantizeTarget::kQ8_0, pool_).ok());
  write_model(path("in.gguf"));
  const Status status =
      quantize_file(path("in.gguf"), path("no/such/out.gguf"), QuantizeTarget::kQ8_0, pool_);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("no/such"), std::string::npos) << status.error().message;
}

// Over all converted weights of the real SmolLM2-135M-Instruct (Q4_1), the root mean square of what
// llama-quantize (as in llama-cpp-python 0.3.36, --allow-requantize) loses, measured with PyPI
// gguf.
TEST_F(QuantizeFile, RealModelLosesNoMoreThanWithLlamaQuantize) {
  const char* set = std::getenv("RECKON_REAL_DIR");
  const std::string real = (set != nullptr ? std::string(set) : RECKON_SOURCE_DIR "/.cache/real") +
                           "/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(real)) GTEST_SKIP() << real << " is not there";
  const std::map<QuantizeTarget, double> references = {{QuantizeTarget::kQ4_0, 0.01674919},
                                                       {QuantizeTarget::kQ4_K_M, 0.00747704},
                                                       {QuantizeTarget::kQ6_K, 0.00195044}};
  const auto in = GgufFile::open(real);
  ASSERT_TRUE(in.ok()) << in.error().message;
  for (const auto& [target, reference] : references) {
    const Status status = quantize_file(real, path("out.gguf"), target, pool_);
    ASSERT_TRUE(status.ok()) << status.error().message;
    const auto out = GgufFile::open(path("out.gguf"));
    ASSERT_TRUE(out.ok()) << out.error().message;
    double square_sum = 0;
    int64_t n = 0;
    for (size_t t = 0; t < (*in)->tensors().size(); ++t) {
      if ((*in)->tensors()[t].type == (*out)->tensors()[t].type) continue;
      const std::vector<float> before = decode((*in)->tensors()[t]);
      const std::vector<float> after = decode((*out)->tensors()[t]);
      for (size_t i = 0; i < before.size(); ++i) {
        square_sum += std::pow(double{before[i]} - after[i], 2);
      }
      n += static_cast<int64_t>(before.size());
    }
    EXPECT_EQ(n, 106168320);
    const double error = std::sqrt(square_sum / static_cast<double>(n));
    EXPECT_LE(error, reference) << quantize_target_info(target).name;
    RecordProperty(std::string(quantize_target_info(target).name), std::to_string(error));
  }
}

}  // namespace
}  // namespace reckon
