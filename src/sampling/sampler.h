// Logits and history -> the next token. Every step is either an exact integer sum or a double
// operation in a fixed order, so the same logits, parameters, seed and position give the same token
// on every machine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "sampling/sampling_params.h"
#include "tokenizer/token.h"

namespace reckon {

struct TokenLogprob {
  TokenId token = 0;
  double logprob = 0;  // natural logarithm
};

struct TokenLogprobs {
  double chosen = 0;
  std::vector<TokenLogprob> top;  // best first, ties by lowest id
};

struct SampledToken {
  TokenId token = 0;
  std::optional<TokenLogprobs> logprobs;  // when the parameters ask for them
};

// What has been said so far: the prompt, then the output.
struct SamplingHistory {
  std::span<const TokenId> tokens;
  int64_t n_prompt = 0;  // tokens[0, n_prompt) are the prompt
};

// Working memory for one vocabulary; one thread at a time, no state from call to call.
class Sampler {
 public:
  explicit Sampler(int64_t vocab_size);

  // logits [vocab_size], finite or -inf. params validated against vocab_size. The token's place in
  // its sequence, history.tokens.size(), and the seed decide the draw. allowed: one bit a token, at
  // least one set: no other is taken, and they are cut and drawn as if there were no others. Empty:
  // all.
  SampledToken sample(const SamplingParams& params, std::span<const float> logits,
                      const SamplingHistory& history, std::span<const uint64_t> allowed = {});

  // log softmax(logits)[token] and the n_top likeliest.
  TokenLogprobs logprobs(std::span<const float> logits, TokenId token, int n_top);

 private:
  struct Candidate {
    float logit;
    TokenId token;
    uint64_t weight;
  };

  void adjust(const SamplingParams& params, const SamplingHistory& history);
  void penalise(const SamplingParams& params, const SamplingHistory& history);
  void mask(std::span<const uint64_t> allowed);
  uint64_t weigh(std::span<const float> logits, double temperature);
  uint64_t cut(const SamplingParams& params, uint64_t total);
  void select_last_bucket(int64_t count, uint64_t mass);
  Candidate select_worst();
  uint64_t keep_to(const Candidate& worst);
  TokenId draw(uint64_t kept, uint64_t random) const;

  int64_t vocab_size_;
  int weight_bits_;                   // the likeliest token weighs 2^weight_bits_
  std::vector<float> logits_;         // [vocab_size], adjusted
  std::vector<uint64_t> weights_;     // [vocab_size], fixed point, 0 when out of reach
  std::vector<uint16_t> buckets_;     // [vocab_size], by distance from the largest logit
  std::vector<uint32_t> counts_;      // [vocab_size], zero between calls
  std::vector<Candidate> selection_;  // see select_last_bucket
  int64_t wanted_count_ = 0;
  uint64_t wanted_mass_ = 0;
  std::vector<std::pair<int64_t, uint64_t>> bucket_sums_;  // tokens and weight of each bucket
};

}  // namespace reckon
