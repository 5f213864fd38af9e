// Counting.
#include "reasoning/vote.h"

#include <algorithm>

#include "base/check.h"
#include "reasoning/answer.h"

namespace reckon {

void Vote::add(int64_t path, std::string_view answer, double weight) {
  std::string normalised = normalise_answer(answer);
  ++n_votes_;
  for (Candidate& candidate : candidates_) {
    if (candidate.normalised != normalised) continue;
    ++candidate.n_votes;
    candidate.weight += weight;
    candidate.first_path = std::min(candidate.first_path, path);
    return;
  }
  candidates_.push_back({.answer = std::string(answer),
                         .normalised = std::move(normalised),
                         .n_votes = 1,
                         .weight = weight,
                         .first_path = path});
}

std::vector<Vote::Candidate> Vote::ranking() const {
  std::vector<Candidate> sorted = candidates_;
  std::sort(sorted.begin(), sorted.end(), [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.first_path < b.first_path;
  });
  return sorted;
}

double Vote::posterior() const {
  const std::vector<Candidate> sorted = ranking();
  if (sorted.empty()) return 0;
  int64_t second = 0;
  for (size_t i = 1; i < sorted.size(); ++i) second = std::max(second, sorted[i].n_votes);
  return beta_above_half(sorted[0].n_votes, second);
}

bool Vote::certain(int64_t n_left, double max_weight) const {
  const std::vector<Candidate> sorted = ranking();
  if (sorted.empty()) return false;
  const double second = sorted.size() > 1 ? sorted[1].weight : 0;
  // Strictly ahead, so that no tie can arise.
  return sorted[0].weight > second + static_cast<double>(n_left) * max_weight;
}

// For whole parameters the incomplete beta function is a sum of binomials (Abramowitz and Stegun
// 26.5.7): P(X > 1/2) = P(Bin(a + b + 1, 1/2) <= a). The terms grow from 2^-n by (n - j) / (j + 1);
// 2^-1001 is a double like any other.
double beta_above_half(int64_t a, int64_t b) {
  RECKON_CHECK(a >= 0 && b >= 0 && a + b <= 1000);
  const int64_t n = a + b + 1;
  double term = 1;
  for (int64_t i = 0; i < n; ++i) term /= 2;
  double sum = 0;
  for (int64_t j = 0; j <= a; ++j) {
    sum += term;
    term = term * static_cast<double>(n - j) / static_cast<double>(j + 1);
  }
  return sum;
}

}  // namespace reckon
