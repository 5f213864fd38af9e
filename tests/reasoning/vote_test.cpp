// Counts, ties and when a vote is decided; the posterior against numbers by hand.
#include "reasoning/vote.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(Vote, CountsAnswersThatMeanTheSame) {
  Vote vote;
  vote.add(0, "0.5", 1);
  vote.add(1, "3", 1);
  vote.add(2, "\\frac{1}{2}", 1);
  const auto ranking = vote.ranking();
  ASSERT_EQ(ranking.size(), 2u);
  EXPECT_EQ(ranking[0].answer, "0.5");
  EXPECT_EQ(ranking[0].normalised, "1/2");
  EXPECT_EQ(ranking[0].n_votes, 2);
  EXPECT_EQ(ranking[1].answer, "3");
  EXPECT_EQ(vote.n_votes(), 3);
}

TEST(Vote, TiesGoToTheLowestPathInWhateverOrderTheyCame) {
  Vote vote;
  vote.add(3, "a", 1);
  vote.add(1, "b", 1);
  EXPECT_EQ(vote.ranking()[0].answer, "b");
  vote.add(0, "a", 1);
  vote.add(2, "b", 1);
  EXPECT_EQ(vote.ranking()[0].answer, "a");
}

TEST(Vote, WeightsDecide) {
  Vote vote;
  vote.add(0, "a", 0.2);
  vote.add(1, "a", 0.3);
  vote.add(2, "b", 0.9);
  EXPECT_EQ(vote.ranking()[0].answer, "b");
  EXPECT_EQ(vote.ranking()[0].n_votes, 1);
}

TEST(Vote, ThePosteriorOfTheLead) {
  EXPECT_DOUBLE_EQ(beta_above_half(0, 0), 0.5);
  EXPECT_DOUBLE_EQ(beta_above_half(1, 0), 0.75);
  EXPECT_DOUBLE_EQ(beta_above_half(4, 0), 1 - 1.0 / 32);
  EXPECT_DOUBLE_EQ(beta_above_half(2, 1), 11.0 / 16);
  EXPECT_DOUBLE_EQ(beta_above_half(1, 1), 0.5);
  EXPECT_NEAR(beta_above_half(500, 500), 0.5, 1e-14);
  EXPECT_NEAR(beta_above_half(1000, 0), 1, 1e-14);
  EXPECT_NEAR(beta_above_half(3, 7) + beta_above_half(7, 3), 1, 1e-14);

  Vote vote;
  EXPECT_EQ(vote.posterior(), 0);
  for (int i = 0; i < 4; ++i) vote.add(i, "a", 1);
  EXPECT_DOUBLE_EQ(vote.posterior(), 1 - 1.0 / 32);
  vote.add(4, "b", 1);
  vote.add(5, "c", 1);
  EXPECT_DOUBLE_EQ(vote.posterior(), beta_above_half(4, 1)) << "only the second counts";
}

TEST(Vote, CertainWhenNobodyCanCatchUp) {
  Vote vote;
  EXPECT_FALSE(vote.certain(0, 1));
  vote.add(0, "a", 1);
  vote.add(1, "a", 1);
  vote.add(2, "b", 1);
  EXPECT_TRUE(vote.certain(0, 1));
  EXPECT_FALSE(vote.certain(1, 1)) << "a tie could arise";
  vote.add(3, "a", 1);
  EXPECT_TRUE(vote.certain(1, 1));
  EXPECT_FALSE(vote.certain(2, 1));
}

}  // namespace
}  // namespace reckon
