// Guesses what a sequence says next with a smaller model whose tokens are the same: it says a few
// tokens, the large one judges them all in one step. Speculative decoding (Leviathan et al. 2023),
// with the sampling noise tied to the position: the small model draws with the noise that the large
// one will draw with, so that where they agree the same token comes out at any temperature.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "forward/decoder.h"
#include "sampling/sampler.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

// Whether every id that both vocabularies have means the same, and those that only one has are
// never said (padding: R1's distills have 151,936 or 152,064 rows for the same tokens). Errors:
// kUsage naming the first id that differs.
Status tokens_agree(const Tokenizer& target, const Tokenizer& draft);

// How many tokens to guess: what a guess of k costs and brings, from how often guesses came true.
class GuessLength {
 public:
  static constexpr int64_t kMaxGuess = 7;  // tokens; with the known one, a step of 8

  // step_cost: a step of the draft by one of the target.
  explicit GuessLength(double step_cost) : step_cost_(step_cost) {}

  // The length at which the most tokens a second are expected; 0 where that is without a guess.
  int64_t best() const;
  void learn(int64_t n_guessed, int64_t n_true);
  // A step without a guess: what was learnt slowly loses weight, so that it is tried again.
  void skip();

 private:
  double step_cost_;
  double n_judged_ = 0;  // tokens whose predecessors had all come true, older ones counting less
  double n_true_ = 0;
};

class Draft {
 public:
  // decoder: with pages for kSequences sequences of `positions` each. step_cost: see GuessLength.
  Draft(std::unique_ptr<Decoder> decoder, int64_t positions, double step_cost);

  static constexpr int64_t kSequences = 2;  // as many as the engine guesses for at once

  struct Context {
    RequestId id = 0;
    std::span<const TokenId> tokens;  // the sequence so far; from call to call it only grows
    int64_t n_prompt = 0;
    const SamplingParams* sampling = nullptr;
    int64_t n_max = 0;  // most tokens of the guess
  };
  // What may follow; often nothing: while the draft still reads the prompt (one batch a call), when
  // guesses don't pay, or when its own step failed. vocab_size: the target's tokens.
  std::span<const TokenId> guess(const Context& context, Sampler& sampler, int64_t vocab_size);
  void learn(RequestId id, int64_t n_guessed, int64_t n_true);
  void forget(RequestId id) { slots_.erase(id); }

 private:
  struct Slot {
    explicit Slot(double step_cost) : length(step_cost) {}
    GuessLength length;
    std::vector<PageId> pages;
    std::vector<TokenId> computed;  // whose KV stands in the pages
  };

  Slot* slot_for(RequestId id);
  bool compute(Slot& slot, std::span<const TokenId> tokens, bool wants_logits);

  std::unique_ptr<Decoder> decoder_;
  int64_t positions_;
  double step_cost_;
  std::map<RequestId, Slot> slots_;
  std::vector<TokenId> guess_;
  std::vector<TokenId> history_;
  std::vector<float> logits_;  // [the draft's vocabulary]
  std::vector<float> padded_;  // [the target's]
};

}  // namespace reckon
