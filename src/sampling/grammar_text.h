// GBNF text -> a tree of rules, not yet resolved: the front half of Grammar::parse.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace reckon {

// Character ranges, first to last, both included.
using CharRanges = std::vector<std::pair<uint32_t, uint32_t>>;

// One piece of a rule's right side. The pieces of all rules stand in one list; every piece but a
// rule's root has one parent, which stands after it.
struct GrammarPiece {
  enum class Kind : uint8_t { kLiteral, kClass, kRule, kSequence, kChoice, kRepeat };
  static constexpr int64_t kNoLimit = -1;

  Kind kind = Kind::kSequence;
  std::string literal = {};             // kLiteral: UTF-8
  CharRanges ranges = {};               // kClass: sorted, apart, not empty, without surrogates
  uint32_t rule = 0;                    // kRule
  std::vector<uint32_t> children = {};  // kSequence, kChoice: any number; kRepeat: one
  int64_t min = 0;                      // kRepeat
  int64_t max = kNoLimit;
};

struct GrammarRule {
  static constexpr uint32_t kUndefined = UINT32_MAX;
  std::string name;
  uint32_t root = kUndefined;  // a piece
  size_t first_use = 0;        // where in the text
};

struct GrammarTree {
  std::vector<GrammarPiece> pieces;
  std::vector<GrammarRule> rules;
  uint32_t root_rule = 0;
};

// Errors: kUsage with line and column.
Result<GrammarTree> parse_grammar_text(std::string_view gbnf);

}  // namespace reckon
