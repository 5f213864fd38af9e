// Opens, checks, plans, then builds.
#include "engine/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <new>
#include <utility>

#include "base/thread_pool.h"
#include "engine/bench.h"
#include "engine/draft.h"
#include "engine/ngram_guesser.h"
#include "forward/kv_cache.h"

namespace reckon {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int64_t kMaxGuess = std::max(NgramGuesser::kMaxGuess, GuessLength::kMaxGuess);
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

// A draft model that has been checked and not read yet.
struct DraftModel {
  std::shared_ptr<Model> model;
  MemoryNeeds needs;
};

Result<DraftModel> open_draft(const std::string& path, const GgufFile& target_file,
                              const LoadOptions& options, int n_threads) {
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(path));
  DraftModel draft;
  RECKON_ASSIGN(draft.model, Model::load(file));
  RECKON_RETURN_IF_ERROR(check_kv_type(draft.model->config(), options.kv_type));
  RECKON_ASSIGN(const std::shared_ptr<const Tokenizer> target, Tokenizer::from_gguf(target_file));
  RECKON_ASSIGN(const std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::from_gguf(*file));
  const Status agree = tokens_agree(*target, *tokenizer);
  if (!agree.ok()) return Error{agree.error().kind, path + ": " + agree.error().message};
  draft.needs = memory_needs(*draft.model, options, n_threads);
  return draft;
}

Result<std::unique_ptr<Draft>> read_draft(const DraftModel& draft, const LoadedDecoder& target,
                                          const LoadOptions& options) {
  Model& model = *draft.model;
  const int64_t positions =
      std::min(target.report.memory.context_length, model.config().context_length);
  const int64_t n_pages = (positions + kPagePositions - 1) / kPagePositions * Draft::kSequences;
  RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
  RECKON_ASSIGN(std::unique_ptr<CpuDecoder> decoder,
                CpuDecoder::create(draft.model, {.n_pages = n_pages,
                                                 .kv_type = options.kv_type,
                                                 .max_batch_tokens = options.max_batch_tokens,
                                                 .n_threads = target.report.n_threads,
                                                 .kernels = table}));
  ThreadPool pool(target.report.n_threads);
  RECKON_RETURN_IF_ERROR(
      model.read_weights(table->reads_packed, pool, options.progress, options.keep_packed_in));
  const double step_cost = static_cast<double>(weight_bytes_per_step(model)) /
                           static_cast<double>(weight_bytes_per_step(*target.model));
  return std::make_unique<Draft>(std::move(decoder), positions, step_cost);
}

// draft: what else has to fit beside the model; may be null.
Result<LoadedDecoder> decoder_of(std::shared_ptr<const GgufFile> file, const LoadOptions& options,
                                 std::optional<int64_t> n_positions,
                                 const MemoryNeeds* draft = nullptr) {
  const auto started = std::chrono::steady_clock::now();
  RECKON_RETURN_IF_ERROR(check(options));
  RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
  LoadedDecoder loaded;
  loaded.file = std::move(file);
  RECKON_ASSIGN(const std::shared_ptr<Model> model, Model::load(loaded.file));
  RECKON_RETURN_IF_ERROR(check_kv_type(model->config(), options.kv_type));
  loaded.model = model;
  std::vector<Adapter> adapters;
  for (const std::string& path : options.adapters) {
    RECKON_ASSIGN(Adapter adapter, read_adapter(path, *loaded.file, model->config()));
    adapters.push_back(std::move(adapter));
  }
  model->set_adapters(adapters);
  RECKON_ASSIGN(loaded.tokenizer, Tokenizer::from_gguf(*loaded.file));

  LoadReport& report = loaded.report;
  report.n_threads = options.n_threads == 0 ? physical_core_count() : options.n_threads;
  RECKON_ASSIGN(const int64_t available, available_memory());
  MemoryNeeds needs = memory_needs(*model, options, report.n_threads);
  if (n_positions) {
    // Of all sequences together; the model's own limit holds for each, where it is used.
    needs.model_context = *n_positions;
    needs.n_sequences = 1;
    needs.context_is_given = false;
  }
  if (draft != nullptr) {
    needs.weights_bytes += draft->weights_bytes;
    needs.working_bytes += draft->working_bytes;
    // The draft's sequences are as long as the model's, which may be fewer or more.
    needs.kv_bytes_per_token +=
        (draft->kv_bytes_per_token * Draft::kSequences + needs.n_sequences - 1) / needs.n_sequences;
  }
  const Result<MemoryPlan> plan = plan_memory(
      needs, available, n_positions ? n_positions : options.context_length, options.paged);
  // A wrong option is not the file's fault.
  if (!plan.ok() && plan.error().kind == ErrorKind::kUsage) return plan.error();
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
    RECKON_ASSIGN(
        report.kept_weights,
        model->read_weights(table->reads_packed, pool, options.progress, options.keep_packed_in));
  }
  report.load_ms = ms_since(started);
  return loaded;
}

Result<LoadedEngine> engine_of(const std::string& path, const LoadOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  RECKON_ASSIGN(std::shared_ptr<const GgufFile> file, GgufFile::open(path));
  RECKON_ASSIGN(std::shared_ptr<const ChatTemplate> chat_template,
                choose_chat_template(*file, options));
  DraftModel draft;
  if (!options.draft.empty()) {
    const int n_threads = options.n_threads == 0 ? physical_core_count() : options.n_threads;
    RECKON_ASSIGN(draft, open_draft(options.draft, *file, options, n_threads));
  }
  RECKON_ASSIGN(LoadedDecoder parts, decoder_of(std::move(file), options, std::nullopt,
                                                draft.model == nullptr ? nullptr : &draft.needs));
  std::unique_ptr<Draft> guesser;
  if (draft.model != nullptr) {
    RECKON_ASSIGN(guesser, read_draft(draft, parts, options));
  }
  LoadedEngine loaded{parts.file, parts.model, nullptr, parts.report};
  if (chat_template != nullptr) loaded.report.chat_template_name = chat_template->name();
  RECKON_ASSIGN(
      loaded.engine,
      Engine::create(std::move(parts.decoder), std::move(parts.tokenizer), std::move(chat_template),
                     {.context_length = loaded.report.memory.context_length,
                      .guess_ngrams = options.guess_ngrams,
                      .model_name = loaded.model->config().name}));
  if (guesser != nullptr) loaded.engine->set_draft(std::move(guesser));
  loaded.report.load_ms = ms_since(started);
  return loaded;
}

}  // namespace

MemoryNeeds memory_needs(const Model& model, const LoadOptions& options, int n_threads) {
  const ModelConfig& config = model.config();
  const int64_t n_logits =
      options.n_sequences * (options.guess_ngrams || !options.draft.empty() ? 1 + kMaxGuess : 1);
  const int64_t logits_bytes = n_logits * config.vocab_size * static_cast<int64_t>(sizeof(float));
  const Result<const kernels::KernelTable*> table = kernels::default_table();
  const bool packed = !options.paged && table.ok() && (*table)->reads_packed;
  return {.weights_bytes = model.resident_bytes(packed),
          .kv_bytes_per_token = kv_page_bytes(config, options.kv_type) / kPagePositions,
          .working_bytes = cpu_decoder_scratch_bytes(config, model.adapter_rank(),
                                                     options.max_batch_tokens, n_threads) +
                           model.adapter_bytes() + logits_bytes + kProgramBytes +
                           kBytesPerToken * config.vocab_size,
          .model_context = config.context_length,
          .n_sequences = options.n_sequences};
}

Result<std::shared_ptr<const ChatTemplate>> choose_chat_template(const GgufFile& file,
                                                                 const LoadOptions& options) {
  const std::string& named = options.chat_template;
  if (!named.empty()) {
    std::error_code ignored;
    const bool is_path = named.ends_with(".json") || named.find('/') != std::string::npos ||
                         std::filesystem::is_regular_file(named, ignored);
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
