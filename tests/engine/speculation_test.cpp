// Guessed tokens: what comes out is what comes out without them, in fewer steps.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/engine/engine_fixture.h"

namespace reckon {
namespace {

using testing::bytes_as_tokens;
using testing::greedy_request;
using testing::Log;
using testing::Rig;
using testing::say;
using testing::tiny_shape;
using Tokens = std::vector<TokenId>;

const std::string kQuoted = "the quick brown fox jumps over the lazy dog.";

struct Outcome {
  Log log;
  size_t n_steps = 0;
  EngineStats stats;
};

// A request whose answer is scripted, with and without guesses.
void run(const Request& request, const Tokens& output, bool guess, Outcome& outcome) {
  Rig rig(tiny_shape(), say(request.prompt.size(), output), {.guess_ngrams = guess});
  ASSERT_TRUE(rig.engine->submit(request, outcome.log.sink()).ok());
  while (rig.engine->step()) {
  }
  outcome.n_steps = rig.record->steps.size();
  outcome.stats = rig.engine->stats();
  rig.expect_idle();
}

void expect_same(const Request& request, const Tokens& output, Outcome& guessed) {
  Outcome plain;
  run(request, output, false, plain);
  run(request, output, true, guessed);
  EXPECT_EQ(guessed.log.ids(), plain.log.ids());
  EXPECT_EQ(guessed.log.thinking, plain.log.thinking);
  EXPECT_EQ(guessed.log.answer, plain.log.answer);
  ASSERT_TRUE(plain.log.finished && guessed.log.finished);
  EXPECT_EQ(guessed.log.finished->reason, plain.log.finished->reason);
  EXPECT_EQ(guessed.log.finished->usage.output.total(), plain.log.finished->usage.output.total());
  EXPECT_EQ(plain.stats.n_guessed, 0);
  EXPECT_GT(guessed.stats.n_accepted, 0);
  EXPECT_LT(guessed.n_steps, plain.n_steps);
}

TEST(Speculation, AQuoteComesInFewerSteps) {
  Outcome guessed;
  expect_same(greedy_request(kQuoted, 200), bytes_as_tokens("Quote: " + kQuoted + " That is all."),
              guessed);
  EXPECT_EQ(guessed.log.answer, "Quote: " + kQuoted + " That is all.");
  // 44 quoted tokens: three to find the place, a step of 4, then steps of 8.
  EXPECT_GE(guessed.stats.n_accepted, 34);
}

TEST(Speculation, NothingIsGuessedWithoutBeingAsked) {
  Outcome plain;
  run(greedy_request(kQuoted, 200), bytes_as_tokens(kQuoted), false, plain);
  EXPECT_EQ(plain.stats.n_guessed, 0);
}

TEST(Speculation, EndsInTheMiddleOfAGuess) {
  for (int64_t max_tokens = 5; max_tokens < 40; ++max_tokens) {
    Outcome guessed;
    expect_same(greedy_request(kQuoted, max_tokens), bytes_as_tokens(kQuoted), guessed);
    if (::testing::Test::HasFailure()) return;
    EXPECT_EQ(guessed.log.finished->reason, FinishReason::kLength);
  }
  for (size_t length = 6; length < 40; ++length) {  // the end token, where the quote goes on
    Outcome guessed;
    expect_same(greedy_request(kQuoted, 200), bytes_as_tokens(kQuoted.substr(0, length)), guessed);
    EXPECT_EQ(guessed.log.finished->reason, FinishReason::kStop);
  }
  Request stopped = greedy_request(kQuoted, 200);
  stopped.stop = {"jumps"};
  Outcome guessed;
  expect_same(stopped, bytes_as_tokens(kQuoted), guessed);
  EXPECT_EQ(guessed.log.answer, "the quick brown fox ");
}

TEST(Speculation, AFullContextEndsAtTheSameToken) {
  Request request = greedy_request(std::string(490, 'a'), 200);
  Outcome guessed;
  expect_same(request, bytes_as_tokens(std::string(100, 'a')), guessed);
  EXPECT_EQ(guessed.log.ids().size(), 22u);
}

// The thought is closed at the same token although more of it had been guessed rightly.
TEST(Speculation, BudgetsCloseTheThoughtWhereTheyWould) {
  for (int64_t budget = 4; budget < 30; ++budget) {
    Request request = greedy_request(kQuoted, 60);
    request.thinking = ThinkingStart::kOpened;
    request.think_budget = budget;
    Outcome guessed;
    expect_same(request, bytes_as_tokens(kQuoted + kQuoted), guessed);
    EXPECT_GT(guessed.log.finished->usage.output.total(), budget);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Speculation, WrongGuessesAreGivenUp) {
  // Three letters as in the prompt, then another than there.
  std::mt19937 random(1);
  std::string prompt;
  while (prompt.size() < 240) prompt += static_cast<char>('a' + random() % 26);
  std::string answer;
  for (size_t i = 0; i + 4 <= prompt.size(); i += 4) answer += prompt.substr(i, 3) + "A";
  const Request request = greedy_request(prompt, 200);
  Outcome guessed;
  run(request, bytes_as_tokens(answer), true, guessed);
  EXPECT_EQ(guessed.log.ids().size(), 200u);
  EXPECT_GT(guessed.stats.n_guessed, 0);
  EXPECT_EQ(guessed.stats.n_accepted, 0);
  EXPECT_LE(guessed.stats.n_guessed, 3 * 8);  // pauses of 2, 4, 8 ... 64 tokens lie between
}

}  // namespace
}  // namespace reckon
