// Grammars and matchers over the tiny vocabulary, for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "sampling/grammar_masks.h"
#include "tests/reasoning/tiny_tokenizer.h"

namespace reckon::testing {

inline std::shared_ptr<const Grammar> grammar(std::string_view text) {
  const auto made = Grammar::parse(text);
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return made.ok() ? *made : nullptr;
}

inline std::shared_ptr<GrammarMasks> masks(std::shared_ptr<const Grammar> grammar) {
  static const auto trie = std::make_shared<TokenTrie>(*tiny_tokenizer(), std::vector<TokenId>{});
  return std::make_shared<GrammarMasks>(std::move(grammar), trie, std::vector<TokenId>{kEos});
}

inline bool is_set(std::span<const uint64_t> bits, TokenId token) {
  return (bits[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
}

// Whether the whole text is one of the grammar's.
inline bool matches(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  GrammarMatcher matcher(masks(grammar), false);
  return matcher.accept(text) && matcher.may_end();
}

}  // namespace reckon::testing
