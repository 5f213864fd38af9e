// step(batch) -> logits: the seam between scheduling and arithmetic. The CPU decoder implements it
// (forward/cpu_decoder.h); scripted ones stand in for it in the engine's tests, and GPU or pooled
// back ends can later.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "tokenizer/token.h"

namespace reckon {

using PageId = int32_t;

// One sequence's part of a batch: some tokens at consecutive positions, a prefill chunk or a single
// decoded token.
struct SequenceStep {
  std::span<const TokenId> tokens;
  int64_t first_position = 0;  // tokens[0]'s place in its sequence; earlier ones are cached
  std::span<const PageId>
      pages;             // of the whole sequence: position p is in pages[p / page_positions]
  int64_t n_logits = 0;  // how many of the last tokens' logits are wanted
};

struct DecoderShape {
  int64_t vocab_size = 0;
  int64_t page_positions = 0;  // positions a KV page holds
  int64_t n_pages = 0;
  int64_t context_length = 0;    // the model's own limit of positions
  int64_t max_batch_tokens = 0;  // most tokens of one step, all sequences together
};

// Not thread-safe: one thread steps. A page is written by at most one sequence of a step.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual const DecoderShape& shape() const = 0;
  // Runs the batch and writes the wanted logits, sequence by sequence in batch order, row by row:
  // logits [sum of n_logits, vocab_size]. Page ids, positions and token ids must be in range.
  virtual Status step(std::span<const SequenceStep> batch, std::span<float> logits) = 0;
  // Copies a page's contents (a shared page that is about to be written in its middle).
  virtual void copy_page(PageId from, PageId to) = 0;
};

}  // namespace reckon
