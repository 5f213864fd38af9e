// Verdicts, from programs that tell the truth and from others, and what they do to a vote.
#include "engine/verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/engine.h"
#include "tests/engine/story.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using testing::Log;
using testing::Rig;
using testing::Story;
using testing::tell;
using testing::thinking_request;
using testing::tiny_shape;

TEST(Verdict, IsOneJsonObject) {
  EXPECT_EQ(parse_verdict("{\"pass\": true}\n")->passed, true);
  EXPECT_EQ(parse_verdict("{\"pass\": false, \"why\": \"x\"}")->passed, false);
  EXPECT_EQ(parse_verdict("{\"score\": 0.25}")->score, 0.25);
  EXPECT_EQ(parse_verdict("{\"score\": 1}")->score, 1.0);
  for (const std::string text :
       {"", "\n", "true", "[]", "{}", "{\"pass\": 1}", "{\"pass\": \"true\"}", "{\"pass\": null}",
        "{\"score\": 1.5}", "{\"score\": -1}", "{\"score\": 1e400}", "{\"score\": \"1\"}",
        "{\"score\": NaN}", "{\"pass\": true", "{\"pass\": true}{\"pass\": true}",
        "{\"pass\": true, \"pass\": false}", "\xff{\"pass\": true}", "passed"}) {
    EXPECT_FALSE(parse_verdict(text).ok()) << text;
  }
  std::string deep;
  for (int i = 0; i < 20'000; ++i) deep += "{\"a\":";
  EXPECT_FALSE(parse_verdict(deep).ok());
}

const std::string kPrompt = "How much is 2+2?";

class VerifierTest : public ::testing::Test {
 protected:
  VerifierTest() {
    std::string name = ::testing::TempDir() + "/verifyXXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~VerifierTest() override { std::filesystem::remove_all(folder_); }

  // Paths think of a digit from 1 to 4 and answer it.
  Completion run(const std::string& script, int64_t n, int64_t window,
                 const std::function<void(Request&)>& change = {}) {
    Rig rig(tiny_shape(), tell(kPrompt.size(), [](const std::string& output) {
              const char drawn = output.empty() ? '1' : output[0];
              return Story{
                  .thought = std::string(static_cast<size_t>(2 * (drawn - '0')), drawn),
                  .answer = [](const std::string& t) { return "The answer is " + t.substr(0, 1); },
                  .probe = {}};
            }));
    rig.record->adjust = [](const std::vector<TokenId>& sequence, std::span<float> logits) {
      if (sequence.size() != kPrompt.size()) return;
      for (char c = '1'; c <= '4'; ++c) logits[static_cast<size_t>(c)] = 100.0f;
    };
    const std::string path = folder_ + "/verify";
    std::ofstream(path) << "#!/bin/sh\n" << script << '\n';
    chmod(path.c_str(), 0755);
    Request request = thinking_request(kPrompt);
    request.sampling.temperature = 1;
    request.sampling.seed = 11;
    request.paths = {.n = n, .window = window};
    request.verification = {.program = path, .question = "2+2 \"?\"", .time_ms = 20'000};
    if (change) change(request);
    Result<Completion> done = rig.engine->generate(request);
    EXPECT_TRUE(done.ok());
    rig.engine->step();
    rig.expect_idle();
    return done.ok() ? *done : Completion{};
  }
  std::string folder_;
};

// A program that lets one answer pass.
std::string passes(const std::string& answer) {
  return "read line; case $line in *'\"answer\":\"" + answer +
         "\"'*) echo '{\"pass\":true}';; *) echo '{\"pass\":false}';; esac";
}

TEST_F(VerifierTest, TheFirstAnswerThatPassesEndsTheRest) {
  const Completion done = run(passes("3"), 16, 4);
  EXPECT_EQ(done.answer, "The answer is 3");
  EXPECT_EQ(done.thought_end, ThoughtEnd::kVerified);
  const DeliberationReport& report = *done.deliberation;
  EXPECT_TRUE(*report.paths[static_cast<size_t>(report.chosen)].passed);
  EXPECT_LT(report.paths.size(), 16u);
  // The same again, whenever the verdicts come.
  const Completion slow = run("sleep 0.0$(($$ % 10)); " + passes("3"), 16, 4);
  EXPECT_EQ(slow.tokens, done.tokens);
  EXPECT_EQ(slow.deliberation->chosen, report.chosen);
  EXPECT_EQ(slow.deliberation->paths.size(), report.paths.size());
}

// Whichever path comes in last: nothing is ended by its pass.
TEST_F(VerifierTest, APassOfTheLastOneEndsNothing) {
  std::set<int64_t> seen;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const auto with_seed = [seed](Request& r) { r.sampling.seed = seed; };
    const Completion none = run("echo '{\"pass\":false}'", 3, 3, with_seed);
    const std::vector<PathReport>& paths = none.deliberation->paths;
    const auto last = std::max_element(
        paths.begin(), paths.end(),
        [](const PathReport& a, const PathReport& b) { return a.n_tokens < b.n_tokens; });
    const auto n_as_long = std::count_if(
        paths.begin(), paths.end(), [&](const auto& p) { return p.n_tokens == last->n_tokens; });
    if (n_as_long > 1) continue;  // they say the same
    const Completion done = run(passes(last->answer), 3, 3, with_seed);
    EXPECT_EQ(done.deliberation->chosen, last - paths.begin());
    EXPECT_EQ(done.thought_end, ThoughtEnd::kOwn);
    EXPECT_FALSE(done.deliberation->decided_early);
    seen.insert(done.deliberation->chosen);
  }
  EXPECT_GT(seen.size(), 1u);
}

// Longer paths come in, and are judged, while the shortest one's verdict is awaited.
TEST_F(VerifierTest, AVerdictThatDidNotCountIsNotTold) {
  const Completion done =
      run("read line; case $line in *'\"answer\":\"1\"'*) sleep 1.5; echo '{\"pass\":true}';; *) "
          "echo '{\"pass\":false,\"score\":0.5}';; esac",
          8, 8);
  EXPECT_EQ(done.answer, "The answer is 1");
  EXPECT_GT(done.timings.verify_ms, 0);
  int64_t n_ended = 0;
  for (const PathReport& path : done.deliberation->paths) {
    if (path.reason != FinishReason::kCancelled) continue;
    ++n_ended;
    EXPECT_EQ(path.end, ThoughtEnd::kVerified);
    EXPECT_FALSE(path.passed.has_value());
    EXPECT_FALSE(path.score.has_value());
    EXPECT_EQ(path.answer, "");
  }
  EXPECT_GT(n_ended, 0);
}

// A path of the digit d has 17 + 2 d tokens: of that of a 2 everything but the turn's end fits.
TEST_F(VerifierTest, AnAnswerThatWasBrokenOffIsNotJudged) {
  const Completion done = run(passes("2"), 8, 8, [](Request& r) { r.max_tokens = 20; });
  EXPECT_EQ(done.answer, "The answer is 1");
  EXPECT_EQ(done.thought_end, ThoughtEnd::kOwn);
  int64_t n_broken_off = 0;
  for (const PathReport& path : done.deliberation->paths) {
    const bool whole = path.reason == FinishReason::kStop;
    EXPECT_EQ(path.passed.has_value(), whole);
    EXPECT_EQ(path.finished, whole);
    n_broken_off += path.reason == FinishReason::kLength ? 1 : 0;
  }
  EXPECT_GT(n_broken_off, 0);
}

TEST_F(VerifierTest, GetsTheQuestionTheAnswerAndTheText) {
  const Completion done =
      run("read -r line; "
          "[ \"$line\" = '{\"question\":\"2+2 \\\"?\\\"\",\"answer\":\"1\",\"text\":\"The "
          "answer is 1\"}' ] && echo '{\"pass\":true}' || echo '{\"pass\":false}'",
          8, 8);
  EXPECT_EQ(done.answer, "The answer is 1");
  EXPECT_EQ(done.thought_end, ThoughtEnd::kVerified);
}

TEST_F(VerifierTest, ScoresWeighVotes) {
  const Completion done =
      run("read line; case $line in *'\"answer\":\"4\"'*) echo '{\"score\":1}';; *) echo "
          "'{\"score\":0.01}';; esac",
          8, 8);
  EXPECT_EQ(done.answer, "The answer is 4");
  EXPECT_EQ(done.thought_end, ThoughtEnd::kOwn);
  EXPECT_EQ(done.deliberation->paths.size(), 8u) << "no vote ends it early";
}

TEST_F(VerifierTest, WithoutVerdictsTheVoteDecides) {
  const Completion reference = run("echo '{\"pass\":false}'", 6, 6);
  EXPECT_EQ(reference.deliberation->paths.size(), 6u);
  const auto same_as_reference = [&](const std::string& script, const std::string& why) {
    const Completion done = run(script, 6, 6, [](Request& r) { r.verification.time_ms = 1'000; });
    EXPECT_EQ(done.tokens, reference.tokens) << script;
    for (const PathReport& path : done.deliberation->paths) {
      EXPECT_THAT(path.verifier_error, HasSubstr(why)) << script;
      EXPECT_FALSE(path.passed.has_value());
    }
  };
  same_as_reference("sleep 100", "did not end");
  same_as_reference("kill -SEGV $$; exit 9", "exit code 9");
  same_as_reference("yes", "more than");
  same_as_reference("echo passed", "verifier's line");
  same_as_reference("echo '{\"pass\":true}'; echo '{\"pass\":true}'", "verifier's line");
  same_as_reference("echo '{\"score\":1e308}'", "score");
  same_as_reference("echo '{\"pass\":true}'; exit 1", "exit code 1");
}

TEST_F(VerifierTest, OnePathIsJudgedToo) {
  const Completion done = run("echo '{\"pass\":false}'", 1, 1);
  EXPECT_EQ(done.deliberation->paths[0].passed, false);
  EXPECT_EQ(done.finish_reason, FinishReason::kStop);
  EXPECT_EQ(done.thought_end, ThoughtEnd::kOwn);
}

TEST_F(VerifierTest, IsAFileThatMayBeRun) {
  const std::string path = folder_ + "/verify";
  std::ofstream(path) << "#!/bin/sh\n";
  Rig rig;
  for (const std::string& program : {path, folder_, folder_ + "/absent"}) {
    Request request = thinking_request(kPrompt);
    request.verification = {.program = program, .question = ""};
    const Result<RequestId> id = rig.engine->submit(request, {});
    ASSERT_FALSE(id.ok()) << program;
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(id.error().message, HasSubstr("verify: expected a file that may be run"));
  }
}

TEST_F(VerifierTest, CancelledWhileAVerdictIsAwaited) {
  Rig rig(tiny_shape(),
          tell(kPrompt.size(), Story{.thought = "a",
                                     .answer = [](const std::string&) { return std::string("4"); },
                                     .probe = {}}));
  const std::string path = folder_ + "/verify";
  std::ofstream(path) << "#!/bin/sh\nsleep 1000\n";
  chmod(path.c_str(), 0755);
  Request request = thinking_request(kPrompt);
  request.verification = {.program = path, .question = "", .time_ms = 1'000'000};
  Log log;
  const Result<RequestId> id = rig.engine->submit(request, log.sink());
  ASSERT_TRUE(id.ok());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(rig.engine->step());
  EXPECT_TRUE(rig.engine->cancel(*id));
  for (int i = 0; i < 3; ++i) rig.engine->step();
  EXPECT_FALSE(rig.engine->step());
  EXPECT_EQ(log.finished->reason, FinishReason::kCancelled);
  EXPECT_EQ(log.answer, "4");
  rig.expect_idle();
}

}  // namespace
}  // namespace reckon
