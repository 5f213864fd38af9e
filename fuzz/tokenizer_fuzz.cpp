// Bytes -> tokens -> the same bytes, under every pre-tokenizer; tokenizer.json texts; tokenizers of
// GGUF files. The first bytes say which: '{' a tokenizer.json, "GGUF" a model file, else text.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "gguf/gguf_file.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/nfc.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace {

using namespace std::literals;
using reckon::SpecialTokens;
using reckon::TokenId;
using reckon::Tokenizer;
using reckon::TokenKind;

constexpr const char* kPreTokenizers[] = {"deepseek-r1-qwen", "qwen2", "llama-bpe", "deepseek-v3",
                                          "smollm",           "gpt-2", "default"};
constexpr size_t kNormalising = 2;  // the first ones normalise

// All bytes, some merges, one of which spells a special token, and special tokens.
reckon::TokenizerSpec small_spec(const char* pre_tokenizer) {
  reckon::TokenizerSpec spec;
  spec.pre_tokenizer = pre_tokenizer;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    reckon::append_spelling({&c, 1}, spec.tokens.emplace_back());
  }
  for (const char* merge :
       {"a a", "aa aa", "Ċ Ċ", "Ġ Ġ", "Ġ a", "< |", "<| >", "Ã ©", "ð Ł", "1 2"}) {
    spec.merges.emplace_back(merge);
    std::string token = merge;
    token.erase(token.find(' '), 1);
    spec.tokens.push_back(token);
  }
  spec.kinds.assign(spec.tokens.size(), TokenKind::kNormal);
  spec.kinds[256 + 6] = TokenKind::kControl;  // "<|>"
  spec.tokens.emplace_back("<think>");
  spec.kinds.push_back(TokenKind::kUserDefined);
  return spec;
}

const std::vector<std::shared_ptr<const Tokenizer>>& tokenizers() {
  static const auto all = [] {
    std::vector<std::shared_ptr<const Tokenizer>> made;
    for (const char* name : kPreTokenizers) made.push_back(*Tokenizer::create(small_spec(name)));
    return made;
  }();
  return all;
}

std::string streamed(const std::shared_ptr<const Tokenizer>& tokenizer,
                     const std::vector<TokenId>& ids) {
  reckon::StreamDecoder decoder(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

void check_text(std::string_view text) {
  for (size_t i = 0; i < tokenizers().size(); ++i) {
    const auto& tokenizer = tokenizers()[i];
    std::string buffer;
    const std::string_view expected = i < kNormalising ? reckon::normalise_nfc(text, buffer) : text;
    std::vector<TokenId> ids;
    tokenizer->encode(text, SpecialTokens::kAsText, ids);
    RECKON_CHECK(tokenizer->decode(ids) == expected);
    for (const TokenId id : ids) RECKON_CHECK(tokenizer->kind(id) == TokenKind::kNormal);
    const std::string stream = streamed(tokenizer, ids);
    RECKON_CHECK(stream == expected || stream.find("\ufffd") != std::string::npos);
    ids.clear();
    tokenizer->encode(text, SpecialTokens::kParse, ids);
    if (i >= kNormalising) RECKON_CHECK(tokenizer->decode(ids) == text);
  }
}

void use(const reckon::Result<std::shared_ptr<const Tokenizer>>& tokenizer) {
  if (!tokenizer.ok()) return;
  std::vector<TokenId> ids;
  (*tokenizer)->encode("It's 12 o'clock,\n <think> \xff e\u0301"sv, SpecialTokens::kParse, ids);
  streamed(*tokenizer, ids);
}

void check_json(std::string_view text) {
  auto spec = reckon::parse_tokenizer_json(text, {}, 0);
  if (spec.ok()) use(Tokenizer::create(std::move(*spec)));
}

void check_gguf(const uint8_t* data, size_t size) {
  constexpr auto kAlignment = std::align_val_t(64);
  auto* bytes = static_cast<std::byte*>(::operator new(size, kAlignment));
  std::memcpy(bytes, data, size);
  const auto file = reckon::GgufFile::from_bytes({bytes, size}, "fuzz.gguf");
  if (file.ok()) use(Tokenizer::from_gguf(**file));
  ::operator delete(bytes, kAlignment);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with("GGUF")) {
    check_gguf(data, size);
  } else if (text.starts_with('{')) {
    check_json(text);
  } else {
    check_text(text);
  }
  return 0;
}
