// Merging by scanning for short pieces and by a queue over a linked list for long ones; both give
// the same tokens.
#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/check.h"

namespace reckon {
namespace {

// Up to here the quadratic scan, which needs no queue, is faster.
constexpr size_t kFew = 40;

uint64_t pair_of(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(size_t n_merges)
    : shift_(64 - static_cast<int>(std::bit_width(2 * n_merges + 1))),
      slots_(size_t{1} << (64 - shift_)) {}

size_t MergeTable::first_slot(uint64_t pair) const {
  // Fibonacci hashing: the product's high bits depend on all bits of the pair.
  return (pair ^ pair >> 32) * 0x9e3779b97f4a7c15u >> shift_;
}

bool MergeTable::insert(TokenId left, TokenId right, Merge merge) {
  const uint64_t pair = pair_of(left, right);
  size_t i = first_slot(pair);
  while (slots_[i].pair != UINT64_MAX) {
    if (slots_[i].pair == pair) return false;
    i = (i + 1) & (slots_.size() - 1);
  }
  slots_[i] = {pair, merge};
  return true;
}

MergeTable::Merge MergeTable::find(TokenId left, TokenId right) const {
  const uint64_t pair = pair_of(left, right);
  for (size_t i = first_slot(pair); slots_[i].pair != UINT64_MAX;
       i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].pair == pair) return slots_[i].merge;
  }
  return {};
}

void BpeMerger::merge(std::vector<TokenId>& tokens, std::vector<TokenId>& out) {
  RECKON_CHECK(tokens.size() < kEnd);
  if (tokens.size() > kFew) {
    while (merge_half(tokens)) {
    }
  } else if (tokens.size() > 1) {
    merge_few(tokens);
  }
  out.insert(out.end(), tokens.begin(), tokens.end());
}

void BpeMerger::merge_few(std::vector<TokenId>& tokens) {
  pairs_.clear();
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    pairs_.push_back(merges_.find(tokens[i], tokens[i + 1]));
  }
  while (!pairs_.empty()) {
    const auto best = std::ranges::min_element(pairs_, {}, &MergeTable::Merge::rank);
    if (best->rank == MergeTable::kNever) break;
    const auto at = best - pairs_.begin();
    tokens[at] = best->result;
    tokens.erase(tokens.begin() + at + 1);
    pairs_.erase(best);
    if (at > 0) pairs_[at - 1] = merges_.find(tokens[at - 1], tokens[at]);
    if (at < std::ssize(pairs_)) pairs_[at] = merges_.find(tokens[at], tokens[at + 1]);
  }
}

// One round of merging: until no pair merges (false) or only half of the tokens are left (true).
// Starting anew then keeps what the round touches close together, and most of the queue is a sorted
// list read from front to back, so that a million equal letters take time in proportion.
bool BpeMerger::merge_half(std::vector<TokenId>& tokens) {
  const auto n = static_cast<uint32_t>(tokens.size());
  symbols_.resize(n);
  queue_.clear();
  queue_.reserve(n);
  later_.clear();
  for (uint32_t i = 0; i < n; ++i) {
    symbols_[i] = {i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1, {}};
    if (i + 1 == n) break;
    symbols_[i].merge = merges_.find(tokens[i], tokens[i + 1]);
    if (symbols_[i].merge.rank != MergeTable::kNever) queue_.push_back(queued(i));
  }
  if (!std::ranges::is_sorted(queue_)) std::ranges::sort(queue_);
  const auto pair_up = [&](uint32_t at) {
    Symbol& symbol = symbols_[at];
    symbol.merge =
        symbol.next == kEnd ? MergeTable::Merge{} : merges_.find(tokens[at], tokens[symbol.next]);
    if (symbol.merge.rank == MergeTable::kNever) return;
    later_.push_back(queued(at));
    std::ranges::push_heap(later_, std::greater<>());
  };
  uint32_t n_left = n;
  for (size_t next = 0; n_left > n / 2 && (next < queue_.size() || !later_.empty());) {
    const bool queue_first =
        later_.empty() || (next < queue_.size() && queue_[next] < later_.front());
    const uint64_t first = queue_first ? queue_[next++] : later_.front();
    if (!queue_first) {
      std::ranges::pop_heap(later_, std::greater<>());
      later_.pop_back();
    }
    const auto at = static_cast<uint32_t>(first);
    Symbol& left = symbols_[at];
    // An entry is stale once its pair has changed; a rank belongs to one pair only.
    if (left.merge.rank != first >> 32) continue;
    Symbol& right = symbols_[left.next];
    tokens[at] = left.merge.result;
    right.merge = {};
    left.next = right.next;
    if (left.next != kEnd) symbols_[left.next].previous = at;
    pair_up(at);
    if (left.previous != kEnd) pair_up(left.previous);
    --n_left;
  }
  size_t kept = 0;
  for (uint32_t i = 0; i != kEnd; i = symbols_[i].next) tokens[kept++] = tokens[i];
  tokens.resize(kept);
  return n_left <= n / 2;
}

}  // namespace reckon
