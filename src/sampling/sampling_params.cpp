// The limits of each field and the families' defaults.
#include "sampling/sampling_params.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

namespace reckon {
namespace {

// Bounds wide enough for every use and narrow enough that double arithmetic on logits stays finite.
constexpr double kMaxTemperature = 100.0;
constexpr double kMaxPenalty = 100.0;
constexpr double kMaxBias = 1000.0;

Error out_of_range(std::string_view field, const std::string& expected, double found) {
  return usage_error(fmt::format("{}: expected {}, found {}", field, expected, found));
}

// Also refuses NaN, which fails every comparison.
Status check_range(std::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return out_of_range(field, fmt::format("a number from {} to {}", low, high), value);
}

}  // namespace

Status validate(const SamplingParams& params, int64_t vocab_size) {
  RECKON_RETURN_IF_ERROR(check_range("temperature", params.temperature, 0.0, kMaxTemperature));
  RECKON_RETURN_IF_ERROR(check_range("top_p", params.top_p, 0.0, 1.0));
  RECKON_RETURN_IF_ERROR(check_range("min_p", params.min_p, 0.0, 1.0));
  if (!(params.repetition_penalty > 0.0 && params.repetition_penalty <= kMaxPenalty)) {
    return out_of_range("repetition_penalty",
                        fmt::format("a number above 0 and at most {}", kMaxPenalty),
                        params.repetition_penalty);
  }
  RECKON_RETURN_IF_ERROR(
      check_range("presence_penalty", params.presence_penalty, -kMaxPenalty, kMaxPenalty));
  RECKON_RETURN_IF_ERROR(
      check_range("frequency_penalty", params.frequency_penalty, -kMaxPenalty, kMaxPenalty));
  if (params.top_k < 0) {
    return usage_error(fmt::format("top_k: expected 0 (off) or more, found {}", params.top_k));
  }
  if (params.penalty_last_n < -1) {
    return usage_error(
        fmt::format("penalty_last_n: expected -1 (all) or more, found {}", params.penalty_last_n));
  }
  if (params.n_logprobs < -1 || params.n_logprobs > kMaxLogprobs) {
    return usage_error(fmt::format("n_logprobs: expected -1 (none) to {}, found {}", kMaxLogprobs,
                                   params.n_logprobs));
  }
  for (const LogitBias& entry : params.logit_bias) {
    if (entry.token < 0 || entry.token >= vocab_size) {
      return usage_error(fmt::format("logit_bias: expected a token id from 0 to {}, found {}",
                                     vocab_size - 1, entry.token));
    }
    RECKON_RETURN_IF_ERROR(
        check_range(fmt::format("logit_bias[{}]", entry.token), entry.bias, -kMaxBias, kMaxBias));
  }
  return {};
}

SamplingParams default_sampling(std::string_view template_name) {
  SamplingParams params;
  if (template_name == "deepseek-r1" || template_name == "deepseek-r1-older") {
    // The protocol behind the published figures (r1's README and paper): temperature 0.6, top-p
    // 0.95; greedy decoding makes these models repeat themselves.
    params.temperature = 0.6;
    params.top_p = 0.95;
  } else {
    params.temperature = 0.8;
    params.top_k = 40;
    params.top_p = 0.95;
    params.min_p = 0.05;
  }
  return params;
}

}  // namespace reckon
