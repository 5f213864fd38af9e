// Holds an answer to its grammar: thoughts are free, and the answer is constrained from its first
// byte on. What is the same for all requests of an engine is shared.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "reasoning/thinking_tracker.h"
#include "sampling/grammar_masks.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

// The masks of an engine's grammars.
class AnswerConstraints {
 public:
  // stop_tokens: end a turn beside the tokenizer's own.
  AnswerConstraints(std::shared_ptr<const Tokenizer> tokenizer, const ThinkMarks& marks,
                    const std::vector<TokenId>& stop_tokens);

  // Does once what takes longest (0.1 s for 150,000 tokens). Any thread; others wait.
  void prepare();
  // Requests with the same grammar object share them. The stepping thread only, after prepare().
  std::shared_ptr<GrammarMasks> masks(const std::shared_ptr<const Grammar>& grammar);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  TokenId open_mark() const { return open_mark_; }

 private:
  struct Entry {
    std::shared_ptr<const Grammar> grammar;
    std::shared_ptr<GrammarMasks> masks;
  };

  std::shared_ptr<const Tokenizer> tokenizer_;
  TokenId open_mark_ = kNoToken;
  std::vector<TokenId> end_tokens_;
  std::vector<TokenId> no_text_;  // these and marks: never part of an answer
  std::once_flag prepared_;
  std::shared_ptr<const TokenTrie> trie_;
  std::vector<Entry> recent_;  // latest first
};

// One request's answer. `tracker` is the request's own, before its next token or after its last.
class AnswerConstraint {
 public:
  AnswerConstraint(AnswerConstraints& shared, const std::shared_ptr<const Grammar>& grammar,
                   const ThinkingTracker& tracker);

  // One bit a token: what may come next; empty when anything may, because a thought is open.
  // Errors: kFailed when the grammar can't be followed.
  Result<std::span<const uint64_t>> allowed(const ThinkingTracker& tracker);
  // The token has been pushed into the tracker. False when the grammar doesn't allow it.
  bool follow(TokenId token, const ThinkingTracker& tracker);
  // Whether the answer so far is whole.
  bool may_end() const { return matcher_ && matcher_->may_end(); }

 private:
  const AnswerConstraints& shared_;
  std::shared_ptr<GrammarMasks> masks_;
  std::optional<GrammarMatcher> matcher_;  // none while a thought is open
  std::vector<uint64_t> with_mark_;        // allowed(), and the mark that opens a thought
};

}  // namespace reckon
