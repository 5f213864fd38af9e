// Random model files: what is in them, that they can be loaded, and that they depend on the seed
// and on nothing else.
#include "model/synth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/model.h"
#include "model/synth_weights.h"
#include "quants/codec.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class SynthFile {
 public:
  explicit SynthFile(const char* shape, const char* type = "q4_k_m", uint64_t seed = 0,
                     int n_threads = 1, const std::string& tokenizer_from = "") {
    static int counter = 0;
    path_ = ::testing::TempDir() + "reckon_synth_" + std::to_string(::getpid()) + "_" +
            std::to_string(counter++) + ".gguf";
    ThreadPool pool(n_threads);
    status_ = write_synth_model(
        *find_synth_shape(shape),
        {.type = *parse_synth_type(type), .seed = seed, .tokenizer_from = tokenizer_from}, path_,
        pool);
  }
  ~SynthFile() { std::filesystem::remove(path_); }
  SynthFile(const SynthFile&) = delete;

  const Status& status() const { return status_; }
  const std::string& path() const { return path_; }
  std::string bytes() const { return *read_file(path_, 1 << 28); }
  std::shared_ptr<const GgufFile> open() const { return *GgufFile::open(path_); }

 private:
  std::string path_;
  Status status_;
};

TEST(Synth, ShapesAreFoundByName) {
  for (const char* name : {"r1:1.5b", "r1:7b", "r1:8b", "r1:14b", "r1:32b", "r1:70b"}) {
    const SynthShape* shape = find_synth_shape(name);
    ASSERT_NE(shape, nullptr) << name;
    EXPECT_EQ(shape->head_dim(), 128) << name;
    EXPECT_EQ(shape->context_length, 131072) << name;
  }
  EXPECT_EQ(find_synth_shape("r1:9b"), nullptr);
  EXPECT_EQ(find_synth_shape("tiny"), find_synth_shape("tiny-qwen"));
}

// The parameters that r1-facts of the published models give, computed from the shapes.
TEST(Synth, ShapesHaveThePublishedNumberOfParameters) {
  const auto billions = [](const char* name) {
    const SynthShape& s = *find_synth_shape(name);
    const int64_t d = s.d_model;
    const int64_t kv = s.n_kv_heads * s.head_dim();
    const int64_t layer = 2 * d * d + 2 * d * kv + 3 * d * s.ffn_dim;
    return static_cast<double>(s.n_layers * layer + 2 * d * s.vocab_size) * 1e-9;
  };
  EXPECT_NEAR(billions("r1:1.5b"), 1.777, 0.001);
  EXPECT_NEAR(billions("r1:7b"), 7.616, 0.001);
  EXPECT_NEAR(billions("r1:8b"), 8.03, 0.005);
  EXPECT_NEAR(billions("r1:14b"), 14.77, 0.005);
  EXPECT_NEAR(billions("r1:32b"), 32.76, 0.005);
  EXPECT_NEAR(billions("r1:70b"), 70.55, 0.005);
}

TEST(Synth, UnknownTypeNamesTheChoices) {
  const auto type = parse_synth_type("q7_k");
  ASSERT_FALSE(type.ok());
  EXPECT_EQ(type.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(type.error().message, HasSubstr("Q4_K_M"));
  EXPECT_THAT(type.error().message, HasSubstr("iq4_xs"));
  EXPECT_THAT(type.error().message, HasSubstr("\"q7_k\""));
}

TEST(Synth, EveryTypeOfEveryTinyShapeLoads) {
  std::vector<std::string> types;
  for (const auto& info : all_tensor_types()) types.emplace_back(info.name);
  for (const auto& info : all_quantize_targets()) types.emplace_back(info.name);
  for (const char* shape : {"tiny-qwen", "tiny-llama"}) {
    for (const std::string& type : types) {
      const SynthFile file(shape, type.c_str());
      ASSERT_TRUE(file.status().ok()) << shape << " " << type << file.status().error().message;
      const auto model = Model::load(file.open());
      EXPECT_TRUE(model.ok()) << shape << " " << type << model.error().message;
    }
  }
}

TEST(Synth, APlainTypeIsThatOfEveryMatrix) {
  const SynthFile file("tiny-qwen", "iq4_xs");
  const auto opened = file.open();
  for (const GgufTensor& tensor : opened->tensors()) {
    EXPECT_EQ(tensor.type, tensor.n_dims == 2 ? TensorType::kIQ4_XS : TensorType::kF32)
        << tensor.name;
  }
}

TEST(Synth, SameSeedSameBytesWhateverTheThreads) {
  const std::string one = SynthFile("tiny-qwen", "q4_k_m", 7, 1).bytes();
  EXPECT_EQ(one, SynthFile("tiny-qwen", "q4_k_m", 7, 3).bytes());
  const std::string other = SynthFile("tiny-qwen", "q4_k_m", 8, 1).bytes();
  ASSERT_EQ(other.size(), one.size());
  EXPECT_NE(other, one);
}

TEST(Synth, MadeUpTokenizerKeepsAnyBytes) {
  for (const char* shape : {"tiny-qwen", "tiny-llama"}) {
    const SynthFile file(shape);
    const auto tokenizer = Tokenizer::from_gguf(*file.open());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    std::string text = "the quick brown fox, 123 \xc3\xa9\xf0\x9f\x98\x80 </think>";
    for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
    std::vector<TokenId> ids;
    (*tokenizer)->encode(text, SpecialTokens::kAsText, ids);
    EXPECT_EQ((*tokenizer)->decode(ids), text) << shape;
    EXPECT_LT(ids.size(), text.size()) << shape << ": no merge was used";
  }
}

TEST(Synth, MadeUpTokenizerHasR1sMarks) {
  const SynthFile file("tiny-llama");
  const auto tokenizer = *Tokenizer::from_gguf(*file.open());
  const TokenId begin = tokenizer->bos();
  EXPECT_EQ(tokenizer->find("<｜begin▁of▁sentence｜>"), begin);
  EXPECT_EQ(tokenizer->find("<｜end▁of▁sentence｜>"), begin + 1);
  EXPECT_EQ(tokenizer->eos(), begin + 1);
  EXPECT_EQ(tokenizer->find("<｜User｜>"), begin + 11);
  EXPECT_EQ(tokenizer->find("<｜Assistant｜>"), begin + 12);
  EXPECT_EQ(tokenizer->find("<think>"), begin + 13);
  EXPECT_EQ(tokenizer->find("</think>"), begin + 14);
  EXPECT_TRUE(tokenizer->add_bos());
}

TEST(Synth, MadeUpTemplateIsRecognisedAsR1s) {
  const SynthFile file("tiny-qwen");
  const auto opened = file.open();
  const auto source = opened->require_string("tokenizer.chat_template");
  ASSERT_TRUE(source.ok());
  const auto chat_template = recognise_chat_template(*source);
  ASSERT_TRUE(chat_template.ok()) << chat_template.error().message;
  EXPECT_EQ((*chat_template)->name(), "deepseek-r1");
}

TEST(Synth, CopiedTokenizerIsPaddedOrRefused) {
  const SynthFile source("tiny-qwen");
  const SynthFile tiny("tiny-llama", "q8_0", 0, 1, source.path());
  ASSERT_TRUE(tiny.status().ok()) << tiny.status().error().message;
  const auto copied = *Tokenizer::from_gguf(*tiny.open());
  const auto original = *Tokenizer::from_gguf(*source.open());
  EXPECT_EQ(copied->spec().tokens, original->spec().tokens);
  EXPECT_EQ(copied->spec().merges, original->spec().merges);

  SynthShape larger = *find_synth_shape("tiny-qwen");
  larger.tiny = false;
  larger.vocab_size = 600;
  ThreadPool pool(1);
  const std::string path = ::testing::TempDir() + "reckon_synth_padded.gguf";
  const SynthOptions options{
      .type = *parse_synth_type("f32"), .seed = 0, .tokenizer_from = source.path()};
  ASSERT_TRUE(write_synth_model(larger, options, path, pool).ok());
  const auto padded = *Tokenizer::from_gguf(**GgufFile::open(path));
  EXPECT_EQ(padded->vocab_size(), 600);
  EXPECT_EQ(padded->spec().tokens[599], "[PAD599]");
  EXPECT_EQ(padded->kind(599), TokenKind::kUnused);
  std::filesystem::remove(path);

  SynthShape smaller = larger;
  smaller.vocab_size = 515;
  const Status refused = write_synth_model(smaller, options, path, pool);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("at most 515 tokens"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Synth, StoppedWorkLeavesNoFile) {
  ThreadPool pool(1);
  const std::string path = ::testing::TempDir() + "reckon_synth_stopped.gguf";
  int calls = 0;
  const Status status = write_synth_model(*find_synth_shape("tiny-qwen"), {}, path, pool,
                                          [&](const SynthProgress& progress) {
                                            EXPECT_LE(progress.bytes_done, progress.bytes);
                                            return ++calls < 3;
                                          });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(calls, 3);
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Llama 3.1's divisors, by the definition in transformers: wavelengths against low and high limits.
TEST(Synth, RopeDivisorsAreLlama3s) {
  SynthShape shape = *find_synth_shape("r1:8b");
  shape.n_layers = 1;
  shape.ffn_dim = 256;
  shape.d_model = 256;
  shape.n_heads = 2;
  shape.n_kv_heads = 1;
  shape.vocab_size = 424;
  shape.n_text_tokens = 400;
  const std::string path = ::testing::TempDir() + "reckon_synth_rope.gguf";
  ThreadPool pool(1);
  ASSERT_TRUE(write_synth_model(shape, {}, path, pool).ok());
  const auto file = *GgufFile::open(path);
  const GgufTensor* tensor = file->find_tensor("rope_freqs.weight");
  ASSERT_NE(tensor, nullptr);
  ASSERT_EQ(tensor->n_elements, 64);
  for (int i = 0; i < 64; ++i) {
    const double frequency = std::pow(500000.0, -2.0 * i / 128);
    const double wavelength = 2 * M_PI / frequency;
    double scaled = frequency;
    if (wavelength > 8192.0) {
      scaled = frequency / 8;
    } else if (wavelength > 8192.0 / 4) {
      const double smooth = (8192.0 / wavelength - 1) / (4 - 1);
      scaled = (1 - smooth) * frequency / 8 + smooth * frequency;
    }
    float divisor = 0;
    std::memcpy(&divisor, tensor->data + i * sizeof(float), sizeof(float));
    EXPECT_NEAR(divisor, frequency / scaled, 1e-5 * divisor) << i;
  }
  std::filesystem::remove(path);
}

class SynthWeights : public ::testing::TestWithParam<TensorTypeInfo> {};

TEST_P(SynthWeights, HaveMeanZeroAndTheWantedSpread) {
  constexpr int64_t kN = 64 * 1024;
  constexpr double kDeviation = 1 / 60.0;
  std::vector<std::byte> bytes(row_bytes(GetParam().type, kN));
  random_weights(GetParam().type, 42, 0, kN, kDeviation, bytes.data());
  std::vector<float> values(kN);
  decode_row(GetParam().type, bytes.data(), values.data(), kN);
  double sum = 0, squares = 0, largest = 0;
  for (const float value : values) {
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += static_cast<double>(value) * value;
    largest = std::max(largest, std::fabs(static_cast<double>(value)));
  }
  EXPECT_NEAR(std::sqrt(squares / kN), kDeviation, 0.03 * kDeviation);
  EXPECT_LT(std::fabs(sum / kN), 0.03 * kDeviation);
  EXPECT_LT(largest, 6 * kDeviation);
}

TEST_P(SynthWeights, DependOnTheirPlaceAlone) {
  constexpr int64_t kN = 4096;
  const TensorType type = GetParam().type;
  std::vector<std::byte> whole(row_bytes(type, kN));
  random_weights(type, 3, 0, kN, 0.1, whole.data());
  std::vector<std::byte> half(row_bytes(type, kN / 2));
  random_weights(type, 3, kN / 2, kN / 2, 0.1, half.data());
  EXPECT_EQ(std::memcmp(whole.data() + half.size(), half.data(), half.size()), 0);
  EXPECT_NE(std::memcmp(whole.data(), half.data(), half.size()), 0);
  random_weights(type, 4, kN / 2, kN / 2, 0.1, half.data());
  EXPECT_NE(std::memcmp(whole.data() + half.size(), half.data(), half.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(AllTypes, SynthWeights,
                         ::testing::ValuesIn(all_tensor_types().begin(), all_tensor_types().end()),
                         [](const auto& type) { return std::string(type.param.name); });

}  // namespace
}  // namespace reckon
