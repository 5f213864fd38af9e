// Rules by name, weighted and summed.
#include "cli/reward_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <system_error>

#include "train/reward.h"
#include "train/verifier.h"

namespace reckon::cli {
namespace {

std::string list_of_rewards() {
  std::string text;
  for (const train::RewardInfo& info : train::all_rewards()) {
    text += fmt::format("\n  {:<11} {}", info.name, info.summary);
  }
  return text;
}

struct WeightedReward {
  train::RewardFunction function = nullptr;
  double weight = 1;
};

// "NAME" or "NAME=WEIGHT".
Result<WeightedReward> parse_reward(const std::string& text) {
  const size_t equals = std::min(text.find('='), text.size());
  const std::string name = text.substr(0, equals);
  WeightedReward reward;
  const train::RewardInfo* info = train::find_reward(name);
  if (info == nullptr) {
    return usage_error(
        fmt::format("--reward: expected one of these, found \"{}\":{}", name, list_of_rewards()));
  }
  reward.function = info->function;
  if (equals < text.size()) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + equals + 1, end, reward.weight);
    if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(reward.weight)) {
      return usage_error(fmt::format("--reward {}: expected NAME=NUMBER", text));
    }
  }
  return reward;
}

}  // namespace

void add_reward_options(CLI::App& command, RewardOptions& options, const std::string& purpose) {
  command.add_option("--reward", options.rewards, purpose)->type_name("NAME[=WEIGHT]");
  command
      .add_option("--verifier", options.verifier,
                  "A program that reads a line of JSON for each answer and writes {\"score\": X}")
      ->type_name("COMMAND");
  command.footer("Rules:" + list_of_rewards());
}

Result<train::Scorer> make_scorer(const RewardOptions& options) {
  if (!options.verifier.empty() && !options.rewards.empty()) {
    return usage_error("expected --reward or --verifier, and not both");
  }
  if (!options.verifier.empty()) {
    RECKON_ASSIGN(const std::shared_ptr<train::Verifier> verifier,
                  train::Verifier::start(options.verifier));
    return train::Scorer(
        [verifier](const train::RewardInput& input) { return verifier->score(input); });
  }
  if (options.rewards.empty()) return train::Scorer();
  std::vector<WeightedReward> rewards;
  for (const std::string& text : options.rewards) {
    RECKON_ASSIGN(const WeightedReward reward, parse_reward(text));
    rewards.push_back(reward);
  }
  return train::Scorer([rewards](const train::RewardInput& input) -> Result<double> {
    double sum = 0;
    for (const WeightedReward& reward : rewards) {
      RECKON_ASSIGN(const double score, reward.function(input));
      sum += reward.weight * score;
    }
    return sum;
  });
}

}  // namespace reckon::cli
