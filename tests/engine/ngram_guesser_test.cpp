// What is guessed from which sequence, and how success and failure change that.
#include "engine/ngram_guesser.h"

#include <gtest/gtest.h>

#include <vector>

namespace reckon {
namespace {

using Tokens = std::vector<TokenId>;

Tokens guess(NgramGuesser& guesser, const Tokens& tokens, int64_t n_max = 100) {
  const std::span<const TokenId> found = guesser.guess(tokens, n_max);
  return {found.begin(), found.end()};
}

TEST(NgramGuesser, GoesOnAsBefore) {
  NgramGuesser guesser;
  EXPECT_EQ(guess(guesser, {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3}), (Tokens{4, 5, 6}));
  EXPECT_EQ(guess(guesser, {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3}, 2), (Tokens{4, 5}));
  EXPECT_EQ(guess(guesser, {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3}, 0), Tokens{});
}

TEST(NgramGuesser, SaysNothingWithoutThreeKnownTokens) {
  for (const Tokens& tokens :
       {Tokens{}, Tokens{1}, Tokens{1, 1}, Tokens{1, 1, 1}, Tokens{1, 2, 3, 4, 2, 3}}) {
    NgramGuesser guesser;
    EXPECT_EQ(guess(guesser, tokens), Tokens{});
  }
}

TEST(NgramGuesser, TheLatestOccurrenceCounts) {
  NgramGuesser guesser;
  EXPECT_EQ(guess(guesser, {1, 2, 3, 7, 7, 7, 1, 2, 3, 8, 8, 9, 1, 2, 3}), (Tokens{8, 8, 9}));
}

TEST(NgramGuesser, ALoopGoesOnAsALoop) {
  NgramGuesser guesser;
  EXPECT_EQ(guess(guesser, {5, 6, 5, 6, 5, 6}), (Tokens{5, 6, 5}));
  NgramGuesser one;
  EXPECT_EQ(guess(one, {4, 4, 4, 4}), (Tokens{4, 4, 4}));
}

TEST(NgramGuesser, GrowsWhileRight) {
  NgramGuesser guesser;
  const Tokens tokens(30, 4);
  EXPECT_EQ(guess(guesser, tokens).size(), 3u);
  guesser.learn(3, 3);
  EXPECT_EQ(guess(guesser, tokens).size(), 7u);
  guesser.learn(7, 4);
  EXPECT_EQ(guess(guesser, tokens).size(), 4u);
  guesser.learn(4, 0);
  guesser.learn(0, 0);  // no guess was made: nothing was learnt
  EXPECT_EQ(guess(guesser, tokens).size(), 0u);
}

TEST(NgramGuesser, PausesLongerAndLongerWhileWrong) {
  NgramGuesser guesser;
  const Tokens tokens(30, 4);
  for (const int pause : {0, 2, 4, 8, 16, 32, 64, 64}) {
    for (int i = 0; i < pause; ++i) EXPECT_EQ(guess(guesser, tokens).size(), 0u) << pause;
    EXPECT_EQ(guess(guesser, tokens).size(), 3u);
    guesser.learn(3, 0);
  }
}

}  // namespace
}  // namespace reckon
