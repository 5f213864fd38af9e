// The decoder on the CPU: a batch of tokens of many sequences through all layers, in one pass.
// Logits depend on a sequence's own tokens alone: bit for bit the same whatever the batch, the
// chunks it came in, the threads and the instruction set (docs/numerics.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "forward/decoder.h"
#include "forward/kv_cache.h"
#include "kernels/kernels.h"
#include "model/model.h"

namespace reckon {

struct CpuDecoderOptions {
  int64_t n_pages = 0;
  kernels::KvType kv_type = kernels::KvType::kF16;
  int64_t max_batch_tokens = 256;
  int n_threads = 1;
  const kernels::KernelTable* kernels = nullptr;
};

// Bytes of working memory a decoder takes beside weights and KV pages. adapter_rank: the model's.
int64_t cpu_decoder_scratch_bytes(const ModelConfig& config, int64_t adapter_rank,
                                  int64_t max_batch_tokens, int n_threads);

class CpuDecoder final : public Decoder {
 public:
  // Errors: as KvCache::create; kFailed when memory is short.
  static Result<std::unique_ptr<CpuDecoder>> create(std::shared_ptr<const Model> model,
                                                    const CpuDecoderOptions& options);
  ~CpuDecoder() override;

  const DecoderShape& shape() const override { return shape_; }
  // Errors: kFailed when the logits are not finite (damaged weights) or the model's file changed.
  Status step(std::span<const SequenceStep> batch, std::span<float> logits) override;
  void copy_page(PageId from, PageId to) override { cache_.copy_page(from, to); }

 private:
  struct Scratch;
  struct AttentionPiece;
  // Where each token of the flattened batch stands.
  struct TokenPlace {
    TokenId token = 0;
    int64_t position = 0;
    int64_t sequence = 0;
  };
  // Work shared by several products over the same input: one loop over all their rows.
  struct Product {
    const Matrix* matrix;
    float* out;  // [n_columns, matrix->rows]
  };

  CpuDecoder(std::shared_ptr<const Model> model, const CpuDecoderOptions& options, KvCache cache);

  int64_t place_tokens(std::span<const SequenceStep> batch);
  void embed();
  void attention_block(int64_t layer, std::span<const SequenceStep> batch);
  void rotate_and_store(int64_t layer, std::span<const SequenceStep> batch);
  void attend(int64_t layer, std::span<const SequenceStep> batch);
  void attend_by_segments(std::span<const SequenceStep> batch, int64_t most_segments);
  void list_tiles(int64_t layer, std::span<const SequenceStep> batch);
  int64_t list_pieces(std::span<const SequenceStep> batch);
  static int64_t segments_of(const AttentionPiece& piece);
  kernels::AttentionArgs attention_args(const AttentionPiece& piece, int64_t kv_head,
                                        std::span<const SequenceStep> batch, int thread);
  void ffn_block(int64_t layer);
  Status output_logits(std::span<float> logits);

  void normalise(const float* x, const Vector& weight, int64_t n_rows, float* out);
  void multiply(const float* input, int64_t n_columns, std::span<const Product> products);
  void add_low_rank(const float* input, int64_t n_columns, const Product& product);
  void add_rows(float* x, const float* y, int64_t n_values);

  std::shared_ptr<const Model> model_;
  const kernels::KernelTable& kernels_;
  ThreadPool pool_;
  KvCache cache_;
  DecoderShape shape_;
  std::vector<TokenPlace> places_;  // of the current batch
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace reckon
