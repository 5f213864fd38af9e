// What judges answers under training: rules, or a program. Inside cli/ only.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/problems.h"

namespace reckon::cli {

struct RewardOptions {
  std::vector<std::string> rewards;  // "number", "format=0.2"
  std::string verifier;
};

// --reward, with what it is for, and --verifier; the list of rules below the command's help.
void add_reward_options(CLI::App& command, RewardOptions& options, const std::string& purpose);

// The sum of the rules, or the verifier's score; empty where neither is given. Errors: kUsage,
// kFailed when the verifier can't be started.
Result<train::Scorer> make_scorer(const RewardOptions& options);

}  // namespace reckon::cli
