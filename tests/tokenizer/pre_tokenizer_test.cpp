// Where texts are split: hand-worked cases of each rule's corners, and what holds for any text.
#include "tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace reckon {
namespace {

using testing::ElementsAre;

std::vector<std::string> pieces(SplitRule rule, std::string_view text) {
  std::vector<std::string> found;
  auto take = [&](std::string_view piece) { found.emplace_back(piece); };
  split_pieces(rule, text, PieceSink(take));
  return found;
}

TEST(SplitPieces, Qwen2) {
  const auto split = [](std::string_view text) { return pieces(SplitRule::kQwen2, text); };
  EXPECT_THAT(split("Hello world"), ElementsAre("Hello", " world"));
  EXPECT_THAT(split("a12 3"), ElementsAre("a", "1", "2", " ", "3"));
  EXPECT_THAT(split("it'S we'\u017fx'llama"),
              ElementsAre("it", "'S", " we", "'\u017f", "x", "'ll", "ama"));
  EXPECT_THAT(split("\tx  y"), ElementsAre("\tx", " ", " y"));
  EXPECT_THAT(split(" \n \n  z"), ElementsAre(" \n \n", " ", " z"));
  EXPECT_THAT(split("a  "), ElementsAre("a", "  "));
  EXPECT_THAT(split("!?\r\n\n."), ElementsAre("!?\r\n\n", "."));
  EXPECT_THAT(split(" ...x"), ElementsAre(" ...", "x"));
  EXPECT_THAT(split("\nx\n"), ElementsAre("\n", "x", "\n"));
  // A mark is no letter: it goes before one, or with signs.
  EXPECT_THAT(split("e\u0301a"), ElementsAre("e", "\u0301a"));
  EXPECT_THAT(split("\u3000字\u00a0 "), ElementsAre("\u3000字", "\u00a0 "));
}

TEST(SplitPieces, Llama3TakesThreeDigits) {
  EXPECT_THAT(pieces(SplitRule::kLlama3, "1234567 x1"), ElementsAre("123", "456", "7", " x", "1"));
  EXPECT_THAT(pieces(SplitRule::kLlama3, "१२३४"), ElementsAre("१२३", "४"));
}

TEST(SplitPieces, Gpt2) {
  const auto split = [](std::string_view text) { return pieces(SplitRule::kGpt2, text); };
  EXPECT_THAT(split("I've I'VE"), ElementsAre("I", "'ve", " I", "'", "VE"));
  EXPECT_THAT(split("x 1234  y\n\n z"), ElementsAre("x", " 1234", " ", " y", "\n\n", " z"));
  EXPECT_THAT(split("\n\nz"), ElementsAre("\n", "\n", "z"));
  EXPECT_THAT(split("a.\n"), ElementsAre("a", ".", "\n"));
}

TEST(SplitPieces, SmolLmTakesSingleDigits) {
  const auto split = [](std::string_view text) { return pieces(SplitRule::kSmolLm, text); };
  EXPECT_THAT(split("ab 12c"), ElementsAre("ab", " ", "1", "2", "c"));
  // White space before a digit is a text of its own to the second stage: all of it, in one piece.
  EXPECT_THAT(split("a   1"), ElementsAre("a", "   ", "1"));
  // Numeric since Unicode 17: a digit to the first stage, though not a number to the second.
  EXPECT_THAT(split("\U00011de0\U00011de1"), ElementsAre("\U00011de0", "\U00011de1"));
}

TEST(SplitPieces, DeepSeekV3) {
  const auto split = [](std::string_view text) { return pieces(SplitRule::kDeepSeekV3, text); };
  EXPECT_THAT(split("1234字カナ가x"), ElementsAre("123", "4", "字カナ", "가x"));
  EXPECT_THAT(split("(foo .bar"), ElementsAre("(foo", " .", "bar"));
  EXPECT_THAT(split("e\u0301 \u0301x"), ElementsAre("e\u0301", " \u0301x"));
  // What no pattern matches stays together until one does.
  EXPECT_THAT(split("\x01\x02x"), ElementsAre("\x01", "\x02x"));
  EXPECT_THAT(split("a\x01\x02"), ElementsAre("a", "\x01\x02"));
}

TEST(SplitPieces, Default) {
  const auto split = [](std::string_view text) { return pieces(SplitRule::kDefault, text); };
  EXPECT_THAT(split("it's (x+y)"), ElementsAre("it", "'", "s", " ", "(", "x", "+", "y", ")"));
  EXPECT_THAT(split("12345 67"), ElementsAre("123", "45", " ", "67"));
}

TEST(SplitPieces, InvalidBytesAreSymbols) {
  EXPECT_THAT(pieces(SplitRule::kQwen2, "a\xff\xc3(b"), ElementsAre("a", "\xff\xc3(", "b"));
  EXPECT_THAT(pieces(SplitRule::kDeepSeekV3, "a \xff\nb"), ElementsAre("a", " \xff\n", "b"));
}

TEST(SplitPieces, PiecesJoinToTheText) {
  std::mt19937 random(4);
  constexpr std::string_view kParts[] = {"a",      "Z",      "'",    "s",    "1",  " ",
                                         "\n",     "\r",     "\t",   ".",    "é",  "字",
                                         "\u0301", "\u00a0", "\xff", "\xe4", "😀", "\x01"};
  for (const SplitRule rule : {SplitRule::kQwen2, SplitRule::kLlama3, SplitRule::kDeepSeekV3,
                               SplitRule::kSmolLm, SplitRule::kGpt2, SplitRule::kDefault}) {
    for (int round = 0; round < 500; ++round) {
      std::string text;
      for (auto i = random() % 30; i > 0; --i) text += kParts[random() % std::size(kParts)];
      std::string joined;
      for (const std::string& piece : pieces(rule, text)) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      EXPECT_EQ(joined, text);
    }
  }
}

TEST(FindPreTokenizer, KnowsTheNamesOfFiles) {
  for (const char* name : {"deepseek-r1-qwen", "qwen2", "llama-bpe", "llama3", "llama-v3",
                           "deepseek-v3", "smollm", "gpt-2", "default"}) {
    ASSERT_NE(find_pre_tokenizer(name), nullptr) << name;
    EXPECT_THAT(pre_tokenizer_names(), testing::HasSubstr(name));
  }
  EXPECT_EQ(find_pre_tokenizer("qwen"), nullptr);
  EXPECT_EQ(find_pre_tokenizer(""), nullptr);
}

}  // namespace
}  // namespace reckon
