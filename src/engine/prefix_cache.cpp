// The tree. Invariant that eviction rests on: whoever holds a node's page holds the pages of all
// nodes above it, so a node that only the cache holds has only such nodes below it.
#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace reckon {
namespace {

int64_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  const size_t limit = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(limit), b.begin()).first -
         a.begin();
}

}  // namespace

const std::vector<CacheNode>* PrefixCache::children(uint64_t salt, CacheNode parent) const {
  if (parent != kCacheRoot) return &node(parent).children;
  const auto root = roots_.find(salt);
  return root == roots_.end() ? nullptr : &root->second;
}

std::vector<CacheNode>& PrefixCache::children(uint64_t salt, CacheNode parent) {
  return parent == kCacheRoot ? roots_[salt] : node(parent).children;
}

PrefixCache::Step PrefixCache::best_child(uint64_t salt, CacheNode parent,
                                          std::span<const TokenId> tokens) const {
  Step best;
  const std::vector<CacheNode>* list = children(salt, parent);
  if (list == nullptr) return best;
  for (const CacheNode child : *list) {
    const int64_t n = common_length(node(child).tokens, tokens);
    if (n > best.n_common) best = {child, n};
  }
  return best;
}

PrefixCache::Match PrefixCache::match(uint64_t salt, std::span<const TokenId> tokens) {
  ++clock_;
  Match result;
  // Memory first: what holds a page must be able to note it.
  result.pages.reserve(tokens.size() / static_cast<size_t>(page_positions_));
  for (;;) {
    const Step step = best_child(salt, result.tail, tokens);
    if (step.n_common == 0) return result;
    node(step.node).last_use = clock_;
    pool_.add_holder(node(step.node).page);
    if (step.n_common < page_positions_) {
      result.partial_page = node(step.node).page;
      result.partial_positions = step.n_common;
      return result;
    }
    result.pages.push_back(node(step.node).page);
    result.tail = step.node;
    tokens = tokens.subspan(static_cast<size_t>(page_positions_));
  }
}

int64_t PrefixCache::match_length(uint64_t salt, std::span<const TokenId> tokens) const {
  int64_t length = 0;
  CacheNode tail = kCacheRoot;
  for (;;) {
    const Step step = best_child(salt, tail, tokens.subspan(static_cast<size_t>(length)));
    length += step.n_common;
    if (step.n_common < page_positions_) return length;
    tail = step.node;
  }
}

CacheNode PrefixCache::insert(uint64_t salt, CacheNode parent, std::span<const TokenId> tokens,
                              PageId& page) {
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  RECKON_CHECK(n_tokens >= 1 && n_tokens <= page_positions_);
  ++clock_;
  // The node that knew the beginning of this page, if there is one.
  CacheNode own = kCacheRoot;
  CacheNode equal = kCacheRoot;
  if (const std::vector<CacheNode>* list = std::as_const(*this).children(salt, parent)) {
    for (const CacheNode child : *list) {
      if (node(child).page == page) own = child;
      if (common_length(node(child).tokens, tokens) == n_tokens) equal = child;
    }
  }
  if (equal != kCacheRoot) {
    node(equal).last_use = clock_;
    if (equal != own && n_tokens == page_positions_) {
      if (own != kCacheRoot) remove(own);
      pool_.release(page);
      page = node(equal).page;
      pool_.add_holder(page);
    }
    return equal;
  }
  std::vector<TokenId> own_tokens(tokens.begin(), tokens.end());
  if (own == kCacheRoot) {
    // Memory first: from add_node() on nothing may fail.
    children(salt, parent).reserve(children(salt, parent).size() + 1);
    own = add_node();
    children(salt, parent).push_back(own);
    node(own).salt = salt;
    node(own).parent = parent;
    node(own).page = page;
    pool_.add_holder(page);
  }
  node(own).tokens = std::move(own_tokens);
  node(own).last_use = clock_;
  return own;
}

bool PrefixCache::evict_one() {
  CacheNode oldest = kCacheRoot;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& candidate = nodes_[i];
    if (candidate.page == kNoPage || !candidate.children.empty() ||
        pool_.holders(candidate.page) != 1) {
      continue;
    }
    if (oldest == kCacheRoot || candidate.last_use < node(oldest).last_use) {
      oldest = static_cast<CacheNode>(i);
    }
  }
  if (oldest == kCacheRoot) return false;
  remove(oldest);
  return true;
}

int64_t PrefixCache::n_evictable() const {
  return std::count_if(nodes_.begin(), nodes_.end(), [&](const Node& n) {
    return n.page != kNoPage && pool_.holders(n.page) == 1;
  });
}

CacheNode PrefixCache::add_node() {
  if (unused_.empty()) {
    nodes_.emplace_back();
    unused_.reserve(nodes_.capacity());  // so that remove() never needs memory
    unused_.push_back(static_cast<CacheNode>(nodes_.size() - 1));
  }
  const CacheNode id = unused_.back();
  unused_.pop_back();
  ++n_nodes_;
  return id;
}

void PrefixCache::remove(CacheNode id) {
  RECKON_CHECK(node(id).children.empty());
  const uint64_t salt = node(id).salt;
  const CacheNode parent = node(id).parent;
  std::erase(children(salt, parent), id);
  if (parent == kCacheRoot && roots_[salt].empty()) roots_.erase(salt);
  pool_.release(node(id).page);
  node(id) = Node{};
  unused_.push_back(id);
  --n_nodes_;
}

}  // namespace reckon
