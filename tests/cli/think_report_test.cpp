// What --explain says of every reason, from completions as the engine tells them.
#include "cli/think_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace reckon::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Completion thought(ThoughtEnd end, int64_t n_tokens) {
  Completion completion;
  completion.thought_end = end;
  completion.usage.output.thinking = n_tokens;
  return completion;
}

Completion deliberated(ThoughtEnd end, DeliberationReport report) {
  Completion completion = thought(end, 20);
  completion.usage.probe_tokens = 9;
  completion.deliberation = std::make_shared<DeliberationReport>(std::move(report));
  return completion;
}

PathReport finished_path(const std::string& answer) {
  PathReport path;
  path.answer = answer;
  path.end = ThoughtEnd::kOwn;
  path.finished = true;
  path.n_tokens = 30;
  return path;
}

PathReport unfinished_path(FinishReason reason) {
  PathReport path;
  path.reason = reason;
  path.n_tokens = 1;
  return path;
}

// Four asked for, three votes for "7".
DeliberationReport three_votes(VoteEnd end) {
  DeliberationReport report;
  report.n_asked = 4;
  for (int i = 0; i < 3; ++i) report.paths.push_back(finished_path("7"));
  report.votes.push_back({.answer = "7", .normalised = "7", .n_votes = 3, .weight = 3, .share = 1});
  report.vote_end = end;
  report.posterior = 0.9375;
  return report;
}

std::string json(const Completion& completion) {
  JsonLine line;
  line.begin_object();
  add_report(line, completion, 1);
  return line.end_object().take();
}

TEST(Explanation, OfOneThought) {
  EXPECT_EQ(explanation(thought(ThoughtEnd::kNone, 0)), "There was no thought.\n");
  EXPECT_EQ(explanation(thought(ThoughtEnd::kNone, 1)), "The thought of 1 token did not end.\n");
  EXPECT_EQ(explanation(thought(ThoughtEnd::kOwn, 12)),
            "The thought ended after 12 tokens: the model closed it.\n");
  EXPECT_EQ(explanation(thought(ThoughtEnd::kBudget, 1)),
            "The thought ended after 1 token: its budget.\n");
  EXPECT_EQ(explanation(thought(ThoughtEnd::kBudget, 0)), "No thought was allowed.\n");
  EXPECT_EQ(explanation(thought(ThoughtEnd::kAsked, 12)),
            "The thought ended after 12 tokens: the answer was asked for.\n");
}

TEST(Explanation, OfSideBranches) {
  DeliberationReport report;
  report.paths.push_back(finished_path("7"));
  report.paths[0].n_probes = 1;
  report.probe_confidence = 0.9876;
  EXPECT_EQ(explanation(deliberated(ThoughtEnd::kConfident, report)),
            "The thought ended after 20 tokens: a side branch answered with confidence 0.988.\n"
            "1 side branch took 9 tokens.\n");
  report.paths[0].n_probes = 3;
  report.n_agreeing = 3;
  EXPECT_EQ(explanation(deliberated(ThoughtEnd::kAgreed, report)),
            "The thought ended after 20 tokens: 3 side branches in a row gave the same answer.\n"
            "3 side branches took 9 tokens.\n");
}

TEST(Explanation, OfAVoteSaysWhatDecidedIt) {
  EXPECT_EQ(explanation(deliberated(ThoughtEnd::kVote, three_votes(VoteEnd::kPosterior))),
            "The vote was decided (posterior 0.938); no more paths were begun.\n"
            "100.0 %  3 of 3 answers: 7\n"
            "path 0: 30 tokens, 7, told\n"
            "path 1: 30 tokens, 7\n"
            "path 2: 30 tokens, 7\n");
  const std::string window =
      explanation(deliberated(ThoughtEnd::kVote, three_votes(VoteEnd::kWindow)));
  EXPECT_THAT(window, HasSubstr("(all answers of a window were the same)"));
  EXPECT_THAT(window, Not(HasSubstr("posterior")));
  DeliberationReport certain = three_votes(VoteEnd::kCertain);
  certain.paths.push_back(unfinished_path(FinishReason::kCancelled));
  const std::string ended = explanation(deliberated(ThoughtEnd::kVote, certain));
  EXPECT_THAT(ended, HasSubstr("(no other answer could catch up); other paths were ended.\n"));
  EXPECT_THAT(ended, HasSubstr("path 3: 1 token, ended\n"));
}

TEST(Explanation, OfVerdicts) {
  DeliberationReport report = three_votes(VoteEnd::kNone);
  report.paths.resize(1);
  report.paths[0].passed = true;
  report.paths[0].score = 0.5;
  report.votes[0].n_votes = 1;
  // One path of several that were asked for has lines as well.
  EXPECT_EQ(explanation(deliberated(ThoughtEnd::kVerified, report)),
            "An answer passed the verifier; no more paths were begun.\n"
            "100.0 %  1 of 1 answer: 7\n"
            "path 0: 30 tokens, 7, passed, score 0.500, told\n");
  report.n_asked = 1;
  report.paths[0].passed.reset();
  EXPECT_EQ(explanation(deliberated(ThoughtEnd::kOwn, report)),
            "The thought ended after 20 tokens: the model closed it.\n"
            "The answer's score is 0.500.\n");
  report.paths[0].score.reset();
  report.paths[0].verifier_error = "it did not end";
  EXPECT_THAT(explanation(deliberated(ThoughtEnd::kOwn, report)),
              HasSubstr("The verifier: it did not end.\n"));
}

TEST(Explanation, OfPathsWithoutAnAnswer) {
  DeliberationReport report = three_votes(VoteEnd::kNone);
  report.paths[1] = unfinished_path(FinishReason::kLength);
  report.paths[1].answer = "half an ans";
  report.paths[2] = finished_path("");
  report.paths.push_back(unfinished_path(FinishReason::kError));
  const std::string text = explanation(deliberated(ThoughtEnd::kOwn, report));
  EXPECT_THAT(text, HasSubstr("path 1: 1 token, broken off\n"));
  EXPECT_THAT(text, HasSubstr("path 2: 30 tokens, no answer\n"));
  EXPECT_THAT(text, HasSubstr("path 3: 1 token, failed\n"));
}

TEST(Report, TellsWhatTheExplanationTells) {
  DeliberationReport report = three_votes(VoteEnd::kWindow);
  report.paths.push_back(unfinished_path(FinishReason::kLength));
  Completion completion = deliberated(ThoughtEnd::kVote, report);
  const std::string text = json(completion);
  EXPECT_THAT(text, HasSubstr("\"thought_end\":\"vote\""));
  EXPECT_THAT(text, HasSubstr("\"paths_asked\":4"));
  EXPECT_THAT(text, HasSubstr("\"vote_end\":\"window\""));
  EXPECT_THAT(text, HasSubstr("\"finished\":true,\"finish_reason\":\"stop\""));
  EXPECT_THAT(text, HasSubstr("\"finished\":false,\"finish_reason\":\"length\""));
  EXPECT_THAT(text, Not(HasSubstr("verify_ms")));
  completion.timings.decode_ms = 2;
  completion.timings.verify_ms = 5;
  EXPECT_THAT(json(completion), HasSubstr("\"decode_ms\":2,\"verify_ms\":5,\"total_ms\":7,"));
}

}  // namespace
}  // namespace reckon::cli
