// Options that several commands share: which model and how it is loaded, how an answer is drawn.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/think_options.h"
#include "engine/load.h"
#include "engine/request.h"
#include "gguf/bundled_model.h"

namespace reckon::cli {

struct ModelOptions {
  std::string path{kBundledModel};
  std::optional<int64_t> context_length;
  int n_threads = 0;
  std::string kv_type = "f16";
  bool paged = false;
  bool keep_packed = false;
  std::vector<std::string> adapters;
};
void add_model_option(CLI::App& command, std::string& path);
void add_thread_option(CLI::App& command, int& n_threads);
// How the model lies in memory: --kv-type, --paged, --keep-packed.
void add_memory_options(CLI::App& command, ModelOptions& options);
// All of them: -m, --ctx, --threads, --kv-type, --paged, --keep-packed, --lora. context: what --ctx
// is to the command.
inline constexpr const char* kLargestContext =
    "Context in tokens: prompt, thought and answer together (default: the largest that fits into "
    "memory, up to the model's own)";
inline constexpr const char* kContextOf2048 =
    "Context in tokens: prompt, thought and answer together (default 2048)";
void add_model_options(CLI::App& command, ModelOptions& options,
                       const char* context = kLargestContext);

// Without a template.
LoadOptions load_options(const ModelOptions& options);

struct AnswerOptions {
  ModelOptions model;
  std::string chat_template;
  std::string system;
  bool no_open_thinking = false;
  bool show_thinking = false;
  std::string speculate = "ngram";
  std::string draft;
  std::optional<int64_t> max_tokens;
  ThinkOptions think;
  std::optional<double> temperature;
  std::optional<int64_t> top_k;
  std::optional<double> top_p;
  std::optional<double> min_p;
  double repetition_penalty = 1;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::vector<LogitBias> logit_bias;
  std::vector<std::string> stop;
  uint64_t seed = 0;
};
void add_answer_options(CLI::App& command, AnswerOptions& options);
// Tells people at a terminal what to expect where the program's own model answers.
void introduce_bundled_model(const ModelOptions& options);

LoadOptions load_options(const AnswerOptions& options);
// load_engine() and load_decoder() with a progress bar.
Result<LoadedEngine> load_with_progress(const std::string& path, LoadOptions load, bool json);
Result<LoadedDecoder> load_decoder(const ModelOptions& options, int64_t n_positions, bool json);
RenderOptions render_options(const AnswerOptions& options);
// Fills in what the options say, over the defaults for models of this template.
void apply_answer_options(const AnswerOptions& options, std::string_view template_name,
                          Request& request);

}  // namespace reckon::cli
