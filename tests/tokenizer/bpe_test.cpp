// Merging against the definition done slowly: the best-ranked pair, the leftmost of equals, until
// none merges.
#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace reckon {
namespace {

std::vector<TokenId> merged_slowly(const MergeTable& merges, std::vector<TokenId> tokens) {
  for (;;) {
    size_t best = tokens.size();
    MergeTable::Merge merge;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto found = merges.find(tokens[i], tokens[i + 1]);
      if (found.rank < merge.rank) {
        merge = found;
        best = i;
      }
    }
    if (best == tokens.size()) return tokens;
    tokens[best] = merge.result;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(MergeTable, FindsWhatWasInserted) {
  MergeTable merges(1000);
  for (TokenId i = 0; i < 1000; ++i) {
    EXPECT_TRUE(merges.insert(i % 37, i, {static_cast<uint32_t>(i), i + 7}));
  }
  EXPECT_FALSE(merges.insert(1, 1, {5, 5}));
  for (TokenId i = 0; i < 1000; ++i) {
    EXPECT_EQ(merges.find(i % 37, i).rank, static_cast<uint32_t>(i));
    EXPECT_EQ(merges.find(i % 37, i).result, i + 7);
    EXPECT_EQ(merges.find(i, i % 37 + 2000).rank, MergeTable::kNever);
  }
  EXPECT_EQ(MergeTable(0).find(1, 2).rank, MergeTable::kNever);
}

// Random merges over a small alphabet, with ranks that don't rise with the length as trained ones
// do, and texts on both sides of where the method changes.
TEST(BpeMerger, GivesWhatTheDefinitionGives) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const TokenId n_letters = 2 + static_cast<TokenId>(random() % 3);
    const auto n_merges = static_cast<uint32_t>(4 + random() % 60);
    std::vector<uint32_t> ranks(n_merges);
    for (uint32_t i = 0; i < n_merges; ++i) ranks[i] = i;
    std::shuffle(ranks.begin(), ranks.end(), random);
    MergeTable merges(n_merges);
    TokenId next = n_letters;
    for (uint32_t i = 0; i < n_merges; ++i) {
      const auto pick = [&] {
        return static_cast<TokenId>(random() % static_cast<uint32_t>(next));
      };
      if (merges.insert(pick(), pick(), {ranks[i], next})) ++next;
    }
    BpeMerger merger(merges);
    for (const size_t size : {0, 1, 2, 3, 17, 40, 41, 100, 500}) {
      std::vector<TokenId> tokens(size);
      for (TokenId& token : tokens) {
        token = static_cast<TokenId>(random() % static_cast<uint32_t>(n_letters));
      }
      const auto expected = merged_slowly(merges, tokens);
      std::vector<TokenId> out = {-5};
      merger.merge(tokens, out);
      EXPECT_EQ(out.front(), -5);
      out.erase(out.begin());
      EXPECT_EQ(out, expected) << "round " << round << ", size " << size;
    }
  }
}

}  // namespace
}  // namespace reckon
