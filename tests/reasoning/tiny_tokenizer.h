// A vocabulary for scripted tests: token b is byte b, then the special tokens, then a few longer
// ones that only scripts use.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/tokenizer.h"

namespace reckon::testing {

inline constexpr TokenId kBos = 256;
inline constexpr TokenId kEos = 257;
inline constexpr TokenId kThink = 258;
inline constexpr TokenId kThinkEnd = 259;
inline constexpr TokenId kImEnd = 260;
inline constexpr TokenId kHello = 261;      // "hello"
inline constexpr TokenId kSpaceStop = 262;  // " STOP now"

// with_marks: whether <think> and </think> are tokens of their own.
inline std::shared_ptr<const Tokenizer> tiny_tokenizer(bool with_marks = true) {
  TokenizerSpec spec;
  spec.pre_tokenizer = "gpt-2";
  for (int b = 0; b < 256; ++b) {
    std::string spelling;
    append_spelling(std::string(1, static_cast<char>(b)), spelling);
    spec.tokens.push_back(spelling);
    spec.kinds.push_back(TokenKind::kNormal);
  }
  const auto add = [&](std::string text, TokenKind kind) {
    spec.tokens.push_back(std::move(text));
    spec.kinds.push_back(kind);
  };
  add("<bos>", TokenKind::kControl);
  add("<eos>", TokenKind::kControl);
  add(with_marks ? "<think>" : "<unused0>", TokenKind::kUserDefined);
  add(with_marks ? "</think>" : "<unused1>", TokenKind::kUserDefined);
  add("<|im_end|>", TokenKind::kControl);
  add("hello", TokenKind::kNormal);
  add("\xc4\xa0STOP\xc4\xa0now", TokenKind::kNormal);
  spec.bos = kBos;
  spec.eos = kEos;
  Result<std::shared_ptr<const Tokenizer>> made = Tokenizer::create(std::move(spec));
  RECKON_CHECK(made.ok());
  return *made;
}

// One token a byte.
inline std::vector<TokenId> bytes_as_tokens(std::string_view text) {
  std::vector<TokenId> tokens;
  for (const char c : text) tokens.push_back(static_cast<uint8_t>(c));
  return tokens;
}

}  // namespace reckon::testing
