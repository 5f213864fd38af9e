// All text tokens of a vocabulary as a tree over their bytes, laid out in the order of a walk, so
// that tokens with a beginning in common are judged together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/token.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

class TokenTrie {
 public:
  struct Node {
    uint32_t skip = 0;         // the next node that isn't below this one
    TokenId token = kNoToken;  // that ends here
    uint16_t depth = 0;        // bytes before this one
    uint8_t byte = 0;
  };

  // Control, user-defined and unused tokens are no text and are left out, those in `excluded` too.
  TokenTrie(const Tokenizer& tokenizer, std::span<const TokenId> excluded);

  std::span<const Node> nodes() const { return nodes_; }
  int64_t vocab_size() const { return vocab_size_; }
  int max_depth() const { return max_depth_; }  // of a node, plus 1

 private:
  std::vector<Node> nodes_;
  int64_t vocab_size_ = 0;
  int max_depth_ = 0;
};

}  // namespace reckon
