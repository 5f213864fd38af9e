// The objective's numbers against the formulas worked out by hand, and its derivative against
// differences.
#include "train/grpo_loss.h"

#include <gtest/gtest.h>

#include <cmath>

namespace reckon::train {
namespace {

TEST(Advantages, AreStandardisedWithinTheGroup) {
  const std::vector<double> rewards = {1, 0, 0, 0};
  const std::vector<double> grpo = advantages(rewards, true);
  EXPECT_NEAR(grpo[0], 0.75 / std::sqrt(0.1875), 1e-5);
  EXPECT_NEAR(grpo[1], -0.25 / std::sqrt(0.1875), 1e-5);
  const std::vector<double> dr = advantages(rewards, false);
  EXPECT_DOUBLE_EQ(dr[0], 0.75);
  EXPECT_DOUBLE_EQ(dr[3], -0.25);
}

TEST(Advantages, DeadGroupsHaveNone) {
  for (const double reward : {0.0, 1.0, 0.1}) {
    const std::vector<double> rewards(5, reward);
    EXPECT_TRUE(is_dead(rewards));
    for (const double a : advantages(rewards, true)) EXPECT_EQ(a, 0);
  }
  EXPECT_TRUE(advantages({}, true).empty());
}

TEST(TokenWeight, SumsToOneInTheMeansThatSaySo) {
  GrpoLoss loss;
  const std::vector<int64_t> lengths = {10, 1, 29};
  for (const LossNorm norm : {LossNorm::kSequence, LossNorm::kToken}) {
    loss.norm = norm;
    double sum = 0;
    for (const int64_t n : lengths) {
      sum += static_cast<double>(n) * token_weight(loss, n, 3, 40, 100);
    }
    EXPECT_NEAR(sum, 1, 1e-12);
  }
  loss.norm = LossNorm::kConstant;
  EXPECT_DOUBLE_EQ(token_weight(loss, 10, 3, 40, 100), 1.0 / 300);
}

double objective(const GrpoLoss& loss, const TokenTerms& t, double logprob) {
  const double ratio = std::exp(logprob - t.old_logprob);
  const double clipped = std::clamp(ratio, 1 - loss.clip_low, 1 + loss.clip_high);
  double gain = std::min(ratio * t.advantage, clipped * t.advantage);
  if (loss.importance_cap > 0) {
    gain *= std::min(std::exp(t.old_logprob - t.rollout), loss.importance_cap);
  }
  const double d = t.reference - logprob;
  return t.weight * (loss.kl_weight * (std::exp(d) - d - 1) - gain);
}

TEST(LogprobGradient, IsTheObjectivesDerivative) {
  for (const double kl : {0.0, 0.1}) {
    for (const double cap : {0.0, 2.0}) {
      const GrpoLoss loss{.norm = LossNorm::kToken,
                          .divide_by_std = true,
                          .clip_low = 0.2,
                          .clip_high = 0.28,
                          .kl_weight = kl,
                          .importance_cap = cap};
      for (const double advantage : {-1.5, 0.7}) {
        for (double logprob = -2; logprob < -0.5; logprob += 0.0371) {
          for (const double rollout : {-1.1, -2.9}) {
            const TokenTerms t{.advantage = advantage,
                               .weight = 0.3,
                               .old_logprob = -1.2,
                               .reference = -1.4,
                               .rollout = rollout};
            bool clipped = false;
            const double gradient = logprob_gradient(loss, t, logprob, &clipped);
            const double slope =
                (objective(loss, t, logprob + 1e-6) - objective(loss, t, logprob - 1e-6)) / 2e-6;
            EXPECT_NEAR(gradient, slope, 1e-6) << advantage << " " << logprob;
            EXPECT_NEAR(token_loss(loss, t, logprob), objective(loss, t, logprob), 1e-12);
            const double ratio = std::exp(logprob + 1.2);
            EXPECT_EQ(clipped, advantage > 0 ? ratio > 1.28 : ratio < 0.8);
          }
        }
      }
    }
  }
}

TEST(LogprobGradient, RaisesWhatWasBetterAndStaysFinite) {
  GrpoLoss loss;
  EXPECT_LT(logprob_gradient(loss, {.advantage = 1, .weight = 1}, 0, nullptr), 0);
  EXPECT_GT(logprob_gradient(loss, {.advantage = -1, .weight = 1}, 0, nullptr), 0);
  loss.kl_weight = 1;
  EXPECT_TRUE(std::isfinite(logprob_gradient(
      loss, {.advantage = -1, .weight = 1, .old_logprob = -1000, .reference = 0}, -2000, nullptr)));
  EXPECT_NEAR(k3(-1, -1), 0, 1e-12);
  EXPECT_GT(k3(-1, -2), 0);
}

}  // namespace
}  // namespace reckon::train
