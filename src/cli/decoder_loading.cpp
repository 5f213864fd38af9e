// The same checks as the engine's loading, without an engine.
#include "cli/decoder_loading.h"

#include <optional>
#include <utility>

#include "base/thread_pool.h"
#include "engine/load.h"
#include "engine/memory.h"
#include "forward/kv_cache.h"
#include "gguf/gguf_file.h"

namespace reckon::cli {

Result<LoadedDecoder> load_decoder(const ModelOptions& options, int64_t n_positions) {
  RECKON_RETURN_IF_ERROR(require_model(options.path));
  RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
  RECKON_ASSIGN(std::shared_ptr<const GgufFile> file, GgufFile::open(options.path));
  LoadedDecoder loaded;
  RECKON_ASSIGN(loaded.model, Model::load(file));
  RECKON_ASSIGN(loaded.tokenizer, Tokenizer::from_gguf(*file));
  loaded.n_threads = options.n_threads == 0 ? physical_core_count() : options.n_threads;
  const LoadOptions load = load_options(options);
  MemoryNeeds needs = memory_needs(*loaded.model, load, loaded.n_threads);
  needs.model_context = n_positions;  // of all sequences together; each is checked where it is used
  RECKON_ASSIGN(const int64_t available, available_memory());
  const Result<MemoryPlan> plan = plan_memory(needs, available, n_positions, options.paged);
  if (!plan.ok()) return Error{plan.error().kind, options.path + ": " + plan.error().message};
  RECKON_ASSIGN(loaded.decoder,
                CpuDecoder::create(loaded.model,
                                   {.n_pages = (n_positions + kPagePositions - 1) / kPagePositions,
                                    .kv_type = load.kv_type,
                                    .max_batch_tokens = load.max_batch_tokens,
                                    .n_threads = loaded.n_threads,
                                    .kernels = table}));
  return loaded;
}

}  // namespace reckon::cli
