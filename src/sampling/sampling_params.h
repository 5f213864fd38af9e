// How the next token is drawn from the logits: what a request may ask for, what is refused, and the
// defaults of each family of models.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/token.h"

namespace reckon {

struct LogitBias {
  TokenId token = 0;
  double bias = 0;  // added to the logit
};

// Applied in this order: logit bias, penalties, temperature, top-k, top-p, min-p, draw
// (docs/decisions/0004-scheduling.md says why).
struct SamplingParams {
  double temperature = 1.0;  // 0: greedy, the largest logit, ties to the lowest id
  int64_t top_k = 0;         // keep the k likeliest tokens; 0: all
  double top_p = 1.0;        // keep the likeliest tokens that together reach this share
  double min_p = 0.0;        // keep tokens at least this likely relative to the likeliest

  // Divides positive and multiplies negative logits of tokens in the prompt and the output
  // (Keskar et al. 2019, section 4.1); 1: off.
  double repetition_penalty = 1.0;
  // Subtracted once from tokens that stand in the output; 0: off.
  double presence_penalty = 0.0;
  // Subtracted for each time a token stands in the output; 0: off.
  double frequency_penalty = 0.0;
  // The penalties look at this many last tokens; -1: at all of them.
  int64_t penalty_last_n = -1;

  std::vector<LogitBias> logit_bias;
  uint64_t seed = 0;
  // Log-probabilities to report, under the model's own distribution (before everything above):
  // -1: none; 0: of the chosen token; n: also of the n likeliest.
  int n_logprobs = -1;
};

inline constexpr int kMaxLogprobs = 100;

// Errors: kUsage naming the field, what was expected and what was found.
Status validate(const SamplingParams& params, int64_t vocab_size);

// What a model is sampled with when nothing is said, by its chat template's name: R1's published
// 0.6 / 0.95 for "deepseek-r1" and "deepseek-r1-older", for others the values users of llama.cpp
// know (0.8, top-k 40, top-p 0.95, min-p 0.05).
SamplingParams default_sampling(std::string_view template_name);

}  // namespace reckon
