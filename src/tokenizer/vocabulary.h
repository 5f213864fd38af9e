// The tokens of a tokenizer: their spellings, kinds and bytes, and the way back from a spelling.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/token.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

// A longer token is refused: the longest in use are a few hundred bytes.
inline constexpr size_t kMaxTokenBytes = 4096;

// Immutable after build(), safe to share between threads.
class Vocabulary {
 public:
  // tokens and kinds must outlive the vocabulary. Errors: kBadFile naming the token: an empty, huge
  // or repeated one, a malformed byte token, a text byte that no token stands for.
  Status build(const std::vector<std::string>& tokens, const std::vector<TokenKind>& kinds);

  int size() const { return static_cast<int>(tokens_->size()); }
  bool has(TokenId id) const { return id >= 0 && id < size(); }
  TokenKind kind(TokenId id) const { return has(id) ? (*kinds_)[id] : TokenKind::kUnused; }
  // What text can become by merging: special tokens never.
  bool is_text(TokenId id) const {
    return kind(id) == TokenKind::kNormal || kind(id) == TokenKind::kByte;
  }
  std::string_view bytes(TokenId id) const {
    return has(id) ? std::string_view(bytes_).substr(begins_[id], begins_[id + 1] - begins_[id])
                   : std::string_view();
  }
  TokenId find(std::string_view spelling) const;
  // The token of a single byte, or kNoToken: some vocabularies lack bytes that UTF-8 text rarely or
  // never has (SmolLM2's lacks 21).
  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }

 private:
  Status append_bytes(TokenId id);
  Status index();
  Status find_byte_tokens();

  const std::vector<std::string>* tokens_ = nullptr;
  const std::vector<TokenKind>* kinds_ = nullptr;
  std::string bytes_;                 // all tokens' bytes, one after the other
  std::vector<uint32_t> begins_;      // [size + 1], into bytes_
  std::vector<TokenId> by_spelling_;  // open addressing, at most half full
  std::array<TokenId, 256> byte_tokens_ = {};
};

// "token 17 (\"<think>\")", for messages.
std::string token_name(const std::vector<std::string>& tokens, TokenId id);

}  // namespace reckon
