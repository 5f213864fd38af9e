// What eval and thinking share: which problems a model answers, and how.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/model_options.h"
#include "engine/load.h"
#include "eval/evaluate.h"

namespace reckon::cli {

struct EvaluationCommandOptions {
  ModelOptions model;
  std::string chat_template;
  std::string data;
  int64_t n_per_kind = 0;
  bool json = false;
  eval::EvaluationOptions evaluation;
};
// --data, the model's, --chat-template, -n, --top-p, --max-tokens, --seed, --json. The temperature
// is each command's own.
void add_evaluation_options(CLI::App& command, EvaluationCommandOptions& options);

// The model, with room for n_sequences answers at once.
Result<LoadedEngine> load_for_evaluation(const EvaluationCommandOptions& options,
                                         int64_t n_sequences);

}  // namespace reckon::cli
