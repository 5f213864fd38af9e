// How well a model predicts a text, by llama-perplexity's method: the text in chunks of the
// context, each begun afresh with BOS where the model wants one, and of each chunk the second half
// scored.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "forward/decoder.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

struct Perplexity {
  double perplexity = 0;      // exp of the mean negative log-likelihood
  double standard_error = 0;  // of perplexity
  int64_t tokens = 0;         // scored
  int64_t chunks = 0;
};

struct PerplexityProgress {
  int64_t chunks_done = 0;
  int64_t n_chunks = 0;
  double perplexity = 0;  // so far
};
// Called after every chunk from the calling thread; false stops the work.
using PerplexityCallback = std::function<bool(const PerplexityProgress&)>;

// The decoder needs pages for `context` positions and is used alone. One line break at the text's
// end is left out. Errors: kUsage for a context under 4 or beyond the decoder's, and for a text
// under two chunks; the decoder's; kInterrupted when the callback said stop.
Result<Perplexity> measure_perplexity(Decoder& decoder, const Tokenizer& tokenizer,
                                      std::string_view text, int64_t context,
                                      const PerplexityCallback& progress = {});

}  // namespace reckon
