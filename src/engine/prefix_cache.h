// Finds KV pages that already hold the beginning of a new sequence. A tree of pages: a node's page
// holds the KV of its own tokens after those of all nodes above it, and tokens are compared one by
// one, so there is nothing to collide. The cache is one holder of each of its pages; pages that
// nobody else holds are given up, least recently used first, when the pool runs dry.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engine/page_pool.h"
#include "tokenizer/token.h"

namespace reckon {

using CacheNode = int32_t;
inline constexpr CacheNode kCacheRoot = -1;

class PrefixCache {
 public:
  // The pool must outlive the cache.
  PrefixCache(PagePool& pool, int64_t page_positions)
      : pool_(pool), page_positions_(page_positions) {}

  // What is known of a sequence. The caller becomes a holder of every page named here.
  struct Match {
    std::vector<PageId> pages;      // full ones, shared as they are
    CacheNode tail = kCacheRoot;    // the node of the last of them
    PageId partial_page = kNoPage;  // one whose first positions fit: to be copied, not shared
    int64_t partial_positions = 0;
  };
  // The longest match of tokens' beginning. salt separates those who must not see each other's.
  Match match(uint64_t salt, std::span<const TokenId> tokens);
  // The same in positions, without taking hold of anything.
  int64_t match_length(uint64_t salt, std::span<const TokenId> tokens) const;

  // Makes page, which holds the KV of tokens (at most a page of them) after those of parent's path,
  // known. The caller holds page and every page of that path. Returns the node.
  // If an equal full page is known already, page is replaced by it: the caller's hold moves over.
  // (The same tokens give the same bits, so the sequence may go on with either.)
  CacheNode insert(uint64_t salt, CacheNode parent, std::span<const TokenId> tokens, PageId& page);

  // Gives up the least recently used page that only the cache holds; false if there is none.
  bool evict_one();
  // Pages that evict_one() could free, one call after the other.
  int64_t n_evictable() const;
  int64_t n_nodes() const { return n_nodes_; }

 private:
  struct Node {
    uint64_t salt = 0;
    CacheNode parent = kCacheRoot;
    PageId page = kNoPage;  // kNoPage: an unused slot
    std::vector<TokenId> tokens;
    std::vector<CacheNode> children;
    uint64_t last_use = 0;
  };
  struct Step {  // the child that shares most tokens
    CacheNode node = kCacheRoot;
    int64_t n_common = 0;
  };

  const std::vector<CacheNode>* children(uint64_t salt, CacheNode parent) const;
  std::vector<CacheNode>& children(uint64_t salt, CacheNode parent);
  Step best_child(uint64_t salt, CacheNode parent, std::span<const TokenId> tokens) const;
  CacheNode add_node();
  void remove(CacheNode id);
  Node& node(CacheNode id) { return nodes_[static_cast<size_t>(id)]; }
  const Node& node(CacheNode id) const { return nodes_[static_cast<size_t>(id)]; }

  PagePool& pool_;
  const int64_t page_positions_;
  std::vector<Node> nodes_;
  std::vector<CacheNode> unused_;
  std::map<uint64_t, std::vector<CacheNode>> roots_;  // by salt, never empty vectors
  int64_t n_nodes_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace reckon
