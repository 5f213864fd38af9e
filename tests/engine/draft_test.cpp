// A draft model's guesses: the same output in fewer steps, however good or bad the draft is.
#include "engine/draft.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/engine_fixture.h"

namespace reckon {
namespace {

using testing::bytes_as_tokens;
using testing::greedy_request;
using testing::Log;
using testing::Rig;
using testing::say;
using testing::ScriptedDecoder;
using testing::tiny_shape;
using Tokens = std::vector<TokenId>;

constexpr int64_t kPositions = 512;
const std::string kAnswer = "Nine and eleven make twenty, and that is all there is to say.";

std::shared_ptr<ScriptedDecoder::Record> give_draft(Rig& rig, ScriptedDecoder::Script script,
                                                    int64_t vocab_size = 263,
                                                    double step_cost = 0.1) {
  DecoderShape shape = tiny_shape(Draft::kSequences * kPositions / 8);
  shape.vocab_size = vocab_size;
  auto decoder = std::make_unique<ScriptedDecoder>(shape, std::move(script));
  const std::shared_ptr<ScriptedDecoder::Record> record = decoder->record();
  rig.engine->set_draft(std::make_unique<Draft>(std::move(decoder), kPositions, step_cost));
  return record;
}

// What the draft says is right except every n-th token.
ScriptedDecoder::Script wrong_every(size_t n, size_t n_prompt, const Tokens& output) {
  return [n, n_prompt, output](const Tokens& sequence) -> TokenId {
    const size_t i = sequence.size() - n_prompt;
    if (i % n == n - 1) return '#';
    return i < output.size() ? output[i] : 0;
  };
}

void drain(Rig& rig) {
  while (rig.engine->step()) {
  }
  rig.expect_idle();
}

TEST(Draft, AGoodDraftSavesSteps) {
  const Request request = greedy_request("how much?", 200);
  const Tokens output = bytes_as_tokens(kAnswer);
  Rig rig(tiny_shape(), say(request.prompt.size(), output));
  give_draft(rig, say(request.prompt.size(), output));
  Log log;
  ASSERT_TRUE(rig.engine->submit(request, log.sink()).ok());
  drain(rig);
  EXPECT_EQ(log.answer, kAnswer);
  // What was guessed beyond the end can't come true.
  EXPECT_LE(rig.engine->stats().n_guessed, rig.engine->stats().n_accepted + GuessLength::kMaxGuess);
  EXPECT_LE(rig.record->steps.size(), 1 + kAnswer.size() / 4);
}

TEST(Draft, ABadDraftChangesNothingAndIsGivenUp) {
  const Request request = greedy_request("how much?", 400);
  Tokens output;
  while (output.size() < 250) {
    const Tokens more = bytes_as_tokens(kAnswer);
    output.insert(output.end(), more.begin(), more.end());
  }
  for (const size_t n : {1u, 2u, 3u, 5u, 9u}) {
    Rig rig(tiny_shape(), say(request.prompt.size(), output));
    give_draft(rig, wrong_every(n, request.prompt.size(), output));
    Log log;
    ASSERT_TRUE(rig.engine->submit(request, log.sink()).ok());
    drain(rig);
    Tokens expected = output;
    expected.push_back(testing::kEos);
    EXPECT_EQ(log.ids(), expected) << n;
    const EngineStats stats = rig.engine->stats();
    EXPECT_GT(stats.n_guessed, 0) << n;
    if (n == 1) {
      EXPECT_EQ(stats.n_accepted, 0);
      EXPECT_LE(stats.n_guessed, 60);  // of 250 tokens
    } else {
      EXPECT_GT(stats.n_accepted, 0) << n;
    }
  }
}

// Drawn with temperature from logits that depend on all that was said; the draft is the same model
// or another one, and may know fewer or more (padding) tokens.
TEST(Draft, DrawnTokensAreThoseOfThePlainRun) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    Request request = greedy_request("some words to begin with", 120);
    request.sampling.temperature = 0.9;
    request.sampling.seed = seed;
    Log plain;
    {
      Rig rig;
      ASSERT_TRUE(rig.engine->submit(request, plain.sink()).ok());
      drain(rig);
    }
    for (const int64_t vocab_size : {263, 250, 300}) {
      Rig rig;
      give_draft(rig, {}, vocab_size);
      Log log;
      ASSERT_TRUE(rig.engine->submit(request, log.sink()).ok());
      drain(rig);
      EXPECT_EQ(log.ids(), plain.ids());
      if (vocab_size == 263) {
        EXPECT_LE(rig.engine->stats().n_guessed,
                  rig.engine->stats().n_accepted + GuessLength::kMaxGuess);
      }
    }
  }
}

TEST(Draft, TwoSequencesAndTheirSuccessorsShareItsPages) {
  Rig rig;
  give_draft(rig, {});
  std::vector<Log> logs(6);
  for (size_t i = 0; i < logs.size(); ++i) {
    Request request = greedy_request("question " + std::to_string(i), 20 + 7 * i);
    request.sampling.seed = i;
    ASSERT_TRUE(rig.engine->submit(request, logs[i].sink()).ok());
  }
  drain(rig);
  for (size_t i = 0; i < logs.size(); ++i) {
    ASSERT_TRUE(logs[i].finished);
    Rig alone;
    Log log;
    Request request = greedy_request("question " + std::to_string(i), 20 + 7 * i);
    request.sampling.seed = i;
    ASSERT_TRUE(alone.engine->submit(request, log.sink()).ok());
    drain(alone);
    EXPECT_EQ(logs[i].ids(), log.ids()) << i;
  }
}

TEST(Draft, ALongPromptIsReadABatchAStep) {
  const Request request = greedy_request(std::string(300, 'q'), 40);
  Rig rig(tiny_shape(), say(300, bytes_as_tokens(kAnswer)));
  const auto record = give_draft(rig, say(300, bytes_as_tokens(kAnswer)));
  Log log;
  ASSERT_TRUE(rig.engine->submit(request, log.sink()).ok());
  drain(rig);
  EXPECT_EQ(log.answer, kAnswer.substr(0, 40));
  EXPECT_GT(rig.engine->stats().n_accepted, 0);
  for (const ScriptedDecoder::Step& step : record->steps) EXPECT_LE(step.total, 32);
}

TEST(Draft, AFailedStepOfTheDraftIsNoError) {
  const Request request = greedy_request("how much?", 200);
  const Tokens output = bytes_as_tokens(kAnswer);
  Rig rig(tiny_shape(), say(request.prompt.size(), output));
  const auto record = give_draft(rig, say(request.prompt.size(), output));
  Log log;
  ASSERT_TRUE(rig.engine->submit(request, log.sink()).ok());
  for (int i = 0; rig.engine->step(); ++i) {
    if (i % 3 == 1) record->fail_next = "no memory";
  }
  EXPECT_EQ(log.answer, kAnswer);
}

TEST(GuessLength, FollowsCostsAndLuck) {
  GuessLength cheap(0.02);
  EXPECT_GE(cheap.best(), 3);
  for (int i = 0; i < 50; ++i) cheap.learn(7, 7);
  EXPECT_EQ(cheap.best(), GuessLength::kMaxGuess);
  GuessLength dear(1.0);
  EXPECT_EQ(dear.best(), 0);
  GuessLength unlucky(0.2);
  for (int i = 0; i < 20; ++i) unlucky.learn(3, 0);
  EXPECT_EQ(unlucky.best(), 0);
  int pause = 0;
  while (unlucky.best() == 0 && pause < 1000) {
    unlucky.skip();
    ++pause;
  }
  EXPECT_GT(pause, 5);
  EXPECT_LT(pause, 200);
}

std::shared_ptr<const Tokenizer> with_padding(size_t n, TokenKind kind, std::string_view name) {
  TokenizerSpec spec = testing::tiny_tokenizer()->spec();
  for (size_t i = 0; i < n; ++i) {
    spec.tokens.push_back(std::string(name) + std::to_string(i));
    spec.kinds.push_back(kind);
  }
  Result<std::shared_ptr<const Tokenizer>> made = Tokenizer::create(std::move(spec));
  EXPECT_TRUE(made.ok());
  return *made;
}

TEST(TokensAgree, PaddingMayDiffer) {
  const auto plain = testing::tiny_tokenizer();
  const auto padded = with_padding(128, TokenKind::kUnused, "[PAD");
  EXPECT_TRUE(tokens_agree(*plain, *padded).ok());
  EXPECT_TRUE(tokens_agree(*padded, *plain).ok());
  EXPECT_TRUE(tokens_agree(*padded, *padded).ok());
}

TEST(TokensAgree, NamesTheTokenThatDiffers) {
  const auto plain = testing::tiny_tokenizer();
  const auto more = with_padding(1, TokenKind::kControl, "<more>");
  for (const Status& status : {tokens_agree(*plain, *more), tokens_agree(*more, *plain)}) {
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("<more>0"), std::string::npos) << status.error().message;
  }
  TokenizerSpec spec = plain->spec();
  spec.tokens.back() = "<other>";
  const auto other = Tokenizer::create(std::move(spec));
  ASSERT_TRUE(other.ok());
  const Status status = tokens_agree(*plain, **other);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("<other>"), std::string::npos);
}

}  // namespace
}  // namespace reckon
