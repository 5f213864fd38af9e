// Which KV pages are free and how many hold on to each of the others. A page returns to the pool
// when its last holder releases it.
#pragma once

#include <cstdint>
#include <vector>

#include "forward/decoder.h"

namespace reckon {

inline constexpr PageId kNoPage = -1;

class PagePool {
 public:
  explicit PagePool(int64_t n_pages);

  // A page with one holder, or kNoPage when none is free.
  PageId allocate();
  void add_holder(PageId page);
  void release(PageId page);
  int32_t holders(PageId page) const { return holders_[static_cast<size_t>(page)]; }

  int64_t n_pages() const { return static_cast<int64_t>(holders_.size()); }
  int64_t n_free() const { return static_cast<int64_t>(free_.size()); }

 private:
  std::vector<int32_t> holders_;  // [n_pages], 0: free
  std::vector<PageId> free_;
};

}  // namespace reckon
