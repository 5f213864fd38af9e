// The permutations are Fisher and Yates's.
#include "train/batch_order.h"

#include <numeric>
#include <utility>

#include "base/check.h"
#include "model/synth_weights.h"

namespace reckon::train {

BatchOrder::BatchOrder(std::vector<int64_t> lengths, int64_t batch_tokens, uint64_t seed)
    : lengths_(std::move(lengths)), batch_tokens_(batch_tokens), seed_(seed) {
  RECKON_CHECK(!lengths_.empty());
  shuffle();
}

void BatchOrder::shuffle() {
  permutation_.resize(lengths_.size());
  std::iota(permutation_.begin(), permutation_.end(), size_t{0});
  const uint64_t key = mix_bits(mix_bits(seed_) + static_cast<uint64_t>(place_.epoch) + 1);
  for (size_t i = permutation_.size() - 1; i > 0; --i) {
    // The modulo's bias is below 2^-30 for any number of examples that fits in memory.
    std::swap(permutation_[i], permutation_[mix_bits(key + i) % (i + 1)]);
  }
}

void BatchOrder::go_to(Place place) {
  place_ = place;
  shuffle();
}

Status BatchOrder::resume_at(Place place, const std::string& path) {
  if (place.epoch < 0 || place.index < 0 || place.index > std::ssize(lengths_)) {
    return bad_file(path + ": its place lies beyond the data");
  }
  go_to(place);
  return {};
}

std::vector<size_t> BatchOrder::next() {
  std::vector<size_t> chosen;
  for (int64_t n_tokens = 0;;) {
    if (place_.index == std::ssize(permutation_)) go_to({place_.epoch + 1, 0});
    const size_t example = permutation_[static_cast<size_t>(place_.index)];
    if (!chosen.empty() && n_tokens + lengths_[example] > batch_tokens_) return chosen;
    n_tokens += lengths_[example];
    chosen.push_back(example);
    ++place_.index;
  }
}

int64_t BatchOrder::count_steps(double epochs) const {
  BatchOrder copy(lengths_, batch_tokens_, seed_);
  const auto n = static_cast<double>(lengths_.size());
  int64_t steps = 0;
  for (;;) {
    const auto done =
        static_cast<double>(copy.place_.epoch) * n + static_cast<double>(copy.place_.index);
    if (done >= epochs * n) return steps;
    copy.next();
    ++steps;
  }
}

std::vector<PackedBatch> pack(const std::vector<Example>& examples,
                              const std::vector<size_t>& chosen, int64_t max_tokens) {
  std::vector<PackedBatch> batches;
  for (const size_t i : chosen) {
    const int64_t n = computed_tokens(examples[i]);
    if (batches.empty() || batches.back().n_tokens() + n > max_tokens) batches.emplace_back();
    batches.back().add(examples[i]);
  }
  return batches;
}

}  // namespace reckon::train
