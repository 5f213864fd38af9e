// Speed measurement: what it asks of the decoder, and its sums; limits of the machine.
#include "engine/bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/machine_limits.h"
#include "forward/kv_cache.h"
#include "gguf/gguf_file.h"
#include "model/synth.h"

namespace reckon {
namespace {

std::shared_ptr<const Model> tiny_model() {
  const std::string path = ::testing::TempDir() + "reckon_bench_tiny.gguf";
  ThreadPool pool(1);
  EXPECT_TRUE(write_synth_model(*find_synth_shape("tiny-qwen"), {}, path, pool).ok());
  const auto model = Model::load(*GgufFile::open(path));
  std::filesystem::remove(path);
  return *model;
}

// Checks the places of what it is fed, and which pages hold what.
class CheckingDecoder : public Decoder {
 public:
  CheckingDecoder(int64_t vocab_size, int64_t n_pages)
      : shape_{.vocab_size = vocab_size,
               .page_positions = 8,
               .n_pages = n_pages,
               .context_length = 1000,
               .max_batch_tokens = 6} {}
  const DecoderShape& shape() const override { return shape_; }
  void copy_page(PageId from, PageId to) override {
    EXPECT_LT(from, shape_.n_pages);
    EXPECT_LT(to, shape_.n_pages);
    ++n_copies;
  }
  Status step(std::span<const SequenceStep> batch, std::span<float> logits) override {
    int64_t n_logits = 0;
    std::vector<PageId> written;
    for (const SequenceStep& step : batch) {
      n_logits += step.n_logits;
      n_tokens += static_cast<int64_t>(step.tokens.size());
      for (const TokenId token : step.tokens) {
        EXPECT_TRUE(token >= 0 && token < shape_.vocab_size);
      }
      const auto last = step.first_position + static_cast<int64_t>(step.tokens.size()) - 1;
      EXPECT_LT(static_cast<size_t>(last / 8), step.pages.size());
      for (const PageId page : step.pages) EXPECT_TRUE(page >= 0 && page < shape_.n_pages);
      if (batch.size() > 1) written.push_back(step.pages[last / 8]);
    }
    std::sort(written.begin(), written.end());
    EXPECT_EQ(std::adjacent_find(written.begin(), written.end()), written.end())
        << "two sequences write one page";
    EXPECT_EQ(static_cast<int64_t>(logits.size()), n_logits * shape_.vocab_size);
    widest = std::max(widest, batch.size());
    return {};
  }

  int64_t n_tokens = 0;
  int64_t n_copies = 0;
  size_t widest = 0;

 private:
  DecoderShape shape_;
};

TEST(Bench, FeedsWhatWasAskedFor) {
  const auto model = tiny_model();
  for (const int64_t prefill : {1, 8, 19, 24}) {
    const BenchOptions options{.prefill = prefill, .decode = 7, .batch = 4};
    CheckingDecoder decoder(model->config().vocab_size, bench_pages(options, 8));
    const auto result = measure_speed(decoder, *model, kernels::KvType::kF16, options);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(decoder.n_tokens, 1 + prefill + 7 + 4 * 7);
    EXPECT_EQ(decoder.n_copies, prefill % 8 == 0 ? 0 : 4);
    EXPECT_EQ(decoder.widest, 4u);
    EXPECT_GT(result->prefill_tok_s, 0);
    EXPECT_GT(result->decode_tok_s, 0);
    EXPECT_GT(result->batch_decode_tok_s, 0);
    EXPECT_GT(result->read_gb_s, 0);
    EXPECT_GT(result->macs_g_s, 0);
  }
}

TEST(Bench, RefusesWhatMakesNoSense) {
  const auto model = tiny_model();
  for (const BenchOptions& options :
       {BenchOptions{.prefill = 0}, BenchOptions{.decode = 0}, BenchOptions{.batch = 0},
        BenchOptions{.prefill = 1001}, BenchOptions{.prefill = 990, .decode = 11},
        BenchOptions{.prefill = 4, .decode = 4, .batch = 7}}) {
    CheckingDecoder decoder(model->config().vocab_size, 5000);
    const auto result = measure_speed(decoder, *model, kernels::KvType::kF16, options);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(decoder.n_tokens, 0);
  }
}

TEST(Bench, CountsTrafficAndArithmetic) {
  const auto model = tiny_model();
  const double d = 256, kv = 128, ffn = 512, vocab = 544;
  const double layer = 2 * d * d + 2 * d * kv + 3 * d * ffn;
  // 10 tokens through 2 layers; 1 + 2 + ... + 10 = 55 positions, scores and values for d elements.
  EXPECT_DOUBLE_EQ(prefill_macs(*model, 10), 10 * 2 * layer + 2 * 2 * 55 * d + vocab * d);
  int64_t bytes = 0;
  for (const GgufTensor& tensor : model->file().tensors()) {
    if (tensor.n_dims == 2 && tensor.name != "token_embd.weight") bytes += tensor.bytes;
  }
  EXPECT_EQ(weight_bytes_per_step(*model), bytes);
}

TEST(MachineLimits, ArePlausible) {
  ThreadPool pool(2);
  const auto read = measure_read_limit(pool);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_GT(*read, 0.05);
  EXPECT_LT(*read, 5000);
  const double macs = measure_mac_limit(pool);
  EXPECT_GT(macs, 0.01);
  EXPECT_LT(macs, 100000);
}

}  // namespace
}  // namespace reckon
