// reckon convert: a Hugging Face folder (config.json, safetensors, tokenizer.json) -> a GGUF file
// that other programs open too, and back. Tensors are streamed, so memory stays small whatever the
// model's size; every file appears whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "quants/tensor_type.h"

namespace reckon {

struct ConvertProgress {
  std::string_view tensor;  // being written, by its name in the output
  int64_t tensors_done = 0;
  int64_t n_tensors = 0;
  uint64_t bytes_done = 0;  // of the output's tensor data
  uint64_t bytes = 0;
};
// Called now and then from the calling thread; false stops the work, which ends in kInterrupted.
using ConvertProgressCallback = std::function<bool(const ConvertProgress&)>;

// folder: of a Qwen2ForCausalLM or a LlamaForCausalLM. type: of the matrices in the file, kF32,
// kF16 or kBF16; empty keeps each as it is. Vectors become F32, as in every GGUF. Errors: kBadFile
// naming file and field for what is malformed, missing, or would change the arithmetic in a way
// that reckon does not know; kUsage for another type.
Status convert_hf_to_gguf(const std::string& folder, const std::string& gguf_path,
                          std::optional<TensorType> type = std::nullopt,
                          const ConvertProgressCallback& progress = {});

// folder is made if it isn't there; its files are replaced, config.json last. dequantised: the type
// that quantised matrices become, kBF16 or kF32; others keep theirs. A vector takes the matrices'
// type where that loses nothing, so that a folder comes back from GGUF bit by bit.
Status convert_gguf_to_hf(const std::string& gguf_path, const std::string& folder,
                          TensorType dequantised = TensorType::kBF16,
                          const ConvertProgressCallback& progress = {});

}  // namespace reckon
