// Principle 1: the same model, tokens and cache type give bit-identical logits whatever the
// instruction set, thread count, batch, prefill chunks and page order. Compared by memcmp with the
// plainest run: scalar kernels, one thread, one sequence, one token a step.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "forward/cpu_decoder.h"
#include "tests/forward/tiny_model.h"

namespace reckon {
namespace {

using kernels::KernelTable;
using kernels::KvType;

constexpr int kPromptTokens = 140;  // over two pages of 64 positions

std::vector<TokenId> prompt(uint64_t seed, int64_t vocab_size, int n = kPromptTokens) {
  test::Random random(seed);
  std::vector<TokenId> tokens(n);
  for (TokenId& token : tokens) {
    token = static_cast<TokenId>(random.bits() % static_cast<uint64_t>(vocab_size));
  }
  return tokens;
}

std::vector<const KernelTable*> available_tables() {
  std::vector<const KernelTable*> tables;
  for (const char* name : {"scalar", "avx2", "avx512", "neon"}) {
    if (kernels::table_available(name)) tables.push_back(*kernels::find_table(name));
  }
  return tables;
}

std::unique_ptr<CpuDecoder> make_decoder(const std::shared_ptr<const Model>& model,
                                         const char* table, int n_threads, KvType kv_type,
                                         int64_t n_pages = 16) {
  auto decoder = CpuDecoder::create(model, {.n_pages = n_pages,
                                            .kv_type = kv_type,
                                            .max_batch_tokens = 256,
                                            .n_threads = n_threads,
                                            .kernels = *kernels::find_table(table)});
  EXPECT_TRUE(decoder.ok()) << decoder.error().message;
  return std::move(*decoder);
}

// Runs tokens in chunks of the given sizes (the last repeats) and returns all positions' logits.
std::vector<float> run(Decoder& decoder, const std::vector<TokenId>& tokens,
                       const std::vector<size_t>& chunks, const std::vector<PageId>& pages) {
  const auto vocab = static_cast<size_t>(decoder.shape().vocab_size);
  std::vector<float> logits(tokens.size() * vocab);
  size_t done = 0;
  for (size_t i = 0; done < tokens.size(); ++i) {
    const size_t n = std::min(chunks[std::min(i, chunks.size() - 1)], tokens.size() - done);
    const SequenceStep step = {.tokens = std::span(tokens).subspan(done, n),
                               .first_position = static_cast<int64_t>(done),
                               .pages = pages,
                               .n_logits = static_cast<int64_t>(n)};
    const Status status =
        decoder.step({&step, 1}, std::span(logits).subspan(done * vocab, n * vocab));
    EXPECT_TRUE(status.ok()) << status.error().message;
    done += n;
  }
  return logits;
}

::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) {
      return ::testing::AssertionFailure() << "logit " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

const std::vector<PageId> kPages = {0, 1, 2};

struct Case {
  TensorType type;
  KvType kv_type;
  const char* architecture;
  bool has_adapters = false;
};

// Two for the queries and the last product of every layer, one of them for all else too.
std::vector<Adapter> random_adapters(const ModelConfig& config) {
  test::Random random(5);
  std::vector<Adapter> adapters = {{config.architecture_name, 8, {}},
                                   {config.architecture_name, 3, {}}};
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    for (int target = 0; target < kLoraTargetCount; ++target) {
      for (const int64_t rank : {5, 16}) {
        if (rank == 16 && target != 0 && target != 6) continue;
        const MatrixSize size = lora_target_size(config, target);
        AdapterMatrix matrix{layer, target, size.rows, size.cols, rank, {}, {}};
        for (int64_t i = 0; i < rank * size.cols; ++i) matrix.a.push_back(0.1f * random.unit());
        for (int64_t i = 0; i < size.rows * rank; ++i) matrix.b.push_back(0.1f * random.unit());
        adapters[rank == 16 ? 1 : 0].matrices.push_back(std::move(matrix));
      }
    }
  }
  return adapters;
}

class ExactnessTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    test::TinyModelSpec spec;
    spec.type = GetParam().type;
    spec.architecture = GetParam().architecture;
    model_ = test::make_tiny_model(spec, 7);
    ASSERT_NE(model_, nullptr);
    const auto packed = test::make_tiny_model(spec, 7);
    if (GetParam().has_adapters) {
      for (const auto& model : {model_, packed}) {
        model->set_adapters(random_adapters(model->config()));
      }
    }
    ThreadPool pool(2);
    ASSERT_TRUE(packed->read_weights(true, pool, {}).ok());
    packed_model_ = packed;
    tokens_ = prompt(1, spec.vocab_size);
    const auto plain = make_decoder(model_, "scalar", 1, GetParam().kv_type);
    expected_ = run(*plain, tokens_, {1}, kPages);
  }

  // As tables want it that read packed rows: with them for every second way, or always.
  std::shared_ptr<const Model> model_for(const KernelTable& table, size_t way = 1) const {
    return table.reads_packed && way % 2 == 1 ? packed_model_ : model_;
  }

  std::shared_ptr<Model> model_;
  std::shared_ptr<const Model> packed_model_;
  std::vector<TokenId> tokens_;
  std::vector<float> expected_;
};

TEST_P(ExactnessTest, InstructionSetsThreadsAndChunks) {
  struct Run {
    int n_threads;
    std::vector<size_t> chunks;
  };
  const std::vector<Run> runs = {{1, {kPromptTokens}}, {2, {1}},     {4, {33, 1, 90, 5}},
                                 {7, {7, 64}},         {2, {5, 20}}, {3, {1, 1, 100}}};
  for (const KernelTable* table : available_tables()) {
    for (size_t i = 0; i < runs.size(); ++i) {
      const Run& way = runs[i];
      const auto decoder =
          make_decoder(model_for(*table, i), table->name, way.n_threads, GetParam().kv_type);
      EXPECT_TRUE(same_bits(run(*decoder, tokens_, way.chunks, kPages), expected_))
          << table->name << ", " << way.n_threads << " threads, first chunk " << way.chunks[0]
          << (i % 2 == 1 ? ", packed" : "");
    }
  }
}

TEST_P(ExactnessTest, BatchesAndPageOrder) {
  // Three sequences, prefilling and decoding side by side, on pages in no order, the first of them
  // the one whose logits are known.
  const KernelTable& table = *available_tables().back();
  const auto decoder = make_decoder(model_for(table), table.name, 2, GetParam().kv_type);
  const auto vocab = static_cast<size_t>(decoder->shape().vocab_size);
  const std::vector<std::vector<TokenId>> tokens = {tokens_, prompt(2, decoder->shape().vocab_size),
                                                    prompt(3, decoder->shape().vocab_size, 90)};
  const std::vector<std::vector<PageId>> pages = {{9, 0, 4}, {1, 8, 2}, {7, 3}};
  const std::vector<std::vector<size_t>> chunks = {{100, 1, 1, 38}, {1, 60, 1, 70}, {30, 1, 59}};
  std::vector<size_t> done(3, 0);
  std::vector<float> first;
  for (size_t i = 0; i < 4; ++i) {
    std::vector<SequenceStep> batch;
    std::vector<size_t> members;
    int64_t n_logits = 0;
    for (size_t s : {size_t{2}, size_t{0}, size_t{1}}) {
      if (i >= chunks[s].size()) continue;
      batch.push_back({.tokens = std::span(tokens[s]).subspan(done[s], chunks[s][i]),
                       .first_position = static_cast<int64_t>(done[s]),
                       .pages = pages[s],
                       .n_logits = static_cast<int64_t>(s == 0 ? chunks[s][i] : 1)});
      members.push_back(s);
      n_logits += batch.back().n_logits;
      done[s] += chunks[s][i];
    }
    std::vector<float> logits(static_cast<size_t>(n_logits) * vocab);
    ASSERT_TRUE(decoder->step(batch, logits).ok());
    size_t row = 0;
    for (size_t b = 0; b < batch.size(); ++b) {
      const auto n = static_cast<size_t>(batch[b].n_logits);
      if (members[b] == 0) {
        first.insert(first.end(), logits.begin() + row * vocab, logits.begin() + (row + n) * vocab);
      }
      row += n;
    }
  }
  EXPECT_TRUE(same_bits(first, expected_));
}

TEST_P(ExactnessTest, ReusedAndCopiedPages) {
  // A second sequence shares the first page and takes a copy of the second in its middle.
  const KernelTable& table = *available_tables().back();
  const auto decoder = make_decoder(model_for(table), table.name, 2, GetParam().kv_type);
  run(*decoder, tokens_, {kPromptTokens}, kPages);
  decoder->copy_page(1, 5);
  const auto vocab = static_cast<size_t>(decoder->shape().vocab_size);
  constexpr size_t kShared = 100;
  const std::vector<PageId> pages = {0, 5, 6};
  const SequenceStep step = {.tokens = std::span(tokens_).subspan(kShared),
                             .first_position = kShared,
                             .pages = pages,
                             .n_logits = kPromptTokens - kShared};
  std::vector<float> logits((kPromptTokens - kShared) * vocab);
  ASSERT_TRUE(decoder->step({&step, 1}, logits).ok());
  EXPECT_TRUE(same_bits(logits, {expected_.begin() + kShared * vocab, expected_.end()}));
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const TensorTypeInfo& info : all_tensor_types()) {
    cases.push_back({info.type, KvType::kF16, "qwen2"});
  }
  cases.push_back({TensorType::kQ4_K, KvType::kQ8, "qwen2"});
  cases.push_back({TensorType::kQ8_0, KvType::kQ8, "llama"});
  cases.push_back({TensorType::kF32, KvType::kF16, "llama"});
  cases.push_back({TensorType::kQ4_K, KvType::kF16, "qwen2", true});
  cases.push_back({TensorType::kF16, KvType::kF16, "llama", true});
  return cases;
}

std::string case_name(const Case& c) {
  return std::string(tensor_type_info(c.type).name) + "_" +
         (c.kv_type == KvType::kF16 ? "f16" : "q8") + "_" + c.architecture +
         (c.has_adapters ? "_adapted" : "");
}

INSTANTIATE_TEST_SUITE_P(All, ExactnessTest, ::testing::ValuesIn(all_cases()),
                         [](const auto& test) { return case_name(test.param); });

// FNV-1a over the logits' bytes.
uint64_t hash_of(const std::vector<float>& logits) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const float value : logits) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    for (int i = 0; i < 4; ++i) hash = (hash ^ ((bits >> (8 * i)) & 0xffu)) * 0x100000001b3u;
  }
  return hash;
}

// The hashes of docs/numerics.md's version: the same on every processor. They change only with a
// new version of that document.
// Past a segment of attention, which threads share out when a few tokens look back on several.
TEST(LongContextTest, SegmentsAndThreads) {
  constexpr int kTokens = 2 * kernels::kAttentionSegment + 40;
  test::TinyModelSpec spec;
  const auto model = test::make_tiny_model(spec, 19);
  ASSERT_NE(model, nullptr);
  std::vector<TokenId> tokens = prompt(23, spec.vocab_size, kTokens);
  std::vector<PageId> pages(kTokens / kPagePositions + 1);
  std::iota(pages.begin(), pages.end(), 0);
  for (const KvType kv_type : {KvType::kF16, KvType::kQ8}) {
    std::vector<float> expected;
    for (const KernelTable* table : available_tables()) {
      for (const int n_threads : {1, 2, 16}) {
        if (std::string(table->name) == "scalar" && n_threads != 1) continue;
        const auto decoder = make_decoder(model, table->name, n_threads, kv_type, 64);
        // One by one, several and many at a time around the segments' borders.
        const std::vector<size_t> chunks =
            n_threads == 1
                ? std::vector<size_t>{256}
                : std::vector<size_t>{200, 256, 256, 256, 50, 1, 1, 2, 5, 256, 256, 9, 3};
        const std::vector<float> found = run(*decoder, tokens, chunks, pages);
        if (expected.empty()) expected = found;
        EXPECT_TRUE(same_bits(found, expected)) << table->name << ", " << n_threads << " threads";
      }
    }
  }
}

TEST(GoldenLogitsTest, SameOnEveryProcessor) {
  const std::map<std::string, uint64_t> golden = {
#include "tests/forward/golden_logits.inc"
  };
  for (const Case& c : all_cases()) {
    test::TinyModelSpec spec;
    spec.type = c.type;
    spec.architecture = c.architecture;
    const auto model = test::make_tiny_model(spec, 11);
    ASSERT_NE(model, nullptr);
    if (c.has_adapters) model->set_adapters(random_adapters(model->config()));
    const auto decoder = make_decoder(model, available_tables().back()->name, 2, c.kv_type);
    const uint64_t hash = hash_of(run(*decoder, prompt(5, spec.vocab_size), {64}, kPages));
    const auto found = golden.find(case_name(c));
    EXPECT_TRUE(found != golden.end() && found->second == hash)
        << "{\"" << case_name(c) << "\", 0x" << std::hex << hash << "},";
  }
}

TEST(CpuDecoderTest, DamagedWeightsAreAnErrorNotGarbage) {
  test::TinyModelSpec spec;
  spec.damaged_token = 4;
  const auto model = test::make_tiny_model(spec, 3);
  ASSERT_NE(model, nullptr);
  const auto decoder = make_decoder(model, "scalar", 1, KvType::kF16);
  std::vector<float> logits(static_cast<size_t>(spec.vocab_size));
  for (const TokenId token : {3, 4}) {
    const SequenceStep step = {
        .tokens = {&token, 1}, .first_position = 0, .pages = kPages, .n_logits = 1};
    const Status status = decoder->step({&step, 1}, logits);
    EXPECT_EQ(status.ok(), token != 4);
  }
}

TEST(CpuDecoderTest, EightBitCacheNeedsHeadsOfWholeBlocks) {
  test::TinyModelSpec spec;
  spec.n_heads = 16;  // 256 / 16 = 16 elements a head
  const auto model = test::make_tiny_model(spec, 3);
  ASSERT_NE(model, nullptr);
  const auto decoder = CpuDecoder::create(model, {.n_pages = 1,
                                                  .kv_type = KvType::kQ8,
                                                  .max_batch_tokens = 8,
                                                  .n_threads = 1,
                                                  .kernels = *kernels::find_table("scalar")});
  ASSERT_FALSE(decoder.ok());
  EXPECT_EQ(decoder.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace reckon
