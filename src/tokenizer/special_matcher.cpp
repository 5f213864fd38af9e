// The trie's children are linked lists: special tokens branch little.
#include "tokenizer/special_matcher.h"

namespace reckon {

uint32_t SpecialMatcher::child_of(uint32_t node, char byte) const {
  uint32_t child = nodes_[node].child;
  while (child != kNone && nodes_[child].byte != byte) child = nodes_[child].sibling;
  return child;
}

void SpecialMatcher::insert(std::string_view spelling, TokenId id) {
  uint32_t& root = roots_[static_cast<uint8_t>(spelling[0])];
  if (root == kNone) {
    root = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back({.byte = spelling[0]});
  }
  uint32_t node = root;
  for (const char byte : spelling.substr(1)) {
    uint32_t child = child_of(node, byte);
    if (child == kNone) {
      child = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({.sibling = nodes_[node].child, .byte = byte});
      nodes_[node].child = child;
    }
    node = child;
  }
  nodes_[node].id = id;
}

SpecialMatcher::Match SpecialMatcher::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    Match match{.begin = begin};
    uint32_t node = roots_[static_cast<uint8_t>(text[begin])];
    for (size_t at = begin + 1; node != kNone; ++at) {
      if (nodes_[node].id != kNoToken) {
        match.end = at;
        match.id = nodes_[node].id;
      }
      if (at == text.size()) break;
      node = child_of(node, text[at]);
    }
    if (match.id != kNoToken) return match;
  }
  return {.begin = text.size(), .end = text.size()};
}

}  // namespace reckon
