// The head: final norm and logits of the learned places alone, log-probabilities, and back:
// d logits = c (onehot(target) - softmax), c the loss's derivative by the log-probability.
#include <algorithm>
#include <cstring>

#include "kernels/scalar_math.h"
#include "train/network.h"
#include "train/network_blocks.h"

namespace reckon::train {

// Logits of places [first, first + n) stand in logits_; they become their gradients.
void Network::head_rows(const PackedBatch& batch, int64_t first, int64_t n,
                        const LogprobGradient* gradient, bool wants_entropy,
                        std::vector<TokenOutcome>& outcomes) {
  const int64_t vocab = shape_.config.vocab_size;
  ops_->pool().parallel_for(n, [&](int64_t i, int thread) {
    const auto place = static_cast<size_t>(first + i);
    const auto target = batch.targets[static_cast<size_t>(batch.rows[place])];
    float* x = logits_ + i * vocab;
    const float max = ops_->training().largest(x, vocab);
    const float of_target = x[target];
    // entropy = log(sum) - sum_j e_j (x_j - max) / sum: the products need the logits once more.
    float* kept = entropy_rows_.data() + thread * vocab;
    if (wants_entropy) std::memcpy(kept, x, static_cast<size_t>(vocab) * sizeof(float));
    const float sum = ops_->rows().exp_sum(x, max, vocab, x);
    const double log_sum = exact_log(static_cast<double>(sum));
    TokenOutcome& outcome = outcomes[place];
    outcome.logprob = static_cast<float>(static_cast<double>(of_target - max) - log_sum);
    if (wants_entropy) {
      const auto mean =
          static_cast<double>(ops_->training().dot(x, kept, vocab)) / static_cast<double>(sum);
      outcome.entropy = static_cast<float>(log_sum + static_cast<double>(max) - mean);
    }
    if (gradient == nullptr) return;
    const float c = (*gradient)(first + i, outcome.logprob);
    ops_->training().scale(x, -c / sum, vocab);
    x[target] = x[target] + c;
  });
}

void Network::head(const PackedBatch& batch, WeightStore& weights, const LogprobGradient* gradient,
                   bool wants_entropy, std::vector<TokenOutcome>& outcomes) {
  const ModelConfig& c = shape_.config;
  const int64_t d = c.d_model;
  const int64_t n = batch.n_learned();
  const float* last = inputs_[static_cast<size_t>(c.n_layers)];
  outcomes.assign(static_cast<size_t>(n), {});
  if (wants_entropy) {
    entropy_rows_.resize(static_cast<size_t>(ops_->pool().n_threads() * c.vocab_size));
  }
  ops_->pack_turned(weights.output(), c.vocab_size, d, turned_output_);
  if (gradient != nullptr) ops_->pack(weights.output(), c.vocab_size, d, straight_output_);
  ops_->pool().parallel_for(row_blocks(n), [&](int64_t block, int) {
    const RowBlock rows(block, n);
    for (int64_t i = rows.begin; i < rows.end(); ++i) {
      ops_->rows().rms_norm(last + batch.rows[static_cast<size_t>(i)] * d, weights.output_norm(),
                            c.rms_epsilon, d, head_in_ + i * d);
    }
  });
  const int64_t chunk = head_chunk_rows(c.vocab_size);
  for (int64_t first = 0; first < n; first += chunk) {
    const int64_t count = std::min(chunk, n - first);
    ops_->gemm({.a = head_in_ + first * d,
                .a_row_stride = d,
                .a_depth_stride = 1,
                .b = turned_output_,
                .b_stride = kernels::kPanelColumns,
                .b_panel_stride = kernels::kPanelColumns * d,
                .out = logits_,
                .out_stride = c.vocab_size,
                .rows = count,
                .columns = c.vocab_size,
                .depth = d,
                .accumulate = false,
                .scratch = nullptr});
    head_rows(batch, first, count, gradient, wants_entropy, outcomes);
    if (gradient == nullptr) continue;
    ops_->gemm({.a = logits_,
                .a_row_stride = c.vocab_size,
                .a_depth_stride = 1,
                .b = straight_output_,
                .b_stride = kernels::kPanelColumns,
                .b_panel_stride = kernels::kPanelColumns * c.vocab_size,
                .out = dhead_in_ + first * d,
                .out_stride = d,
                .rows = count,
                .columns = d,
                .depth = c.vocab_size,
                .accumulate = false,
                .scratch = nullptr});
    if (float* doutput = weights.output_gradient()) {
      ops_->gemm({.a = logits_,
                  .a_row_stride = 1,
                  .a_depth_stride = c.vocab_size,
                  .b = head_in_ + first * d,
                  .b_stride = d,
                  .b_panel_stride = kernels::kPanelColumns,
                  .out = doutput,
                  .out_stride = d,
                  .rows = c.vocab_size,
                  .columns = d,
                  .depth = count,
                  .accumulate = true,
                  .scratch = nullptr});
    }
  }
  if (gradient != nullptr) head_backward(batch, weights);
}

// dhead_in_ through the final norm to dx_; places that nothing is learned from have none.
void Network::head_backward(const PackedBatch& batch, WeightStore& weights) {
  const ModelConfig& c = shape_.config;
  const int64_t d = c.d_model;
  const int64_t n = batch.n_learned();
  const float* last = inputs_[static_cast<size_t>(c.n_layers)];
  ops_->clear(dx_, batch.n_tokens() * d);
  ops_->pool().parallel_for(row_blocks(n), [&](int64_t block, int) {
    const RowBlock rows(block, n);
    float* partial = partial_ + block * d;
    std::fill_n(partial, d, 0.0f);
    for (int64_t i = rows.begin; i < rows.end(); ++i) {
      const int64_t row = batch.rows[static_cast<size_t>(i)];
      ops_->training().rms_norm_backward(last + row * d, weights.output_norm(), dhead_in_ + i * d,
                                         c.rms_epsilon, d, dx_ + row * d, partial);
    }
  });
  if (float* dnorm = weights.output_norm_gradient()) add_partial_sums(n, d, dnorm);
}

}  // namespace reckon::train
