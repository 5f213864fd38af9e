// The pool of KV pages, in one buffer.
#include "forward/kv_cache.h"

#include <fmt/format.h>

#include <cstring>

#include "base/checked_math.h"

namespace reckon {

int64_t kv_page_bytes(const ModelConfig& config, kernels::KvType type) {
  const size_t of_head =
      kernels::k_tile_bytes(type, config.head_dim) + kernels::v_tile_bytes(type, config.head_dim);
  return config.n_layers * config.n_kv_heads * static_cast<int64_t>(of_head);
}

Status check_kv_type(const ModelConfig& config, kernels::KvType type) {
  if (type == kernels::KvType::kF16 || config.head_dim % 32 == 0) return {};
  return usage_error(
      fmt::format("KV type q8: expected heads of a multiple of 32 elements, found {}: use f16",
                  config.head_dim));
}

Result<KvCache> KvCache::create(const ModelConfig& config, kernels::KvType type, int64_t n_pages) {
  RECKON_RETURN_IF_ERROR(check_kv_type(config, type));
  KvCache cache;
  cache.type_ = type;
  cache.n_pages_ = n_pages;
  cache.n_kv_heads_ = config.n_kv_heads;
  cache.k_bytes_ = static_cast<int64_t>(kernels::k_tile_bytes(type, config.head_dim));
  cache.v_bytes_ = static_cast<int64_t>(kernels::v_tile_bytes(type, config.head_dim));
  cache.page_bytes_ = kv_page_bytes(config, type);
  const auto bytes =
      checked_mul(static_cast<uint64_t>(cache.page_bytes_), static_cast<uint64_t>(n_pages));
  if (!bytes) {
    return failed(
        fmt::format("KV cache: no room for {} pages of {} bytes", n_pages, cache.page_bytes_));
  }
  RECKON_ASSIGN(cache.buffer_, HugeBuffer::create(*bytes, "KV cache"));
  return cache;
}

void KvCache::copy_page(PageId from, PageId to) {
  std::memcpy(buffer_.data() + to * page_bytes_, buffer_.data() + from * page_bytes_,
              static_cast<size_t>(page_bytes_));
}

}  // namespace reckon
