// The objective of group relative policy optimisation and its variants, as numbers: advantages of a
// group, and for each token the derivative of the loss by its log-probability.
//   GRPO      Shao et al. 2024, eq. 3 and 4: A = (r - mean) / std; mean over a rollout's tokens,
//   then
//             over rollouts
//   Dr. GRPO  Liu et al. 2025, section 3.2: no std, no division by the rollout's own length
//   DAPO      Yu et al. 2025, eq. 8 to 12: a higher upper clip, mean over all tokens of the step
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reckon::train {

enum class LossNorm {
  kSequence,  // GRPO: 1 / length of the rollout, then 1 / rollouts
  kToken,     // DAPO: 1 / tokens of all rollouts
  kConstant,  // Dr. GRPO: 1 / (rollouts * the limit on their length)
};

struct GrpoLoss {
  LossNorm norm = LossNorm::kSequence;
  bool divide_by_std = true;
  double clip_low = 0.2;
  double clip_high = 0.2;
  double kl_weight = 0;       // of the k3 estimator (Schulman 2020) to the reference policy
  double importance_cap = 0;  // truncated importance weights against the rollouts' policy; 0: none
};

// advantages [group]; all 0 for a group whose rewards are all equal (a dead group).
std::vector<double> advantages(std::span<const double> rewards, bool divide_by_std);
bool is_dead(std::span<const double> rewards);

struct TokenTerms {
  double advantage = 0;
  double weight = 0;       // of this token in the mean
  double old_logprob = 0;  // by the trainer's weights before the step
  double reference = 0;    // by the reference policy, where kl_weight isn't 0
  double rollout = 0;      // by the quantised policy that drew it, where importance_cap isn't 0
};
// dLoss / dlogprob at the current logprob. clipped (may be null) is set where the clip cut the
// gradient off.
double logprob_gradient(const GrpoLoss& loss, const TokenTerms& token, double logprob,
                        bool* clipped);

// The token's part of the loss, whose derivative that is.
double token_loss(const GrpoLoss& loss, const TokenTerms& token, double logprob);

// weight of each token of a rollout of n_tokens under a norm.
double token_weight(const GrpoLoss& loss, int64_t n_tokens, int64_t n_rollouts, int64_t all_tokens,
                    int64_t max_tokens);

// exp(reference - logprob) - (reference - logprob) - 1.
double k3(double reference, double logprob);

}  // namespace reckon::train
