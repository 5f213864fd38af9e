// A model file's path -> an engine ready for requests: the one place where file, model, decoder,
// tokenizer, chat template and memory plan come together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/memory.h"
#include "forward/cpu_decoder.h"
#include "gguf/gguf_file.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

struct LoadOptions {
  std::optional<int64_t> context_length;  // empty: the largest that fits, up to the model's own
  int64_t n_sequences = 1;                // how many of that length must fit at once
  int n_threads = 0;                      // 0: one a physical core
  kernels::KvType kv_type = kernels::KvType::kF16;
  bool paged = false;  // the weights may be larger than memory
  // The folder in which packed weights are kept from load to load (model/packed_file.h); empty:
  // none are. Nothing is packed where paged.
  std::string keep_packed_in = {};
  // Adapters of the model (GGUF files or PEFT folders), used all at once.
  std::vector<std::string> adapters = {};
  int64_t max_batch_tokens = 256;
  bool guess_ngrams = false;  // see EngineOptions
  // The path of a smaller model with the same tokens that guesses instead (engine/draft.h); empty:
  // none. Of load_engine alone.
  std::string draft;
  // A template's name or the path of a file that describes one; empty: the model file's own.
  std::string chat_template;
  // Whether a file without a known template is an error; otherwise it can be used with raw_request
  // alone.
  bool needs_chat_template = true;
  // Told from time to time how many bytes of the weights are in memory; may be empty.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress = {};
};

// What was decided.
struct LoadReport {
  MemoryPlan memory;
  int64_t n_pages = 0;
  int n_threads = 0;
  std::string kernels;  // the instruction set: "avx2"
  kernels::KvType kv_type = kernels::KvType::kF16;
  std::string chat_template_name;  // empty without one
  KeptWeights kept_weights;        // the draft's own are not reported
  double load_ms = 0;
};

// A model that computes, for those who drive step() themselves.
struct LoadedDecoder {
  std::shared_ptr<const GgufFile> file;
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<CpuDecoder> decoder;
  LoadReport report;
};

struct LoadedEngine {
  std::shared_ptr<const GgufFile> file;
  std::shared_ptr<const Model> model;
  std::unique_ptr<Engine> engine;
  LoadReport report;
};

// Errors: kBadFile for the file, kUsage for the options, kFailed when memory is short (nothing
// large has been touched then).
Result<LoadedEngine> load_engine(const std::string& path, const LoadOptions& options);

// As load_engine, without an engine and a template: with pages for n_positions in all, however the
// caller shares them out among sequences, or, where that is empty, for what the options say.
Result<LoadedDecoder> load_decoder(const std::string& path, const LoadOptions& options,
                                   std::optional<int64_t> n_positions = {});

// What a model needs under these options; also for `show`, which predicts memory by context.
MemoryNeeds memory_needs(const Model& model, const LoadOptions& options, int n_threads);

// The template that options or the file name; null when there is none and none is needed.
Result<std::shared_ptr<const ChatTemplate>> choose_chat_template(const GgufFile& file,
                                                                 const LoadOptions& options);

}  // namespace reckon
