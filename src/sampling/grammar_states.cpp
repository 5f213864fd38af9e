// Stacks are interned, so equal ones have equal numbers and a state is a sorted list of pairs.
#include "sampling/grammar_states.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace reckon {
namespace {

// Twice the limit, so that a search always meets a free slot.
constexpr size_t kVisitedSlots = std::bit_ceil(2 * kMaxGrammarReadings);

uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 32)) * 0x9E3779B97F4A7C15ull;
  return x ^ (x >> 29);
}

uint64_t pair_key(uint32_t a, uint32_t b) { return uint64_t{a} << 32 | b; }

}  // namespace

GrammarStates::GrammarStates(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), visited_(kVisitedSlots), visited_epoch_(kVisitedSlots) {
  clear();
}

void GrammarStates::clear() {
  frames_.assign(1, {});
  frame_ids_.clear();
  readings_.clear();
  states_.assign(1, {});
  state_ids_.clear();
  costs_.clear();
  // The dead state's row leads to itself.
  rows_.assign(static_cast<size_t>(grammar_->n_classes()), kDead);
  states_[kDead].row = 0;
}

GrammarStates::StackId GrammarStates::push(Node node, StackId below) {
  const auto [entry, fresh] =
      frame_ids_.try_emplace(pair_key(node, below), static_cast<StackId>(frames_.size()));
  if (fresh) {
    frames_.push_back({.node = node, .below = below, .depth = frames_[below].depth + 1});
  }
  return entry->second;
}

// Adds a place to look at unless it has been; false when there are too many.
bool GrammarStates::visit(Node node, StackId stack) {
  const uint64_t key = pair_key(node, stack);
  size_t slot = mixed(key) % kVisitedSlots;
  for (; visited_epoch_[slot] == epoch_; slot = (slot + 1) % kVisitedSlots) {
    if (visited_[slot] == key) return true;
  }
  if (n_visited_ == kMaxGrammarReadings) return false;
  ++n_visited_;
  visited_epoch_[slot] = epoch_;
  visited_[slot] = key;
  open_.push_back({node, stack});
  return true;
}

// From open_ along everything that takes no byte: fills found_ and may_end_. Ends, because a rule
// that begins with itself is refused and so stacks can't grow for ever without a byte.
bool GrammarStates::close() {
  while (!open_.empty()) {
    const auto [id, stack] = open_.back();
    open_.pop_back();
    const Grammar::NodeData& node = grammar_->node(id);
    switch (node.kind) {
      case Grammar::Kind::kByte: found_.push_back({id, stack}); break;
      case Grammar::Kind::kSplit:
        for (const Node target : grammar_->targets(node)) {
          if (!visit(target, stack)) return false;
        }
        break;
      case Grammar::Kind::kCall: {
        // A call at a rule's end returns to where that rule returns.
        if (node.next != Grammar::kEndNode && frames_[stack].depth == kMaxGrammarDepth) break;
        const StackId inside = node.next == Grammar::kEndNode ? stack : push(node.next, stack);
        if (!visit(node.first, inside)) return false;
        break;
      }
      case Grammar::Kind::kEnd:
        if (stack == kBottom) {
          may_end_ = true;
        } else {
          const Frame frame = frames_[stack];
          if (!visit(frame.node, frame.below)) return false;
        }
        break;
    }
  }
  return true;
}

GrammarStates::StateId GrammarStates::make_state(Node node) {
  ++epoch_;
  n_visited_ = 0;
  open_.clear();
  found_.clear();
  may_end_ = false;
  if (!visit(node, kBottom) || !close()) return kDead;
  return intern();
}

GrammarStates::StateId GrammarStates::next_slowly(StateId state, uint8_t byte, size_t& work) {
  if (states_[state].row == kNoRow) {
    states_[state].row = static_cast<uint32_t>(rows_.size());
    rows_.resize(rows_.size() + static_cast<size_t>(grammar_->n_classes()), kUnknown);
  }
  const size_t place = size_t{states_[state].row} + grammar_->byte_class(byte);
  StateId target = rows_[place];
  if (target == kUnknown) {
    target = make_next(state, byte);
    const bool costly = n_visited_ > kUsualReadings;
    if (costly) costs_[place] = n_visited_ - kUsualReadings;
    rows_[place] = costly ? target | kCostly : target;
    if (!costly) return target;
  }
  work += costs_[place];
  return target & ~kCostly;
}

GrammarStates::StateId GrammarStates::make_next(StateId state, uint8_t byte) {
  ++epoch_;
  n_visited_ = 0;
  open_.clear();
  found_.clear();
  may_end_ = false;
  bool fits = true;
  for (uint32_t i = states_[state].begin; i < states_[state].end && fits; ++i) {
    const Reading reading = readings_[i];
    const Grammar::NodeData& node = grammar_->node(reading.node);
    if (node.lo <= byte && byte <= node.hi) fits = visit(node.next, reading.stack) && close();
  }
  return fits ? intern() : kDead;
}

// The state of found_ and may_end_, a new one if there is none yet.
GrammarStates::StateId GrammarStates::intern() {
  if (found_.empty() && !may_end_) return kDead;
  std::sort(found_.begin(), found_.end());
  uint64_t hash = may_end_ ? 1 : 2;
  for (const Reading& reading : found_) {
    hash = mixed(hash * 31 + pair_key(reading.node, reading.stack));
  }
  const auto [first, last] = state_ids_.equal_range(hash);
  for (auto entry = first; entry != last; ++entry) {
    const State& state = states_[entry->second];
    if (state.may_end == may_end_ &&
        std::equal(found_.begin(), found_.end(), readings_.begin() + state.begin,
                   readings_.begin() + state.end)) {
      return entry->second;
    }
  }
  const auto id = static_cast<StateId>(states_.size());
  const auto begin = static_cast<uint32_t>(readings_.size());
  readings_.insert(readings_.end(), found_.begin(), found_.end());
  states_.push_back({.begin = begin,
                     .end = static_cast<uint32_t>(readings_.size()),
                     .row = kNoRow,
                     .may_end = may_end_});
  state_ids_.emplace(hash, id);
  return id;
}

size_t GrammarStates::memory_bytes() const {
  // A hash table's entry is a node and its place in the table, about 40 bytes.
  return frames_.size() * (sizeof(Frame) + 40) + readings_.size() * sizeof(Reading) +
         states_.size() * (sizeof(State) + 40) + rows_.size() * sizeof(StateId) +
         costs_.size() * 40;
}

void GrammarStates::keep_only(std::span<StateId* const> kept) {
  const std::vector<Frame> frames = std::move(frames_);
  const std::vector<Reading> readings = std::move(readings_);
  const std::vector<State> states = std::move(states_);
  clear();
  std::unordered_map<StackId, StackId> moved = {{kBottom, kBottom}};
  std::vector<StackId> path;
  for (StateId* const id : kept) {
    if (*id == kDead) continue;
    const State& state = states[*id];
    found_.clear();
    for (uint32_t i = state.begin; i < state.end; ++i) {
      StackId stack = readings[i].stack;
      for (path.clear(); !moved.contains(stack); stack = frames[stack].below) {
        path.push_back(stack);
      }
      StackId copy = moved[stack];
      for (; !path.empty(); path.pop_back()) {
        copy = push(frames[path.back()].node, copy);
        moved[path.back()] = copy;
      }
      found_.push_back({readings[i].node, copy});
    }
    may_end_ = state.may_end;
    *id = intern();
  }
}

}  // namespace reckon
