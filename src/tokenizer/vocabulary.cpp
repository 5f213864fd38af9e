// Checks the tokens one by one and indexes them by their spelling.
#include "tokenizer/vocabulary.h"

#include <bit>
#include <functional>
#include <optional>

#include "base/json.h"
#include "tokenizer/byte_level.h"

namespace reckon {
namespace {

// All tokens' bytes lie in one string with 32-bit positions.
constexpr uint64_t kMaxVocabularyBytes = uint64_t{1} << 31;

// The byte of "<0x1F>", the spelling that byte tokens have.
std::optional<char> byte_of_spelling(std::string_view spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') return {};
  int value = 0;
  for (const char c : spelling.substr(3, 2)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'A' && c <= 'F')) return {};
    value = value * 16 + (digit ? c - '0' : c - 'A' + 10);
  }
  return static_cast<char>(value);
}

}  // namespace

std::string token_name(const std::vector<std::string>& tokens, TokenId id) {
  return "token " + std::to_string(id) + " (" + excerpt(tokens[id]) + ")";
}

Status Vocabulary::build(const std::vector<std::string>& tokens,
                         const std::vector<TokenKind>& kinds) {
  tokens_ = &tokens;
  kinds_ = &kinds;
  bytes_.clear();
  begins_.assign(1, 0);
  begins_.reserve(tokens.size() + 1);
  for (TokenId id = 0; id < size(); ++id) {
    RECKON_RETURN_IF_ERROR(append_bytes(id));
    begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  RECKON_RETURN_IF_ERROR(index());
  return find_byte_tokens();
}

Status Vocabulary::append_bytes(TokenId id) {
  const std::string& spelling = (*tokens_)[id];
  if (spelling.size() > kMaxTokenBytes) {
    return bad_file(token_name(*tokens_, id) + ": expected at most " +
                    std::to_string(kMaxTokenBytes) + " bytes, found " +
                    std::to_string(spelling.size()));
  }
  if (bytes_.size() + spelling.size() > kMaxVocabularyBytes) {
    return bad_file("the vocabulary's tokens together have over " +
                    std::to_string(kMaxVocabularyBytes) + " bytes");
  }
  switch (kind(id)) {
    case TokenKind::kUnused: return {};
    case TokenKind::kByte: {
      const std::optional<char> byte = byte_of_spelling(spelling);
      if (!byte) {
        return bad_file(token_name(*tokens_, id) +
                        ": a byte token, expected <0x00> to <0xFF> in capitals");
      }
      bytes_.push_back(*byte);
      return {};
    }
    case TokenKind::kNormal:
      if (spelling.empty()) return bad_file(token_name(*tokens_, id) + ": a token without text");
      // One that isn't spelled in the alphabet can't come from text; it stands for its spelling.
      if (!append_spelled_bytes(spelling, bytes_)) bytes_ += spelling;
      return {};
    default:
      if (spelling.empty()) return bad_file(token_name(*tokens_, id) + ": a token without text");
      bytes_ += spelling;
      return {};
  }
}

Status Vocabulary::index() {
  by_spelling_.assign(std::bit_ceil(2 * tokens_->size() + 1), kNoToken);
  const size_t mask = by_spelling_.size() - 1;
  for (TokenId id = 0; id < size(); ++id) {
    if (kind(id) == TokenKind::kUnused) continue;
    const std::string& spelling = (*tokens_)[id];
    size_t i = std::hash<std::string_view>()(spelling) & mask;
    for (; by_spelling_[i] != kNoToken; i = (i + 1) & mask) {
      if ((*tokens_)[by_spelling_[i]] == spelling) {
        return bad_file(token_name(*tokens_, id) + ": the same as token " +
                        std::to_string(by_spelling_[i]));
      }
    }
    by_spelling_[i] = id;
  }
  return {};
}

TokenId Vocabulary::find(std::string_view spelling) const {
  const size_t mask = by_spelling_.size() - 1;
  for (size_t i = std::hash<std::string_view>()(spelling) & mask; by_spelling_[i] != kNoToken;
       i = (i + 1) & mask) {
    if ((*tokens_)[by_spelling_[i]] == spelling) return by_spelling_[i];
  }
  return kNoToken;
}

Status Vocabulary::find_byte_tokens() {
  std::string spelling;
  for (int byte = 0; byte < 256; ++byte) {
    spelling.clear();
    const char c = static_cast<char>(byte);
    append_spelling({&c, 1}, spelling);
    TokenId id = find(spelling);
    if (!is_text(id)) {
      constexpr char kHex[] = "0123456789ABCDEF";
      spelling = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
      id = find(spelling);
      if (kind(id) != TokenKind::kByte) id = kNoToken;
    }
    byte_tokens_[byte] = id;
    if (id == kNoToken && (byte == '\n' || (byte >= ' ' && byte <= '~'))) {
      spelling.clear();
      append_spelling({&c, 1}, spelling);
      return bad_file("the vocabulary has no token " + excerpt(spelling) + " for the byte " +
                      std::to_string(byte) + ", so it is not a byte-level one");
    }
  }
  return {};
}

}  // namespace reckon
