// Chunks of a text through the decoder, and the sums over their log-likelihoods.
#include "engine/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "kernels/scalar_math.h"
#include "sampling/sampler.h"

namespace reckon {
namespace {

constexpr int64_t kLeastContext = 4;
// Logits of one step take this many rows of the vocabulary: 80 MB for the largest.
constexpr int64_t kScoredPerStep = 128;

class Scorer {
 public:
  Scorer(Decoder& decoder, int64_t context)
      : decoder_(decoder),
        context_(context),
        sampler_(decoder.shape().vocab_size),
        pages_(static_cast<size_t>((context + decoder.shape().page_positions - 1) /
                                   decoder.shape().page_positions)) {
    std::iota(pages_.begin(), pages_.end(), 0);
  }

  // tokens [context]. Of the second half's tokens all but the first are scored; nobody asks what
  // follows the last.
  Status score_chunk(std::span<const TokenId> tokens) {
    const int64_t first_scored = context_ / 2;
    const int64_t end = context_ - 1;
    for (int64_t at = 0; at < end;) {
      const bool scored = at >= first_scored;
      const int64_t limit = scored ? std::min(kScoredPerStep, decoder_.shape().max_batch_tokens)
                                   : decoder_.shape().max_batch_tokens;
      const int64_t n = std::min(limit, (scored ? end : first_scored) - at);
      RECKON_RETURN_IF_ERROR(step(tokens, at, n, scored ? n : 0));
      for (int64_t i = 0; scored && i < n; ++i) {
        add(logits_row(i), tokens[static_cast<size_t>(at + i + 1)]);
      }
      at += n;
    }
    return {};
  }

  Perplexity result(int64_t n_chunks) const {
    const double mean = sum_ / static_cast<double>(n_scored_);
    const double variance = squares_ / static_cast<double>(n_scored_) - mean * mean;
    const double perplexity = exact_exp(mean);
    double error = 0;
    if (variance > 0 && n_scored_ > 1) {
      error = std::sqrt(variance / static_cast<double>(n_scored_ - 1)) * perplexity;
    }
    return {perplexity, error, n_scored_, n_chunks};
  }

 private:
  Status step(std::span<const TokenId> tokens, int64_t at, int64_t n, int64_t n_logits) {
    logits_.resize(static_cast<size_t>(n_logits * decoder_.shape().vocab_size));
    const SequenceStep part{
        .tokens = tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(n)),
        .first_position = at,
        .pages = pages_,
        .n_logits = n_logits};
    return decoder_.step(std::span(&part, 1), logits_);
  }

  std::span<const float> logits_row(int64_t i) const {
    const auto vocab_size = static_cast<size_t>(decoder_.shape().vocab_size);
    return std::span(logits_).subspan(static_cast<size_t>(i) * vocab_size, vocab_size);
  }

  void add(std::span<const float> logits, TokenId next) {
    const double loss = -sampler_.logprobs(logits, next, 0).chosen;
    sum_ += loss;
    squares_ += loss * loss;
    ++n_scored_;
  }

  Decoder& decoder_;
  const int64_t context_;
  Sampler sampler_;
  std::vector<PageId> pages_;
  std::vector<float> logits_;
  double sum_ = 0;
  double squares_ = 0;
  int64_t n_scored_ = 0;
};

std::vector<TokenId> tokenize(const Tokenizer& tokenizer, std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<TokenId> tokens;
  if (tokenizer.add_bos() && tokenizer.bos() != kNoToken) tokens.push_back(tokenizer.bos());
  tokenizer.encode(text, SpecialTokens::kAsText, tokens);
  return tokens;
}

Status check(const Decoder& decoder, int64_t context, size_t n_tokens) {
  const DecoderShape& shape = decoder.shape();
  const int64_t most = std::min(shape.context_length, shape.n_pages * shape.page_positions);
  if (context < kLeastContext) {
    return usage_error(
        fmt::format("context: expected at least {} tokens, found {}", kLeastContext, context));
  }
  if (context > most) {
    return usage_error(fmt::format("context: expected at most {} tokens, found {}", most, context));
  }
  if (static_cast<int64_t>(n_tokens) < 2 * context) {
    return usage_error(fmt::format(
        "text: expected at least {} tokens, two chunks of {}, found {}: take a longer text or a "
        "smaller --ctx",
        2 * context, context, n_tokens));
  }
  return {};
}

}  // namespace

Result<Perplexity> measure_perplexity(Decoder& decoder, const Tokenizer& tokenizer,
                                      std::string_view text, int64_t context,
                                      const PerplexityCallback& progress) {
  std::vector<TokenId> tokens = tokenize(tokenizer, text);
  RECKON_RETURN_IF_ERROR(check(decoder, context, tokens.size()));
  const bool bos = tokenizer.add_bos() && tokenizer.bos() != kNoToken;
  const int64_t n_chunks = static_cast<int64_t>(tokens.size()) / context;
  Scorer scorer(decoder, context);
  for (int64_t chunk = 0; chunk < n_chunks; ++chunk) {
    const std::span<TokenId> part = std::span(tokens).subspan(static_cast<size_t>(chunk * context),
                                                              static_cast<size_t>(context));
    if (bos) part[0] = tokenizer.bos();  // in the place of the token that stands there
    RECKON_RETURN_IF_ERROR(scorer.score_chunk(part));
    if (progress && !progress({.chunks_done = chunk + 1,
                               .n_chunks = n_chunks,
                               .perplexity = scorer.result(chunk + 1).perplexity})) {
      return Error{ErrorKind::kInterrupted, "stopped"};
    }
  }
  return scorer.result(n_chunks);
}

}  // namespace reckon
