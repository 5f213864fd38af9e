// A grammar text in llama.cpp's GBNF -> an automaton over bytes: what an answer may say. Rules,
// alternatives, character classes and repetitions become nodes; a rule that is used becomes a call.
// sampling/grammar_states.h follows it byte by byte, sampling/grammar_masks.h token by token.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace reckon {

// A text that reaches one of these is an error that names the limit.
inline constexpr size_t kMaxGrammarBytes = size_t{4} << 20;
inline constexpr int kMaxGrammarNesting = 200;         // of parentheses
inline constexpr int64_t kMaxGrammarNodes = 1 << 20;   // after repetitions are written out
inline constexpr int64_t kMaxRepetitions = 1'000'000;  // a number in {m,n}

// Immutable, safe to share between threads.
class Grammar {
 public:
  using Node = uint32_t;
  enum class Kind : uint8_t {
    kByte,   // a byte from lo to hi, then `next`
    kSplit,  // any of the nodes edges()[first, first + count)
    kCall,   // from `first` to the end of that rule, then `next`
    kEnd,    // of a rule
  };
  struct NodeData {
    Kind kind = Kind::kEnd;
    uint8_t lo = 0;
    uint8_t hi = 0;
    Node next = 0;
    uint32_t first = 0;
    uint32_t count = 0;
  };

  // The text's rules, of which `root` is the answer. Errors: kUsage with line and column: a mistake
  // in the text, a rule that is missing or stands twice, left recursion, a limit.
  static Result<std::shared_ptr<const Grammar>> parse(std::string_view gbnf);

  const NodeData& node(Node id) const { return nodes_[id]; }
  std::span<const Node> targets(const NodeData& split) const {
    return std::span(edges_).subspan(split.first, split.count);
  }
  size_t n_nodes() const { return nodes_.size(); }

  static constexpr Node kEndNode = 0;
  Node start() const { return start_; }
  // The same behind at most two line breaks: R1 writes a blank line between thought and answer.
  Node start_after_thought() const { return start_after_thought_; }

  // Bytes that no node tells apart have the same class, below n_classes().
  uint8_t byte_class(uint8_t byte) const { return byte_classes_[byte]; }
  int n_classes() const { return n_classes_; }

 private:
  friend class GrammarCompiler;
  Grammar() = default;

  std::vector<NodeData> nodes_;
  std::vector<Node> edges_;
  Node start_ = 0;
  Node start_after_thought_ = 0;
  std::array<uint8_t, 256> byte_classes_ = {};
  int n_classes_ = 0;
};

}  // namespace reckon
