// A vote over the final answers of several paths, and when it is decided.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reckon {

class Vote {
 public:
  struct Candidate {
    std::string answer;  // as it was first said
    std::string normalised;
    int64_t n_votes = 0;
    double weight = 0;
    int64_t first_path = 0;
  };

  // answer: as it was said, not empty. weight: finite, 0 or more.
  void add(int64_t path, std::string_view answer, double weight);

  int64_t n_votes() const { return n_votes_; }
  // By weight, ties by the lowest path that gave the answer: the first has won.
  std::vector<Candidate> ranking() const;

  // The probability that the leader is the more frequent of the two answers ahead, were paths drawn
  // for ever: both counts are taken for draws of a Beta(1, 1) share (Aggarwal et al. 2023,
  // "Let's Sample Step by Step", equation 3), P(share > 1/2) under Beta(n1 + 1, n2 + 1). 0 without
  // votes.
  double posterior() const;
  // Whether n_left further votes of at most this weight each can't change the leader.
  bool certain(int64_t n_left, double max_weight) const;

 private:
  std::vector<Candidate> candidates_;  // by their first vote
  int64_t n_votes_ = 0;
};

// P(X > 1/2) for X ~ Beta(a + 1, b + 1), counts a, b >= 0 with a + b <= 1000: exact sums of
// binomials in doubles.
double beta_above_half(int64_t a, int64_t b);

}  // namespace reckon
