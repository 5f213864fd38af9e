// Random arrivals, cancellations and controls for thousands of steps over few pages. The scripted
// decoder checks every page it is shown; every finished output is compared with a plain reference
// that has no batches, pages or cache at all.
#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tests/engine/engine_fixture.h"

namespace reckon {
namespace {

using testing::kEos;
using testing::kImEnd;
using testing::Log;
using testing::Rig;
using testing::ScriptedDecoder;
using testing::tiny_shape;
using Tokens = std::vector<TokenId>;

// What the hashed model says to a request, token by token.
Tokens reference_output(const Request& request, size_t n_wanted, size_t context) {
  Tokens sequence = request.prompt;
  Sampler sampler(263);
  Tokens output;
  while (output.size() < n_wanted && sequence.size() < context) {
    const TokenId token =
        sampler
            .sample(request.sampling, ScriptedDecoder::hashed_logits(sequence, 263),
                    {.tokens = sequence, .n_prompt = static_cast<int64_t>(request.prompt.size())})
            .token;
    sequence.push_back(token);
    output.push_back(token);
    if (token == kEos || token == kImEnd) break;
  }
  return output;
}

struct Life {
  Request request;
  RequestId id = 0;
  Log log;
};

void stress(uint32_t seed, const DecoderShape& shape, int64_t max_running, int n_steps,
            bool guess = false) {
  std::mt19937 engine(seed);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(engine() % n); };
  Rig rig(shape, {}, {.max_running = max_running, .guess_ngrams = guess});
  const auto context = static_cast<size_t>(rig.engine->context_length());
  // Few beginnings, so that prompts share prefixes of all lengths.
  std::vector<Tokens> stems;
  for (int i = 0; i < 4; ++i) {
    Tokens stem;
    for (uint32_t n = below(60); n-- > 0;) stem.push_back(static_cast<TokenId>(below(4)));
    stems.push_back(stem);
  }
  std::vector<std::unique_ptr<Life>> lives;
  int n_compared = 0;
  const auto check_finished = [&](Life& life) {
    const FinishReason reason = life.log.finished->reason;
    ASSERT_NE(reason, FinishReason::kError);
    const Tokens ids = life.log.ids();
    EXPECT_EQ(life.log.finished->usage.output.total(), static_cast<int64_t>(ids.size()));
    const size_t wanted = reason == FinishReason::kCancelled
                              ? ids.size()
                              : static_cast<size_t>(*life.request.max_tokens);
    EXPECT_EQ(ids, reference_output(life.request, wanted, context));
    ++n_compared;
  };
  for (int step = 0; step < n_steps || !lives.empty(); ++step) {
    ASSERT_LT(step, n_steps + 20000) << "no end in sight";
    // Guesses are made for few sequences only, and come true where there is little to say.
    if (step < n_steps && below(4) == 0 && (!guess || lives.size() < 3)) {
      auto life = std::make_unique<Life>();
      Request& request = life->request;
      request.prompt = stems[below(4)];
      for (uint32_t n = 1 + below(20); n-- > 0;) {
        request.prompt.push_back(static_cast<TokenId>(below(4)));
      }
      if (request.prompt.size() >= context) request.prompt.resize(context - 1);
      request.sampling.temperature = below(3) == 0 ? 0.0 : 0.8;
      request.sampling.seed = below(5);
      if (guess) request.sampling.logit_bias = {{0, 100.0}, {1, 100.0}};
      request.max_tokens = 1 + below(40);
      request.cache_salt = below(8) == 0 ? 1 : 0;
      const Result<RequestId> id = rig.engine->submit(request, life->log.sink());
      ASSERT_TRUE(id.ok()) << id.error().message;
      life->id = *id;
      lives.push_back(std::move(life));
    }
    if (!lives.empty() && below(20) == 0) {
      rig.engine->cancel(lives[below(static_cast<uint32_t>(lives.size()))]->id);
    }
    rig.engine->step();
    if (::testing::Test::HasFailure()) return;
    for (size_t i = 0; i < lives.size();) {
      if (!lives[i]->log.finished) {
        ++i;
        continue;
      }
      check_finished(*lives[i]);
      lives.erase(lives.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  EXPECT_GT(n_compared, n_steps / (guess ? 40 : 8));
  if (guess) {
    EXPECT_GT(rig.engine->stats().n_accepted, 0);
    EXPECT_GT(rig.engine->stats().n_guessed, rig.engine->stats().n_accepted);
  }
  rig.expect_idle();
}

TEST(EngineStress, AmplePages) { stress(1, tiny_shape(400, 32), 64, 2000); }
TEST(EngineStress, FewPages) { stress(2, tiny_shape(16, 32), 64, 2000); }
TEST(EngineStress, HardlyAnyPages) { stress(3, tiny_shape(4, 8), 8, 1500); }
TEST(EngineStress, OnePage) { stress(4, tiny_shape(1, 8), 4, 500); }
TEST(EngineStress, OneTokenABatch) { stress(5, tiny_shape(24, 1), 6, 1500); }
TEST(EngineStress, Guesses) { stress(6, tiny_shape(400, 32), 64, 3000, true); }
TEST(EngineStress, GuessesWithFewPages) { stress(7, tiny_shape(6, 8), 8, 3000, true); }
TEST(EngineStress, GuessesWithHardlyAnyRoom) { stress(8, tiny_shape(2, 4), 8, 3000, true); }
TEST(EngineStress, ManySeeds) {
  for (uint32_t seed = 10; seed < 22; ++seed) {
    stress(seed, tiny_shape(6 + seed, 2 + seed), 3 + seed % 9, 300);
  }
}

}  // namespace
}  // namespace reckon
