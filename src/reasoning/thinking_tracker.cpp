// A small state machine over text; the marks' own token ids are a shortcut into it.
#include "reasoning/thinking_tracker.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "reasoning/stop_strings.h"

namespace reckon {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
// A UTF-8 character has at most four bytes: after so many more tokens an unfinished one is broken
// text, and waiting longer would let broken text outrun the budget.
constexpr int64_t kMaxTokensToBoundary = 3;

}  // namespace

std::vector<TokenId> thought_closing(const Tokenizer& tokenizer, const ThinkMarks& marks,
                                     bool ends_with_newline, std::string_view sentence) {
  std::vector<TokenId> tokens;
  if (!ends_with_newline) tokenizer.encode("\n", SpecialTokens::kAsText, tokens);
  if (!sentence.empty()) {
    tokenizer.encode(std::string(sentence) + "\n", SpecialTokens::kAsText, tokens);
  }
  const TokenId mark = tokenizer.find(marks.close);
  if (mark != kNoToken) {
    tokens.push_back(mark);
  } else {
    tokenizer.encode(marks.close, SpecialTokens::kAsText, tokens);
  }
  tokenizer.encode("\n\n", SpecialTokens::kAsText, tokens);
  return tokens;
}

ThinkingTracker::ThinkingTracker(std::shared_ptr<const Tokenizer> tokenizer,
                                 ThinkingOptions options)
    : tokenizer_(std::move(tokenizer)), options_(std::move(options)), decoder_(tokenizer_) {
  RECKON_CHECK(options_.start == ThinkingStart::kPlain ||
               (!options_.marks.open.empty() && !options_.marks.close.empty()));
  switch (options_.start) {
    case ThinkingStart::kPlain: state_ = State::kAnswer; return;
    case ThinkingStart::kMayOpen: state_ = State::kMayOpen; break;
    case ThinkingStart::kOpened: state_ = State::kThinking; break;
  }
  open_id_ = tokenizer_->find(options_.marks.open);
  close_id_ = tokenizer_->find(options_.marks.close);
  ends_with_newline_ = options_.thought_so_far.ends_with('\n');
}

void ThinkingTracker::push(TokenId token, bool forced, std::vector<TextDelta>& out) {
  const State before = state_;
  const bool is_scaffold = forced && (closing_ || before != State::kThinking);
  n_answer_bytes_ = 0;
  if (token != kNoToken && (token == open_id_ || token == close_id_)) {
    consume(decoder_.finish(), out);  // a character that the mark cut off
    if (state_ == State::kMayOpen && token == open_id_ &&
        held_.find_first_not_of(kBlank) == std::string::npos) {
      enter(State::kThinking);
      count(before, true);
      return;
    }
    if (state_ == State::kThinking && token == close_id_) {
      // Text that looked like the beginning of a spelt-out mark belongs to the thought.
      if (!held_.empty()) emit(std::exchange(held_space_, {}) + std::exchange(held_, {}), out);
      enter(State::kAnswer);
      count(before, true);
      return;
    }
  }
  consume(decoder_.push(token), out);
  if (before == State::kThinking && state_ == State::kAnswer && !decoder_.at_boundary()) {
    // The mark ended in this token, and so a character begun behind it lies in this token too.
    const std::string_view bytes = tokenizer_->bytes(token);
    for (size_t i = bytes.size(); i-- > 0;) {
      ++n_answer_bytes_;
      if ((bytes[i] & 0xc0) != 0x80) break;
    }
  }
  count(before, is_scaffold);
  if (state_ == State::kThinking && !decoder_.at_boundary() &&
      (answer_requested_ || (options_.budget && counts_.thinking >= *options_.budget))) {
    ++tokens_past_boundary_;
  }
}

void ThinkingTracker::finish(std::vector<TextDelta>& out) {
  consume(decoder_.finish(), out);
  if (state_ == State::kMayOpen) {
    counts_.answer += std::exchange(undecided_tokens_, 0);
    state_ = State::kAnswer;
  }
  // What was forced to close the thought is no text of it, even if the mark didn't come any more.
  if (!closing_) emit(held_space_ + held_, out);
  held_space_.clear();
  held_.clear();
}

bool ThinkingTracker::close_due() const {
  if (state_ != State::kThinking || closing_) return false;
  if (!answer_requested_ && !(options_.budget && counts_.thinking >= *options_.budget)) {
    return false;
  }
  return decoder_.at_boundary() || tokens_past_boundary_ > kMaxTokensToBoundary;
}

std::vector<TokenId> ThinkingTracker::closing_tokens() {
  RECKON_CHECK(state_ == State::kThinking && !closing_);
  closing_ = true;
  // An opening mark ends with the line break that a sentence needs.
  const bool at_start = counts_.thinking == 0 && options_.thought_so_far.empty();
  const bool on_new_line = ends_with_newline_ || (at_start && !options_.closing_sentence.empty());
  return thought_closing(*tokenizer_, options_.marks, on_new_line, options_.closing_sentence);
}

double ThinkingTracker::close_bias() const {
  if (state_ != State::kThinking || closing_ || !options_.budget || close_id_ == kNoToken ||
      !decoder_.at_boundary() || below_minimum()) {
    return 0;
  }
  const auto budget = static_cast<double>(*options_.budget);
  const double begin = options_.soft_share * budget;
  const auto used = static_cast<double>(counts_.thinking);
  if (used < begin || begin >= budget) return 0;
  return kMaxCloseBias * (used - begin) / (budget - begin);
}

bool ThinkingTracker::below_minimum() const {
  return state_ == State::kThinking && !closing_ && !answer_requested_ &&
         counts_.thinking < options_.min_tokens;
}

std::vector<TokenId> ThinkingTracker::lengthening_tokens() const {
  std::vector<TokenId> tokens;
  tokenizer_->encode(ends_with_newline_ ? "Wait" : "\nWait", SpecialTokens::kAsText, tokens);
  if (options_.budget && *options_.budget - counts_.thinking < std::ssize(tokens)) tokens.clear();
  return tokens;
}

void ThinkingTracker::consume(std::string text, std::vector<TextDelta>& out) {
  if (text.empty()) return;
  switch (state_) {
    case State::kMayOpen: return consume_opening(text, out);
    case State::kThinking: return consume_thinking(std::move(text), out);
    case State::kAnswer: return emit(text, out);
  }
}

void ThinkingTracker::consume_opening(const std::string& text, std::vector<TextDelta>& out) {
  held_ += text;
  const std::string& open = options_.marks.open;
  const size_t begin = held_.find_first_not_of(kBlank);
  if (begin == std::string::npos) return;
  const std::string_view visible = std::string_view(held_).substr(begin);
  if (visible.starts_with(open)) {
    std::string rest(visible.substr(open.size()));
    enter(State::kThinking);
    consume(std::move(rest), out);
  } else if (!std::string_view(open).starts_with(visible)) {
    state_ = State::kAnswer;
    emit(std::exchange(held_, {}), out);
  }
}

void ThinkingTracker::consume_thinking(std::string text, std::vector<TextDelta>& out) {
  ends_with_newline_ = text.back() == '\n';
  text = std::exchange(held_, {}) + text;
  const std::string& close = options_.marks.close;
  const size_t end = text.find(close);
  const bool closes = end != std::string::npos;
  std::string rest;
  if (closes) {
    rest = text.substr(end + close.size());
    text.resize(end);
  } else {
    const size_t keep = partial_match_length(text, close);
    held_ = text.substr(text.size() - keep);
    text.resize(text.size() - keep);
  }
  const size_t last_visible = text.find_last_not_of(kBlank);
  if (last_visible == std::string::npos) {
    held_space_ += text;
  } else {
    emit(std::exchange(held_space_, {}) + text.substr(0, last_visible + 1), out);
    held_space_ = text.substr(last_visible + 1);
  }
  if (closes) {
    enter(State::kAnswer);
    n_answer_bytes_ = rest.size();
    consume(std::move(rest), out);
  }
}

void ThinkingTracker::emit(std::string_view text, std::vector<TextDelta>& out) {
  if (skip_space_) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  }
  if (text.empty()) return;
  skip_space_ = false;
  const Part part = this->part();
  if (!out.empty() && out.back().part == part) {
    out.back().text += text;
  } else {
    out.push_back({part, std::string(text)});
  }
}

void ThinkingTracker::enter(State state) {
  state_ = state;
  held_.clear();
  held_space_.clear();
  skip_space_ = true;
  ends_with_newline_ = false;
  closing_ = false;
}

// A token counts for the part it began in. What came before an opening mark, and the pieces of one
// spelt out, are scaffold if a thought opened and answer if not.
void ThinkingTracker::count(State before, bool is_scaffold) {
  if (before == State::kMayOpen) {
    ++undecided_tokens_;
    if (state_ == State::kThinking) counts_.scaffold += std::exchange(undecided_tokens_, 0);
    if (state_ == State::kAnswer) counts_.answer += std::exchange(undecided_tokens_, 0);
  } else if (is_scaffold) {
    ++counts_.scaffold;
  } else {
    ++(before == State::kThinking ? counts_.thinking : counts_.answer);
  }
}

}  // namespace reckon
