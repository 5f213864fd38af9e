// A mask is one walk over the token tree, where a state that refuses a byte prunes all below.
#include "sampling/grammar_masks.h"

#include <algorithm>
#include <utility>

namespace reckon {
namespace {

// States and masks that are kept between walks; one mask of 151,936 tokens is 19 KB.
constexpr size_t kKeptBytes = size_t{32} << 20;
// Bounds the time and memory of one walk whatever the grammar. Counted by the steps of the walk,
// not by what they find already made, so that it doesn't depend on earlier ones.
constexpr size_t kMaxWalkWork = size_t{4} << 20;

}  // namespace

GrammarMasks::GrammarMasks(std::shared_ptr<const Grammar> grammar,
                           std::shared_ptr<const TokenTrie> trie, std::vector<TokenId> end_tokens)
    : trie_(std::move(trie)),
      end_tokens_(std::move(end_tokens)),
      states_(std::move(grammar)),
      path_(static_cast<size_t>(trie_->max_depth()) + 1) {}

size_t GrammarMasks::memory_bytes() const {
  const size_t mask_bytes = static_cast<size_t>(trie_->vocab_size()) / 8 + 64;
  return states_.memory_bytes() + masks_.size() * mask_bytes;
}

void GrammarMasks::make_room() {
  if (memory_bytes() <= kKeptBytes) return;
  masks_.clear();
  std::vector<StateId*> kept;
  for (GrammarMatcher* matcher : matchers_) kept.push_back(&matcher->state_);
  states_.keep_only(kept);
}

Result<const GrammarMasks::Mask*> GrammarMasks::mask(StateId state) {
  const auto found = masks_.find(state);
  if (found != masks_.end()) return &found->second;
  Mask mask(static_cast<size_t>(trie_->vocab_size() + 63) / 64);
  RECKON_RETURN_IF_ERROR(fill(state, mask));
  return &masks_.emplace(state, std::move(mask)).first->second;
}

Status GrammarMasks::fill(StateId state, Mask& mask) {
  const std::span<const TokenTrie::Node> nodes = trie_->nodes();
  size_t work = 0;
  path_[0] = state;
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const StateId next = states_.next(path_[node.depth], node.byte, work);
    if (next == GrammarStates::kDead) {
      i = node.skip;
      continue;
    }
    if (work > kMaxWalkWork) {
      return failed("grammar: too ambiguous: the next token can be read in too many ways");
    }
    path_[node.depth + size_t{1}] = next;
    if (node.token != kNoToken) mask[node.token / 64u] |= uint64_t{1} << (node.token % 64u);
    ++i;
  }
  if (states_.may_end(state)) {
    for (const TokenId token : end_tokens_) mask[token / 64u] |= uint64_t{1} << (token % 64u);
  }
  return {};
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<GrammarMasks> masks, bool after_thought)
    : masks_(std::move(masks)) {
  masks_->matchers_.push_back(this);
  GrammarStates& states = masks_->states_;
  state_ = after_thought ? states.start_after_thought() : states.start();
}

GrammarMatcher::~GrammarMatcher() { std::erase(masks_->matchers_, this); }

Result<std::span<const uint64_t>> GrammarMatcher::allowed() {
  masks_->make_room();
  RECKON_ASSIGN(const GrammarMasks::Mask* mask, masks_->mask(state_));
  return std::span<const uint64_t>(*mask);
}

bool GrammarMatcher::accept(std::string_view bytes) {
  size_t work = 0;  // little: the walk that allowed these bytes has been bounded
  for (const char byte : bytes) {
    state_ = masks_->states_.next(state_, static_cast<uint8_t>(byte), work);
  }
  return state_ != GrammarStates::kDead;
}

}  // namespace reckon
