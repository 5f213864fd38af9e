// Follows one output token by token and tells the thought from the answer: text comes out as deltas
// of either part, marks and the blank lines around them are left out. Says when the thought is to
// be closed (a budget, "answer now") and with which tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_template.h"
#include "tokenizer/token.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

enum class Part : uint8_t { kThinking, kAnswer };

struct TextDelta {
  Part part = Part::kAnswer;
  std::string text;  // whole UTF-8 characters
};

enum class ThinkingStart : uint8_t {
  kPlain,    // everything is answer; no marks are looked for
  kMayOpen,  // the model may open a thought with its first visible text
  kOpened,   // the prompt ends inside a thought
};

struct ThinkingOptions {
  ThinkingStart start = ThinkingStart::kPlain;
  ThinkMarks marks;               // not empty unless start is kPlain
  std::string thought_so_far;     // what the prompt already holds of the thought
  std::optional<int64_t> budget;  // most tokens of the thought; empty: no limit
  // From this share of the budget on close_bias() rises; 1: never.
  double soft_share = 1.0;
  int64_t min_tokens = 0;  // of the thought, the model's own end before them doesn't count
  std::string closing_sentence = {};  // said before the mark by closing_tokens(); empty: nothing
};

// Where the output's tokens went. Scaffold: marks given as tokens, tokens that were forced, and the
// token that ended the turn. (Tokens that lengthen a thought belong to it.)
struct PartCounts {
  int64_t thinking = 0;
  int64_t answer = 0;
  int64_t scaffold = 0;

  int64_t total() const { return thinking + answer + scaffold; }
};

// The tokens behind a thought that close it: see ThinkingTracker::closing_tokens().
std::vector<TokenId> thought_closing(const Tokenizer& tokenizer, const ThinkMarks& marks,
                                     bool ends_with_newline, std::string_view sentence);

class ThinkingTracker {
 public:
  ThinkingTracker(std::shared_ptr<const Tokenizer> tokenizer, ThinkingOptions options);

  // Takes the next token. forced: it is one of closing_tokens() or lengthening_tokens() rather than
  // the model's own.
  void push(TokenId token, bool forced, std::vector<TextDelta>& out);
  // Counts a token that ended the turn; it has no text.
  void push_end() { ++counts_.scaffold; }
  // Hands out what was held back, when no more tokens come.
  void finish(std::vector<TextDelta>& out);

  // The part that the next token belongs to; the answer as long as that is open.
  Part part() const { return state_ == State::kThinking ? Part::kThinking : Part::kAnswer; }
  const PartCounts& counts() const { return counts_; }
  // Whether the next text may still open a thought.
  bool may_open() const { return state_ == State::kMayOpen; }
  // How many of the last token's bytes came behind a thought's end.
  size_t n_answer_bytes() const { return n_answer_bytes_; }

  // Asks for the thought to be closed at the next character boundary.
  void request_answer() { answer_requested_ = true; }
  bool answer_requested() const { return answer_requested_; }

  // The token that closes the thought, or kNoToken where the vocabulary has none.
  TokenId close_token() const { return close_id_; }
  // To be added to the close token's logit before the next token is drawn: rises evenly from 0 at
  // soft_share of the budget to kMaxCloseBias at its end, so that the odds of closing grow by the
  // same factor with every token; 0 inside a character.
  static constexpr double kMaxCloseBias = 10;
  double close_bias() const;
  // Whether an end of the thought or of the turn that the model samples now comes too early:
  // lengthening_tokens() are then pushed in its place, as forced, or else closing_tokens().
  bool below_minimum() const;
  // "Wait" on a line of its own (Muennighoff et al. 2025, "s1: Simple test-time scaling"). Empty
  // where the budget has no room for it.
  std::vector<TokenId> lengthening_tokens() const;
  // Whether the thought is to be closed now: it has used its budget or the answer was asked for,
  // and the text stands on a character boundary.
  bool close_due() const;
  // What closes the thought as R1 itself does: a line break unless the thought ends with one, the
  // closing sentence on a line of its own, the mark (one token if the vocabulary has it, its text
  // otherwise), a blank line. To be pushed as forced, all of them, before anything else is sampled.
  std::vector<TokenId> closing_tokens();

 private:
  enum class State : uint8_t { kMayOpen, kThinking, kAnswer };

  void consume(std::string text, std::vector<TextDelta>& out);
  void consume_opening(const std::string& text, std::vector<TextDelta>& out);
  void consume_thinking(std::string text, std::vector<TextDelta>& out);
  void emit(std::string_view text, std::vector<TextDelta>& out);
  void enter(State state);
  void count(State before, bool is_scaffold);

  std::shared_ptr<const Tokenizer> tokenizer_;
  ThinkingOptions options_;
  TokenId open_id_ = kNoToken;
  TokenId close_id_ = kNoToken;
  StreamDecoder decoder_;
  State state_;
  PartCounts counts_;
  int64_t undecided_tokens_ = 0;    // of kMayOpen, counted once it is known what they were
  std::string held_;                // may become a mark
  std::string held_space_;          // blank text of a thought, dropped if its end follows
  bool skip_space_ = false;         // nothing but blanks has come since a mark
  bool ends_with_newline_ = false;  // the thought so far
  bool answer_requested_ = false;
  bool closing_ = false;              // closing_tokens() are on their way
  int64_t tokens_past_boundary_ = 0;  // since the close was due inside a character
  size_t n_answer_bytes_ = 0;
};

}  // namespace reckon
