// The pool of KV pages, in one anonymous mapping.
#include "forward/kv_cache.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "base/checked_math.h"

namespace reckon {

int64_t kv_page_bytes(const ModelConfig& config, kernels::KvType type) {
  const auto row = static_cast<int64_t>(kernels::kv_row_bytes(type, config.head_dim));
  return config.n_layers * 2 * config.n_kv_heads * kPagePositions * row;
}

Result<KvCache> KvCache::create(const ModelConfig& config, kernels::KvType type, int64_t n_pages) {
  if (type == kernels::KvType::kQ8 && config.head_dim % 32 != 0) {
    return usage_error(
        fmt::format("KV type q8: expected heads of a multiple of 32 elements, found {}: use f16",
                    config.head_dim));
  }
  KvCache cache;
  cache.type_ = type;
  cache.n_pages_ = n_pages;
  cache.n_kv_heads_ = config.n_kv_heads;
  cache.row_bytes_ = static_cast<int64_t>(kernels::kv_row_bytes(type, config.head_dim));
  cache.page_bytes_ = kv_page_bytes(config, type);
  const auto bytes =
      checked_mul(static_cast<uint64_t>(cache.page_bytes_), static_cast<uint64_t>(n_pages));
  void* data = MAP_FAILED;
  if (bytes) {
    data = ::mmap(nullptr, *bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  if (data == MAP_FAILED) {
    return failed(
        fmt::format("KV cache: no room for {} pages of {} bytes", n_pages, cache.page_bytes_));
  }
  cache.data_ = static_cast<std::byte*>(data);
  return cache;
}

KvCache::KvCache(KvCache&& other) noexcept
    : type_(other.type_),
      n_pages_(other.n_pages_),
      n_kv_heads_(other.n_kv_heads_),
      row_bytes_(other.row_bytes_),
      page_bytes_(other.page_bytes_),
      data_(std::exchange(other.data_, nullptr)) {}

KvCache::~KvCache() {
  if (data_ != nullptr) {
    ::munmap(data_, static_cast<size_t>(page_bytes_) * static_cast<size_t>(n_pages_));
  }
}

void KvCache::copy_page(PageId from, PageId to) {
  std::memcpy(data_ + to * page_bytes_, data_ + from * page_bytes_,
              static_cast<size_t>(page_bytes_));
}

}  // namespace reckon
