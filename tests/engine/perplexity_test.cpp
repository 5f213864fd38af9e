// Perplexity over a decoder whose probabilities are known: which tokens are scored, after what.
#include "engine/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace reckon {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kVocab = 258;
constexpr TokenId kBos = 257;

// Bytes, and a BOS that every text begins with if asked.
std::shared_ptr<const Tokenizer> byte_tokenizer(bool add_bos) {
  TokenizerSpec spec;
  spec.pre_tokenizer = "gpt-2";
  // The byte alphabet: printable Latin-1 as it is, the rest from U+0100 on.
  const auto spell = [](int c) {
    std::string out;
    if (c < 0x80) return out += static_cast<char>(c);
    out += static_cast<char>(0xc0 | c >> 6);
    return out += static_cast<char>(0x80 | (c & 0x3f));
  };
  int moved = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool own = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);
    spec.tokens.push_back(spell(own ? b : moved++));
    spec.kinds.push_back(TokenKind::kNormal);
  }
  for (const char* special : {"<eos>", "<bos>"}) {
    spec.tokens.push_back(special);
    spec.kinds.push_back(TokenKind::kControl);
  }
  spec.eos = 256;
  spec.bos = kBos;
  spec.add_bos = add_bos;
  auto tokenizer = Tokenizer::create(std::move(spec));
  EXPECT_TRUE(tokenizer.ok()) << (tokenizer.ok() ? "" : tokenizer.error().message);
  return *tokenizer;
}

// Gives the token after token t a probability that depends on t, and notes what it was fed.
class KnownDecoder : public Decoder {
 public:
  explicit KnownDecoder(int64_t max_batch_tokens) {
    shape_ = {.vocab_size = kVocab,
              .page_positions = 8,
              .n_pages = 4,
              .context_length = 32,
              .max_batch_tokens = max_batch_tokens};
  }
  const DecoderShape& shape() const override { return shape_; }
  void copy_page(PageId, PageId) override { FAIL(); }

  // Of the next byte being one more than this one; the others share the rest.
  static double probability(TokenId token) { return token % 2 == 0 ? 0.5 : 0.25; }

  Status step(std::span<const SequenceStep> batch, std::span<float> logits) override {
    EXPECT_EQ(batch.size(), 1u);
    const SequenceStep& step = batch[0];
    EXPECT_LE(static_cast<int64_t>(step.tokens.size()), shape_.max_batch_tokens);
    if (step.first_position == 0) fed.push_back({});
    EXPECT_EQ(step.first_position, static_cast<int64_t>(fed.back().size()));
    const size_t end = fed.back().size() + step.tokens.size();
    EXPECT_GE(step.pages.size() * 8, end);
    fed.back().insert(fed.back().end(), step.tokens.begin(), step.tokens.end());
    for (int64_t row = 0; row < step.n_logits; ++row) {
      const TokenId token = step.tokens[step.tokens.size() - step.n_logits + row];
      const double p = probability(token);
      for (int64_t v = 0; v < kVocab; ++v) {
        const double q = v == (token + 1) % 256 ? p : (1 - p) / (kVocab - 1);
        logits[row * kVocab + v] = static_cast<float>(std::log(q) + 3);
      }
    }
    return {};
  }

  std::vector<std::vector<TokenId>> fed;

 private:
  DecoderShape shape_;
};

std::string ascending(size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += static_cast<char>('A' + i % 26);
  return text;
}

// The definition, written out: chunks of c tokens, tokens c/2 + 1 .. c - 1 of each scored.
Perplexity by_hand(const std::string& text, int64_t c) {
  double sum = 0, squares = 0;
  int64_t n = 0;
  const int64_t n_chunks = static_cast<int64_t>(text.size()) / c;
  for (int64_t chunk = 0; chunk < n_chunks; ++chunk) {
    for (int64_t i = c / 2 + 1; i < c; ++i) {
      const int before = static_cast<unsigned char>(text[chunk * c + i - 1]);
      const int token = static_cast<unsigned char>(text[chunk * c + i]);
      const double p = KnownDecoder::probability(before);
      const double loss = -std::log(token == before + 1 ? p : (1 - p) / (kVocab - 1));
      sum += loss;
      squares += loss * loss;
      ++n;
    }
  }
  const auto count = static_cast<double>(n);
  const double mean = sum / count;
  const double ppl = std::exp(mean);
  return {ppl, std::sqrt((squares / count - mean * mean) / (count - 1)) * ppl, n, n_chunks};
}

TEST(Perplexity, IsThatOfTheDefinition) {
  const std::string text = ascending(77);
  const auto tokenizer = byte_tokenizer(false);
  for (const int64_t max_batch : {1, 3, 64}) {
    KnownDecoder decoder(max_batch);
    const auto result = measure_perplexity(decoder, *tokenizer, text, 16);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const Perplexity expected = by_hand(text, 16);
    EXPECT_NEAR(result->perplexity, expected.perplexity, 1e-5 * expected.perplexity);
    EXPECT_NEAR(result->standard_error, expected.standard_error, 1e-4 * expected.standard_error);
    EXPECT_EQ(result->tokens, 4 * 7);
    EXPECT_EQ(result->chunks, 4);
  }
}

TEST(Perplexity, EveryChunkBeginsWithBos) {
  const auto tokenizer = byte_tokenizer(true);
  KnownDecoder decoder(64);
  ASSERT_TRUE(measure_perplexity(decoder, *tokenizer, ascending(47) + "\n", 16).ok());
  ASSERT_EQ(decoder.fed.size(), 3u);  // BOS and 47 letters; the line break is left out
  for (const auto& chunk : decoder.fed) EXPECT_EQ(chunk.front(), kBos);
  EXPECT_EQ(decoder.fed[0][1], 'A');
  // BOS stands in the place of the token that begins the chunk.
  EXPECT_EQ(decoder.fed[1][1], ascending(47)[16]);
  EXPECT_EQ(decoder.fed[1].size(), 15u);  // what follows the last token is not asked
}

TEST(Perplexity, RefusesWhatMakesNoSense) {
  const auto tokenizer = byte_tokenizer(false);
  KnownDecoder decoder(64);
  const auto error = [&](const std::string& text, int64_t context) {
    const auto result = measure_perplexity(decoder, *tokenizer, text, context);
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
    return result.error().message;
  };
  EXPECT_THAT(error(ascending(31), 16), HasSubstr("at least 32 tokens"));
  EXPECT_THAT(error("", 16), HasSubstr("found 0"));
  EXPECT_THAT(error(ascending(500), 33), HasSubstr("at most 32 tokens, found 33"));
  EXPECT_THAT(error(ascending(500), 3), HasSubstr("found 3"));
  EXPECT_TRUE(decoder.fed.empty());
}

TEST(Perplexity, StopsWhenTold) {
  const auto tokenizer = byte_tokenizer(false);
  KnownDecoder decoder(64);
  int64_t seen = 0;
  const auto result =
      measure_perplexity(decoder, *tokenizer, ascending(100), 16, [&](const auto& progress) {
        EXPECT_EQ(progress.chunks_done, ++seen);
        EXPECT_EQ(progress.n_chunks, 6);
        EXPECT_GT(progress.perplexity, 1.0);
        return seen < 2;
      });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(decoder.fed.size(), 2u);
}

}  // namespace
}  // namespace reckon
