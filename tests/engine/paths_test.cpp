// Several paths: the same answers as one by one, votes, when they are decided, and ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/engine.h"
#include "sampling/philox.h"
#include "tests/engine/story.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using testing::Log;
using testing::plain_text;
using testing::Rig;
using testing::ScriptedDecoder;
using testing::Story;
using testing::tell;
using testing::thinking_request;
using testing::tiny_shape;
using Stop = PathOptions::Stop;

const std::string kPrompt = "How much is 2+2?";

// The first token of a thought is drawn among `choices`; its value decides the thought's length and
// the answer.
struct Dice {
  explicit Dice(std::string choices, const EngineOptions& options = {}, int64_t n_pages = 64)
      : rig(tiny_shape(n_pages), tell(kPrompt.size(), story), options) {
    rig.record->adjust = [choices](const std::vector<TokenId>& sequence, std::span<float> logits) {
      if (sequence.size() != kPrompt.size()) return;
      std::fill(logits.begin(), logits.end(), 0.0f);
      for (const char c : choices) logits[static_cast<size_t>(c)] = 100.0f;
    };
  }
  static Story story(const std::string& output) {
    const char drawn = output.empty() ? '1' : output[0];
    return {.thought = std::string(static_cast<size_t>(3 * (drawn - '0')), drawn),
            .answer = [](const std::string& t) { return "The answer is " + t.substr(0, 1); },
            .probe = {}};
  }
  Completion run(const Request& request, Log* log = nullptr) {
    Result<Completion> done =
        rig.engine->generate(request, log == nullptr ? EventSink{} : log->sink());
    EXPECT_TRUE(done.ok());
    rig.engine->step();
    rig.expect_idle();
    return done.ok() ? *done : Completion{};
  }
  Rig rig;
};

Request paths(int64_t n, Stop stop, int64_t window, uint64_t seed = 7) {
  Request request = thinking_request(kPrompt);
  request.sampling.temperature = 1;
  request.sampling.seed = seed;
  request.paths = {.n = n, .window = window, .stop = stop};
  return request;
}

TEST(Paths, EachIsTheAnswerItWouldBeAlone) {
  Dice dice("123");
  const Completion done = dice.run(paths(5, Stop::kOff, 5));
  ASSERT_NE(done.deliberation, nullptr);
  ASSERT_EQ(done.deliberation->paths.size(), 5u);
  std::map<std::string, int64_t> votes;
  for (uint64_t i = 0; i < 5; ++i) {
    Request alone = paths(1, Stop::kOff, 1);
    alone.sampling.seed = path_seed(7, i);
    const Completion one = Dice("123").run(alone);
    EXPECT_EQ("The answer is " + done.deliberation->paths[i].answer, one.answer);
    EXPECT_EQ(done.deliberation->paths[i].n_tokens, std::ssize(one.tokens));
    ++votes[done.deliberation->paths[i].answer];
    if (static_cast<int64_t>(i) == done.deliberation->chosen) {
      EXPECT_EQ(done.tokens, one.tokens);
      EXPECT_EQ(done.thinking, one.thinking);
      EXPECT_EQ(done.answer, one.answer);
      EXPECT_EQ(done.usage.output.total(), one.usage.output.total());
    }
  }
  double share = 0;
  for (const VoteCount& count : done.deliberation->votes) {
    EXPECT_EQ(count.n_votes, votes[count.normalised]);
    EXPECT_LE(count.n_votes, done.deliberation->votes[0].n_votes);
    share += count.share;
  }
  EXPECT_DOUBLE_EQ(share, 1);
  EXPECT_EQ(done.deliberation->votes.size(), votes.size());
  EXPECT_EQ(path_seed(7, 0), 7u);
}

TEST(Paths, ThePromptIsComputedOnce) {
  Dice dice("1");
  Request request = paths(8, Stop::kOff, 8);
  const Completion done = dice.run(request);
  // Each path computes its own tokens and the prompt's last one again at most.
  EXPECT_LE(dice.rig.record->n_computed, std::ssize(kPrompt) + 8 * (done.usage.output.total() + 1));
  EXPECT_EQ(done.usage.computed_tokens, dice.rig.record->n_computed);
}

TEST(Paths, TheVoteEndsAsSoonAsItIsDecided) {
  Dice dice("2");
  Log log;
  const Completion done = dice.run(paths(16, Stop::kPosterior, 4), &log);
  EXPECT_EQ(done.thought_end, ThoughtEnd::kVote);
  EXPECT_EQ(done.deliberation->paths.size(), 4u);
  EXPECT_TRUE(done.deliberation->decided_early);
  EXPECT_EQ(done.deliberation->n_asked, 16);
  EXPECT_EQ(done.deliberation->vote_end, VoteEnd::kPosterior);
  EXPECT_DOUBLE_EQ(done.deliberation->posterior, 1 - 1.0 / 32);
  EXPECT_EQ(done.answer, "The answer is 2");
  EXPECT_EQ(*done.usage.saved_tokens, 12 * done.usage.output.total());
  EXPECT_EQ(done.usage.discarded_tokens, 3 * done.usage.output.total());
  EXPECT_EQ(log.n_started, 1);
  EXPECT_EQ(log.ids(), done.tokens);
}

// Shorter paths count first, wherever they stand in the window: four of the short ones decide, and
// the long ones end then.
TEST(Paths, DecidedInTheMiddleOfAWindow) {
  int n_seen = 0;
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    Dice dice("19");
    const Completion done = dice.run(paths(12, Stop::kPosterior, 12, seed));
    const DeliberationReport& report = *done.deliberation;
    const auto n_short = std::count_if(report.paths.begin(), report.paths.end(),
                                       [](const auto& p) { return p.finished && p.answer == "1"; });
    const auto n_ended = std::count_if(report.paths.begin(), report.paths.end(),
                                       [](const auto& p) { return p.end == ThoughtEnd::kVote; });
    if (n_short < 4) continue;  // a seed with too few short paths
    ++n_seen;
    EXPECT_EQ(n_short, 4);
    EXPECT_EQ(n_ended, 8);
    EXPECT_EQ(done.answer, "The answer is 1");
    EXPECT_EQ(done.thought_end, ThoughtEnd::kVote);
  }
  EXPECT_GE(n_seen, 3);
}

TEST(Paths, WindowsThatAgreeEndTheSampling) {
  Dice same("3");
  const Completion done = same.run(paths(9, Stop::kWindow, 3));
  EXPECT_EQ(done.deliberation->paths.size(), 3u);
  EXPECT_EQ(done.thought_end, ThoughtEnd::kVote);
  EXPECT_EQ(done.deliberation->vote_end, VoteEnd::kWindow);
  for (const uint64_t seed : {1, 2, 3}) {
    Dice dice("123");
    const Completion mixed = dice.run(paths(9, Stop::kWindow, 3, seed));
    const auto& all = mixed.deliberation->paths;
    EXPECT_EQ(all.size() % 3, 0u);
    for (size_t begin = 0; begin + 3 < all.size(); begin += 3) {
      const bool agree =
          all[begin].answer == all[begin + 1].answer && all[begin].answer == all[begin + 2].answer;
      EXPECT_FALSE(agree) << "should have ended";
    }
  }
}

TEST(Paths, EndsWhenNobodyCanCatchUp) {
  Dice dice("2");
  Request request = paths(5, Stop::kPosterior, 1);
  request.paths.confidence = 1;
  const Completion done = dice.run(request);
  EXPECT_EQ(done.deliberation->paths.size(), 3u);
  EXPECT_TRUE(done.deliberation->decided_early);
  EXPECT_EQ(done.deliberation->vote_end, VoteEnd::kCertain);
}

TEST(Paths, TiesGoToTheLowestPath) {
  // A seed where two paths differ: the first wins, the shorter or not.
  int n_seen = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Dice dice("13");
    const Completion done = dice.run(paths(2, Stop::kOff, 2, seed));
    if (done.deliberation->votes.size() < 2) continue;
    ++n_seen;
    EXPECT_EQ(done.deliberation->chosen, 0);
    EXPECT_EQ(done.answer, "The answer is " + done.deliberation->paths[0].answer);
    EXPECT_EQ(done.deliberation->votes[0].share, 0.5);
  }
  EXPECT_GE(n_seen, 4);
}

TEST(Paths, WeightsAreTheTokensProbabilities) {
  Dice dice("12");
  Request request = paths(4, Stop::kOff, 4);
  request.paths.weighted = true;
  Log log;
  const Completion done = dice.run(request, &log);
  for (const PathReport& path : done.deliberation->paths) {
    // One coin toss among n sampled tokens.
    EXPECT_NEAR(path.weight, std::pow(0.5, 1.0 / static_cast<double>(path.n_tokens)), 1e-9);
  }
  for (const TokenEvent& token : log.tokens) EXPECT_FALSE(token.logprobs.has_value());
}

TEST(Paths, AnswersThatWereBrokenOffDontVote) {
  Dice dice("19");
  Request request = paths(6, Stop::kOff, 6, 1);
  request.max_tokens = 30;
  const Completion done = dice.run(request);
  ASSERT_EQ(done.deliberation->votes.size(), 1u);
  EXPECT_EQ(done.deliberation->votes[0].normalised, "1");
  EXPECT_LT(done.deliberation->votes[0].n_votes, 6);
  for (const PathReport& path : done.deliberation->paths) {
    EXPECT_EQ(path.finished, path.reason == FinishReason::kStop);
  }
  request.max_tokens = 2;
  const Completion none = Dice("19").run(request);
  EXPECT_TRUE(none.deliberation->votes.empty());
  EXPECT_EQ(none.finish_reason, FinishReason::kLength);
  EXPECT_EQ(none.usage.output.total(), 2);
}

TEST(Paths, EachHasItsOwnEnd) {
  Dice dice("19");
  Request request = paths(6, Stop::kOff, 6, 1);
  request.max_tokens = 30;
  const Completion limited = dice.run(request);
  int64_t n_at_limit = 0;
  for (const PathReport& path : limited.deliberation->paths) {
    EXPECT_EQ(path.reason, path.n_tokens == 30 ? FinishReason::kLength : FinishReason::kStop);
    EXPECT_EQ(path.output.total(), path.n_tokens);
    n_at_limit += path.reason == FinishReason::kLength ? 1 : 0;
  }
  EXPECT_GT(n_at_limit, 0);
  EXPECT_LT(n_at_limit, 6);
  int64_t n_cut = 0;
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    const Completion decided = Dice("19").run(paths(12, Stop::kPosterior, 12, seed));
    for (const PathReport& path : decided.deliberation->paths) {
      if (path.reason != FinishReason::kCancelled) continue;
      EXPECT_EQ(path.end, ThoughtEnd::kVote);
      ++n_cut;
    }
  }
  EXPECT_GT(n_cut, 0);
}

TEST(Paths, TheSameWhateverTheBatch) {
  for (const Stop stop : {Stop::kOff, Stop::kPosterior, Stop::kWindow}) {
    Request request = paths(8, stop, 3, 5);
    const Completion reference = Dice("1239").run(request);
    for (const int64_t max_batch : {1, 3, 32}) {
      for (const int64_t max_running : {1, 2, 64}) {
        Dice dice("1239", {.max_running = max_running, .max_batch_tokens = max_batch}, 24);
        std::vector<std::unique_ptr<Log>> logs;
        for (int i = 0; i < 3; ++i) {
          logs.push_back(std::make_unique<Log>());
          ASSERT_TRUE(dice.rig.engine->submit(request, logs.back()->sink()).ok());
        }
        while (dice.rig.engine->step()) {
        }
        for (const auto& log : logs) {
          ASSERT_TRUE(log->finished.has_value());
          EXPECT_EQ(log->ids(), reference.tokens);
          const DeliberationReport& report = *log->finished->deliberation;
          EXPECT_EQ(report.paths.size(), reference.deliberation->paths.size());
          ASSERT_EQ(report.votes.size(), reference.deliberation->votes.size());
          for (size_t i = 0; i < report.votes.size(); ++i) {
            EXPECT_EQ(report.votes[i].answer, reference.deliberation->votes[i].answer);
            EXPECT_EQ(report.votes[i].n_votes, reference.deliberation->votes[i].n_votes);
          }
        }
        dice.rig.expect_idle();
      }
    }
  }
}

TEST(Paths, CancelledInEveryPhase) {
  for (int when = 0; when < 60; ++when) {
    Dice dice("123");
    Log log;
    const Result<RequestId> id = dice.rig.engine->submit(paths(6, Stop::kOff, 2), log.sink());
    bool left = true;
    for (int i = 0; i < when && left; ++i) left = dice.rig.engine->step();
    EXPECT_EQ(dice.rig.engine->cancel(*id), left);
    const bool known = left;
    for (int i = 0; left; ++i) {
      ASSERT_LT(i, 5);
      left = dice.rig.engine->step();
    }
    ASSERT_TRUE(log.finished.has_value());
    for (const PathReport& path : log.finished->deliberation->paths) {
      EXPECT_EQ(path.output.total(), path.n_tokens);
    }
    if (known && when < 30) {
      EXPECT_EQ(log.finished->reason, FinishReason::kCancelled);
    }
    dice.rig.expect_idle();
  }
}

TEST(Paths, AnswerNowBeginsNoFurtherPaths) {
  Dice dice("9");
  Log log;
  const Result<RequestId> id = dice.rig.engine->submit(paths(8, Stop::kOff, 2), log.sink());
  for (int i = 0; i < 10; ++i) dice.rig.engine->step();
  EXPECT_TRUE(dice.rig.engine->answer_now(*id));
  while (dice.rig.engine->step()) {
  }
  EXPECT_EQ(log.finished->deliberation->paths.size(), 2u);
  EXPECT_EQ(log.finished->thought_end, ThoughtEnd::kAsked);
  EXPECT_EQ(log.answer, "The answer is 9");
}

TEST(Paths, AFailedStepIsToldOnce) {
  for (int when = 0; when < 30; ++when) {
    Dice dice("123");
    Log log;
    ASSERT_TRUE(dice.rig.engine->submit(paths(3, Stop::kOff, 3), log.sink()).ok());
    for (int i = 0; i < when; ++i) dice.rig.engine->step();
    dice.rig.record->fail_next = "broken";
    while (dice.rig.engine->step()) {
    }
    ASSERT_TRUE(log.finished.has_value());
    dice.rig.expect_idle();
  }
}

TEST(Paths, ManyAtOnceAndNoMore) {
  Dice dice("123", {}, 256);
  std::vector<std::unique_ptr<Log>> logs;
  for (int64_t i = 0; i < Engine::kMaxDeliberations; ++i) {
    logs.push_back(std::make_unique<Log>());
    Request request = paths(3, Stop::kOff, 3, static_cast<uint64_t>(i));
    ASSERT_TRUE(dice.rig.engine->submit(request, logs.back()->sink()).ok());
  }
  const Result<RequestId> more = dice.rig.engine->submit(paths(2, Stop::kOff, 2), {});
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, HasSubstr("too many"));
  while (dice.rig.engine->step()) {
  }
  for (const auto& log : logs) {
    ASSERT_TRUE(log->finished.has_value());
    EXPECT_EQ(log->finished->deliberation->paths.size(), 3u);
    EXPECT_EQ(log->finished->reason, FinishReason::kStop);
  }
  dice.rig.expect_idle();
}

TEST(Paths, WithEarlyStopInEach) {
  Dice dice("24");
  Request request = paths(4, Stop::kOff, 4);
  request.early_stop = {.rule = EarlyStop::Rule::kConfident, .min_gap = 1};
  const Completion done = dice.run(request);
  EXPECT_EQ(done.deliberation->paths.size(), 4u);
  EXPECT_FALSE(done.deliberation->votes.empty());
}

TEST(Paths, RefusesWhatMakesNoSense) {
  Rig rig;
  const auto refused = [&](const std::string& field, const auto& spoil) {
    Request request = paths(4, Stop::kPosterior, 4);
    spoil(request);
    const Result<RequestId> id = rig.engine->submit(request, {});
    ASSERT_FALSE(id.ok());
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(id.error().message, HasSubstr(field));
  };
  refused("paths", [](Request& r) { r.paths.n = 0; });
  refused("paths", [](Request& r) { r.paths.n = 65; });
  refused("window", [](Request& r) { r.paths.window = 0; });
  refused("window", [](Request& r) { r.paths = {.n = 4, .window = 1, .stop = Stop::kWindow}; });
  refused("confidence", [](Request& r) { r.paths.confidence = 0.5; });
  refused("confidence", [](Request& r) { r.paths.confidence = std::nan(""); });
  refused("early_stop", [](Request& r) {
    r.early_stop.rule = EarlyStop::Rule::kAgreed;
    r.constraint = *Grammar::parse("root ::= \"a\"");
  });
  refused("verify", [](Request& r) { r.verification.program = "/no/such/program"; });
  EXPECT_FALSE(rig.engine->step());
}

}  // namespace
}  // namespace reckon
