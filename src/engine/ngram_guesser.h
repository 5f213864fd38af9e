// Guesses what a sequence says next by looking up where its last tokens stood before: answers that
// quote or revise what was said repeat it at length. A guess costs a slower step, so it is made
// only while guesses come true. Prompt lookup decoding (Saxena 2023), with the decoder as the judge
// (Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding").
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tokenizer/token.h"

namespace reckon {

class NgramGuesser {
 public:
  static constexpr int64_t kMaxGuess = 7;  // tokens; with the known one, a step of 8

  // At most n_max tokens that may follow; often none. `tokens` is the sequence so far; from call to
  // call it only grows.
  std::span<const TokenId> guess(std::span<const TokenId> tokens, int64_t n_max);
  // How many of the first tokens of a guess of n_guessed came true.
  void learn(int64_t n_guessed, int64_t n_true);

 private:
  static constexpr int64_t kGramLength = 3;
  static constexpr int64_t kFirstGuess = 3;
  static constexpr int64_t kMaxPause = 64;

  static uint64_t hash(std::span<const TokenId> gram);

  // Hash of a gram -> where in the sequence its latest occurrence ends.
  std::unordered_map<uint64_t, int64_t> ends_;
  int64_t next_end_ = kGramLength;  // of the first gram not in ends_ yet
  int64_t length_ = kFirstGuess;    // of the next guess
  int64_t pause_ = 0;               // calls still to pass without a guess
  int64_t last_pause_ = 0;          // how long the last one was; doubles from failure to failure
  std::vector<TokenId> guess_;
};

}  // namespace reckon
