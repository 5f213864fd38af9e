// How fast a model reads a prompt and writes tokens, for one sequence and for several at once, and
// how much memory traffic and arithmetic that is.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "forward/decoder.h"
#include "kernels/kernels.h"
#include "model/model.h"

namespace reckon {

struct BenchOptions {
  int64_t prefill = 512;  // tokens of the prompt
  int64_t decode = 64;    // tokens written after it, by each sequence
  int64_t batch = 8;      // sequences that go on from the same prompt at once
};

struct BenchResult {
  double prefill_tok_s = 0;
  double decode_tok_s = 0;
  double batch_decode_tok_s = 0;  // of all sequences together
  double read_gb_s = 0;  // 10^9 bytes of weights and KV a second, while one sequence decodes
  double macs_g_s = 0;   // 10^9 multiply-adds a second, during the prefill
};

// KV pages the measurement takes: the prompt's whole pages are shared.
int64_t bench_pages(const BenchOptions& options, int64_t page_positions);

// Bytes of weights that a step reads, however many tokens it has.
int64_t weight_bytes_per_step(const Model& model);
// Multiply-adds of a prompt: the layers for each token, the attention over what stands before it,
// the head for the last one.
double prefill_macs(const Model& model, int64_t n_tokens);

// Before each phase: "prefill", "decode", "batch". From the calling thread; false stops the work.
using BenchCallback = std::function<bool(std::string_view phase)>;

// The decoder must be of this model and this kind of cache, have bench_pages() pages and be used
// alone. One step warms up before anything is timed. Errors: kUsage naming the option, the
// decoder's, kInterrupted when the callback said stop.
Result<BenchResult> measure_speed(Decoder& decoder, const Model& model, kernels::KvType kv_type,
                                  const BenchOptions& options, const BenchCallback& callback = {});

}  // namespace reckon
