// The tree's rules are looked at once for what makes them useless (left recursion, no end), then
// written out as nodes from right to left: each piece is compiled with the node that follows it.
#include "sampling/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "sampling/grammar_states.h"
#include "sampling/grammar_text.h"

namespace reckon {
namespace {

using Kind = GrammarPiece::Kind;

// For every piece whether some text that it stands for has a property that sequences have when all
// their members have it: to be empty, or to be finite. A least fixed point, by counting down what
// each piece still waits for; linear in the tree.
class PieceProperty {
 public:
  PieceProperty(const GrammarTree& tree, bool (*holds_alone)(const GrammarPiece&))
      : tree_(tree), holds_(tree.pieces.size()), missing_(tree.pieces.size()) {
    std::vector<std::vector<uint32_t>> users(tree.rules.size());  // kRule pieces
    std::vector<uint32_t> parents(tree.pieces.size(), kNone);
    std::vector<std::vector<uint32_t>> rules_of(tree.pieces.size());
    for (uint32_t id = 0; id < tree.pieces.size(); ++id) {
      const GrammarPiece& piece = tree.pieces[id];
      for (const uint32_t child : piece.children) parents[child] = id;
      if (piece.kind == Kind::kRule) users[piece.rule].push_back(id);
      missing_[id] = piece.kind == Kind::kSequence ? piece.children.size() : 1;
    }
    for (uint32_t rule = 0; rule < tree.rules.size(); ++rule) {
      rules_of[tree.rules[rule].root].push_back(rule);
    }
    for (uint32_t id = 0; id < tree.pieces.size(); ++id) {
      if (missing_[id] == 0 || holds_alone(tree.pieces[id])) set(id);
    }
    while (!news_.empty()) {
      const uint32_t id = news_.back();
      news_.pop_back();
      const uint32_t parent = parents[id];
      if (parent != kNone && missing_[parent] > 0 && --missing_[parent] == 0) set(parent);
      for (const uint32_t rule : rules_of[id]) {
        for (const uint32_t user : users[rule]) set(user);
      }
    }
  }

  bool of(uint32_t piece) const { return holds_[piece]; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  void set(uint32_t id) {
    if (holds_[id]) return;
    holds_[id] = true;
    news_.push_back(id);
  }

  const GrammarTree& tree_;
  std::vector<bool> holds_;
  std::vector<size_t> missing_;
  std::vector<uint32_t> news_;
};

bool empty_alone(const GrammarPiece& piece) {
  return (piece.kind == Kind::kLiteral && piece.literal.empty()) ||
         (piece.kind == Kind::kRepeat && piece.min == 0);
}

bool finite_alone(const GrammarPiece& piece) {
  return piece.kind == Kind::kLiteral || piece.kind == Kind::kClass || empty_alone(piece);
}

// The rules that a rule may begin with, reached without any character before them.
std::vector<uint32_t> leftmost_rules(const GrammarTree& tree, const PieceProperty& empty,
                                     uint32_t rule) {
  std::vector<uint32_t> result;
  std::vector<uint32_t> open = {tree.rules[rule].root};
  while (!open.empty()) {
    const GrammarPiece& piece = tree.pieces[open.back()];
    open.pop_back();
    if (piece.kind == Kind::kRule) result.push_back(piece.rule);
    for (const uint32_t child : piece.children) {
      open.push_back(child);
      if (piece.kind == Kind::kSequence && !empty.of(child)) break;
    }
  }
  return result;
}

// A search in depth with a stack of its own: chains of rules may be long.
Status check_left_recursion(const GrammarTree& tree) {
  const PieceProperty empty(tree, empty_alone);
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> state(tree.rules.size(), kNew);
  struct Frame {
    uint32_t rule;
    std::vector<uint32_t> next;
  };
  std::vector<Frame> path;
  const auto enter = [&](uint32_t rule) {
    state[rule] = kOpen;
    path.push_back({rule, leftmost_rules(tree, empty, rule)});
  };
  for (uint32_t rule = 0; rule < tree.rules.size(); ++rule) {
    if (state[rule] == kNew) enter(rule);
    while (!path.empty()) {
      Frame& frame = path.back();
      if (frame.next.empty()) {
        state[frame.rule] = kDone;
        path.pop_back();
        continue;
      }
      const uint32_t next = frame.next.back();
      frame.next.pop_back();
      if (state[next] == kOpen) {
        return usage_error(fmt::format(
            "grammar: the rule {} begins with itself (left recursion): write it as a repetition",
            tree.rules[next].name));
      }
      if (state[next] == kNew) enter(next);
    }
  }
  return {};
}

Status check_ends(const GrammarTree& tree) {
  const PieceProperty finite(tree, finite_alone);
  for (const GrammarRule& rule : tree.rules) {
    if (!finite.of(rule.root)) {
      return usage_error(fmt::format("grammar: the rule {} never comes to an end", rule.name));
    }
  }
  return {};
}

}  // namespace

class GrammarCompiler {
 public:
  GrammarCompiler(const GrammarTree& tree, Grammar& out) : tree_(tree), out_(out) {}

  Status compile() {
    add({});  // kEndNode
    rule_starts_.resize(tree_.rules.size());
    for (size_t rule = 0; rule < tree_.rules.size(); ++rule) {
      rule_starts_[rule] = compile_piece(tree_.rules[rule].root, Grammar::kEndNode);
    }
    // Up to here a call's `first` was the rule's number.
    for (const Node call : rule_calls_) {
      out_.nodes_[call].first = rule_starts_[out_.nodes_[call].first];
    }
    out_.start_ = rule_starts_[tree_.root_rule];
    const Node second = add_split({add_byte('\n', '\n', out_.start_), out_.start_});
    out_.start_after_thought_ = add_split({add_byte('\n', '\n', second), out_.start_});
    if (full()) {
      return usage_error(fmt::format(
          "grammar: expected at most {} states, found more: its repetitions are too long",
          kMaxGrammarNodes));
    }
    classify_bytes();
    return {};
  }

 private:
  using Node = Grammar::Node;
  using NodeData = Grammar::NodeData;

  bool full() const { return std::ssize(out_.nodes_) > kMaxGrammarNodes; }

  Node add(const NodeData& node) {
    if (full()) return Grammar::kEndNode;
    out_.nodes_.push_back(node);
    return static_cast<Node>(out_.nodes_.size() - 1);
  }
  Node add_byte(uint8_t lo, uint8_t hi, Node next) {
    return add({.kind = Grammar::Kind::kByte, .lo = lo, .hi = hi, .next = next});
  }
  Node add_split(const std::vector<Node>& targets) {
    if (targets.size() == 1) return targets[0];
    const auto first = static_cast<uint32_t>(out_.edges_.size());
    if (!full()) out_.edges_.insert(out_.edges_.end(), targets.begin(), targets.end());
    return add({.kind = Grammar::Kind::kSplit,
                .first = first,
                .count = static_cast<uint32_t>(targets.size())});
  }

  // Recursion: as deep as parentheses are nested.
  Node compile_piece(uint32_t id, Node next) {
    const GrammarPiece& piece = tree_.pieces[id];
    switch (piece.kind) {
      case Kind::kLiteral: return compile_literal(piece.literal, next);
      case Kind::kClass: return compile_class(piece.ranges, next);
      case Kind::kRule: {
        const Node call = add({.kind = Grammar::Kind::kCall, .next = next, .first = piece.rule});
        if (!full()) rule_calls_.push_back(call);
        return call;
      }
      case Kind::kSequence:
        for (size_t i = piece.children.size(); i-- > 0 && !full();) {
          next = compile_piece(piece.children[i], next);
        }
        return next;
      case Kind::kChoice: return compile_choice(piece, next);
      case Kind::kRepeat: return compile_repeat(piece, next);
    }
    return next;
  }

  Node compile_literal(std::string_view bytes, Node next) {
    for (size_t i = bytes.size(); i-- > 0 && !full();) {
      const auto byte = static_cast<uint8_t>(bytes[i]);
      next = add_byte(byte, byte, next);
    }
    return next;
  }

  Node compile_repeat(const GrammarPiece& piece, Node next) {
    const uint32_t child = piece.children[0];
    Node node = next;
    if (piece.max == GrammarPiece::kNoLimit) {
      // The loop's split comes before its body, which leads back to it.
      node = add_split({Grammar::kEndNode, next});
      const Node body = compile_piece(child, node);
      if (!full()) out_.edges_[out_.nodes_[node].first] = body;
    } else {
      for (int64_t i = piece.min; i < piece.max && !full(); ++i) {
        const Node body = compile_piece(child, node);
        if (body == node) break;  // nothing, however often
        node = add_split({body, next});
      }
    }
    for (int64_t i = 0; i < piece.min && !full(); ++i) {
      const Node body = compile_piece(child, node);
      if (body == node) break;
      node = body;
    }
    return node;
  }

  // Literals that begin alike share their beginning: a choice of thousands stays narrow.
  Node compile_choice(const GrammarPiece& piece, Node next) {
    std::vector<Node> targets;
    std::vector<std::string_view> literals;
    for (const uint32_t child : piece.children) {
      const GrammarPiece& alternative = tree_.pieces[child];
      if (alternative.kind == Kind::kLiteral) {
        literals.push_back(alternative.literal);
      } else if (!full()) {
        targets.push_back(compile_piece(child, next));
      }
    }
    if (!literals.empty()) targets.push_back(compile_literals(std::move(literals), next));
    return add_split(targets);
  }

  Node compile_literals(std::vector<std::string_view> literals, Node next) {
    std::sort(literals.begin(), literals.end());
    struct Branch {
      uint8_t byte = 0;
      bool ends = false;
      std::vector<Node> targets = {};
    };
    // The branches of the current literal, one a byte; those of the one before are closed as far as
    // they differ.
    std::vector<Branch> open(1);
    std::string_view before;
    const auto close_to = [&](size_t depth) {
      while (open.size() > depth + 1 && !full()) {
        Branch branch = std::move(open.back());
        open.pop_back();
        if (branch.ends) branch.targets.push_back(next);
        open.back().targets.push_back(
            add_byte(branch.byte, branch.byte, add_split(branch.targets)));
      }
    };
    for (const std::string_view literal : literals) {
      const auto shared = static_cast<size_t>(
          std::mismatch(before.begin(), before.end(), literal.begin(), literal.end()).first -
          before.begin());
      close_to(shared);
      if (full()) return next;
      for (const char c : literal.substr(shared)) open.push_back({.byte = static_cast<uint8_t>(c)});
      open.back().ends = true;
      before = literal;
    }
    close_to(0);
    if (open[0].ends) open[0].targets.push_back(next);
    return add_split(open[0].targets);
  }

  // One byte range stays a node; more of them become a rule that all uses of the class call.
  Node compile_class(const CharRanges& ranges, Node next) {
    if (ranges.size() == 1 && ranges[0].second < 0x80) {
      return add_byte(static_cast<uint8_t>(ranges[0].first), static_cast<uint8_t>(ranges[0].second),
                      next);
    }
    const auto [entry, fresh] = class_starts_.try_emplace(ranges, Grammar::kEndNode);
    if (fresh) entry->second = compile_class_rule(ranges);
    return add({.kind = Grammar::Kind::kCall, .next = next, .first = entry->second});
  }

  Node compile_class_rule(const CharRanges& ranges) {
    std::vector<Node> targets;
    tails_.clear();
    for (const auto& [first, last] : ranges) {
      if (!full()) add_char_range(first, last, targets);
    }
    return add_split(targets);
  }

  // The characters first..last in UTF-8, as sequences of byte ranges: the range is cut until its
  // ends' encodings span it byte by byte.
  void add_char_range(uint32_t first, uint32_t last, std::vector<Node>& targets) {
    for (const uint32_t limit : {0x7Fu, 0x7FFu, 0xFFFFu}) {
      if (first <= limit && last > limit) {
        add_char_range(first, limit, targets);
        return add_char_range(limit + 1, last, targets);
      }
    }
    const int n_bytes = first < 0x80 ? 1 : first < 0x800 ? 2 : first < 0x10000 ? 3 : 4;
    for (int i = 1; i < n_bytes; ++i) {
      const uint32_t low_bits = (1u << (6 * i)) - 1;
      if ((first & ~low_bits) == (last & ~low_bits)) break;
      uint32_t cut = 0;
      if ((first & low_bits) != 0) {
        cut = (first | low_bits) + 1;
      } else if ((last & low_bits) != low_bits) {
        cut = last & ~low_bits;
      } else {
        continue;
      }
      add_char_range(first, cut - 1, targets);
      return add_char_range(cut, last, targets);
    }
    Node node = Grammar::kEndNode;
    for (int i = 0; i < n_bytes; ++i) {
      const uint8_t lead = n_bytes == 1 ? 0 : static_cast<uint8_t>(0xF00 >> n_bytes);
      const auto byte = [&](uint32_t c) {
        return static_cast<uint8_t>(i + 1 == n_bytes ? lead | (c >> (6 * i))
                                                     : 0x80 | ((c >> (6 * i)) & 0x3f));
      };
      const uint8_t lo = byte(first);
      const uint8_t hi = byte(last);
      if (i + 1 == n_bytes) {
        node = add_byte(lo, hi, node);
      } else {
        const auto [entry, fresh] = tails_.try_emplace({lo, hi, node}, node);
        if (fresh) entry->second = add_byte(lo, hi, node);
        node = entry->second;
      }
    }
    targets.push_back(node);
  }

  void classify_bytes() {
    std::array<bool, 257> begins = {};
    for (const NodeData& node : out_.nodes_) {
      if (node.kind != Grammar::Kind::kByte) continue;
      begins[node.lo] = true;
      begins[node.hi + 1] = true;
    }
    int n = 0;
    for (size_t byte = 0; byte < 256; ++byte) {
      if (byte > 0 && begins[byte]) ++n;
      out_.byte_classes_[byte] = static_cast<uint8_t>(n);
    }
    out_.n_classes_ = n + 1;
  }

  const GrammarTree& tree_;
  Grammar& out_;
  std::vector<Node> rule_starts_;
  std::vector<Node> rule_calls_;
  std::map<CharRanges, Node> class_starts_;
  std::map<std::tuple<uint8_t, uint8_t, Node>, Node> tails_;  // of the class under way
};

Result<std::shared_ptr<const Grammar>> Grammar::parse(std::string_view gbnf) {
  RECKON_ASSIGN(const GrammarTree tree, parse_grammar_text(gbnf));
  RECKON_RETURN_IF_ERROR(check_left_recursion(tree));
  RECKON_RETURN_IF_ERROR(check_ends(tree));
  auto grammar = std::shared_ptr<Grammar>(new Grammar());
  RECKON_RETURN_IF_ERROR(GrammarCompiler(tree, *grammar).compile());
  if (GrammarStates(grammar).start_after_thought() == GrammarStates::kDead) {
    return usage_error(fmt::format("grammar: expected a text that begins in at most {} ways",
                                   kMaxGrammarReadings));
  }
  return std::shared_ptr<const Grammar>(std::move(grammar));
}

}  // namespace reckon
