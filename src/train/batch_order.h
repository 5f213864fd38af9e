// In which order examples are learned: each epoch a permutation of its own, cut into steps of a
// number of tokens. A function of the seed and the examples' lengths alone, so that a run can go on
// from any step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/batch.h"

namespace reckon::train {

class BatchOrder {
 public:
  // lengths: in tokens computed. batch_tokens: of a step; one longer example makes a step alone.
  BatchOrder(std::vector<int64_t> lengths, int64_t batch_tokens, uint64_t seed);

  // The next step's examples.
  std::vector<size_t> next();

  struct Place {
    int64_t epoch = 0;
    int64_t index = 0;  // of the epoch's permutation
  };
  Place place() const { return place_; }
  void go_to(Place place);
  // go_to() for a place read from the file at path. Errors: kBadFile when it is none of this
  // data's.
  Status resume_at(Place place, const std::string& path);

  // Steps that so many epochs take, the last one perhaps into the next epoch.
  int64_t count_steps(double epochs) const;

 private:
  void shuffle();

  std::vector<int64_t> lengths_;
  int64_t batch_tokens_;
  uint64_t seed_;
  Place place_;
  std::vector<size_t> permutation_;
};

// A step's examples packed into batches of at most max_tokens each (one longer makes one alone).
std::vector<PackedBatch> pack(const std::vector<Example>& examples,
                              const std::vector<size_t>& chosen, int64_t max_tokens);

// Tokens that an example adds to a batch: its last one predicts nothing.
inline int64_t computed_tokens(const Example& example) {
  return static_cast<int64_t>(example.tokens.size()) - 1;
}

}  // namespace reckon::train
