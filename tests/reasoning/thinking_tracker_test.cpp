// Thought and answer told apart, however the marks arrive, and the thought closed when it is due.
#include "reasoning/thinking_tracker.h"

#include <gtest/gtest.h>

#include "tests/reasoning/tiny_tokenizer.h"

namespace reckon {
namespace {

using testing::bytes_as_tokens;
using testing::kHello;
using testing::kThink;
using testing::kThinkEnd;
using testing::tiny_tokenizer;
using Tokens = std::vector<TokenId>;

const ThinkMarks kMarks{"<think>", "</think>"};

struct Output {
  std::string thinking;
  std::string answer;
  PartCounts counts;
};

void gather(const std::vector<TextDelta>& deltas, Output& output) {
  for (const TextDelta& delta : deltas) {
    (delta.part == Part::kThinking ? output.thinking : output.answer) += delta.text;
  }
}

Output run(ThinkingStart start, const Tokens& tokens, bool with_marks = true) {
  ThinkingTracker tracker(
      tiny_tokenizer(with_marks),
      {.start = start, .marks = kMarks, .thought_so_far = "", .budget = std::nullopt});
  Output output;
  for (const TokenId token : tokens) {
    std::vector<TextDelta> deltas;
    tracker.push(token, false, deltas);
    gather(deltas, output);
  }
  std::vector<TextDelta> deltas;
  tracker.finish(deltas);
  gather(deltas, output);
  output.counts = tracker.counts();
  return output;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void expect_counts(const Output& output, int64_t thinking, int64_t answer, int64_t scaffold) {
  EXPECT_EQ(output.counts.thinking, thinking);
  EXPECT_EQ(output.counts.answer, answer);
  EXPECT_EQ(output.counts.scaffold, scaffold);
}

TEST(ThinkingTracker, PlainTextIsAnswerMarksAndAll) {
  const Output output = run(ThinkingStart::kPlain,
                            bytes_as_tokens("\n <think>a</think>") + Tokens{kThink, kThinkEnd});
  EXPECT_EQ(output.thinking, "");
  EXPECT_EQ(output.answer, "\n <think>a</think><think></think>");
  expect_counts(output, 0, 20, 0);
}

TEST(ThinkingTracker, PromptOpenedAndMarkIsAToken) {
  const Output output = run(ThinkingStart::kOpened, bytes_as_tokens("so 2.\n") + Tokens{kThinkEnd} +
                                                        bytes_as_tokens("\n\n2 it is\n"));
  EXPECT_EQ(output.thinking, "so 2.");
  EXPECT_EQ(output.answer, "2 it is\n");
  expect_counts(output, 6, 10, 1);
}

TEST(ThinkingTracker, PromptOpenedAndMarkIsSpeltOut) {
  for (const bool with_marks : {true, false}) {
    const Output output =
        run(ThinkingStart::kOpened, bytes_as_tokens("a </thin </think>\n\nb"), with_marks);
    EXPECT_EQ(output.thinking, "a </thin");
    EXPECT_EQ(output.answer, "b");
    EXPECT_EQ(output.counts.total(), 20);
    EXPECT_EQ(output.counts.answer, 3);
  }
}

TEST(ThinkingTracker, ModelOpensTheThoughtItself) {
  for (const Tokens& opening :
       {Tokens{kThink}, bytes_as_tokens("\n") + Tokens{kThink}, bytes_as_tokens(" <think>")}) {
    const Output output =
        run(ThinkingStart::kMayOpen,
            opening + bytes_as_tokens("\nhm") + Tokens{kThinkEnd} + bytes_as_tokens("ok"));
    EXPECT_EQ(output.thinking, "hm");
    EXPECT_EQ(output.answer, "ok");
    expect_counts(output, 3, 2, static_cast<int64_t>(opening.size()) + 1);
  }
}

TEST(ThinkingTracker, ModelAnswersAtOnce) {
  const Output output = run(ThinkingStart::kMayOpen, bytes_as_tokens(" <thin air</think>"));
  EXPECT_EQ(output.thinking, "");
  EXPECT_EQ(output.answer, " <thin air</think>");
  expect_counts(output, 0, 18, 0);
  // A mark after visible text is text.
  EXPECT_EQ(run(ThinkingStart::kMayOpen, bytes_as_tokens("<th") + Tokens{kThink}).answer,
            "<th<think>");
  EXPECT_EQ(run(ThinkingStart::kMayOpen, {kHello, kThink}).answer, "hello<think>");
}

TEST(ThinkingTracker, SecondThoughtsAreAnswer) {
  const Output output =
      run(ThinkingStart::kOpened, Tokens{kThinkEnd} + bytes_as_tokens("a") + Tokens{kThink} +
                                      bytes_as_tokens("b") + Tokens{kThinkEnd});
  EXPECT_EQ(output.thinking, "");
  EXPECT_EQ(output.answer, "a<think>b</think>");
}

TEST(ThinkingTracker, EndingInsideKeepsAllText) {
  EXPECT_EQ(run(ThinkingStart::kOpened, bytes_as_tokens("a\n </thi")).thinking, "a\n </thi");
  EXPECT_EQ(run(ThinkingStart::kOpened, bytes_as_tokens("a\n\n")).thinking, "a\n\n");
  EXPECT_EQ(run(ThinkingStart::kMayOpen, bytes_as_tokens("\n<th")).answer, "\n<th");
  EXPECT_EQ(run(ThinkingStart::kMayOpen, bytes_as_tokens("\n<th")).counts.answer, 4);
  // Half a character becomes U+FFFD, before the mark that cut it off or at the end.
  const Output cut = run(ThinkingStart::kOpened, Tokens{0xe2, 0x82, kThinkEnd, 0xe2});
  EXPECT_EQ(cut.thinking, "\xef\xbf\xbd");
  EXPECT_EQ(cut.answer, "\xef\xbf\xbd");
}

TEST(ThinkingTracker, BlankLinesInsideAThoughtStay) {
  const Output output =
      run(ThinkingStart::kOpened, bytes_as_tokens("a\n\n  b \n") + Tokens{kThinkEnd});
  EXPECT_EQ(output.thinking, "a\n\n  b");
}

TEST(ThinkingTracker, DeltasAreWholeCharacters) {
  ThinkingTracker tracker(tiny_tokenizer(), {.start = ThinkingStart::kOpened,
                                             .marks = kMarks,
                                             .thought_so_far = "",
                                             .budget = std::nullopt});
  std::vector<TextDelta> deltas;
  for (const TokenId token : {0xe2, 0x82}) tracker.push(token, false, deltas);
  EXPECT_TRUE(deltas.empty());
  tracker.push(0xac, false, deltas);
  ASSERT_EQ(deltas.size(), 1u);
  EXPECT_EQ(deltas[0].text, "\xe2\x82\xac");
}

struct Forcing {
  explicit Forcing(std::optional<int64_t> budget, std::string so_far = "", bool with_marks = true)
      : tracker(tiny_tokenizer(with_marks), {.start = ThinkingStart::kOpened,
                                             .marks = kMarks,
                                             .thought_so_far = std::move(so_far),
                                             .budget = budget}) {}
  void push(const Tokens& tokens, bool forced = false) {
    for (const TokenId token : tokens) tracker.push(token, forced, deltas);
  }
  ThinkingTracker tracker;
  std::vector<TextDelta> deltas;
};

TEST(ThinkingTracker, BudgetIsUsedToTheLastToken) {
  Forcing f(3);
  f.push({'a', 'b'});
  EXPECT_FALSE(f.tracker.close_due());
  f.push({'c'});
  ASSERT_TRUE(f.tracker.close_due());
  const Tokens closing = f.tracker.closing_tokens();
  EXPECT_EQ(closing, (Tokens{'\n', kThinkEnd, '\n', '\n'}));
  EXPECT_FALSE(f.tracker.close_due());
  f.push(closing, true);
  EXPECT_EQ(f.tracker.part(), Part::kAnswer);
  f.push({'x'});
  EXPECT_FALSE(f.tracker.close_due());
  Output output;
  gather(f.deltas, output);
  EXPECT_EQ(output.thinking, "abc");
  EXPECT_EQ(output.answer, "x");
  EXPECT_EQ(f.tracker.counts().thinking, 3);
  EXPECT_EQ(f.tracker.counts().answer, 1);
  EXPECT_EQ(f.tracker.counts().scaffold, 4);
}

TEST(ThinkingTracker, NoSecondLineBreak) {
  Forcing f(2);
  f.push({'a', '\n'});
  ASSERT_TRUE(f.tracker.close_due());
  EXPECT_EQ(f.tracker.closing_tokens(), (Tokens{kThinkEnd, '\n', '\n'}));
  Forcing resumed(0, "edited\n");
  ASSERT_TRUE(resumed.tracker.close_due());
  EXPECT_EQ(resumed.tracker.closing_tokens(), (Tokens{kThinkEnd, '\n', '\n'}));
}

TEST(ThinkingTracker, BudgetOfZeroClosesAtOnce) {
  Forcing f(0);
  ASSERT_TRUE(f.tracker.close_due());
  EXPECT_EQ(f.tracker.closing_tokens(), (Tokens{'\n', kThinkEnd, '\n', '\n'}));
}

TEST(ThinkingTracker, ClosesByTextWithoutAMarkToken) {
  Forcing f(1, "", false);
  f.push({'a'});
  ASSERT_TRUE(f.tracker.close_due());
  const Tokens closing = f.tracker.closing_tokens();
  EXPECT_EQ(closing, bytes_as_tokens("\n</think>\n\n"));
  f.push(closing, true);
  EXPECT_EQ(f.tracker.part(), Part::kAnswer);
  EXPECT_EQ(f.tracker.counts().thinking, 1);
}

TEST(ThinkingTracker, WaitsForTheCharactersEnd) {
  Forcing f(2);
  f.push({'a', 0xf0});
  EXPECT_FALSE(f.tracker.close_due());
  f.push({0x9f, 0x98});
  EXPECT_FALSE(f.tracker.close_due());
  f.push({0x80});
  EXPECT_TRUE(f.tracker.close_due());
  EXPECT_EQ(f.tracker.counts().thinking, 5);
}

TEST(ThinkingTracker, BrokenTextCantOutrunTheBudget) {
  Forcing f(1);
  f.push({0xf0});
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(f.tracker.close_due()) << i;
    f.push({0xf0});  // each makes the one before U+FFFD and begins anew
  }
  EXPECT_TRUE(f.tracker.close_due());
}

TEST(ThinkingTracker, AnswerNow) {
  Forcing f(std::nullopt);
  f.push({'a', 0xc3});
  EXPECT_FALSE(f.tracker.close_due());
  f.tracker.request_answer();
  EXPECT_FALSE(f.tracker.close_due());
  f.push({0xa4});
  EXPECT_TRUE(f.tracker.close_due());
  // In the answer it does nothing.
  Forcing g(std::nullopt);
  g.push({kThinkEnd, 'x'});
  g.tracker.request_answer();
  EXPECT_FALSE(g.tracker.close_due());
}

TEST(ThinkingTracker, BudgetCountsFromTheModelsOwnOpening) {
  ThinkingTracker tracker(
      tiny_tokenizer(),
      {.start = ThinkingStart::kMayOpen, .marks = kMarks, .thought_so_far = "", .budget = 0});
  EXPECT_FALSE(tracker.close_due());
  std::vector<TextDelta> deltas;
  tracker.push(kThink, false, deltas);
  EXPECT_TRUE(tracker.close_due());
}

}  // namespace
}  // namespace reckon
