// The paged KV cache: a pool of pages, each holding K and V of page_positions positions for every
// layer and KV head. Which page belongs to whom is the engine's business (engine/page_pool.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/huge_buffer.h"
#include "base/result.h"
#include "forward/decoder.h"
#include "kernels/kernels.h"
#include "model/config.h"

namespace reckon {

// One attention tile: small enough that a short answer wastes little, large enough that a page
// table stays short.
inline constexpr int64_t kPagePositions = kernels::kAttentionTile;

// One page: [n_layers][n_kv_heads] tiles of keys and of values.
int64_t kv_page_bytes(const ModelConfig& config, kernels::KvType type);

// Errors: kUsage when the model's head size does not fit the type.
Status check_kv_type(const ModelConfig& config, kernels::KvType type);

class KvCache {
 public:
  // Reserves address space for all pages; the system gives memory as pages are first written.
  // Errors: check_kv_type's, kFailed when there is no address space.
  static Result<KvCache> create(const ModelConfig& config, kernels::KvType type, int64_t n_pages);

  kernels::KvType type() const { return type_; }
  int64_t n_pages() const { return n_pages_; }

  std::byte* k_tile(PageId page, int64_t layer, int64_t kv_head) const {
    return buffer_.data() + page * page_bytes_ +
           (layer * n_kv_heads_ + kv_head) * (k_bytes_ + v_bytes_);
  }
  std::byte* v_tile(PageId page, int64_t layer, int64_t kv_head) const {
    return k_tile(page, layer, kv_head) + k_bytes_;
  }

  void copy_page(PageId from, PageId to);

 private:
  KvCache() = default;
  kernels::KvType type_ = kernels::KvType::kF16;
  int64_t n_pages_ = 0;
  int64_t n_kv_heads_ = 0;
  int64_t k_bytes_ = 0;  // of a head's tile
  int64_t v_bytes_ = 0;
  int64_t page_bytes_ = 0;
  HugeBuffer buffer_;
};

}  // namespace reckon
