// Low-rank adapters (Hu et al. 2022, eq. 3: W x + alpha / r B A x): on disk in GGUF as llama.cpp
// reads them and in Hugging Face's PEFT folders; and merging them into a model file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf_file.h"
#include "model/config.h"

namespace reckon {

// The matrices that can have an adapter, by their names in GGUF, in the order of a layer.
inline constexpr std::string_view kLoraTargets[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                    "ffn_gate", "ffn_up", "ffn_down"};
inline constexpr int kLoraTargetCount = 7;

// Of a layer's targets.
MatrixSize lora_target_size(const ModelConfig& config, int target);

// One matrix's adapter, rows as in GGUF (Llama's q and k interleaved).
struct AdapterMatrix {
  int64_t layer = 0;
  int target = 0;    // of kLoraTargets
  int64_t rows = 0;  // of the matrix
  int64_t cols = 0;
  int64_t rank = 0;
  std::vector<float> a;  // [rank, cols]
  std::vector<float> b;  // [rows, rank]

  std::string name() const;  // "blk.0.attn_q.weight"
};
struct Adapter {
  std::string architecture;  // "qwen2"
  double alpha = 0;
  std::vector<AdapterMatrix> matrices;
  std::string base_id = {};  // of the model it was trained on; empty: not told
};

// A hash of the norms' weights, which every quantisation of a model has alike, and another trained
// model of the same shape has not, and of what was merged into it. (Models that were never trained
// have the same norms.)
std::string adapter_base_id(const GgufFile& model);

Status write_adapter_gguf(const Adapter& adapter, const std::string& path);
// folder is made if it isn't there. base_name: of the model, for adapter_config.json.
Status write_adapter_peft(const Adapter& adapter, const ModelConfig& config,
                          const std::string& base_name, const std::string& folder);

// path: a GGUF file or a PEFT folder. Errors: kBadFile, also where the adapter doesn't fit the
// model, naming the matrix, what was expected and what was found.
Result<Adapter> read_adapter(const std::string& path, const ModelConfig& config);
// For this model: refuses (kBadFile) what tells of another one than model, too.
Result<Adapter> read_adapter(const std::string& path, const GgufFile& model,
                             const ModelConfig& config);

// Writes base with W + alpha / rank B A in place of each adapted W, each tensor in the type that it
// had, or F16 where reckon can't encode that. Errors: as read_adapter's, kFailed.
Status merge_adapter(const std::string& base, const std::vector<std::string>& adapters,
                     const std::string& out, ThreadPool& pool);

}  // namespace reckon
