// The formulas.
#include "train/grpo_loss.h"

#include <algorithm>
#include <cmath>

#include "kernels/scalar_math.h"

namespace reckon::train {
namespace {

// exp without overflow of what follows; log-ratios this large mean the policies have parted.
double bounded_exp(double x) { return exact_exp(std::clamp(x, -30.0, 30.0)); }

double importance(const GrpoLoss& loss, const TokenTerms& token) {
  return std::min(bounded_exp(token.old_logprob - token.rollout), loss.importance_cap);
}

}  // namespace

bool is_dead(std::span<const double> rewards) {
  return std::ranges::all_of(rewards, [&](double r) { return r == rewards.front(); });
}

std::vector<double> advantages(std::span<const double> rewards, bool divide_by_std) {
  std::vector<double> result(rewards.size(), 0.0);
  if (rewards.empty() || is_dead(rewards)) return result;
  const auto n = static_cast<double>(rewards.size());
  double mean = 0;
  for (const double r : rewards) mean += r / n;
  double variance = 0;
  for (const double r : rewards) variance += (r - mean) * (r - mean) / n;
  const double scale = divide_by_std ? 1 / (std::sqrt(variance) + 1e-6) : 1;
  for (size_t i = 0; i < rewards.size(); ++i) result[i] = (rewards[i] - mean) * scale;
  return result;
}

double token_weight(const GrpoLoss& loss, int64_t n_tokens, int64_t n_rollouts, int64_t all_tokens,
                    int64_t max_tokens) {
  switch (loss.norm) {
    case LossNorm::kSequence: return 1 / static_cast<double>(n_tokens * n_rollouts);
    case LossNorm::kToken: return 1 / static_cast<double>(all_tokens);
    case LossNorm::kConstant: return 1 / static_cast<double>(max_tokens * n_rollouts);
  }
  return 0;
}

double k3(double reference, double logprob) {
  const double log_ratio = reference - logprob;
  return bounded_exp(log_ratio) - log_ratio - 1;
}

double logprob_gradient(const GrpoLoss& loss, const TokenTerms& token, double logprob,
                        bool* clipped) {
  const double ratio = bounded_exp(logprob - token.old_logprob);
  // min(rho A, clip(rho) A): past the clip, in the direction A pushes, the objective is flat.
  const bool is_clipped =
      token.advantage > 0 ? ratio > 1 + loss.clip_high : ratio < 1 - loss.clip_low;
  if (clipped != nullptr) *clipped = is_clipped && token.advantage != 0;
  double objective = is_clipped ? 0 : ratio * token.advantage;
  if (loss.importance_cap > 0) objective *= importance(loss, token);
  // d k3 / dlogprob = 1 - exp(reference - logprob).
  const double kl = loss.kl_weight > 0 ? 1 - bounded_exp(token.reference - logprob) : 0;
  return token.weight * (loss.kl_weight * kl - objective);
}

double token_loss(const GrpoLoss& loss, const TokenTerms& token, double logprob) {
  const double ratio = bounded_exp(logprob - token.old_logprob);
  const double bounded = std::clamp(ratio, 1 - loss.clip_low, 1 + loss.clip_high);
  double objective = std::min(ratio * token.advantage, bounded * token.advantage);
  if (loss.importance_cap > 0) objective *= importance(loss, token);
  const double kl = loss.kl_weight > 0 ? k3(token.reference, logprob) : 0;
  return token.weight * (loss.kl_weight * kl - objective);
}

}  // namespace reckon::train
