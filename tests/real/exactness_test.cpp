// Principle 1 on a real model: the logits of SmolLM2 over a text are the same bits whatever the
// instruction set, threads, chunks and neighbours in the batch. Label real.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "forward/cpu_decoder.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

constexpr size_t kTokens = 80;  // over one page of 64 positions

std::string real_file(const std::string& name) {
  const char* set = std::getenv("RECKON_REAL_DIR");
  const bool is_set = set != nullptr && *set != '\0';
  return (is_set ? std::string(set) : RECKON_SOURCE_DIR "/.cache/real") + "/" + name;
}

class RealExactness : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = real_file("SmolLM2-135M-Instruct.Q4_1.gguf");
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is missing";
    const auto file = GgufFile::open(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    const auto tokenizer = Tokenizer::from_gguf(**file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    const auto model = Model::load(*file);
    ASSERT_TRUE(model.ok()) << model.error().message;
    model_ = *model;
    const auto packed = Model::load(*file);
    ASSERT_TRUE(packed.ok());
    ThreadPool pool(2);
    ASSERT_TRUE((*packed)->read_weights(true, pool, {}).ok());
    packed_model_ = *packed;
    const auto text = read_file(RECKON_SOURCE_DIR "/tests/real/data/public_domain.txt", 1 << 24);
    ASSERT_TRUE(text.ok()) << text.error().message;
    (*tokenizer)->encode(text->substr(0, 2000), SpecialTokens::kAsText, tokens_);
    ASSERT_GE(tokens_.size(), 2 * kTokens);
  }

  std::unique_ptr<CpuDecoder> make_decoder(const char* table, int n_threads) const {
    CpuDecoderOptions options;
    options.n_pages = 8;
    options.n_threads = n_threads;
    options.kernels = *kernels::find_table(table);
    auto decoder =
        CpuDecoder::create(options.kernels->reads_packed ? packed_model_ : model_, options);
    EXPECT_TRUE(decoder.ok()) << decoder.error().message;
    return std::move(decoder).value();
  }

  // The logits of the first kTokens tokens, prefilled in chunks; with a neighbour, another sequence
  // goes along in each step.
  std::vector<float> logits(const char* table, int n_threads, size_t chunk,
                            bool with_neighbour = false) const {
    const auto decoder = make_decoder(table, n_threads);
    const auto vocab = static_cast<size_t>(decoder->shape().vocab_size);
    const std::vector<PageId> pages = {5, 1};
    const std::vector<PageId> other_pages = {2, 0};
    const std::span<const TokenId> ours(tokens_.data(), kTokens);
    const std::span<const TokenId> others(tokens_.data() + kTokens, kTokens);
    std::vector<float> out(kTokens * vocab);
    for (size_t done = 0; done < kTokens; done += chunk) {
      const size_t n = std::min(chunk, kTokens - done);
      std::vector<SequenceStep> batch;
      if (with_neighbour) {
        batch.push_back({.tokens = others.subspan(done, n),
                         .first_position = static_cast<int64_t>(done),
                         .pages = other_pages,
                         .n_logits = 0});
      }
      batch.push_back({.tokens = ours.subspan(done, n),
                       .first_position = static_cast<int64_t>(done),
                       .pages = pages,
                       .n_logits = static_cast<int64_t>(n)});
      const Status status = decoder->step(batch, std::span(out).subspan(done * vocab, n * vocab));
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
    return out;
  }

  void expect_same_bits(const std::vector<float>& found, const std::vector<float>& expected) const {
    ASSERT_EQ(found.size(), expected.size());
    EXPECT_EQ(std::memcmp(found.data(), expected.data(), expected.size() * sizeof(float)), 0);
  }

  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Model> packed_model_;  // for the tables that read it
  std::vector<TokenId> tokens_;
};

TEST_F(RealExactness, TheSameBitsEveryWay) {
  const std::vector<float> expected = logits("scalar", 1, kTokens);
  for (const char* table : {"scalar", "avx2", "avx512", "neon"}) {
    if (!kernels::table_available(table)) continue;
    SCOPED_TRACE(table);
    expect_same_bits(logits(table, 2, kTokens), expected);
    expect_same_bits(logits(table, 3, 33), expected);
    if (std::string(table) == "scalar") continue;  // slow
    expect_same_bits(logits(table, 1, 1), expected);
    expect_same_bits(logits(table, 4, 7, true), expected);
  }
}

}  // namespace
}  // namespace reckon
