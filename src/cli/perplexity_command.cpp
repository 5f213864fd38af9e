// reckon perplexity: how well a model predicts a text.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "cli/interrupts.h"
#include "cli/json_line.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/think_options.h"
#include "engine/perplexity.h"

namespace reckon::cli {
namespace {

struct PerplexityOptions {
  ModelOptions model;
  std::string text_file;
  bool json = false;
};

constexpr int64_t kDefaultContext = 512;
constexpr int64_t kLeastContext = 4;
constexpr int64_t kMostContext = 1 << 24;
constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

Status run_perplexity(const PerplexityOptions& options) {
  const int64_t context = options.model.context_length.value_or(kDefaultContext);
  if (context < kLeastContext || context > kMostContext) {
    return usage_error(fmt::format("--ctx: expected {} tokens to the model's context, found {}",
                                   kLeastContext, context));
  }
  RECKON_ASSIGN(const std::string text, read_file(options.text_file, kMaxTextBytes));
  RECKON_ASSIGN(const LoadedDecoder loaded, load_decoder(options.model, context, options.json));
  const PollsForInterrupts interrupts;
  Progress progress("perplexity", options.json);
  const Result<Perplexity> measured = measure_perplexity(
      *loaded.decoder, *loaded.tokenizer, text, context, [&](const PerplexityProgress& state) {
        progress.update(static_cast<double>(state.chunks_done), static_cast<double>(state.n_chunks),
                        fmt::format("{:.4f} so far", state.perplexity));
        return !interrupts.interrupted();
      });
  if (!measured.ok()) return in_options(measured.error());
  const Perplexity& result = *measured;
  if (options.json) {
    JsonLine json;
    json.begin_object()
        .field("perplexity", result.perplexity)
        .field("stderr", result.standard_error)
        .field("tokens", result.tokens)
        .field("chunks", result.chunks)
        .end_object();
    out().write(json.take());
    return {};
  }
  out().write(fmt::format("perplexity {:.4f} +- {:.4f} over {} tokens in {} chunks of {}\n",
                          result.perplexity, result.standard_error, result.tokens, result.chunks,
                          context));
  return {};
}

}  // namespace

void add_perplexity_command(Program& program) {
  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* command = add_command(
      program, "perplexity", "Measure how well a model predicts a text",
      "By llama-perplexity's method: the text in chunks of --ctx tokens (default 512), the second "
      "half of each scored. Lower is better; only figures of the same text, context and tokenizer "
      "compare.\n"
      "Examples:\n"
      "  reckon perplexity -m model.gguf --ctx 512 text.txt",
      options, run_perplexity);
  command->add_option("TEXTFILE", options->text_file, "The text, UTF-8")->required();
  add_model_options(*command, options->model, "Tokens of a chunk, from 4 (default 512)");
  command->add_flag("--json", options->json, "Print one JSON object and nothing else");
}

}  // namespace reckon::cli
