// A model to train from nothing: an architecture with random weights and a tokenizer.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"

namespace reckon::train {

struct InitOptions {
  // A folder with tokenizer.json (and tokenizer_config.json), or a GGUF file whose tokenizer is
  // copied.
  std::string tokenizer;
  std::string architecture = "qwen2";  // or "llama"
  std::string name;
  int64_t d_model = 256;
  int64_t n_layers = 6;
  int64_t n_heads = 4;
  int64_t n_kv_heads = 2;
  int64_t ffn_dim = 704;
  int64_t context_length = 2048;
  double rope_theta = 10000;
  bool tied_embedding = true;
  uint64_t seed = 0;
};

// Writes a float32 GGUF. n_parameters is told. Errors: kUsage for a shape that can't be, kBadFile
// for the tokenizer, kFailed when the file can't be written.
Status write_initial_model(const InitOptions& options, const std::string& out, ThreadPool& pool,
                           int64_t& n_parameters);

}  // namespace reckon::train
