// Sorted tokens come in the order of the walk: each adds the nodes in which it differs from the one
// before it.
#include "sampling/token_trie.h"

#include <algorithm>
#include <string_view>

namespace reckon {

TokenTrie::TokenTrie(const Tokenizer& tokenizer, std::span<const TokenId> excluded)
    : vocab_size_(tokenizer.vocab_size()) {
  std::vector<TokenId> tokens;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    const TokenKind kind = tokenizer.kind(id);
    const bool is_text = kind == TokenKind::kNormal || kind == TokenKind::kByte;
    if (is_text && std::find(excluded.begin(), excluded.end(), id) == excluded.end()) {
      tokens.push_back(id);
    }
  }
  std::sort(tokens.begin(), tokens.end(), [&](TokenId a, TokenId b) {
    const std::string_view x = tokenizer.bytes(a);
    const std::string_view y = tokenizer.bytes(b);
    return x != y ? x < y : a < b;
  });
  std::vector<uint32_t> path;  // the nodes of the token before
  const auto leave = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      nodes_[path.back()].skip = static_cast<uint32_t>(nodes_.size());
    }
  };
  std::string_view before;
  for (const TokenId id : tokens) {
    const std::string_view bytes = tokenizer.bytes(id);
    if (bytes.empty()) continue;
    const auto ends = std::mismatch(before.begin(), before.end(), bytes.begin(), bytes.end());
    auto shared = static_cast<size_t>(ends.first - before.begin());
    // Of tokens with the same bytes each has a last node of its own.
    if (shared == bytes.size()) --shared;
    leave(shared);
    for (size_t i = shared; i < bytes.size(); ++i) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({.depth = static_cast<uint16_t>(i), .byte = static_cast<uint8_t>(bytes[i])});
    }
    nodes_.back().token = id;
    max_depth_ = std::max(max_depth_, static_cast<int>(bytes.size()));
    before = bytes;
  }
  leave(0);
}

}  // namespace reckon
