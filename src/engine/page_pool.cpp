// Reference counts over a free list.
#include "engine/page_pool.h"

#include <limits>

#include "base/check.h"

namespace reckon {

PagePool::PagePool(int64_t n_pages) : holders_(static_cast<size_t>(n_pages)) {
  RECKON_CHECK(n_pages >= 1 && n_pages <= std::numeric_limits<PageId>::max());
  free_.reserve(static_cast<size_t>(n_pages));
  // The lowest page is taken first: the cache's memory then grows from its beginning.
  for (int64_t page = n_pages - 1; page >= 0; --page) free_.push_back(static_cast<PageId>(page));
}

PageId PagePool::allocate() {
  if (free_.empty()) return kNoPage;
  const PageId page = free_.back();
  free_.pop_back();
  holders_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::add_holder(PageId page) {
  RECKON_CHECK(holders(page) > 0);
  ++holders_[static_cast<size_t>(page)];
}

void PagePool::release(PageId page) {
  RECKON_CHECK(holders(page) > 0);
  if (--holders_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

}  // namespace reckon
