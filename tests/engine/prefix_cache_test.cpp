// The tree of cached pages: what matches, what is shared, what is given up first.
#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace reckon {
namespace {

constexpr int64_t kPage = 4;
using Tokens = std::vector<TokenId>;

struct Fixture {
  explicit Fixture(int64_t n_pages = 16) : pool(n_pages), cache(pool, kPage) {}

  // Caches all of tokens and lets go of the pages; returns them.
  std::vector<PageId> add(uint64_t salt, const Tokens& tokens) {
    std::vector<PageId> pages;
    CacheNode tail = kCacheRoot;
    for (size_t at = 0; at < tokens.size(); at += kPage) {
      PageId page = pool.allocate();
      const size_t n = std::min<size_t>(kPage, tokens.size() - at);
      tail = cache.insert(salt, tail, std::span(tokens).subspan(at, n), page);
      pages.push_back(page);
    }
    for (const PageId page : pages) pool.release(page);
    return pages;
  }
  void drop(const PrefixCache::Match& match) {
    for (const PageId page : match.pages) pool.release(page);
    if (match.partial_page != kNoPage) pool.release(match.partial_page);
  }
  int64_t held_elsewhere() const { return pool.n_pages() - pool.n_free() - cache.n_nodes(); }

  PagePool pool;
  PrefixCache cache;
};

Tokens range(int n, int from = 0) {
  Tokens tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

TEST(PrefixCache, MatchesWholePagesAndPartOfTheNext) {
  Fixture f;
  const std::vector<PageId> pages = f.add(0, range(11));
  for (int n = 0; n <= 11; ++n) {
    EXPECT_EQ(f.cache.match_length(0, range(n)), n);
    const PrefixCache::Match match = f.cache.match(0, range(n));
    EXPECT_EQ(match.pages.size(), static_cast<size_t>(n / 4));
    EXPECT_EQ(match.partial_positions, n % 4);
    EXPECT_EQ(match.partial_page, n % 4 == 0 ? kNoPage : pages[static_cast<size_t>(n / 4)]);
    for (size_t i = 0; i < match.pages.size(); ++i) EXPECT_EQ(match.pages[i], pages[i]);
    f.drop(match);
  }
  EXPECT_EQ(f.cache.match_length(0, range(30)), 11);
  EXPECT_EQ(f.held_elsewhere(), 0);
}

TEST(PrefixCache, StopsAtTheFirstDifference) {
  Fixture f;
  f.add(0, range(12));
  for (int at = 0; at < 12; ++at) {
    Tokens other = range(12);
    other[static_cast<size_t>(at)] = 99;
    EXPECT_EQ(f.cache.match_length(0, other), at);
  }
}

TEST(PrefixCache, TakesTheLongestOfSeveralBranches) {
  Fixture f;
  f.add(0, {1, 2, 3, 4, 5, 6});
  f.add(0, {1, 2, 3, 4, 5, 7, 8, 9});
  f.add(0, {1, 2, 9});
  EXPECT_EQ(f.cache.match_length(0, Tokens{1, 2, 3, 4, 5, 7, 8, 0}), 7);
  EXPECT_EQ(f.cache.match_length(0, Tokens{1, 2, 3, 4, 5, 6, 6}), 6);
  EXPECT_EQ(f.cache.match_length(0, Tokens{1, 2, 9, 4}), 3);
}

TEST(PrefixCache, SaltsKeepApart) {
  Fixture f;
  f.add(1, range(8));
  EXPECT_EQ(f.cache.match_length(0, range(8)), 0);
  EXPECT_EQ(f.cache.match_length(2, range(8)), 0);
  EXPECT_EQ(f.cache.match_length(1, range(8)), 8);
}

TEST(PrefixCache, AnEqualPageReplacesTheNewOne) {
  Fixture f;
  const std::vector<PageId> known = f.add(0, range(4));
  PageId page = f.pool.allocate();
  const PageId own = page;
  f.cache.insert(0, kCacheRoot, range(4), page);
  EXPECT_EQ(page, known[0]);
  EXPECT_EQ(f.pool.holders(known[0]), 2);
  EXPECT_EQ(f.pool.holders(own), 0);
  f.pool.release(page);
  EXPECT_EQ(f.cache.n_nodes(), 1);
}

TEST(PrefixCache, APartialPageGrowsInPlace) {
  Fixture f;
  PageId page = f.pool.allocate();
  const Tokens tokens = range(4);
  const CacheNode first = f.cache.insert(0, kCacheRoot, std::span(tokens).first(2), page);
  EXPECT_EQ(f.cache.match_length(0, tokens), 2);
  EXPECT_EQ(f.cache.insert(0, kCacheRoot, std::span(tokens).first(3), page), first);
  EXPECT_EQ(f.cache.match_length(0, tokens), 3);
  EXPECT_EQ(f.cache.insert(0, kCacheRoot, tokens, page), first);
  EXPECT_EQ(f.cache.match_length(0, tokens), 4);
  EXPECT_EQ(f.cache.n_nodes(), 1);
  EXPECT_EQ(f.pool.holders(page), 2);
}

// A page that was known in part and turns out equal to a full one leaves nothing behind.
TEST(PrefixCache, AGrownDuplicateGoes) {
  Fixture f;
  PageId mine = f.pool.allocate();
  const Tokens tokens = range(4);
  f.cache.insert(0, kCacheRoot, std::span(tokens).first(2), mine);
  const PageId before = mine;
  PageId theirs = f.pool.allocate();
  f.cache.insert(0, kCacheRoot, tokens, theirs);
  f.cache.insert(0, kCacheRoot, tokens, mine);
  EXPECT_EQ(mine, theirs);
  EXPECT_EQ(f.pool.holders(before), 0);
  EXPECT_EQ(f.cache.n_nodes(), 1);
}

TEST(PrefixCache, EvictsLeavesLeastRecentlyUsedFirst) {
  Fixture f;
  f.add(0, range(8));  // two pages, the first shared by:
  f.add(0, {0, 1, 2, 3, 50});
  f.add(0, {70, 71});
  f.drop(f.cache.match(0, range(8)));  // now the youngest
  EXPECT_EQ(f.cache.n_evictable(), 4);
  ASSERT_TRUE(f.cache.evict_one());
  EXPECT_EQ(f.cache.match_length(0, Tokens{0, 1, 2, 3, 50}), 4);
  ASSERT_TRUE(f.cache.evict_one());
  EXPECT_EQ(f.cache.match_length(0, Tokens{70, 71}), 0);
  EXPECT_EQ(f.cache.match_length(0, range(8)), 8);
  ASSERT_TRUE(f.cache.evict_one());
  EXPECT_EQ(f.cache.match_length(0, range(8)), 4);
  ASSERT_TRUE(f.cache.evict_one());
  EXPECT_FALSE(f.cache.evict_one());
  EXPECT_EQ(f.pool.n_free(), f.pool.n_pages());
}

TEST(PrefixCache, KeepsPagesThatAreHeld) {
  Fixture f;
  f.add(0, range(8));
  const PrefixCache::Match match = f.cache.match(0, range(6));
  EXPECT_EQ(f.cache.n_evictable(), 0);
  EXPECT_FALSE(f.cache.evict_one());
  f.drop(match);
  EXPECT_EQ(f.cache.n_evictable(), 2);
}

}  // namespace
}  // namespace reckon
