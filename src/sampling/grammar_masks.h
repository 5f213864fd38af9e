// Which tokens a grammar allows next, as one bit a token, for any number of texts at once: masks
// are kept by state, so a state that comes again costs nothing. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "sampling/grammar_states.h"
#include "sampling/token_trie.h"

namespace reckon {

class GrammarMatcher;

class GrammarMasks {
 public:
  // end_tokens: allowed exactly where the text may end; of the vocabulary, not in the trie.
  GrammarMasks(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie,
               std::vector<TokenId> end_tokens);

  size_t memory_bytes() const;

 private:
  friend class GrammarMatcher;
  using StateId = GrammarStates::StateId;
  using Mask = std::vector<uint64_t>;  // [ceil(vocab_size / 64)]

  // Errors: kFailed when the grammar can be read in too many ways at once.
  Result<const Mask*> mask(StateId state);
  Status fill(StateId state, Mask& mask);
  void make_room();

  std::shared_ptr<const TokenTrie> trie_;
  const std::vector<TokenId> end_tokens_;
  GrammarStates states_;
  std::unordered_map<StateId, Mask> masks_;
  std::vector<StateId> path_;  // [max_depth + 1], of the walk
  std::vector<GrammarMatcher*> matchers_;
};

// One text on its way through a grammar.
class GrammarMatcher {
 public:
  // after_thought: at most two line breaks may come before the grammar's text.
  GrammarMatcher(std::shared_ptr<GrammarMasks> masks, bool after_thought);
  ~GrammarMatcher();
  GrammarMatcher(const GrammarMatcher&) = delete;
  GrammarMatcher& operator=(const GrammarMatcher&) = delete;

  // Bit id % 64 of word id / 64: whether the token may come next. Valid until the next call to any
  // matcher of the same masks. Errors: kFailed when the grammar can be read in too many ways at
  // once.
  Result<std::span<const uint64_t>> allowed();
  // Goes on by these bytes; false, and for ever stuck, if they aren't allowed.
  bool accept(std::string_view bytes);
  bool may_end() const { return masks_->states_.may_end(state_); }

 private:
  friend class GrammarMasks;
  std::shared_ptr<GrammarMasks> masks_;
  GrammarStates::StateId state_;
};

}  // namespace reckon
