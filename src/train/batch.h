// Documents packed one after the other into a batch without padding: attention stays within a
// document, positions restart with it (Raffel et al. 2020, packing; no leakage across documents).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/token.h"

namespace reckon::train {

// One training example: tokens and, for each but the first, whether it is to be learned.
struct Example {
  std::vector<TokenId> tokens;
  std::vector<bool> learned;  // as many; learned[0] is of no meaning: nothing predicts it

  int64_t n_learned() const {
    int64_t n = 0;
    for (std::size_t i = 1; i < learned.size(); ++i) n += learned[i] ? 1 : 0;
    return n;
  }
};

struct PackedBatch {
  std::vector<TokenId> tokens;   // [n_tokens]
  std::vector<TokenId> targets;  // [n_tokens], the token that follows in the document
  std::vector<int64_t> rows;     // places whose target is learned, ascending
  std::vector<int64_t> begins;   // of the documents, and n_tokens at the end

  int64_t n_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t n_documents() const { return static_cast<int64_t>(begins.size()) - 1; }
  int64_t n_learned() const { return static_cast<int64_t>(rows.size()); }

  PackedBatch() : begins{0} {}

  // The last token of a document predicts nothing and is left out.
  void add(const Example& example) {
    for (std::size_t i = 0; i + 1 < example.tokens.size(); ++i) {
      if (example.learned[i + 1]) rows.push_back(n_tokens());
      tokens.push_back(example.tokens[i]);
      targets.push_back(example.tokens[i + 1]);
    }
    begins.push_back(n_tokens());
  }
};

}  // namespace reckon::train
