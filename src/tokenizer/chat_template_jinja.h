// Jinja source -> its normal form: what is left when layout, comments, quoting and white-space
// control are taken away, so that two sources of the same template compare equal and a changed one
// does not. Nothing is executed. Inside tokenizer/ only; docs/templates.md describes the form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reckon {

enum class JinjaKind : char {
  kData = 'd',       // text that is written as it is: data between tags, or {{ 'a literal' }}
  kStatement = '%',  // a {% tag begins, its tokens follow
  kOutput = '{',     // a {{ tag begins, its tokens follow
  kEnd = '}',        // the tag ends
  kName = 'w',
  kNumber = 'n',
  kString = 's',
  kOperator = 'o',
};

struct JinjaToken {
  JinjaKind kind;
  std::string text;
};

// The template as transformers' Jinja environment (trim_blocks, lstrip_blocks) lexes it. nullopt
// for a source that doesn't lex, that uses {% raw %} or names outside ASCII, or that is over
// kMaxJinjaBytes.
std::optional<std::vector<JinjaToken>> normalise_jinja(std::string_view source);
inline constexpr size_t kMaxJinjaBytes = size_t{1} << 20;

// If the tokens write a default ChatML system turn (a literal "<|im_start|>system\nX<|im_end|>\n"),
// X is returned and every literal that is X or frames it holds "\x01" in X's place.
std::optional<std::string> blank_default_system(std::vector<JinjaToken>& tokens);

// FNV-1a (64 bits) over kind, text and a NUL for each token.
uint64_t jinja_hash(const std::vector<JinjaToken>& tokens);

}  // namespace reckon
