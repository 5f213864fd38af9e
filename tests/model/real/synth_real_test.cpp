// `synth r1:7b` against the head of the real DeepSeek-R1-Distill-Qwen-7B in Q4_K_M, name by name.
// Label real: needs tools/fetch_real.py. The synth file is 4.4 GiB, written where there is room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "gguf/gguf_file.h"
#include "model/model.h"
#include "model/synth.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

constexpr uint64_t kSynthBytes = 5'000'000'000;

std::string real_file() {
  const char* named = std::getenv("RECKON_REAL_DIR");
  const std::string folder =
      named != nullptr && *named != '\0' ? named : RECKON_SOURCE_DIR "/.cache/real";
  return folder + "/r1-distill-qwen-7b.part0.gguf";
}

class SynthReal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(real_file())) GTEST_SKIP() << real_file() << " isn't there";
    auto real = GgufFile::open(real_file(), GgufData::kMayBeMissing);
    ASSERT_TRUE(real.ok()) << real.error().message;
    real_ = *real;
    std::error_code error;
    const auto space = std::filesystem::space(::testing::TempDir(), error);
    ASSERT_TRUE(!error && space.available >= kSynthBytes) << "no room for a file of 5 GB";
    path_ = ::testing::TempDir() + "reckon_synth_real_" + std::to_string(::getpid()) + ".gguf";
  }
  void TearDown() override {
    if (!path_.empty()) std::filesystem::remove(path_);
  }

  std::shared_ptr<const GgufFile> write(const std::string& tokenizer_from) {
    ThreadPool pool(2);
    const Status written = write_synth_model(
        *find_synth_shape("r1:7b"),
        {.type = *parse_synth_type("q4_k_m"), .seed = 1, .tokenizer_from = tokenizer_from}, path_,
        pool);
    EXPECT_TRUE(written.ok()) << written.error().message;
    auto file = GgufFile::open(path_);
    EXPECT_TRUE(file.ok());
    return file.ok() ? *file : nullptr;
  }

  std::shared_ptr<const GgufFile> real_;
  std::string path_;
};

std::vector<std::string> keys(const GgufFile& file) {
  std::vector<std::string> names;
  for (const GgufKeyValue& pair : file.metadata()) names.emplace_back(pair.key);
  return names;
}

TEST_F(SynthReal, DirectoryOfThe7bIsTheRealOne) {
  const auto synth = write("");
  ASSERT_NE(synth, nullptr);
  EXPECT_EQ(keys(*synth), keys(*real_));
  for (const GgufKeyValue& pair : real_->metadata()) {
    const GgufValue* ours = synth->find(pair.key);
    ASSERT_NE(ours, nullptr) << pair.key;
    EXPECT_EQ(ours->type, pair.value.type) << pair.key;
    const bool is_text = std::holds_alternative<std::string_view>(pair.value.data);
    if (pair.value.array() == nullptr && !is_text) {
      EXPECT_EQ(ours->data, pair.value.data) << pair.key;
    } else if (pair.value.array() != nullptr) {
      EXPECT_EQ(ours->array()->count, pair.value.array()->count) << pair.key;
    }
  }
  ASSERT_EQ(synth->tensors().size(), real_->tensors().size());
  uint64_t synth_start = 0, real_start = 0;
  for (size_t i = 0; i < real_->tensors().size(); ++i) {
    const GgufTensor& ours = synth->tensors()[i];
    const GgufTensor& theirs = real_->tensors()[i];
    if (i == 0) {
      synth_start = ours.file_offset;
      real_start = theirs.file_offset;
    }
    EXPECT_EQ(ours.name, theirs.name) << i;
    EXPECT_EQ(ours.type, theirs.type) << theirs.name;
    EXPECT_EQ(ours.shape_text(), theirs.shape_text()) << theirs.name;
    EXPECT_EQ(ours.file_offset - synth_start, theirs.file_offset - real_start) << theirs.name;
  }
  EXPECT_EQ(synth->tensor_bytes(), 4'683'073'248u - real_start);
}

// The made-up vocabulary has what R1's format needs in the same places.
TEST_F(SynthReal, SpecialTokensStandWhereTheRealOnesDo) {
  const auto synth = write("");
  ASSERT_NE(synth, nullptr);
  const auto ours = Tokenizer::from_gguf(*synth);
  const auto theirs = Tokenizer::from_gguf(*real_);
  ASSERT_TRUE(ours.ok() && theirs.ok());
  ASSERT_EQ((*ours)->vocab_size(), (*theirs)->vocab_size());
  for (TokenId id = 151643; id < (*theirs)->vocab_size(); ++id) {
    ASSERT_EQ((*ours)->spec().tokens[id], (*theirs)->spec().tokens[id]) << id;
    ASSERT_EQ((*ours)->kind(id), (*theirs)->kind(id)) << id;
  }
}

TEST_F(SynthReal, ACopiedTokenizerIsTheSame) {
  const auto synth = write(real_file());
  ASSERT_NE(synth, nullptr);
  EXPECT_EQ(*synth->require_string("tokenizer.chat_template"),
            *real_->require_string("tokenizer.chat_template"));
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    EXPECT_EQ((*synth->get_array(key, GgufValueType::kString))->strings,
              (*real_->get_array(key, GgufValueType::kString))->strings);
  }
  EXPECT_TRUE(Model::load(synth).ok());
}

}  // namespace
}  // namespace reckon
