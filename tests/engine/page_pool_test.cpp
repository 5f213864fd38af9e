// The pool of KV pages: who holds which.
#include "engine/page_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace reckon {
namespace {

TEST(PagePool, HandsOutEveryPageOnceAndTakesThemBack) {
  PagePool pool(5);
  std::set<PageId> pages;
  for (int i = 0; i < 5; ++i) {
    const PageId page = pool.allocate();
    EXPECT_EQ(pool.holders(page), 1);
    EXPECT_TRUE(pages.insert(page).second);
  }
  EXPECT_EQ(pages, (std::set<PageId>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.allocate(), kNoPage);
  pool.release(3);
  EXPECT_EQ(pool.n_free(), 1);
  EXPECT_EQ(pool.allocate(), 3);
}

TEST(PagePool, ReturnsAPageWithItsLastHolder) {
  PagePool pool(1);
  const PageId page = pool.allocate();
  pool.add_holder(page);
  pool.release(page);
  EXPECT_EQ(pool.n_free(), 0);
  pool.release(page);
  EXPECT_EQ(pool.n_free(), 1);
}

TEST(PagePoolDeathTest, RefusesAReleaseTooMany) {
  PagePool pool(1);
  EXPECT_DEATH(pool.release(0), "holders");
}

}  // namespace
}  // namespace reckon
