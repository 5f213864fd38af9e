// Definitions of the shared options.
#include "cli/model_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "cli/models.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "sampling/sampling_params.h"

namespace reckon::cli {

void add_model_option(CLI::App& command, std::string& path) {
  command
      .add_option("-m,--model", path,
                  "Model: a name that `reckon list` shows, or a GGUF file (of a sharded one, "
                  "the first)")
      ->type_name("NAME|FILE")
      ->capture_default_str();
}

void add_thread_option(CLI::App& command, int& n_threads) {
  command
      .add_option("--threads", n_threads, "Threads to compute with (default: one a physical core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
}

void add_memory_options(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--kv-type", options.kv_type,
                  "How the context is kept: f16, or q8 in half the memory")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f16", "q8"}))
      ->capture_default_str();
  command.add_flag("--paged", options.paged,
                   "Read weights from the file as they are needed: slow, for models larger than "
                   "memory");
  command
      .add_flag("--keep-packed", options.keep_packed,
                "Keep the weights as the kernels read them in ~/.cache/reckon/packed, as large as "
                "the model: the next load is faster. Also with RECKON_KEEP_PACKED=1 in the "
                "environment")
      ->envname("RECKON_KEEP_PACKED");
}

namespace {

// Named several times, it takes one value each time, and leaves what stands behind to others.
void repeatable(CLI::Option* option) {
  option->expected(1)->allow_extra_args(false)->multi_option_policy(
      CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options, const char* context) {
  add_model_option(command, options.path);
  command.add_option("--ctx", options.context_length, context)->type_name("N");
  add_thread_option(command, options.n_threads);
  add_memory_options(command, options);
  repeatable(
      command
          .add_option(
              "--lora", options.adapters,
              "Adapter for the model, as `reckon train sft --lora` makes it: a GGUF file or a "
              "PEFT folder; named several times, all are used at once")
          ->type_name("FILE"));
}

namespace {

// In the user's cache folder; empty where there is none.
std::string packed_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/reckon/packed";
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/reckon/packed";
  return {};
}

}  // namespace

LoadOptions load_options(const ModelOptions& options) {
  LoadOptions load;
  load.context_length = options.context_length;
  load.n_threads = options.n_threads;
  load.kv_type = options.kv_type == "q8" ? kernels::KvType::kQ8 : kernels::KvType::kF16;
  load.paged = options.paged;
  if (options.keep_packed) load.keep_packed_in = packed_folder();
  load.adapters = options.adapters;
  load.needs_chat_template = false;
  return load;
}

namespace {

LogitBias parse_logit_bias(const std::string& text) {
  LogitBias bias;
  const size_t equals = std::min(text.find('='), text.size());
  if (equals == text.size() || !CLI::detail::lexical_cast(text.substr(0, equals), bias.token) ||
      !CLI::detail::lexical_cast(text.substr(equals + 1), bias.bias)) {
    throw CLI::ValidationError("--logit-bias", "expected ID=X, found " + text);
  }
  return bias;
}

}  // namespace

void add_answer_options(CLI::App& command, AnswerOptions& options) {
  add_model_options(command, options.model);
  command
      .add_option("--template", options.chat_template,
                  "Chat template, by name or from a JSON file, where the model's own is unknown")
      ->type_name("NAME|FILE");
  command.add_option("--system", options.system, "System message (R1 is made to go without one)")
      ->type_name("TEXT");
  command
      .add_option("--max-tokens", options.max_tokens, "Most tokens of thought and answer together")
      ->type_name("N");
  add_think_options(command, options.think);
  command.add_flag("--show-thinking", options.show_thinking,
                   "Write the thought to standard error even where that is no terminal");
  command.add_flag("--no-open-thinking", options.no_open_thinking,
                   "Don't open <think> where the model's template leaves that to the model");
  command
      .add_option("--temp", options.temperature,
                  "Temperature; 0 always takes the likeliest token (default: 0.6 for R1, else 0.8)")
      ->type_name("T");
  command
      .add_option("--top-k", options.top_k,
                  "Draw from the K likeliest tokens; 0: all (default: all for R1, else 40)")
      ->type_name("K");
  command
      .add_option("--top-p", options.top_p,
                  "Draw from the likeliest tokens that together reach P (default 0.95)")
      ->type_name("P");
  command
      .add_option("--min-p", options.min_p,
                  "Draw from tokens at least P times as likely as the likeliest (default: 0 for "
                  "R1, else 0.05)")
      ->type_name("P");
  const auto penalty = [&](const char* name, double& value, const char* description) {
    command.add_option(name, value, description)->type_name("X")->capture_default_str();
  };
  penalty("--repeat-penalty", options.repetition_penalty,
          "Divides the logits of tokens that were there before; 1: off");
  penalty("--presence-penalty", options.presence_penalty,
          "Taken from the logits of tokens that stand in the output; 0: off");
  penalty("--frequency-penalty", options.frequency_penalty,
          "Likewise, for each time that they do; 0: off");
  repeatable(
      command
          .add_option_function<std::vector<std::string>>(
              "--logit-bias",
              [&options](const std::vector<std::string>& texts) {
                for (const std::string& text : texts) {
                  options.logit_bias.push_back(parse_logit_bias(text));
                }
              },
              "Added to this token's logit, for instance 151643=-5; may be named several times")
          ->type_name("ID=X"));
  repeatable(
      command
          .add_option("--stop", options.stop,
                      "The output ends where this text would come; may be named several times")
          ->type_name("TEXT"));
  command
      .add_option("--seed", options.seed,
                  "Which of the possible answers: the same seed gives the same one")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--speculate", options.speculate,
                  "ngram: guess what repeats what was said, compute it at once and keep what is "
                  "right; faster, the answer stays the same")
      ->type_name("HOW")
      ->check(CLI::IsMember({"ngram", "off"}))
      ->capture_default_str();
  command
      .add_option(
          "--draft", options.draft,
          "A smaller model with the same tokens that guesses instead, unless --speculate is "
          "off; the answer stays the same")
      ->type_name("FILE");
}

void introduce_bundled_model(const ModelOptions& options) {
  if (options.path != kBundledModel || !err().is_terminal()) return;
  err().write_dim(fmt::format(
      "{}, the program's own model, knows sums and number puzzles; `reckon run r1:7b` knows more\n",
      kBundledModel));
  err().flush();
}

LoadOptions load_options(const AnswerOptions& options) {
  LoadOptions load = load_options(options.model);
  load.chat_template = options.chat_template;
  load.guess_ngrams = options.speculate == "ngram";
  load.n_sequences = sequences_at_once(options.think);
  if (load.guess_ngrams) load.draft = options.draft;
  load.needs_chat_template = true;
  return load;
}

namespace {

void show(Progress& progress, LoadOptions& load) {
  load.progress = [&progress](int64_t done_bytes, int64_t total_bytes) {
    progress.update(static_cast<double>(done_bytes), static_cast<double>(total_bytes));
  };
}

// That the next load will not be faster is no error of this one.
void tell_of_kept_weights(const LoadReport& report) {
  if (report.kept_weights.state != KeptWeights::State::kFailed) return;
  err().write_foreign("reckon: packed weights are not kept: " + report.kept_weights.problem + "\n");
  err().flush();
}

}  // namespace

Result<LoadedEngine> load_with_progress(const std::string& path, LoadOptions load, bool json) {
  RECKON_ASSIGN(const std::string file, resolve_model(path, json));
  std::optional<Progress> progress(std::in_place, "loading " + path, json);
  show(*progress, load);
  Result<LoadedEngine> loaded = load_engine(file, load);
  progress.reset();
  if (!loaded.ok()) return in_options(loaded.error());
  tell_of_kept_weights(loaded->report);
  return loaded;
}

Result<LoadedDecoder> load_decoder(const ModelOptions& options, int64_t n_positions, bool json) {
  RECKON_ASSIGN(const std::string file, resolve_model(options.path, json));
  std::optional<Progress> progress(std::in_place, "loading " + options.path, json);
  LoadOptions load = load_options(options);
  show(*progress, load);
  Result<LoadedDecoder> loaded = load_decoder(file, load, n_positions);
  progress.reset();
  if (!loaded.ok()) return in_options(loaded.error());
  tell_of_kept_weights(loaded->report);
  return loaded;
}

RenderOptions render_options(const AnswerOptions& options) {
  RenderOptions render;
  render.open_thinking = !options.no_open_thinking;
  return render;
}

void apply_answer_options(const AnswerOptions& options, std::string_view template_name,
                          Request& request) {
  SamplingParams& sampling = request.sampling;
  sampling = default_sampling(template_name);
  sampling.temperature = options.temperature.value_or(sampling.temperature);
  sampling.top_k = options.top_k.value_or(sampling.top_k);
  sampling.top_p = options.top_p.value_or(sampling.top_p);
  sampling.min_p = options.min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = options.repetition_penalty;
  sampling.presence_penalty = options.presence_penalty;
  sampling.frequency_penalty = options.frequency_penalty;
  sampling.logit_bias = options.logit_bias;
  request.stop = options.stop;
  sampling.seed = options.seed;
  request.max_tokens = options.max_tokens;
}

}  // namespace reckon::cli
