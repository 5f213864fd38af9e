// The draft's KV follows the sequence: what was guessed wrongly is overwritten.
#include "engine/draft.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace reckon {
namespace {

// What is assumed before anything was judged, and how much that counts, in tokens.
constexpr double kPriorTrue = 0.8;
constexpr double kPriorWeight = 2;
// What one judgement leaves of the weight of those before it, and a step without a guess. From
// nothing accepted to another try it takes some dozen steps.
constexpr double kKeepLearning = 0.9;
constexpr double kKeepSkipping = 0.99;
// What a token more costs in the target's step, by a step of one token; docs/performance.md.
constexpr double kJudgeCost = 0.12;

bool is_said(const Tokenizer& tokenizer, TokenId id) {
  return tokenizer.kind(id) != TokenKind::kUnused;
}

Status never_said(const Tokenizer& tokenizer, TokenId begin, std::string_view which) {
  for (TokenId id = begin; id < tokenizer.vocab_size(); ++id) {
    if (!is_said(tokenizer, id)) continue;
    return usage_error(
        fmt::format("draft model: expected the same tokens, found token {} (\"{}\") "
                    "only in the {} model",
                    id, tokenizer.spec().tokens[static_cast<size_t>(id)], which));
  }
  return {};
}

}  // namespace

Status tokens_agree(const Tokenizer& target, const Tokenizer& draft) {
  const TokenId shared = std::min(target.vocab_size(), draft.vocab_size());
  for (TokenId id = 0; id < shared; ++id) {
    if (target.bytes(id) == draft.bytes(id) && is_said(target, id) == is_said(draft, id)) continue;
    const auto i = static_cast<size_t>(id);
    return usage_error(
        fmt::format("draft model: expected token {} to be \"{}\" as in the large "
                    "model, found \"{}\"",
                    id, target.spec().tokens[i], draft.spec().tokens[i]));
  }
  RECKON_RETURN_IF_ERROR(never_said(target, shared, "large"));
  return never_said(draft, shared, "draft");
}

// Each token comes true with probability a: a guess of k brings 1 + a + ... + a^k tokens.
int64_t GuessLength::best() const {
  const double a = (n_true_ + kPriorTrue * kPriorWeight) / (n_judged_ + kPriorWeight);
  int64_t best = 0;
  double best_rate = 1;
  double n_tokens = 1;
  double power = 1;
  for (int64_t k = 1; k <= kMaxGuess; ++k) {
    power *= a;
    n_tokens += power;
    const double rate = n_tokens / (1 + static_cast<double>(k) * (step_cost_ + kJudgeCost));
    if (rate > best_rate) {
      best_rate = rate;
      best = k;
    }
  }
  return best;
}

void GuessLength::learn(int64_t n_guessed, int64_t n_true) {
  if (n_guessed == 0) return;
  // The tokens after the first wrong one were never judged.
  n_judged_ = n_judged_ * kKeepLearning + static_cast<double>(std::min(n_guessed, n_true + 1));
  n_true_ = n_true_ * kKeepLearning + static_cast<double>(n_true);
}

void GuessLength::skip() {
  n_judged_ *= kKeepSkipping;
  n_true_ *= kKeepSkipping;
}

Draft::Draft(std::unique_ptr<Decoder> decoder, int64_t positions, double step_cost)
    : decoder_(std::move(decoder)), positions_(positions), step_cost_(step_cost) {
  const DecoderShape& shape = decoder_->shape();
  const int64_t n_pages = (positions + shape.page_positions - 1) / shape.page_positions;
  RECKON_CHECK(positions <= shape.context_length && n_pages * kSequences <= shape.n_pages);
  logits_.resize(static_cast<size_t>(shape.vocab_size));
}

// Slots hold the first or the second half of the pages; null while both are taken.
Draft::Slot* Draft::slot_for(RequestId id) {
  if (const auto found = slots_.find(id); found != slots_.end()) return &found->second;
  if (std::ssize(slots_) >= kSequences) return nullptr;
  const int64_t n_pages =
      (positions_ + decoder_->shape().page_positions - 1) / decoder_->shape().page_positions;
  PageId first = 0;
  for (const auto& [other, slot] : slots_) {
    if (slot.pages.front() == first) first = static_cast<PageId>(n_pages);
  }
  Slot slot(step_cost_);
  for (int64_t i = 0; i < n_pages; ++i) slot.pages.push_back(first + static_cast<PageId>(i));
  return &slots_.emplace(id, std::move(slot)).first->second;
}

bool Draft::compute(Slot& slot, std::span<const TokenId> tokens, bool wants_logits) {
  const SequenceStep step{.tokens = tokens,
                          .first_position = std::ssize(slot.computed),
                          .pages = slot.pages,
                          .n_logits = wants_logits ? 1 : 0};
  const std::span<float> logits = wants_logits ? std::span(logits_) : std::span<float>();
  if (!decoder_->step({&step, 1}, logits).ok()) return false;
  slot.computed.insert(slot.computed.end(), tokens.begin(), tokens.end());
  return true;
}

std::span<const TokenId> Draft::guess(const Context& context, Sampler& sampler,
                                      int64_t vocab_size) {
  guess_.clear();
  Slot* slot = slot_for(context.id);
  if (slot == nullptr) return guess_;
  const int64_t n_tokens = std::ssize(context.tokens);
  const int64_t n_max = std::min({context.n_max, slot->length.best(), positions_ - n_tokens});
  if (n_max <= 0) {
    slot->length.skip();
    return guess_;
  }
  const auto differs = std::mismatch(slot->computed.begin(), slot->computed.end(),
                                     context.tokens.begin(), context.tokens.end());
  slot->computed.erase(differs.first, slot->computed.end());
  if (std::ssize(slot->computed) == n_tokens) slot->computed.pop_back();  // for its logits
  const std::span<const TokenId> unread = context.tokens.subspan(slot->computed.size());
  // A token that only the large model has can't be read, nor anything behind it.
  const auto is_strange = [&](TokenId id) { return id >= decoder_->shape().vocab_size; };
  if (std::any_of(unread.begin(), unread.end(), is_strange)) return guess_;
  const auto batch = static_cast<size_t>(decoder_->shape().max_batch_tokens);
  if (unread.size() > batch) {
    compute(*slot, unread.first(batch), false);
    return guess_;
  }
  const size_t n_known = std::min(static_cast<size_t>(vocab_size), logits_.size());
  padded_.assign(static_cast<size_t>(vocab_size), -std::numeric_limits<float>::infinity());
  history_.assign(context.tokens.begin(), context.tokens.end());
  std::span<const TokenId> next = unread;
  while (compute(*slot, next, true)) {
    std::copy_n(logits_.begin(), n_known, padded_.begin());
    const SampledToken sampled = sampler.sample(*context.sampling, padded_,
                                                {.tokens = history_, .n_prompt = context.n_prompt});
    guess_.push_back(sampled.token);
    history_.push_back(sampled.token);
    if (std::ssize(guess_) == n_max || is_strange(sampled.token)) break;
    next = std::span(guess_).last(1);
  }
  return guess_;
}

void Draft::learn(RequestId id, int64_t n_guessed, int64_t n_true) {
  if (const auto found = slots_.find(id); found != slots_.end()) {
    found->second.length.learn(n_guessed, n_true);
  }
}

}  // namespace reckon
