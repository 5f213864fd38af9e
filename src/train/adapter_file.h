// Adapters on disk: GGUF as llama.cpp reads them, and Hugging Face's PEFT folders; and merging them
// into a model file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "train/lora_store.h"

namespace reckon::train {

// One matrix's adapter, rows as in GGUF (Llama's q and k interleaved).
struct AdapterMatrix {
  std::string name;  // "blk.0.attn_q.weight"
  int64_t rows = 0;  // of the matrix
  int64_t cols = 0;
  int64_t rank = 0;
  std::vector<float> a;  // [rank, cols]
  std::vector<float> b;  // [rows, rank]
};
struct Adapter {
  std::string architecture;  // "qwen2"
  double alpha = 0;
  std::vector<AdapterMatrix> matrices;
};

Adapter adapter_of(const LoraStore& store, const ModelConfig& config);

Status write_adapter_gguf(const Adapter& adapter, const std::string& path);
// folder is made if it isn't there. base_name: of the model, for adapter_config.json.
Status write_adapter_peft(const Adapter& adapter, const ModelConfig& config,
                          const std::string& base_name, const std::string& folder);

// path: a GGUF file or a PEFT folder. Errors: kBadFile, also where the adapter doesn't fit the
// model, naming the matrix, what was expected and what was found.
Result<Adapter> read_adapter(const std::string& path, const ModelConfig& config);

// Writes base with W + alpha / rank B A in place of each adapted W, each tensor in the type that it
// had, or F16 where reckon can't encode that. Errors: as read_adapter's, kFailed.
Status merge_adapter(const std::string& base, const std::vector<std::string>& adapters,
                     const std::string& out, ThreadPool& pool);

}  // namespace reckon::train
