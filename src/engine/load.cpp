// Opens, checks, plans, then builds.
#include "engine/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "base/thread_pool.h"
#include "engine/ngram_guesser.h"
#include "forward/kv_cache.h"

namespace reckon {
namespace {

constexpr int kMaxThreads = 1024;
// The program itself with its stacks, and what a token of the vocabulary takes in the tokenizer's
// tables with its share of the merges. Measured: `reckon tokenize` with the 152,064 tokens of the
// R1 distills has 36 MiB resident, of which 6 MiB are the file's own header.
constexpr int64_t kProgramBytes = int64_t{6} << 20;
constexpr int64_t kBytesPerToken = 168;

Status check(const LoadOptions& options) {
  if (options.n_threads < 0 || options.n_threads > kMaxThreads) {
    return usage_error(
        fmt::format("threads: expected 1 to {}, or 0 for one a physical core, "
                    "found {}",
                    kMaxThreads, options.n_threads));
  }
  if (options.max_batch_tokens < 1 || options.max_batch_tokens > 8192) {
    return usage_error(
        fmt::format("tokens of a batch: expected 1 to 8192, found {}", options.max_batch_tokens));
  }
  if (options.n_sequences < 1 || options.n_sequences > 1024) {
    return usage_error(fmt::format("sequences: expected 1 to 1024, found {}", options.n_sequences));
  }
  return {};
}

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

Result<LoadedDecoder> decoder_of(std::shared_ptr<const GgufFile> file, const LoadOptions& options,
                                 std::optional<int64_t> n_positions) {
  const auto started = std::chrono::steady_clock::now();
  RECKON_RETURN_IF_ERROR(check(options));
  RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
  LoadedDecoder loaded;
  loaded.file = std::move(file);
  RECKON_ASSIGN(const std::shared_ptr<Model> model, Model::load(loaded.file));
  loaded.model = model;
  RECKON_ASSIGN(loaded.tokenizer, Tokenizer::from_gguf(*loaded.file));

  LoadReport& report = loaded.report;
  report.n_threads = options.n_threads == 0 ? physical_core_count() : options.n_threads;
  RECKON_ASSIGN(const int64_t available, available_memory());
  MemoryNeeds needs = memory_needs(*model, options, report.n_threads);
  if (n_positions) {
    // Of all sequences together; the model's own limit holds for each, where it is used.
    needs.model_context = *n_positions;
    needs.n_sequences = 1;
  }
  const Result<MemoryPlan> plan = plan_memory(
      needs, available, n_positions ? n_positions : options.context_length, options.paged);
  if (!plan.ok())
    return Error{plan.error().kind, loaded.file->path() + ": " + plan.error().message};
  report.memory = *plan;
  report.kernels = table->name;
  report.kv_type = options.kv_type;
  report.n_pages = (plan->context_length + kPagePositions - 1) / kPagePositions * needs.n_sequences;
  RECKON_ASSIGN(loaded.decoder,
                CpuDecoder::create(loaded.model, {.n_pages = report.n_pages,
                                                  .kv_type = options.kv_type,
                                                  .max_batch_tokens = options.max_batch_tokens,
                                                  .n_threads = report.n_threads,
                                                  .kernels = table}));
  if (!options.paged) {
    ThreadPool pool(report.n_threads);
    RECKON_RETURN_IF_ERROR(model->read_weights(table->reads_packed, pool, options.progress));
  }
  report.load_ms = ms_since(started);
  return loaded;
}

Result<LoadedEngine> engine_of(const std::string& path, const LoadOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  RECKON_ASSIGN(std::shared_ptr<const GgufFile> file, GgufFile::open(path));
  RECKON_ASSIGN(std::shared_ptr<const ChatTemplate> chat_template,
                choose_chat_template(*file, options));
  RECKON_ASSIGN(LoadedDecoder parts, decoder_of(std::move(file), options, std::nullopt));
  LoadedEngine loaded{parts.file, parts.model, nullptr, parts.report};
  if (chat_template != nullptr) loaded.report.chat_template_name = chat_template->name();
  RECKON_ASSIGN(
      loaded.engine,
      Engine::create(std::move(parts.decoder), std::move(parts.tokenizer), std::move(chat_template),
                     {.context_length = loaded.report.memory.context_length,
                      .guess_ngrams = options.guess_ngrams}));
  loaded.report.load_ms = ms_since(started);
  return loaded;
}

}  // namespace

MemoryNeeds memory_needs(const Model& model, const LoadOptions& options, int n_threads) {
  const ModelConfig& config = model.config();
  const int64_t n_logits =
      options.n_sequences * (options.guess_ngrams ? 1 + NgramGuesser::kMaxGuess : 1);
  const int64_t logits_bytes = n_logits * config.vocab_size * static_cast<int64_t>(sizeof(float));
  const Result<const kernels::KernelTable*> table = kernels::default_table();
  const bool packed = !options.paged && table.ok() && (*table)->reads_packed;
  return {.weights_bytes = model.resident_bytes(packed),
          .kv_bytes_per_token = kv_page_bytes(config, options.kv_type) / kPagePositions,
          .working_bytes = cpu_decoder_scratch_bytes(config, options.max_batch_tokens, n_threads) +
                           logits_bytes + kProgramBytes + kBytesPerToken * config.vocab_size,
          .model_context = config.context_length,
          .n_sequences = options.n_sequences};
}

Result<std::shared_ptr<const ChatTemplate>> choose_chat_template(const GgufFile& file,
                                                                 const LoadOptions& options) {
  const std::string& named = options.chat_template;
  if (!named.empty()) {
    const bool is_path = named.ends_with(".json") || named.find('/') != std::string::npos;
    return is_path ? load_chat_template_file(named) : find_chat_template(named);
  }
  RECKON_ASSIGN(const std::optional<std::string_view> source,
                file.get_string("tokenizer.chat_template"));
  if (source) {
    Result<std::shared_ptr<const ChatTemplate>> recognised = recognise_chat_template(*source);
    if (recognised.ok() || options.needs_chat_template) return recognised;
  } else if (options.needs_chat_template) {
    return bad_file(file.path() +
                    ": expected a chat template (tokenizer.chat_template), found none: name one "
                    "with --template, or go on from plain text with --raw");
  }
  return std::shared_ptr<const ChatTemplate>();
}

Result<LoadedDecoder> load_decoder(const std::string& path, const LoadOptions& options,
                                   std::optional<int64_t> n_positions) try {
  RECKON_ASSIGN(std::shared_ptr<const GgufFile> file, GgufFile::open(path));
  return decoder_of(std::move(file), options, n_positions);
} catch (const std::bad_alloc&) {
  return failed(path + ": out of memory while loading");
}

Result<LoadedEngine> load_engine(const std::string& path, const LoadOptions& options) try {
  return engine_of(path, options);
} catch (const std::bad_alloc&) {
  return failed(path + ": out of memory while loading");
}

}  // namespace reckon
