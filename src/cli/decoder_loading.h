// A bare decoder for the commands that drive one themselves (perplexity, bench).
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "cli/model_options.h"
#include "forward/cpu_decoder.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace reckon::cli {

struct LoadedDecoder {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<CpuDecoder> decoder;
  int n_threads = 0;
};

// With pages for n_positions positions in all. Errors: as load_engine's.
Result<LoadedDecoder> load_decoder(const ModelOptions& options, int64_t n_positions);

}  // namespace reckon::cli
