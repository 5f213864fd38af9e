// Byte-pair encoding of one piece of text: its bytes as tokens, then always the best-ranked pair of
// neighbours merged, the leftmost first, until none can be.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/token.h"

namespace reckon {

// Which pairs merge, and into what. Immutable after the last insert, safe to share between threads.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank = kNever;  // lower is better; each pair has its own
    TokenId result = kNoToken;
  };
  static constexpr uint32_t kNever = UINT32_MAX;

  // Room for up to n_merges.
  explicit MergeTable(size_t n_merges);
  // False where the pair is there already. Ids are not negative.
  bool insert(TokenId left, TokenId right, Merge merge);
  // The pair's merge, or one of rank kNever.
  Merge find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    uint64_t pair = UINT64_MAX;
    Merge merge;
  };
  size_t first_slot(uint64_t pair) const;

  int shift_;
  std::vector<Slot> slots_;  // open addressing, at most half full
};

// The scratch memory of merging; one a thread.
class BpeMerger {
 public:
  explicit BpeMerger(const MergeTable& merges) : merges_(merges) {}
  // Appends what the tokens merge to. tokens is used up. O(n log n) time.
  void merge(std::vector<TokenId>& tokens, std::vector<TokenId>& out);

 private:
  void merge_few(std::vector<TokenId>& tokens);
  bool merge_half(std::vector<TokenId>& tokens);

  struct Symbol {
    uint32_t previous, next;  // positions, kEnd at the ends
    MergeTable::Merge merge;  // with the next one
  };
  static constexpr uint32_t kEnd = UINT32_MAX;

  uint64_t queued(uint32_t at) const { return uint64_t{symbols_[at].merge.rank} << 32 | at; }

  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::vector<MergeTable::Merge> pairs_;
  // The pairs to merge as rank << 32 | position: those of the round's start, sorted, and those that
  // merging has made since, as a heap with the least on top.
  std::vector<uint64_t> queue_;
  std::vector<uint64_t> later_;
};

}  // namespace reckon
