// A vocabulary for fuzzers: token b is byte b, then longer ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/tokenizer.h"

namespace reckon::fuzz {

inline std::shared_ptr<const Tokenizer> byte_tokenizer(const std::vector<std::string>& longer) {
  TokenizerSpec spec;
  spec.pre_tokenizer = "gpt-2";
  const auto add = [&](const std::string& bytes) {
    std::string spelling;
    append_spelling(bytes, spelling);
    spec.tokens.push_back(std::move(spelling));
    spec.kinds.push_back(TokenKind::kNormal);
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  for (const std::string& bytes : longer) add(bytes);
  auto tokenizer = Tokenizer::create(std::move(spec));
  RECKON_CHECK(tokenizer.ok());
  return *tokenizer;
}

}  // namespace reckon::fuzz
