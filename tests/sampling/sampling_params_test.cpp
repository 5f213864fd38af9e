// What requests may ask of sampling, and what each refusal says.
#include "sampling/sampling_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace reckon {
namespace {

using ::testing::HasSubstr;

TEST(SamplingParams, DefaultsAreValid) {
  EXPECT_TRUE(validate(SamplingParams{}, 1).ok());
  for (const char* name : {"deepseek-r1", "deepseek-r1-older", "chatml", "llama3", ""}) {
    EXPECT_TRUE(validate(default_sampling(name), 100).ok()) << name;
  }
}

TEST(SamplingParams, R1IsSampledAsPublished) {
  for (const char* name : {"deepseek-r1", "deepseek-r1-older"}) {
    const SamplingParams params = default_sampling(name);
    EXPECT_EQ(params.temperature, 0.6);
    EXPECT_EQ(params.top_p, 0.95);
    EXPECT_EQ(params.top_k, 0);
    EXPECT_EQ(params.min_p, 0.0);
  }
  EXPECT_NE(default_sampling("chatml").temperature, 0.6);
}

TEST(SamplingParams, RefusesWhatMakesNoSense) {
  const double nan = std::nan("");
  const double inf = std::numeric_limits<double>::infinity();
  struct Case {
    const char* field;
    std::function<void(SamplingParams&)> spoil;
  };
  const Case cases[] = {
      {"temperature", [&](auto& p) { p.temperature = nan; }},
      {"temperature", [&](auto& p) { p.temperature = -0.1; }},
      {"temperature", [&](auto& p) { p.temperature = inf; }},
      {"top_p", [&](auto& p) { p.top_p = nan; }},
      {"top_p", [&](auto& p) { p.top_p = 1.0001; }},
      {"top_p", [&](auto& p) { p.top_p = -1; }},
      {"min_p", [&](auto& p) { p.min_p = nan; }},
      {"min_p", [&](auto& p) { p.min_p = 2; }},
      {"top_k", [&](auto& p) { p.top_k = -1; }},
      {"repetition_penalty", [&](auto& p) { p.repetition_penalty = 0; }},
      {"repetition_penalty", [&](auto& p) { p.repetition_penalty = nan; }},
      {"repetition_penalty", [&](auto& p) { p.repetition_penalty = inf; }},
      {"presence_penalty", [&](auto& p) { p.presence_penalty = nan; }},
      {"frequency_penalty", [&](auto& p) { p.frequency_penalty = -inf; }},
      {"penalty_last_n", [&](auto& p) { p.penalty_last_n = -2; }},
      {"n_logprobs", [&](auto& p) { p.n_logprobs = -2; }},
      {"n_logprobs", [&](auto& p) { p.n_logprobs = kMaxLogprobs + 1; }},
      {"logit_bias", [&](auto& p) { p.logit_bias = {{100, 1.0}}; }},
      {"logit_bias", [&](auto& p) { p.logit_bias = {{-1, 1.0}}; }},
      {"logit_bias", [&](auto& p) { p.logit_bias = {{3, nan}}; }},
      {"logit_bias", [&](auto& p) { p.logit_bias = {{3, inf}}; }},
  };
  for (const Case& c : cases) {
    SamplingParams params;
    c.spoil(params);
    const Status status = validate(params, 100);
    ASSERT_FALSE(status.ok()) << c.field;
    EXPECT_EQ(status.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(status.error().message, HasSubstr(c.field));
    EXPECT_THAT(status.error().message, HasSubstr("expected"));
    EXPECT_THAT(status.error().message, HasSubstr("found"));
  }
}

}  // namespace
}  // namespace reckon
