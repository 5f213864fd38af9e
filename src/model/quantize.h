// reckon quantize: a model file -> the same model with its matrices in other types, tensor by
// tensor in bounded memory. Which type each tensor gets follows llama.cpp's mixes, so that a
// "Q4_K_M" is the same thing in both programs; `synth` asks the same function.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/config.h"
#include "quants/tensor_type.h"

namespace reckon {

enum class QuantizeTarget { kF16, kBF16, kQ8_0, kQ4_0, kQ4_K_M, kQ5_K_M, kQ6_K };

struct QuantizeTargetInfo {
  QuantizeTarget target;
  std::string_view name;     // "Q4_K_M"
  TensorType base_type;      // of most matrices
  uint32_t file_type;        // general.file_type in the file, llama.cpp's number
  std::string_view summary;  // for lists of choices
};

std::span<const QuantizeTargetInfo> all_quantize_targets();
const QuantizeTargetInfo& quantize_target_info(QuantizeTarget target);
// Case-insensitive: "Q4_K_M" or "q4_k_m".
std::optional<QuantizeTarget> quantize_target_from_name(std::string_view name);

// What the choice depends on, besides the tensor itself.
struct MixFacts {
  Architecture architecture = Architecture::kLlama;
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  bool tied_embedding = false;  // the file has no output.weight
};

// The type of a tensor with these dims (dims[0] is the row length). Vectors, norms and what isn't
// called "…weight" are left alone: they get kept, the type they have.
TensorType choose_tensor_type(QuantizeTarget target, std::string_view name,
                              std::span<const int64_t> dims, const MixFacts& facts,
                              TensorType kept = TensorType::kF32);

struct QuantizeProgress {
  std::string_view tensor;  // being written
  TensorType from = TensorType::kF32;
  TensorType to = TensorType::kF32;
  int64_t tensors_done = 0;
  int64_t n_tensors = 0;
  uint64_t bytes_done = 0;  // of the input's tensor data
  uint64_t bytes = 0;
};
// Called now and then from the calling thread; false stops the work.
using QuantizeProgressCallback = std::function<bool(const QuantizeProgress&)>;

// Reads in (any readable types, shards too), writes out as one file; metadata is kept, save for
// general.file_type, general.quantization_version and the shard count. A tensor that already has
// its type is copied. Errors: kBadFile naming the tensor and the element for numbers that are not
// finite or don't fit the type; kInterrupted when the callback said stop. On an error out is left
// as it was.
Status quantize_file(const std::string& in, const std::string& out, QuantizeTarget target,
                     ThreadPool& pool, const QuantizeProgressCallback& progress = {});

}  // namespace reckon
