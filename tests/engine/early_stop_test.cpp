// Side branches: where a thought is stopped, that it is untouched where it isn't, and what is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/engine.h"
#include "tests/engine/story.h"

namespace reckon {
namespace {

using testing::greedy_request;
using ::testing::HasSubstr;
using testing::kEos;
using testing::kLead;
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

Request early(EarlyStop::Rule rule, int64_t min_gap = 1) {
  Request request = thinking_request(kPrompt);
  request.early_stop.rule = rule;
  request.early_stop.min_gap = min_gap;
  return request;
}

// Three lines; a branch behind the n-th line answers answers[n - 1].
Story three_lines(std::vector<std::string> answers) {
  return {.thought = "first\nsecond\nthird\nlast",
          .answer = [](const std::string& thought) { return "So " + thought.substr(0, 5); },
          .probe =
              [answers](const std::string& thought) {
                const auto n = std::count(thought.begin(), thought.end(), '\n');
                return answers[static_cast<size_t>(n) - 1] + "\n";
              }};
}

Completion run(const Story& story, Request request, Log* log = nullptr) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), story));
  Result<Completion> done =
      rig.engine->generate(std::move(request), log == nullptr ? EventSink{} : log->sink());
  EXPECT_TRUE(done.ok());
  rig.engine->step();
  rig.expect_idle();
  return done.ok() ? *done : Completion{};
}

TEST(EarlyStop, StopsAtTheExactTokenWhereABranchIsConfident) {
  Log log;
  const Completion done =
      run(three_lines({"4", "4", "4"}), early(EarlyStop::Rule::kConfident), &log);
  EXPECT_EQ(plain_text(done.tokens, 0), "first\n>\n\nSo first$");
  EXPECT_EQ(done.thinking, "first");
  EXPECT_EQ(done.answer, "So first");
  EXPECT_EQ(done.finish_reason, FinishReason::kStop);
  EXPECT_EQ(done.thought_end, ThoughtEnd::kConfident);
  EXPECT_EQ(done.usage.output.thinking, 6);
  EXPECT_EQ(done.usage.output.answer, 8);
  EXPECT_EQ(done.usage.output.scaffold, 4);
  EXPECT_EQ(done.usage.output.total(), std::ssize(done.tokens));
  EXPECT_EQ(done.usage.prompt_tokens, 4);
  EXPECT_GE(done.usage.probe_tokens, std::ssize(kLead) + 1);
  EXPECT_GT(done.usage.discarded_tokens, 0) << "the path went on beside the branch";
  EXPECT_EQ(log.thinking, "first") << "what lay beyond the stop was never told";
  EXPECT_EQ(log.answer, "So first");
  EXPECT_EQ(log.ids(), done.tokens);
  EXPECT_EQ(log.n_started, 1);
  ASSERT_NE(done.deliberation, nullptr);
  EXPECT_EQ(done.deliberation->paths[0].end, ThoughtEnd::kConfident);
  EXPECT_GT(done.deliberation->probe_confidence, 0.99);
}

TEST(EarlyStop, StopsWhenSeveralBranchesInARowAgree) {
  Request request = early(EarlyStop::Rule::kAgreed);
  request.early_stop.agreeing = 2;
  const Completion done = run(three_lines({"4", "5", "5.0"}), request);
  EXPECT_EQ(done.thinking, "first\nsecond\nthird");
  EXPECT_EQ(done.thought_end, ThoughtEnd::kAgreed);
  EXPECT_EQ(done.deliberation->n_agreeing, 2);
  EXPECT_EQ(done.deliberation->paths[0].n_probes, 3);
}

TEST(EarlyStop, TriesToAnswerStraightAwayInAStyleThatCan) {
  Story story = three_lines({});
  story.answer = [](const std::string&) { return std::string("4"); };
  Request request = early(EarlyStop::Rule::kConfident);
  request.early_stop.style = "lines";
  const Completion done = run(story, request);
  EXPECT_EQ(plain_text(done.tokens, 0), "\n>\n\n4$");
  EXPECT_EQ(done.thinking, "");
  EXPECT_EQ(done.answer, "4");
  EXPECT_EQ(done.thought_end, ThoughtEnd::kConfident);
  EXPECT_EQ(done.usage.output.thinking, 0);
  EXPECT_EQ(done.usage.output.total(), std::ssize(done.tokens));
  request.early_stop.rule = EarlyStop::Rule::kAgreed;
  request.early_stop.agreeing = 2;
  EXPECT_EQ(run(story, request).thinking, "first");
  request.min_think_tokens = 1;
  EXPECT_EQ(run(story, request).thinking, "first\nsecond");
}

// Such a model copies the result of every line with certainty, so there only agreement decides.
TEST(EarlyStop, InAStyleThatAnswersStraightAwayConfidenceCountsAtTheStartOnly) {
  Story story = three_lines({});
  story.answer = [](const std::string& thought) {
    return std::string(thought == "\n" ? "7" : "4");
  };
  const auto run_unsure_at_start = [&](EarlyStop::Rule rule) {
    Rig rig(tiny_shape(), tell(kPrompt.size(), story));
    rig.record->adjust = [](const std::vector<TokenId>& sequence, std::span<float> logits) {
      if (plain_text(sequence, kPrompt.size()) == "\n>\n\n") logits['8'] = 100.0f;
    };
    Request request = early(rule);
    request.early_stop.style = "lines";
    Result<Completion> done = rig.engine->generate(request);
    EXPECT_TRUE(done.ok());
    return done.ok() ? *done : Completion{};
  };
  const Completion confident = run_unsure_at_start(EarlyStop::Rule::kConfident);
  EXPECT_EQ(confident.thinking, "first\nsecond\nthird\nlast");
  EXPECT_EQ(confident.thought_end, ThoughtEnd::kOwn);
  EXPECT_EQ(confident.deliberation->paths[0].n_probes, 1);
  const Completion either = run_unsure_at_start(EarlyStop::Rule::kEither);
  EXPECT_EQ(either.thinking, "first\nsecond\nthird");
  EXPECT_EQ(either.thought_end, ThoughtEnd::kAgreed);
  EXPECT_EQ(either.deliberation->paths[0].n_probes, 4);
}

TEST(EarlyStop, GoesOnWhereTheyDont) {
  Request request = early(EarlyStop::Rule::kAgreed);
  request.early_stop.agreeing = 2;
  for (const std::vector<std::string>& answers : {std::vector<std::string>{"4", "5", "4"},
                                                  {"4", "", "4"},
                                                  {"4", "a long story without end, ever", "4"}}) {
    request.early_stop.max_probe_tokens = 8;
    const Completion done = run(three_lines(answers), request);
    EXPECT_EQ(done.thinking, "first\nsecond\nthird\nlast");
    EXPECT_EQ(done.thought_end, ThoughtEnd::kOwn);
    EXPECT_EQ(done.usage.discarded_tokens, 0);
  }
}

TEST(EarlyStop, BranchesBeforeAWordThatTurns) {
  Story story = three_lines({});
  story.thought = "It is 4. Wait, no.";
  story.probe = [](const std::string&) { return std::string("4\n"); };
  Log log;
  const Completion done = run(story, early(EarlyStop::Rule::kConfident), &log);
  EXPECT_EQ(done.thinking, "It is 4.");
  EXPECT_EQ(log.thinking, "It is 4.");
  EXPECT_EQ(plain_text(done.tokens, 0), "It is 4. \n>\n\nSo It is$");
}

TEST(EarlyStop, AnUncertainBranchDoesNotStop) {
  const Story story = three_lines({"4", "4", "4"});
  Rig rig(tiny_shape(), tell(kPrompt.size(), story));
  rig.record->adjust = [](const std::vector<TokenId>& sequence, std::span<float> logits) {
    const std::string text = plain_text(sequence, 0);
    // Behind the first two lines the answer's digit is one of two.
    const bool unsure = text.ends_with(kLead) && text.find("third") == std::string::npos;
    if (unsure) logits['5'] = 100.0f;
  };
  Request request = early(EarlyStop::Rule::kConfident);
  request.early_stop.confidence = 0.9;
  const Result<Completion> done = rig.engine->generate(request);
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->thinking, "first\nsecond\nthird");
}

// Models that say \\boxed{} or nothing but the result.
TEST(EarlyStop, AsksInTheModelsOwnStyle) {
  for (const std::string style : {"r1", "lines"}) {
    const std::string lead = style == "r1" ? "**Final Answer**\n\\boxed{" : "";
    const std::string answer = style == "r1" ? "\\frac{1}{2}}" : "4";
    const std::string text = "one\n\ntwo";
    Rig rig(tiny_shape(), [&](const std::vector<TokenId>& sequence) -> TokenId {
      const std::string output = plain_text(sequence, kPrompt.size());
      const size_t mark = output.find('>');
      if (mark == std::string::npos) {
        return output.size() < text.size() ? static_cast<uint8_t>(text[output.size()]) : kThinkEnd;
      }
      std::string said = output.substr(mark + 1);
      said.erase(0, std::min<size_t>(2, said.size()));
      const std::string wanted = said.starts_with(lead) ? lead + answer : "done";
      return said.size() < wanted.size() ? static_cast<uint8_t>(wanted[said.size()]) : kEos;
    });
    Request request = early(EarlyStop::Rule::kConfident);
    request.early_stop.style = style;
    const Result<Completion> done = rig.engine->generate(request);
    ASSERT_TRUE(done.ok());
    // Of "lines" there is a branch before the first word.
    EXPECT_EQ(done->thinking, style == "r1" ? "one" : "");
    EXPECT_EQ(done->answer, style == "r1" ? "done" : "4");
    EXPECT_EQ(done->thought_end, ThoughtEnd::kConfident);
    rig.engine->step();
    rig.expect_idle();
  }
}

// The same path, whether it is probed or not, on logits that depend on every token before them.
TEST(EarlyStop, ProbesLeaveThePathBitIdentical) {
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    std::vector<std::vector<TokenId>> outputs;
    std::vector<std::string> thoughts;
    for (const auto rule : {EarlyStop::Rule::kOff, EarlyStop::Rule::kConfident}) {
      Rig rig;
      // Line ends are common, so there are many branches.
      rig.record->adjust = [](const std::vector<TokenId>& sequence, std::span<float> logits) {
        if (sequence.size() % 5 == 0) logits['\n'] += 8.0f;
        if (sequence.size() < 100) logits[kThinkEnd] = logits[kEos] = -20.0f;
      };
      Request request = early(rule);
      request.sampling.temperature = 1;
      request.sampling.frequency_penalty = 0.05;
      request.sampling.seed = seed;
      request.max_tokens = 150;
      request.early_stop.confidence = 1;
      Log log;
      const Result<Completion> done = rig.engine->generate(request, log.sink());
      ASSERT_TRUE(done.ok());
      if (rule != EarlyStop::Rule::kOff) {
        EXPECT_GT(done->deliberation->paths[0].n_probes, 5);
        EXPECT_GT(done->usage.probe_tokens, 0);
        EXPECT_EQ(done->usage.discarded_tokens, 0);
      }
      EXPECT_EQ(log.ids(), done->tokens);
      outputs.push_back(done->tokens);
      thoughts.push_back(done->thinking + "|" + done->answer);
      rig.engine->step();
      rig.expect_idle();
    }
    EXPECT_EQ(outputs[0], outputs[1]);
    EXPECT_EQ(thoughts[0], thoughts[1]);
  }
}

TEST(EarlyStop, ABranchSharesWhatThePathHasComputed) {
  Story story = three_lines({"4", "5", "6"});
  story.thought = std::string(100, 'a') + "\nb";
  story.probe = [](const std::string&) { return std::string("4\n"); };
  const Completion done = run(story, early(EarlyStop::Rule::kAgreed));
  EXPECT_EQ(done.deliberation->paths[0].n_probes, 1);
  // The mark, the lead and the answer, and at most the path's last two tokens once more.
  EXPECT_LE(done.usage.probe_tokens, 4 + std::ssize(kLead) + 2 + 2);
}

TEST(EarlyStop, TheSameWhateverTheBatch) {
  const Story story = three_lines({"4", "5", "5"});
  Request request = early(EarlyStop::Rule::kAgreed);
  request.early_stop.agreeing = 2;
  const Completion reference = run(story, request);
  for (const int64_t max_batch : {1, 2, 7}) {
    for (const int64_t n_pages : {24, 64}) {
      Rig rig(tiny_shape(n_pages), tell(kPrompt.size(), story),
              {.max_running = 3, .max_batch_tokens = max_batch});
      std::vector<std::unique_ptr<Log>> logs;
      for (int i = 0; i < 6; ++i) {
        logs.push_back(std::make_unique<Log>());
        ASSERT_TRUE(rig.engine->submit(request, logs.back()->sink()).ok());
      }
      while (rig.engine->step()) {
      }
      for (const auto& log : logs) {
        ASSERT_TRUE(log->finished.has_value());
        EXPECT_EQ(log->ids(), reference.tokens);
        EXPECT_EQ(log->answer, reference.answer);
        EXPECT_EQ(log->finished->thought_end, ThoughtEnd::kAgreed);
      }
      rig.expect_idle();
    }
  }
}

TEST(EarlyStop, NoStopWhereNoRoomIsLeftForAnAnswer) {
  Request request = early(EarlyStop::Rule::kConfident);
  request.max_tokens = 9;
  const Completion done = run(three_lines({"4", "4", "4"}), request);
  EXPECT_EQ(done.finish_reason, FinishReason::kLength);
  EXPECT_EQ(plain_text(done.tokens, 0), "first\nsec");
  request.max_tokens = 10;
  EXPECT_EQ(plain_text(run(three_lines({"4", "4", "4"}), request).tokens, 0), "first\n>\n\nS");
}

TEST(EarlyStop, NotBeforeTheMinimum) {
  Request request = early(EarlyStop::Rule::kConfident);
  request.min_think_tokens = 7;
  const Completion done = run(three_lines({"4", "4", "4"}), request);
  EXPECT_EQ(done.thinking, "first\nsecond");
  EXPECT_EQ(done.deliberation->paths[0].end, ThoughtEnd::kConfident);
}

TEST(EarlyStop, CancelledInEveryPhase) {
  const Story story = three_lines({"4", "5", "5"});
  Request request = early(EarlyStop::Rule::kAgreed);
  request.early_stop.agreeing = 2;
  for (int when = 0; when < 80; ++when) {
    Rig rig(tiny_shape(), tell(kPrompt.size(), story));
    Log log;
    const Result<RequestId> id = rig.engine->submit(request, log.sink());
    ASSERT_TRUE(id.ok());
    bool left = true;
    for (int i = 0; i < when && left; ++i) left = rig.engine->step();
    const bool known = rig.engine->cancel(*id);
    EXPECT_EQ(known, left);
    for (int i = 0; left; ++i) {
      ASSERT_LT(i, 5) << "still at work after a cancel";
      left = rig.engine->step();
    }
    ASSERT_TRUE(log.finished.has_value());
    EXPECT_EQ(std::ssize(log.tokens), log.finished->usage.output.total()) << "all of it is told";
    if (known && !log.finished->usage.output.answer) {
      EXPECT_EQ(log.finished->reason, FinishReason::kCancelled);
    }
    rig.expect_idle();
  }
}

TEST(EarlyStop, AThoughtThatHadEndedKeepsItsEndAfterACancel) {
  for (const auto rule : {EarlyStop::Rule::kAgreed, EarlyStop::Rule::kConfident}) {
    Rig rig(tiny_shape(), tell(kPrompt.size(), three_lines({"4", "5", "6"})));
    Log log;
    const Result<RequestId> id = rig.engine->submit(early(rule), log.sink());
    ASSERT_TRUE(id.ok());
    while (log.answer.empty()) ASSERT_TRUE(rig.engine->step());
    EXPECT_TRUE(rig.engine->cancel(*id));
    while (rig.engine->step()) {
    }
    ASSERT_TRUE(log.finished.has_value());
    EXPECT_EQ(log.finished->reason, FinishReason::kCancelled);
    const ThoughtEnd end =
        rule == EarlyStop::Rule::kAgreed ? ThoughtEnd::kOwn : ThoughtEnd::kConfident;
    EXPECT_EQ(log.finished->thought_end, end);
    EXPECT_EQ(log.finished->deliberation->paths[0].end, end);
  }
}

TEST(EarlyStop, AnswerNowEndsTheThoughtAndTheBranches) {
  Rig rig(tiny_shape(), tell(kPrompt.size(), three_lines({"4", "5", "6"})));
  Log log;
  const Result<RequestId> id = rig.engine->submit(early(EarlyStop::Rule::kAgreed), log.sink());
  for (int i = 0; i < 8; ++i) rig.engine->step();
  EXPECT_TRUE(rig.engine->answer_now(*id));
  while (rig.engine->step()) {
  }
  EXPECT_EQ(log.finished->thought_end, ThoughtEnd::kAsked);
  EXPECT_EQ(log.answer, "So first");
}

TEST(EarlyStop, AFailedStepIsToldOnce) {
  for (int when = 0; when < 40; ++when) {
    Rig rig(tiny_shape(), tell(kPrompt.size(), three_lines({"4", "5", "5"})));
    Log log;
    ASSERT_TRUE(rig.engine->submit(early(EarlyStop::Rule::kAgreed), log.sink()).ok());
    for (int i = 0; i < when; ++i) rig.engine->step();
    rig.record->fail_next = "broken";
    while (rig.engine->step()) {
    }
    ASSERT_TRUE(log.finished.has_value());
    if (log.finished->reason == FinishReason::kError) {
      EXPECT_THAT(log.finished->error, HasSubstr("broken"));
    }
    rig.expect_idle();
  }
}

TEST(EarlyStop, RefusesWhatMakesNoSense) {
  Rig rig;
  const auto refused = [&](const auto& spoil) {
    Request request = early(EarlyStop::Rule::kEither);
    spoil(request.early_stop);
    const Result<RequestId> id = rig.engine->submit(request, {});
    ASSERT_FALSE(id.ok());
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(id.error().message, HasSubstr("early_stop"));
  };
  refused([](EarlyStop& e) { e.confidence = 0; });
  refused([](EarlyStop& e) { e.confidence = 1.5; });
  refused([](EarlyStop& e) { e.confidence = std::nan(""); });
  refused([](EarlyStop& e) { e.agreeing = 1; });
  refused([](EarlyStop& e) { e.min_gap = 0; });
  refused([](EarlyStop& e) { e.max_probe_tokens = 0; });
  refused([](EarlyStop& e) { e.style = "nonsense"; });
}

}  // namespace
}  // namespace reckon
