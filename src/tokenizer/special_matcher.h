// Finds special tokens' spellings in text: the leftmost, and of those the longest, as the reference
// finds added tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/token.h"

namespace reckon {

// A trie over bytes. Immutable after the last insert, safe to share between threads.
class SpecialMatcher {
 public:
  SpecialMatcher() { roots_.fill(kNone); }
  // spelling is not empty.
  void insert(std::string_view spelling, TokenId id);

  struct Match {
    size_t begin = 0;  // text.size() when there is none
    size_t end = 0;
    TokenId id = kNoToken;
  };
  // The first match that begins at `from` or later.
  Match find(std::string_view text, size_t from) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    uint32_t child = kNone;
    uint32_t sibling = kNone;
    TokenId id = kNoToken;
    char byte = 0;
  };
  uint32_t child_of(uint32_t node, char byte) const;

  std::array<uint32_t, 256> roots_;
  std::vector<Node> nodes_;
};

}  // namespace reckon
