// Times steps of made-up tokens.
#include "engine/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <span>
#include <vector>

#include "forward/kv_cache.h"

namespace reckon {
namespace {

constexpr int64_t kMaxTokens = 1 << 20;
constexpr int64_t kMaxBatch = 1024;

int64_t pages_for(int64_t n_positions, int64_t page_positions) {
  return (n_positions + page_positions - 1) / page_positions;
}

class Bench {
 public:
  Bench(Decoder& decoder, const BenchOptions& options)
      : decoder_(decoder), options_(options), shape_(decoder.shape()) {
    logits_.resize(static_cast<size_t>(std::max<int64_t>(1, options.batch) * shape_.vocab_size));
    const int64_t n_own = pages_for(options.prefill + options.decode, shape_.page_positions);
    pages_.resize(static_cast<size_t>(options.batch) + 1);
    pages_[0].resize(static_cast<size_t>(n_own));
    std::iota(pages_[0].begin(), pages_[0].end(), 0);
  }

  Status prefill() {
    std::vector<TokenId> tokens;
    for (int64_t at = 0; at < options_.prefill;) {
      const int64_t n = std::min(shape_.max_batch_tokens, options_.prefill - at);
      tokens.resize(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) tokens[static_cast<size_t>(i)] = token_at(0, at + i);
      const SequenceStep step{.tokens = tokens,
                              .first_position = at,
                              .pages = pages_[0],
                              .n_logits = at + n == options_.prefill ? 1 : 0};
      RECKON_RETURN_IF_ERROR(decoder_.step(std::span(&step, 1), logits_for(step.n_logits)));
      at += n;
    }
    return {};
  }

  // Sequences [first, last) write their tokens, a step each at once.
  Status decode(size_t first, size_t last) {
    std::vector<TokenId> tokens(last - first);
    std::vector<SequenceStep> steps(last - first);
    for (int64_t at = options_.prefill; at < options_.prefill + options_.decode; ++at) {
      for (size_t s = 0; s < steps.size(); ++s) {
        tokens[s] = token_at(static_cast<int64_t>(first + s), at);
        steps[s] = {.tokens = std::span(&tokens[s], 1),
                    .first_position = at,
                    .pages = pages_[first + s],
                    .n_logits = 1};
      }
      RECKON_RETURN_IF_ERROR(decoder_.step(steps, logits_for(static_cast<int64_t>(steps.size()))));
    }
    return {};
  }

  // The prompt's whole pages for all, the page in which it ends for each.
  void share_prompt() {
    const int64_t n_whole = options_.prefill / shape_.page_positions;
    const bool has_partial = options_.prefill % shape_.page_positions != 0;
    auto next = static_cast<PageId>(pages_[0].size());
    for (size_t s = 1; s < pages_.size(); ++s) {
      pages_[s] = pages_[0];
      for (size_t p = static_cast<size_t>(n_whole); p < pages_[s].size(); ++p) {
        pages_[s][p] = next++;
      }
      if (has_partial) {
        const auto partial = static_cast<size_t>(n_whole);
        decoder_.copy_page(pages_[0][partial], pages_[s][partial]);
      }
    }
  }

 private:
  // Any tokens do, as long as they aren't all the same.
  TokenId token_at(int64_t sequence, int64_t position) const {
    return static_cast<TokenId>((position * 7919 + sequence * 104729 + 1) % shape_.vocab_size);
  }
  std::span<float> logits_for(int64_t n) {
    return std::span(logits_).first(static_cast<size_t>(n * shape_.vocab_size));
  }

  Decoder& decoder_;
  const BenchOptions options_;
  const DecoderShape shape_;
  std::vector<float> logits_;
  std::vector<std::vector<PageId>> pages_;  // [1 + batch][pages of a sequence]
};

Status check(const BenchOptions& options, const DecoderShape& shape) {
  const auto in_range = [](const char* name, int64_t value, int64_t most) -> Status {
    if (value >= 1 && value <= most) return {};
    return usage_error(fmt::format("{}: expected 1 to {}, found {}", name, most, value));
  };
  const int64_t most = std::min(kMaxTokens, shape.context_length);
  RECKON_RETURN_IF_ERROR(in_range("prefill", options.prefill, most));
  RECKON_RETURN_IF_ERROR(in_range("decode", options.decode, most));
  RECKON_RETURN_IF_ERROR(
      in_range("batch", options.batch, std::min(kMaxBatch, shape.max_batch_tokens)));
  return in_range("prefill and decode together", options.prefill + options.decode,
                  shape.context_length);
}

template <class Work>
Result<double> seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  RECKON_RETURN_IF_ERROR(work());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int64_t bytes_of(const Matrix& matrix) { return matrix.rows * matrix.row_bytes; }
int64_t elements_of(const Matrix& matrix) { return matrix.rows * matrix.cols; }

template <class Measure>
int64_t sum_over_layers(const Model& model, const Measure& measure) {
  int64_t sum = 0;
  for (const LayerWeights& layer : model.layers()) {
    for (const Matrix* matrix : {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_output,
                                 &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      sum += measure(*matrix);
    }
  }
  return sum;
}

}  // namespace

int64_t bench_pages(const BenchOptions& options, int64_t page_positions) {
  const int64_t n_own = pages_for(options.prefill + options.decode, page_positions);
  return n_own + options.batch * (n_own - options.prefill / page_positions);
}

int64_t weight_bytes_per_step(const Model& model) {
  return sum_over_layers(model, bytes_of) + bytes_of(model.output());
}

double prefill_macs(const Model& model, int64_t n_tokens) {
  const ModelConfig& config = model.config();
  const auto n = static_cast<double>(n_tokens);
  // Token i reads i + 1 positions: scores and weighted values, head_dim each, for every head.
  const double attention = static_cast<double>(config.n_layers * config.q_dim()) * n * (n + 1);
  return static_cast<double>(sum_over_layers(model, elements_of)) * n + attention +
         static_cast<double>(elements_of(model.output()));
}

Result<BenchResult> measure_speed(Decoder& decoder, const Model& model, kernels::KvType kv_type,
                                  const BenchOptions& options, const BenchCallback& callback) {
  RECKON_RETURN_IF_ERROR(check(options, decoder.shape()));
  RECKON_CHECK(decoder.shape().n_pages >= bench_pages(options, decoder.shape().page_positions));
  const auto go_on = [&](std::string_view phase) -> Status {
    if (!callback || callback(phase)) return {};
    return Error{ErrorKind::kInterrupted, "stopped"};
  };
  RECKON_RETURN_IF_ERROR(go_on("warming up"));
  {
    Bench warm_up(decoder, {.prefill = 1, .decode = 1, .batch = 1});
    RECKON_RETURN_IF_ERROR(warm_up.prefill());
  }
  Bench bench(decoder, options);
  RECKON_RETURN_IF_ERROR(go_on("prefill"));
  RECKON_ASSIGN(const double prefill_s, seconds_of([&] { return bench.prefill(); }));
  RECKON_RETURN_IF_ERROR(go_on("decode"));
  RECKON_ASSIGN(const double decode_s, seconds_of([&] { return bench.decode(0, 1); }));
  RECKON_RETURN_IF_ERROR(go_on("batch"));
  bench.share_prompt();
  const auto n_sequences = static_cast<size_t>(options.batch);
  RECKON_ASSIGN(const double batch_s, seconds_of([&] { return bench.decode(1, 1 + n_sequences); }));

  const auto n_decoded = static_cast<double>(options.decode);
  const double mean_positions = static_cast<double>(options.prefill) + (n_decoded + 1) / 2;
  const double kv_bytes_per_position =
      static_cast<double>(kv_page_bytes(model.config(), kv_type)) / kPagePositions;
  BenchResult result;
  result.prefill_tok_s = static_cast<double>(options.prefill) / prefill_s;
  result.decode_tok_s = n_decoded / decode_s;
  result.batch_decode_tok_s = n_decoded * static_cast<double>(options.batch) / batch_s;
  result.read_gb_s =
      (static_cast<double>(weight_bytes_per_step(model)) + mean_positions * kv_bytes_per_position) *
      result.decode_tok_s * 1e-9;
  result.macs_g_s = prefill_macs(model, options.prefill) / prefill_s * 1e-9;
  return result;
}

}  // namespace reckon
