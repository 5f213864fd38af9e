// A grammar followed byte by byte: all the ways in which the bytes so far can be read, as one
// state. States are made when they are first reached and kept, so that a byte seen before in a
// state costs one look-up (lazy determinisation, as in Thompson 1968, with stacks of return
// addresses).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "sampling/grammar.h"

namespace reckon {

// Both depend on the bytes alone, never on what is kept, so the same bytes always end the same way.
// A byte that would exceed them is refused.
inline constexpr size_t kMaxGrammarReadings = 4096;  // visited for one byte
inline constexpr uint32_t kMaxGrammarDepth = 1024;   // of rules that are inside each other
// Readings visited for one byte that count as no work worth counting.
inline constexpr size_t kUsualReadings = 64;

class GrammarStates {
 public:
  using StateId = uint32_t;
  static constexpr StateId kDead = 0;  // what no text of the grammar begins with

  explicit GrammarStates(std::shared_ptr<const Grammar> grammar);

  // A state of nothing read yet.
  StateId start() { return make_state(grammar_->start()); }
  StateId start_after_thought() { return make_state(grammar_->start_after_thought()); }
  // Adds what the step costs beyond the usual to `work`, whether it has been taken before or not.
  StateId next(StateId state, uint8_t byte, size_t& work) {
    const uint32_t row = states_[state].row;
    if (row != kNoRow) {
      const StateId found = rows_[row + grammar_->byte_class(byte)];
      if (found < kCostly) return found;
    }
    return next_slowly(state, byte, work);
  }
  // Whether the bytes so far are a whole text of the grammar.
  bool may_end(StateId state) const { return states_[state].may_end; }
  size_t n_states() const { return states_.size(); }
  size_t memory_bytes() const;
  // Forgets all states but these, and renumbers them.
  void keep_only(std::span<StateId* const> kept);

 private:
  using Node = Grammar::Node;
  using StackId = uint32_t;
  static constexpr StackId kBottom = 0;
  static constexpr uint32_t kNoRow = UINT32_MAX;
  // Entries of rows_ from here on: not known yet, or a state whose making was costly (costs_).
  static constexpr StateId kCostly = uint32_t{1} << 31;
  static constexpr StateId kUnknown = UINT32_MAX;

  // Where a rule returns to, on top of where the rule around it returns to.
  struct Frame {
    Node node = 0;
    StackId below = kBottom;
    uint32_t depth = 0;
  };
  // A byte node that may come next, and the stack it stands on.
  struct Reading {
    Node node = 0;
    StackId stack = kBottom;
    friend auto operator<=>(const Reading&, const Reading&) = default;
  };
  struct State {
    uint32_t begin = 0;  // into readings_
    uint32_t end = 0;
    uint32_t row = kNoRow;  // into rows_
    bool may_end = false;
  };

  void clear();
  StateId make_state(Node node);
  StateId next_slowly(StateId state, uint8_t byte, size_t& work);
  StateId make_next(StateId state, uint8_t byte);
  bool visit(Node node, StackId stack);
  bool close();
  StateId intern();
  StackId push(Node node, StackId below);

  std::shared_ptr<const Grammar> grammar_;
  std::vector<Frame> frames_;
  std::unordered_map<uint64_t, StackId> frame_ids_;  // node and below
  std::vector<Reading> readings_;
  std::vector<State> states_;
  std::unordered_multimap<uint64_t, StateId> state_ids_;  // by hash of readings
  std::vector<StateId> rows_;                             // n_classes a row
  std::unordered_map<size_t, size_t> costs_;              // by place in rows_

  // Of the state under way.
  std::vector<Reading> open_;
  std::vector<Reading> found_;
  std::vector<uint64_t> visited_;        // open addressing; a slot holds node and stack
  std::vector<uint64_t> visited_epoch_;  // the slot is taken if this is epoch_
  uint64_t epoch_ = 0;
  size_t n_visited_ = 0;
  bool may_end_ = false;
};

}  // namespace reckon
