// Thoughts that end softly, are closed with a sentence, or must go on; efforts as budgets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "engine/engine.h"
#include "tests/engine/story.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using testing::kEos;
using testing::kThinkEnd;
using testing::Log;
using testing::plain_text;
using testing::Rig;
using testing::ScriptedDecoder;
using testing::Story;
using testing::tell;
using testing::thinking_request;
using testing::tiny_shape;

const std::string kPrompt = "2+2?";

Story endless() {
  return {.thought = std::string(400, 'a'),
          .answer = [](const std::string&) { return std::string("four"); },
          .probe = {}};
}

Completion run(Rig& rig, const Request& request) {
  Result<Completion> done = rig.engine->generate(request);
  EXPECT_TRUE(done.ok());
  rig.expect_idle();
  return done.ok() ? *done : Completion{};
}

// Every token is drawn among 'a' and a rather unlikely end of the thought.
void make_undecided(Rig& rig, float lead) {
  rig.record->adjust = [lead](const std::vector<TokenId>& sequence, std::span<float> logits) {
    const std::string text = plain_text(sequence, kPrompt.size());
    if (text.find('>') == std::string::npos) logits[kThinkEnd] = 100.0f - lead;
  };
}

TEST(Budget, EndsSoftlyBetweenItsShareAndItsEnd) {
  std::set<int64_t> lengths;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rig rig(tiny_shape(), tell(kPrompt.size(), endless()));
    make_undecided(rig, 9.0f);
    Request request = thinking_request(kPrompt);
    request.sampling.temperature = 1;
    request.sampling.seed = seed;
    request.think_budget = 100;
    request.soft_share = 0.5;
    const Completion done = run(rig, request);
    // e^-9 = 0.0001 a token before the share, an even chance nine tenths of the way behind it.
    EXPECT_GT(done.usage.output.thinking, 50);
    EXPECT_LT(done.usage.output.thinking, 100);
    EXPECT_EQ(done.thought_end, ThoughtEnd::kBudget);
    EXPECT_EQ(done.answer, "four");
    EXPECT_EQ(*done.usage.saved_tokens, 100 - done.usage.output.thinking);
    lengths.insert(done.usage.output.thinking);
  }
  EXPECT_GT(lengths.size(), 3u) << "the chance rises, it doesn't jump";
}

TEST(Budget, AShareOfOneEndsItHard) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), endless()));
  make_undecided(rig, 3.0f);
  Request request = thinking_request(kPrompt);
  request.think_budget = 50;
  request.soft_share = 1;
  const Completion done = run(rig, request);
  EXPECT_EQ(done.usage.output.thinking, 50);
  EXPECT_EQ(done.thought_end, ThoughtEnd::kBudget);
}

TEST(Budget, GreedyEndsWhereTheBiasOutweighsTheLead) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), endless()));
  make_undecided(rig, 5.05f);
  Request request = thinking_request(kPrompt);
  request.think_budget = 100;
  request.soft_share = 0.8;
  // The bias is 10 (n - 80) / 20: above 5.05 first behind 91 tokens.
  EXPECT_EQ(run(rig, request).usage.output.thinking, 91);
}

TEST(Budget, AnEndThatWouldHaveComeAnywayIsTheModelsOwn) {
  Story story = endless();
  story.thought = std::string(90, 'a');
  Rig rig(tiny_shape(), tell(kPrompt.size(), story));
  Request request = thinking_request(kPrompt);
  request.think_budget = 100;
  const Completion done = run(rig, request);
  EXPECT_EQ(done.usage.output.thinking, 90);
  EXPECT_EQ(done.thought_end, ThoughtEnd::kOwn);
}

TEST(Budget, TheBiasIsNoneOfTheSamplingBeforeTheShare) {
  std::vector<std::vector<TokenId>> outputs;
  for (const bool with_budget : {false, true}) {
    Rig rig;
    Request request = thinking_request(kPrompt, 60);
    request.sampling.temperature = 1;
    request.sampling.seed = 3;
    if (with_budget) request.think_budget = 100;
    outputs.push_back(run(rig, request).tokens);
  }
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST(Budget, AClosingSentenceIsPartOfTheThought) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), endless()));
  Request request = thinking_request(kPrompt);
  request.think_budget = 5;
  request.closing_sentence = "Time is up.";
  const Completion done = run(rig, request);
  EXPECT_EQ(plain_text(done.tokens, 0), "aaaaa\nTime is up.\n>\n\nfour$");
  EXPECT_EQ(done.thinking, "aaaaa\nTime is up.");
  EXPECT_EQ(done.usage.output.thinking, 5);
  EXPECT_EQ(done.usage.output.answer, 4);
}

TEST(Effort, NoneOpensWithAFinishedThought) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), endless()));
  Request request = thinking_request(kPrompt);
  apply_effort(Effort::kNone, rig.engine->context_length(), request);
  const Completion done = run(rig, request);
  EXPECT_EQ(done.thinking, "Okay, I think I have finished thinking.");
  EXPECT_EQ(done.answer, "four");
  EXPECT_EQ(plain_text(done.tokens, 0), "Okay, I think I have finished thinking.\n>\n\nfour$");
  EXPECT_EQ(done.usage.output.thinking, 0);
}

TEST(Effort, IsAShareOfWhatIsLeft) {
  const auto budget = [](std::string_view name, size_t n_prompt, std::optional<int64_t> max) {
    Request request = thinking_request(std::string(n_prompt, 'p'));
    request.max_tokens = max;
    apply_effort(*parse_effort(name), 1640, request);
    return *request.think_budget;
  };
  EXPECT_EQ(budget("none", 40, {}), 0);
  EXPECT_EQ(budget("minimal", 40, {}), 100);
  EXPECT_EQ(budget("low", 40, {}), 200);
  EXPECT_EQ(budget("medium", 40, {}), 400);
  EXPECT_EQ(budget("high", 40, {}), 800);
  EXPECT_EQ(budget("xhigh", 40, {}), 1400);
  EXPECT_EQ(budget("medium", 40, 160), 40);
  EXPECT_EQ(budget("medium", 3000, {}), 0);
  EXPECT_FALSE(parse_effort("extreme").has_value());
  EXPECT_FALSE(parse_effort("").has_value());
}

// --- at least so many tokens

Story hasty() {
  return {
      .thought = "", .answer = [](const std::string&) { return std::string("four"); }, .probe = {}};
}

TEST(MinThink, AnEarlyEndIsAnsweredWithWait) {
  Rig rig(tiny_shape(), [](const std::vector<TokenId>& sequence) -> TokenId {
    const std::string text = plain_text(sequence, kPrompt.size());
    if (text.find('>') != std::string::npos) return kEos;
    // Three letters, then the end, again and again.
    return text.ends_with("abc")  ? kThinkEnd
           : text.ends_with("ab") ? 'c'
           : text.ends_with("a")  ? 'b'
                                  : 'a';
  });
  Request request = thinking_request(kPrompt);
  request.min_think_tokens = 10;
  Log log;
  const Result<Completion> done = rig.engine->generate(request, log.sink());
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->thinking, "abc\nWaitabc");
  EXPECT_EQ(plain_text(done->tokens, 0), "abc\nWaitabc>$");
  EXPECT_EQ(done->usage.output.thinking, 11);
  EXPECT_EQ(done->thought_end, ThoughtEnd::kOwn);
  for (size_t i = 0; i < log.tokens.size(); ++i) {
    EXPECT_EQ(log.tokens[i].forced, i >= 3 && i < 8) << i;
  }
}

TEST(MinThink, AnEndOfTheTurnWithinTheThoughtToo) {
  Rig rig(tiny_shape(), [](const std::vector<TokenId>& sequence) -> TokenId {
    return sequence.size() % 7 == 0 ? 'a' : kEos;
  });
  Request request = thinking_request(kPrompt);
  request.min_think_tokens = 20;
  const Completion done = run(rig, request);
  EXPECT_GE(done.usage.output.thinking, 20);
  EXPECT_EQ(done.finish_reason, FinishReason::kStop);
}

TEST(MinThink, EndsAtLast) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), hasty()));
  Request request = thinking_request(kPrompt);
  request.min_think_tokens = 100;
  const Completion done = run(rig, request);
  EXPECT_GE(done.usage.output.thinking, 100);
  EXPECT_LE(done.usage.output.thinking, 105);
  EXPECT_EQ(done.answer, "four");
  request.max_tokens = 30;
  EXPECT_EQ(run(rig, request).usage.output.total(), 30);
  request.max_tokens.reset();
  request.min_think_tokens = 100'000;
  EXPECT_EQ(run(rig, request).finish_reason, FinishReason::kLength);
}

TEST(MinThink, ABudgetAndAPersonComeFirst) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), hasty()));
  Request request = thinking_request(kPrompt);
  request.min_think_tokens = 20;
  request.think_budget = 20;
  EXPECT_EQ(run(rig, request).usage.output.thinking, 20);
  // "\nWait" is five tokens: a fourth has no room.
  request.min_think_tokens = 18;
  request.think_budget = 18;
  const Completion closed = run(rig, request);
  EXPECT_EQ(closed.usage.output.thinking, 15);
  EXPECT_EQ(closed.thought_end, ThoughtEnd::kBudget);
  EXPECT_EQ(closed.answer, "four");
  request.think_budget.reset();
  request.min_think_tokens = 300;
  Log log;
  const Result<RequestId> id = rig.engine->submit(request, log.sink());
  for (int i = 0; i < 5; ++i) rig.engine->step();
  rig.engine->answer_now(*id);
  while (rig.engine->step()) {
  }
  EXPECT_EQ(log.finished->thought_end, ThoughtEnd::kAsked);
  EXPECT_EQ(log.answer, "four");
}

TEST(MinThink, TheWordsThatGoOnSpendTheBudgetToo) {
  Rig rig(tiny_shape(), [](const std::vector<TokenId>& sequence) -> TokenId {
    const std::string text = plain_text(sequence, kPrompt.size());
    if (text.find('>') != std::string::npos) return kEos;
    return text.empty() ? kThinkEnd : 'a';
  });
  Request request = thinking_request(kPrompt);
  request.min_think_tokens = 5;
  for (const int64_t budget : {5, 7}) {
    request.think_budget = budget;
    const Completion done = run(rig, request);
    const std::string thought = budget == 5 ? "\nWait" : "\nWaitaa";
    EXPECT_EQ(plain_text(done.tokens, 0), thought + "\n>\n\n$");
    EXPECT_EQ(done.usage.output.thinking, budget);
    EXPECT_EQ(done.thought_end, ThoughtEnd::kBudget);
  }
}

// Guessed tokens that come true must not carry a thought past its minimum's rules.
TEST(MinThink, TheSameWithGuesses) {
  std::vector<std::vector<TokenId>> outputs;
  for (const bool guess : {false, true}) {
    Rig rig(tiny_shape(), tell(kPrompt.size(), hasty()), {.guess_ngrams = guess});
    Request request = thinking_request(kPrompt);
    request.min_think_tokens = 60;
    outputs.push_back(run(rig, request).tokens);
  }
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST(Thinking, RefusesWhatMakesNoSense) {
  Rig rig;
  const auto refused = [&](const std::string& field, const auto& spoil) {
    Request request = thinking_request(kPrompt);
    spoil(request);
    const Result<RequestId> id = rig.engine->submit(request, {});
    ASSERT_FALSE(id.ok()) << field;
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(id.error().message, HasSubstr(field));
  };
  refused("soft_share", [](Request& r) { r.soft_share = -0.1; });
  refused("soft_share", [](Request& r) { r.soft_share = std::nan(""); });
  refused("closing_sentence", [](Request& r) { r.closing_sentence = std::string(2000, 'x'); });
  refused("min_think_tokens", [](Request& r) { r.min_think_tokens = -1; });
  refused("min_think_tokens", [](Request& r) {
    r.min_think_tokens = 10;
    r.think_budget = 9;
  });
}

}  // namespace
}  // namespace reckon
