// The matcher begins anew at each thought's end.
#include "engine/answer_constraint.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace reckon {
namespace {

// Grammars whose masks are kept after their last request.
constexpr size_t kRecentGrammars = 8;

}  // namespace

AnswerConstraints::AnswerConstraints(std::shared_ptr<const Tokenizer> tokenizer,
                                     const ThinkMarks& marks,
                                     const std::vector<TokenId>& stop_tokens)
    : tokenizer_(std::move(tokenizer)), end_tokens_(stop_tokens) {
  for (TokenId id = 0; id < tokenizer_->vocab_size(); ++id) {
    const bool known = std::find(stop_tokens.begin(), stop_tokens.end(), id) != stop_tokens.end();
    if (tokenizer_->ends_generation(id) && !known) end_tokens_.push_back(id);
  }
  no_text_ = end_tokens_;
  if (tokenizer_->bos() != kNoToken) no_text_.push_back(tokenizer_->bos());
  if (marks.open.empty()) return;
  open_mark_ = tokenizer_->find(marks.open);
  for (const TokenId mark : {open_mark_, tokenizer_->find(marks.close)}) {
    if (mark != kNoToken) no_text_.push_back(mark);
  }
}

void AnswerConstraints::prepare() {
  std::call_once(prepared_, [&] { trie_ = std::make_shared<TokenTrie>(*tokenizer_, no_text_); });
}

std::shared_ptr<GrammarMasks> AnswerConstraints::masks(
    const std::shared_ptr<const Grammar>& grammar) {
  RECKON_CHECK(trie_ != nullptr);
  const auto known = std::find_if(recent_.begin(), recent_.end(),
                                  [&](const Entry& entry) { return entry.grammar == grammar; });
  if (known != recent_.end()) {
    std::rotate(recent_.begin(), known, known + 1);
  } else {
    auto masks = std::make_shared<GrammarMasks>(grammar, trie_, end_tokens_);
    recent_.insert(recent_.begin(), {grammar, std::move(masks)});
    if (recent_.size() > kRecentGrammars) recent_.pop_back();
  }
  return recent_.front().masks;
}

AnswerConstraint::AnswerConstraint(AnswerConstraints& shared,
                                   const std::shared_ptr<const Grammar>& grammar,
                                   const ThinkingTracker& tracker)
    : shared_(shared), masks_(shared.masks(grammar)) {
  if (tracker.part() == Part::kAnswer) matcher_.emplace(masks_, false);
}

Result<std::span<const uint64_t>> AnswerConstraint::allowed(const ThinkingTracker& tracker) {
  if (!matcher_) return std::span<const uint64_t>();
  RECKON_ASSIGN(std::span<const uint64_t> bits, matcher_->allowed());
  if (tracker.may_open() && shared_.open_mark() != kNoToken) {
    with_mark_.assign(bits.begin(), bits.end());
    with_mark_[shared_.open_mark() / 64u] |= uint64_t{1} << (shared_.open_mark() % 64u);
    bits = with_mark_;
  }
  const bool any = std::any_of(bits.begin(), bits.end(), [](uint64_t word) { return word != 0; });
  if (!any && !may_end()) {
    return failed("grammar: no token of the vocabulary goes on as the grammar wants");
  }
  return bits;
}

bool AnswerConstraint::follow(TokenId token, const ThinkingTracker& tracker) {
  if (tracker.part() == Part::kThinking) {
    matcher_.reset();
    return true;
  }
  std::string_view bytes = shared_.tokenizer().bytes(token);
  if (!matcher_) {
    matcher_.emplace(masks_, true);
    bytes.remove_prefix(bytes.size() - tracker.n_answer_bytes());
  }
  return matcher_->accept(bytes);
}

}  // namespace reckon
