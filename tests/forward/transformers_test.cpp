// The decoder against an independent implementation: logits of tiny models as transformers computes
// them in float32 (tests/forward/fixtures/README.md). The bar: no logit further off than 1e-4 of
// the logits' spread.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "forward/cpu_decoder.h"

namespace reckon {
namespace {

std::string fixture(const std::string& name) {
  return std::string(RECKON_SOURCE_DIR) + "/tests/forward/fixtures/" + name;
}

class TransformersTest : public ::testing::TestWithParam<const char*> {};

TEST_P(TransformersTest, LogitsWithinATenThousandthOfTheSpread) {
  const std::string name = GetParam();
  const auto file = GgufFile::open(fixture(name + ".gguf"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto model = Model::load(*file);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto text = read_file(fixture(name + ".json"), 1 << 20);
  const auto raw = read_file(fixture(name + ".logits"), 1 << 20);
  ASSERT_TRUE(text.ok() && raw.ok());
  const auto json = parse_json(*text, name, 16);
  ASSERT_TRUE(json.ok()) << json.error().message;
  const auto vocab = static_cast<size_t>(json->at("vocab_size").to_number<int64_t>());
  const auto spread = json->at("spread").to_number<double>();
  ASSERT_EQ(vocab, static_cast<size_t>((*model)->config().vocab_size));
  std::vector<float> expected(raw->size() / sizeof(float));
  std::memcpy(expected.data(), raw->data(), expected.size() * sizeof(float));

  const auto table = kernels::default_table();
  ASSERT_TRUE(table.ok()) << table.error().message;
  const auto decoder = CpuDecoder::create(*model, {.n_pages = 4,
                                                   .kv_type = kernels::KvType::kF16,
                                                   .max_batch_tokens = 256,
                                                   .n_threads = 2,
                                                   .kernels = *table});
  ASSERT_TRUE(decoder.ok()) << decoder.error().message;
  size_t row = 0;
  double worst = 0.0;
  for (const auto& sequence : json->at("sequences").as_array()) {
    std::vector<TokenId> tokens;
    for (const auto& id : sequence.at("tokens").as_array()) {
      tokens.push_back(static_cast<TokenId>(id.to_number<int64_t>()));
    }
    const std::vector<PageId> pages = {2, 0, 3, 1};
    const SequenceStep step = {.tokens = tokens,
                               .first_position = 0,
                               .pages = pages,
                               .n_logits = static_cast<int64_t>(tokens.size())};
    std::vector<float> logits(tokens.size() * vocab);
    const Status status = (*decoder)->step({&step, 1}, logits);
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (const auto& position : sequence.at("positions").as_array()) {
      const auto p = static_cast<size_t>(position.to_number<int64_t>());
      ASSERT_LE((row + 1) * vocab, expected.size());
      for (size_t v = 0; v < vocab; ++v) {
        worst = std::max(
            worst, std::abs(double{logits[p * vocab + v]} - double{expected[row * vocab + v]}));
      }
      ++row;
    }
  }
  EXPECT_EQ(row * vocab, expected.size());
  EXPECT_LE(worst / spread, 1e-4);
  RecordProperty("worst_over_spread", std::to_string(worst / spread));
  std::printf("%s: largest difference %.2e of the spread\n", name.c_str(), worst / spread);
}

INSTANTIATE_TEST_SUITE_P(All, TransformersTest,
                         ::testing::Values("qwen2-tied", "qwen2-untied", "llama-tied",
                                           "llama-untied", "llama-tied-scaled",
                                           "llama-untied-scaled"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace reckon
