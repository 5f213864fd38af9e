// The index of grams grows with the sequence; looking one up costs a hash.
#include "engine/ngram_guesser.h"

#include <algorithm>

namespace reckon {

uint64_t NgramGuesser::hash(std::span<const TokenId> gram) {
  uint64_t hash = 0;
  for (const TokenId token : gram) {
    hash = (hash ^ static_cast<uint64_t>(token)) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

std::span<const TokenId> NgramGuesser::guess(std::span<const TokenId> tokens, int64_t n_max) {
  guess_.clear();
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  const auto gram_before = [&](int64_t end) {
    return tokens.subspan(static_cast<size_t>(end - kGramLength), kGramLength);
  };
  for (; next_end_ < n_tokens; ++next_end_) ends_[hash(gram_before(next_end_))] = next_end_;
  if (pause_ > 0) {
    --pause_;
    return {};
  }
  if (n_tokens < kGramLength) return {};
  const std::span<const TokenId> last = gram_before(n_tokens);
  const auto known = ends_.find(hash(last));
  if (known == ends_.end()) return {};
  const int64_t end = known->second;
  if (!std::equal(last.begin(), last.end(), gram_before(end).begin())) return {};
  // What followed may run into the sequence's end: then it is a loop, and goes on as one.
  const int64_t period = n_tokens - end;
  for (int64_t i = 0; i < std::min(length_, n_max); ++i) {
    guess_.push_back(i < period ? tokens[static_cast<size_t>(end + i)]
                                : guess_[static_cast<size_t>(i - period)]);
  }
  return guess_;
}

void NgramGuesser::learn(int64_t n_guessed, int64_t n_true) {
  if (n_guessed == 0) return;
  if (n_true == 0) {
    last_pause_ = std::clamp<int64_t>(2 * last_pause_, 2, kMaxPause);
    pause_ = last_pause_;
    length_ = kFirstGuess;
  } else {
    last_pause_ = 0;
    length_ = n_true == n_guessed ? kMaxGuess : std::max(n_true, kFirstGuess);
  }
}

}  // namespace reckon
