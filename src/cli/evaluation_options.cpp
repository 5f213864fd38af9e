// Declared once, so that eval and thinking answer the same problems alike.
#include "cli/evaluation_options.h"

#include <utility>

namespace reckon::cli {

namespace {

// What kContextOf2048 tells of.
constexpr int64_t kContext = 2048;

}  // namespace

void add_evaluation_options(CLI::App& command, EvaluationCommandOptions& options) {
  command.add_option("--data", options.data, "The tasks, JSON lines")
      ->type_name("FILE")
      ->required();
  add_model_options(command, options.model, kContextOf2048);
  command.add_option("--chat-template", options.chat_template, "Another than the model file's own")
      ->type_name("NAME");
  command.add_option("-n,--per-kind", options.n_per_kind, "Tasks of each kind; 0: all")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--top-p", options.evaluation.top_p, "With a temperature")
      ->type_name("X")
      ->capture_default_str();
  command.add_option("--max-tokens", options.evaluation.max_tokens, "Of an output")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--seed", options.evaluation.seed, "Of the draws")
      ->type_name("N")
      ->capture_default_str();
  command.add_flag("--json", options.json, "Print one JSON object and nothing else");
}

Result<LoadedEngine> load_for_evaluation(const EvaluationCommandOptions& options,
                                         int64_t n_sequences) {
  LoadOptions load = load_options(options.model);
  load.chat_template = options.chat_template;
  load.needs_chat_template = true;
  load.n_sequences = n_sequences;
  if (!load.context_length) load.context_length = kContext;
  return load_with_progress(options.model.path, std::move(load), options.json);
}

}  // namespace reckon::cli
