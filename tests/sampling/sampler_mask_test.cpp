// Sampling from the allowed tokens alone.
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "sampling/sampler.h"

namespace reckon {
namespace {

constexpr int64_t kVocab = 1000;
constexpr float kNever = -std::numeric_limits<float>::infinity();

// As if the others had no probability at all, under every filter.
TEST(SamplerMask, AsIfThereWereNoOthers) {
  std::mt19937 random(2);
  Sampler sampler(kVocab);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> logits(kVocab);
    for (float& logit : logits) logit = static_cast<float>(random() % 2000) / 100;
    std::vector<uint64_t> allowed((kVocab + 63) / 64);
    std::vector<float> without = logits;
    for (size_t id = 0; id < kVocab; ++id) {
      if (random() % 8 == 0 || id == 17) {
        allowed[id / 64] |= uint64_t{1} << (id % 64);
      } else {
        without[id] = kNever;
      }
    }
    SamplingParams params;
    params.temperature = std::vector<double>{0, 0.6, 1.5}[static_cast<size_t>(round % 3)];
    params.top_p = round % 2 == 0 ? 0.9 : 1.0;
    params.top_k = round % 5 == 0 ? 3 : 0;
    params.min_p = round % 7 == 0 ? 0.1 : 0;
    params.seed = static_cast<uint64_t>(round);
    const std::vector<TokenId> said = {1, 2, 17};
    const SamplingHistory history{.tokens = said, .n_prompt = 1};
    const TokenId token = sampler.sample(params, logits, history, allowed).token;
    EXPECT_TRUE(allowed[static_cast<size_t>(token) / 64] >> (token % 64) & 1);
    EXPECT_EQ(token, sampler.sample(params, without, history).token);
  }
}

// Neither a bias nor a penalty brings a refused token back, nor does one that is allowed vanish.
TEST(SamplerMask, HoldsAgainstBiases) {
  Sampler sampler(kVocab);
  std::vector<float> logits(kVocab, 1.0f);
  logits[5] = kNever;
  std::vector<uint64_t> allowed((kVocab + 63) / 64);
  allowed[0] = uint64_t{1} << 5;
  for (const double temperature : {0.0, 1.0, 100.0}) {
    SamplingParams params;
    params.temperature = temperature;
    params.repetition_penalty = 2;
    params.presence_penalty = 3;
    params.logit_bias = {{6, 1000}, {7, -1000}};
    params.n_logprobs = 2;
    const std::vector<TokenId> said = {5, 6, 8};
    const SampledToken sampled =
        sampler.sample(params, logits, {.tokens = said, .n_prompt = 0}, allowed);
    EXPECT_EQ(sampled.token, 5);
    // Log-probabilities stay the model's own.
    ASSERT_TRUE(sampled.logprobs.has_value());
    EXPECT_NE(sampled.logprobs->top[0].token, 5);
  }
}

}  // namespace
}  // namespace reckon
