// The engine on scripted models: texts, ends, budgets, control, and the same tokens in every batch.
#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/engine/engine_fixture.h"

namespace reckon {
namespace {

using testing::bytes_as_tokens;
using testing::greedy_request;
using ::testing::HasSubstr;
using testing::kEos;
using testing::kHello;
using testing::kImEnd;
using testing::kSpaceStop;
using testing::kThinkEnd;
using testing::Log;
using testing::Rig;
using testing::say;
using testing::ScriptedDecoder;
using testing::tiny_shape;
using testing::tiny_tokenizer;
using testing::TinyTemplate;
using Tokens = std::vector<TokenId>;

Tokens text(std::string_view t) { return bytes_as_tokens(t); }
Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Engine, AnswersAndStopsAtTheEndToken) {
  Rig rig(tiny_shape(), say(3, text("four") + Tokens{kEos}));
  Log log;
  const Result<Completion> done = rig.engine->generate(greedy_request("2+2", 100), log.sink());
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->answer, "four");
  EXPECT_EQ(done->thinking, "");
  EXPECT_EQ(done->finish_reason, FinishReason::kStop);
  EXPECT_EQ(done->tokens, text("four") + Tokens{kEos});
  EXPECT_EQ(done->usage.prompt_tokens, 3);
  EXPECT_EQ(done->usage.output.answer, 4);
  EXPECT_EQ(done->usage.output.scaffold, 1);
  EXPECT_EQ(done->usage.output.total(), 5);
  EXPECT_EQ(log.n_started, 1);
  EXPECT_EQ(log.answer, "four");
  EXPECT_EQ(log.ids(), done->tokens);
  EXPECT_EQ(log.prefills.back().done, 3);
  EXPECT_EQ(log.prefills.back().total, 3);
  EXPECT_EQ(done->timings.decode_tokens, 4);
  EXPECT_EQ(done->timings.prefill_tokens, 3);
  EXPECT_TRUE(log.finished.has_value());
  rig.expect_idle();
}

TEST(Engine, TheTemplatesStopTokensEndATurnToo) {
  Rig rig(tiny_shape(), say(1, text("a") + Tokens{kImEnd}));
  const Result<Completion> done = rig.engine->generate(greedy_request("x", 100));
  EXPECT_EQ(done->answer, "a");
  EXPECT_EQ(done->finish_reason, FinishReason::kStop);
}

TEST(Engine, AStopSpellingWithoutATokenEndsATurnAsText) {
  Rig rig(tiny_shape(), say(1, text("a<|over|>b")));
  EXPECT_EQ(rig.engine->generate(greedy_request("x", 100))->answer, "a");
}

TEST(Engine, MaxTokensEndsWithLength) {
  Rig rig(tiny_shape(), say(1, text("abcdefgh")));
  const Result<Completion> done = rig.engine->generate(greedy_request("x", 3));
  EXPECT_EQ(done->answer, "abc");
  EXPECT_EQ(done->finish_reason, FinishReason::kLength);
  EXPECT_EQ(done->usage.output.total(), 3);
}

TEST(Engine, AFullContextEndsWithLengthAndPromptsAreNeverCut) {
  DecoderShape shape = tiny_shape();
  shape.context_length = 20;
  for (const int64_t n : {1, 18, 19}) {
    Rig rig(shape, [](const Tokens&) { return TokenId{'a'}; });
    Request request = greedy_request(std::string(static_cast<size_t>(n), 'p'), 100);
    request.max_tokens.reset();
    const Result<Completion> done = rig.engine->generate(request);
    ASSERT_TRUE(done.ok()) << n;
    EXPECT_EQ(done->finish_reason, FinishReason::kLength);
    EXPECT_EQ(done->usage.output.total(), 20 - n);
    rig.expect_idle();
  }
  Rig rig(shape);
  for (const int64_t n : {20, 21, 200}) {
    const Result<Completion> done =
        rig.engine->generate(greedy_request(std::string(static_cast<size_t>(n), 'p'), 100));
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(done.error().message, HasSubstr("19"));
    EXPECT_THAT(done.error().message, HasSubstr(std::to_string(n)));
  }
}

TEST(Engine, ContextIsWhatThePagesHold) {
  Rig rig(tiny_shape(3));
  EXPECT_EQ(rig.engine->context_length(), 24);
}

TEST(Engine, RefusesRequestsThatMakeNoSense) {
  Rig rig;
  const auto refused = [&](const std::string& field, const auto& spoil) {
    Request request = greedy_request("ok", 5);
    spoil(request);
    const Result<RequestId> id = rig.engine->submit(request, {});
    ASSERT_FALSE(id.ok()) << field;
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(id.error().message, HasSubstr(field));
  };
  refused("prompt", [](Request& r) { r.prompt.clear(); });
  refused("prompt", [](Request& r) { r.prompt[0] = -1; });
  refused("prompt", [](Request& r) { r.prompt[1] = 263; });
  refused("max_tokens", [](Request& r) { r.max_tokens = 0; });
  refused("think_budget", [](Request& r) { r.think_budget = -1; });
  refused("temperature", [](Request& r) { r.sampling.temperature = -1; });
  refused("logit_bias", [](Request& r) { r.sampling.logit_bias = {{1000, 1.0}}; });
  refused("stop", [](Request& r) { r.stop = {"a", ""}; });
  refused("stop", [](Request& r) { r.stop.assign(65, "x"); });
  EXPECT_FALSE(rig.engine->step());
}

TEST(Engine, RefusesOptionsThatDontFit) {
  const auto make = [](const EngineOptions& options) {
    return Engine::create(std::make_unique<ScriptedDecoder>(tiny_shape()), tiny_tokenizer(),
                          nullptr, options);
  };
  EXPECT_TRUE(make({}).ok());
  EXPECT_FALSE(make({.context_length = 513}).ok());
  EXPECT_FALSE(make({.max_batch_tokens = 33}).ok());
  EXPECT_FALSE(make({.max_running = 0}).ok());
  DecoderShape small = tiny_shape();
  small.vocab_size = 100;
  EXPECT_FALSE(
      Engine::create(std::make_unique<ScriptedDecoder>(small), tiny_tokenizer(), nullptr, {}).ok());
}

Request thinking_request(std::string_view prompt, int64_t max_tokens) {
  Request request = greedy_request(prompt, max_tokens);
  request.thinking = ThinkingStart::kOpened;
  return request;
}

TEST(Engine, ThoughtAndAnswerComeApart) {
  Rig rig(tiny_shape(),
          say(2, text("hm.\n") + Tokens{kThinkEnd} + text("\n\nYes.") + Tokens{kEos}));
  Log log;
  const Result<Completion> done = rig.engine->generate(thinking_request("q?", 100), log.sink());
  EXPECT_EQ(done->thinking, "hm.");
  EXPECT_EQ(done->answer, "Yes.");
  EXPECT_EQ(log.thinking, "hm.");
  EXPECT_EQ(log.answer, "Yes.");
  EXPECT_EQ(done->usage.output.thinking, 4);
  EXPECT_EQ(done->usage.output.answer, 6);
  EXPECT_EQ(done->usage.output.scaffold, 2);
  EXPECT_EQ(log.tokens[0].part, Part::kThinking);
  EXPECT_EQ(log.tokens[6].part, Part::kAnswer);
}

TEST(Engine, ThoughtsNeedATemplateThatHasThem) {
  auto made = Engine::create(std::make_unique<ScriptedDecoder>(tiny_shape()), tiny_tokenizer(),
                             std::make_shared<TinyTemplate>(false), {});
  EXPECT_FALSE((*made)->submit(thinking_request("x", 5), {}).ok());
  auto bare = Engine::create(std::make_unique<ScriptedDecoder>(tiny_shape()), tiny_tokenizer(),
                             nullptr, {});
  EXPECT_FALSE((*bare)->submit(thinking_request("x", 5), {}).ok());
  EXPECT_TRUE((*bare)->generate(greedy_request("x", 5)).ok());
}

// Thinks for ever unless closed; after "</think>\n\n" answers "ok".
TokenId endless_thinker(const Tokens& sequence) {
  const Tokens closed{kThinkEnd, '\n', '\n'};
  const auto end = std::search(sequence.begin(), sequence.end(), closed.begin(), closed.end());
  if (end == sequence.end()) return 't';
  const auto n = sequence.end() - end - 3;
  return n == 0 ? 'o' : n == 1 ? 'k' : kEos;
}

TEST(Engine, BudgetClosesTheThoughtAtTheExactToken) {
  for (const int64_t budget : {0, 1, 2, 7, 8, 9, 50}) {
    Rig rig(tiny_shape(), endless_thinker);
    Request request = thinking_request("q", 400);
    request.think_budget = budget;
    const Result<Completion> done = rig.engine->generate(request);
    EXPECT_EQ(done->thinking, std::string(static_cast<size_t>(budget), 't'));
    EXPECT_EQ(done->answer, "ok");
    EXPECT_EQ(done->finish_reason, FinishReason::kStop);
    EXPECT_EQ(done->usage.output.thinking, budget);
    EXPECT_EQ(done->usage.output.answer, 2);
    const Tokens closed{'\n', kThinkEnd, '\n', '\n', 'o', 'k', kEos};
    EXPECT_EQ(done->tokens, Tokens(static_cast<size_t>(budget), 't') + closed);
    rig.expect_idle();
  }
}

TEST(Engine, ABudgetThatIsNotReachedChangesNothing) {
  Rig rig(tiny_shape(), say(1, text("ab") + Tokens{kThinkEnd} + text("c")));
  Request request = thinking_request("q", 100);
  request.think_budget = 3;
  EXPECT_EQ(rig.engine->generate(request)->tokens,
            text("ab") + Tokens{kThinkEnd} + text("c") + Tokens{kEos});
}

TEST(Engine, BudgetWaitsForTheCharactersEnd) {
  // "t€" repeated: three bytes are three tokens.
  Rig rig(tiny_shape(), [](const Tokens& sequence) {
    if (std::find(sequence.begin(), sequence.end(), kThinkEnd) != sequence.end()) return kEos;
    const TokenId cycle[] = {'t', 0xe2, 0x82, 0xac};
    return cycle[(sequence.size() - 1) % 4];
  });
  for (const auto& [budget, thinking] :
       {std::pair{4, "t€"}, {5, "t€t"}, {6, "t€t€"}, {7, "t€t€"}, {8, "t€t€"}}) {
    Request request = thinking_request("q", 100);
    request.think_budget = budget;
    EXPECT_EQ(rig.engine->generate(request)->thinking, thinking) << budget;
  }
}

TEST(Engine, ForcedTokensCountTowardsMaxTokens) {
  for (int64_t max = 1; max <= 8; ++max) {
    Rig rig(tiny_shape(), endless_thinker);
    Request request = thinking_request("q", max);
    request.think_budget = 2;
    const Result<Completion> done = rig.engine->generate(request);
    EXPECT_EQ(done->usage.output.total(), max);
    EXPECT_EQ(done->finish_reason, FinishReason::kLength);
    EXPECT_EQ(done->thinking, max == 1 ? "t" : "tt");
    rig.expect_idle();
  }
}

TEST(Engine, AnswerNowClosesTheThought) {
  Rig rig(tiny_shape(), endless_thinker);
  Log log;
  const RequestId id = *rig.engine->submit(thinking_request("q", 400), log.sink());
  for (int i = 0; i < 10; ++i) rig.engine->step();
  EXPECT_TRUE(rig.engine->answer_now(id));
  const size_t before = log.tokens.size();
  while (rig.engine->step()) {
  }
  EXPECT_EQ(log.thinking, std::string(before, 't'));
  EXPECT_EQ(log.answer, "ok");
  EXPECT_FALSE(rig.engine->answer_now(id));
}

TEST(Engine, AnswerNowBeforeTheFirstToken) {
  Rig rig(tiny_shape(), endless_thinker);
  Log log;
  const RequestId id =
      *rig.engine->submit(thinking_request(std::string(100, 'q'), 400), log.sink());
  rig.engine->step();  // in the middle of the prefill
  EXPECT_TRUE(log.tokens.empty());
  rig.engine->answer_now(id);
  while (rig.engine->step()) {
  }
  EXPECT_EQ(log.thinking, "");
  EXPECT_EQ(log.answer, "ok");
  rig.expect_idle();
}

TEST(Engine, StopStringsEndTheAnswerAcrossTokens) {
  Rig rig(tiny_shape(), say(1, text("say ") + Tokens{kHello, kSpaceStop} + text("x")));
  Request request = greedy_request("q", 100);
  request.stop = {"lo STO"};
  const Result<Completion> done = rig.engine->generate(request);
  EXPECT_EQ(done->answer, "say hel");
  EXPECT_EQ(done->finish_reason, FinishReason::kStop);
  EXPECT_EQ(done->tokens.size(), 6u);
  rig.expect_idle();
}

TEST(Engine, StopStringsLeaveTheThoughtAlone) {
  Rig rig(tiny_shape(), say(1, text("END? no.") + Tokens{kThinkEnd} + text("a END b")));
  Request request = thinking_request("q", 100);
  request.stop = {"END"};
  const Result<Completion> done = rig.engine->generate(request);
  EXPECT_EQ(done->thinking, "END? no.");
  EXPECT_EQ(done->answer, "a ");
}

TEST(Engine, TextHeldForAStopStringComesAtTheEnd) {
  Rig rig(tiny_shape(), say(1, text("a##")));
  Request request = greedy_request("q", 3);
  request.stop = {"###"};
  EXPECT_EQ(rig.engine->generate(request)->answer, "a##");
}

TEST(Engine, LogprobsCoverTheSampledTokens) {
  Rig rig;
  Request request = greedy_request("q", 4);
  request.sampling.n_logprobs = 2;
  Log log;
  const Result<Completion> done = rig.engine->generate(request, log.sink());
  ASSERT_EQ(done->logprobs.size(), done->tokens.size());
  for (size_t i = 0; i < done->tokens.size(); ++i) {
    EXPECT_EQ(done->logprobs[i].top[0].token, done->tokens[i]);
    EXPECT_EQ(done->logprobs[i].top[0].logprob, done->logprobs[i].chosen);
    EXPECT_LE(done->logprobs[i].top[1].logprob, done->logprobs[i].chosen);
  }
}

TEST(Engine, CancellationInEveryPhase) {
  Rig rig(tiny_shape(64, 8), [](const Tokens&) { return TokenId{'a'}; }, {.max_running = 1});
  // Not yet seen by the engine; in prefill; waiting behind another; decoding.
  Log fresh;
  RequestId id = *rig.engine->submit(greedy_request("abc", 100), fresh.sink());
  EXPECT_TRUE(rig.engine->cancel(id));
  EXPECT_FALSE(rig.engine->step());
  EXPECT_EQ(fresh.finished->reason, FinishReason::kCancelled);
  EXPECT_TRUE(rig.record->steps.empty());

  Log prefilling;
  Log waiting;
  id = *rig.engine->submit(greedy_request(std::string(50, 'p'), 100), prefilling.sink());
  const RequestId waiter = *rig.engine->submit(greedy_request("w", 100), waiting.sink());
  rig.engine->step();
  EXPECT_TRUE(rig.engine->cancel(waiter));
  rig.engine->step();
  EXPECT_EQ(waiting.finished->reason, FinishReason::kCancelled);
  EXPECT_TRUE(rig.engine->cancel(id));
  EXPECT_FALSE(rig.engine->step());
  EXPECT_EQ(prefilling.finished->reason, FinishReason::kCancelled);
  EXPECT_TRUE(prefilling.tokens.empty());
  rig.expect_idle();

  Log decoding;
  id = *rig.engine->submit(greedy_request("d", 100), decoding.sink());
  for (int i = 0; i < 6; ++i) rig.engine->step();
  const size_t n_steps = rig.record->steps.size();
  EXPECT_TRUE(rig.engine->cancel(id));
  EXPECT_FALSE(rig.engine->step());
  EXPECT_EQ(rig.record->steps.size(), n_steps);
  EXPECT_EQ(decoding.finished->reason, FinishReason::kCancelled);
  EXPECT_EQ(decoding.answer, "aaaaaa");
  EXPECT_EQ(decoding.finished->usage.output.total(), 6);
  EXPECT_FALSE(rig.engine->cancel(id));
  rig.expect_idle();
}

TEST(Engine, GenerateReturnsACancelledCompletion) {
  Rig rig(tiny_shape(), [](const Tokens&) { return TokenId{'a'}; });
  const Result<Completion> done =
      rig.engine->generate(greedy_request("q", 100), [&](RequestId id, const Event& event) {
        if (std::holds_alternative<TokenEvent>(event)) rig.engine->cancel(id);
      });
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(done->answer, "a");
}

TEST(Engine, ADecodersFailureEndsTheBatchAndNothingElse) {
  Rig rig(tiny_shape(64, 8), say(3, text("ok")));
  Log log;
  rig.engine->submit(greedy_request("abc", 10), log.sink()).value();
  rig.record->fail_next = "logits: not finite";
  EXPECT_FALSE(rig.engine->step());
  EXPECT_EQ(log.finished->reason, FinishReason::kError);
  EXPECT_EQ(log.finished->error, "logits: not finite");
  rig.expect_idle();
  EXPECT_EQ(rig.engine->generate(greedy_request("abc", 10))->answer, "ok");
  rig.record->fail_next = "again";
  const Result<Completion> failed = rig.engine->generate(greedy_request("xyz", 10));
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "again");
}

TEST(Engine, ASinkMaySubmit) {
  Rig rig(tiny_shape(), say(1, text("a")));
  Log second;
  Log first;
  rig.engine
      ->submit(greedy_request("1", 10),
               [&](RequestId, const Event& event) {
                 if (std::holds_alternative<FinishedEvent>(event)) {
                   EXPECT_TRUE(rig.engine->submit(greedy_request("2", 10), second.sink()).ok());
                 }
               })
      .value();
  while (rig.engine->step()) {
  }
  EXPECT_EQ(second.answer, "a");
}

TEST(Engine, RefusesMoreRequestsThanItCanControl) {
  Rig rig(tiny_shape(), say(1, {}));
  for (uint64_t i = 0; i < ControlTable::kSlots; ++i) {
    ASSERT_TRUE(rig.engine->submit(greedy_request("x", 1), {}).ok());
  }
  const Result<RequestId> more = rig.engine->submit(greedy_request("x", 1), {});
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, HasSubstr("1024"));
  while (rig.engine->step()) {
  }
  EXPECT_TRUE(rig.engine->submit(greedy_request("x", 1), {}).ok());
}

// The same request gives the same tokens alone, among 15 others, in small batches, with pages so
// short that sequences are preempted, and with a cached prefix.
TEST(Engine, SeedsDecideWhateverTheBatch) {
  Request request;
  request.prompt = text("What is the answer?");
  request.sampling = default_sampling("deepseek-r1");
  request.sampling.temperature = 1.0;
  request.sampling.seed = 99;
  request.sampling.logit_bias = {{kEos, -1000.0}, {kImEnd, -1000.0}};
  request.max_tokens = 60;
  Rig alone;
  const Tokens expected = alone.engine->generate(request)->tokens;
  EXPECT_EQ(expected.size(), 60u);
  EXPECT_EQ(alone.engine->generate(request)->tokens, expected);  // prefix cached

  for (const DecoderShape& shape : {tiny_shape(300, 64), tiny_shape(300, 3), tiny_shape(14, 16)}) {
    Rig rig(shape);
    std::vector<Log> logs(16);
    for (size_t i = 0; i < logs.size(); ++i) {
      Request other = request;
      if (i != 7) {
        other.sampling.seed = i;
        other.sampling.temperature = 0.1 * static_cast<double>(i);
        if (i % 3 == 0) other.prompt = text(std::string(5 * i + 1, 'z'));
      }
      ASSERT_TRUE(rig.engine->submit(other, logs[i].sink()).ok());
    }
    while (rig.engine->step()) {
    }
    EXPECT_EQ(logs[7].ids(), expected);
    EXPECT_NE(logs[8].ids(), expected);
    for (const Log& log : logs) {
      const int64_t room = rig.engine->context_length() - log.finished->usage.prompt_tokens;
      EXPECT_EQ(static_cast<int64_t>(log.tokens.size()), std::min<int64_t>(60, room));
    }
    if (shape.n_pages == 14) {
      EXPECT_GT(rig.engine->stats().n_preemptions, 0);
    }
    rig.expect_idle();
  }
}

TEST(Engine, ReportsReusedTokens) {
  Rig rig(tiny_shape(), say(30, text("a")));
  const Request request = greedy_request(std::string(30, 'p'), 10);
  EXPECT_EQ(rig.engine->generate(request)->usage.cached_tokens, 0);
  EXPECT_EQ(rig.engine->generate(request)->usage.cached_tokens, 29);
  Request salted = request;
  salted.cache_salt = 5;
  EXPECT_EQ(rig.engine->generate(salted)->usage.cached_tokens, 0);
}

TEST(Engine, ControlAndSubmissionFromOtherThreads) {
  Rig rig(tiny_shape(256, 32), endless_thinker);
  std::atomic<int> n_finished{0};
  constexpr int kPerThread = 40;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPerThread; ++i) {
        Request request = thinking_request("q" + std::to_string(t), 30);
        const Result<RequestId> id =
            rig.engine->submit(request, [&](RequestId, const Event& event) {
              if (std::holds_alternative<FinishedEvent>(event)) ++n_finished;
            });
        if (!id.ok()) {
          ADD_FAILURE() << id.error().message;
          return;
        }
        if (i % 3 == 0) rig.engine->cancel(*id);
        if (i % 3 == 1) rig.engine->answer_now(*id);
        if (i % 8 == 0) std::this_thread::yield();
      }
    });
  }
  while (n_finished < 3 * kPerThread) rig.engine->step();
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(rig.engine->step());
  rig.expect_idle();
}

}  // namespace
}  // namespace reckon
