// reckon synth: a model file with random weights in the exact shape, tensor types and vocabulary
// size of an R1 distill, so that shapes, memory and speed can be tried without the real weights.
// The same shape, types, tokenizer and seed give the same bytes on every machine.
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
#include "model/quantize.h"
#include "quants/tensor_type.h"

namespace reckon {

// The published shapes, and two tiny ones for tests. head_dim is d_model / n_heads.
struct SynthShape {
  std::string_view name;        // "r1:7b"
  std::string_view stands_for;  // "DeepSeek-R1-Distill-Qwen-7B"
  std::string_view size_label;  // "7B"
  Architecture architecture = Architecture::kQwen2;
  int64_t n_layers = 0;
  int64_t d_model = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t ffn_dim = 0;
  int64_t context_length = 0;
  float rope_theta = 0;
  float rms_epsilon = 0;
  // The vocabulary: tokens of text (256 bytes, the rest merged from them), then special ones, then
  // unused ones up to vocab_size.
  int64_t n_text_tokens = 0;
  int64_t vocab_size = 0;
  bool tiny = false;  // with another file's tokenizer, takes that file's vocabulary size

  int64_t head_dim() const { return d_model / n_heads; }
};

std::span<const SynthShape> all_synth_shapes();
// "tiny" is tiny-qwen. Null for a name that is none.
const SynthShape* find_synth_shape(std::string_view name);

// What the matrices become: one of quantize's mixes, or one type for all of them.
struct SynthType {
  std::optional<QuantizeTarget> mix;
  TensorType plain = TensorType::kF32;  // without a mix
};

// "q4_k_m", else a tensor type's name: "iq4_xs". Errors: kUsage listing the names.
Result<SynthType> parse_synth_type(std::string_view name);

struct SynthOptions {
  SynthType type;
  uint64_t seed = 0;
  // A GGUF file whose tokenizer and chat template are copied; empty: both are made up.
  std::string tokenizer_from;
};

struct SynthProgress {
  uint64_t bytes_done = 0;  // of the tensor data
  uint64_t bytes = 0;
};
// Called now and then from the calling thread; false stops the work.
using SynthProgressCallback = std::function<bool(const SynthProgress&)>;

// Writes the file at out, whole or not at all. Errors: kBadFile for tokenizer_from, kUsage for one
// whose vocabulary is larger than the shape's, kFailed when out can't be written, kInterrupted when
// the callback said stop.
Status write_synth_model(const SynthShape& shape, const SynthOptions& options,
                         const std::string& out, ThreadPool& pool,
                         const SynthProgressCallback& progress = {});

}  // namespace reckon
