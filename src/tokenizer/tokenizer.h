// Text <-> tokens: byte-level BPE with the pre-tokenizers of the R1 family and its relatives.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "tokenizer/token.h"

namespace reckon {

enum class TokenKind : uint8_t {  // GGUF's tokenizer.ggml.token_type
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// What a tokenizer is made from, whether it came from a GGUF's metadata or a tokenizer.json.
struct TokenizerSpec {
  std::string pre_tokenizer;        // GGUF's tokenizer.ggml.pre: "deepseek-r1-qwen", "llama-bpe", …
  std::vector<std::string> tokens;  // byte-level spelling ("Ġhello"), as in the files
  std::vector<TokenKind> kinds;     // as many as tokens
  std::vector<std::string> merges;  // "Ġ hello", best first
  TokenId bos = kNoToken;
  TokenId eos = kNoToken;
  TokenId eot = kNoToken;  // end of turn, where it is another than eos
  TokenId padding = kNoToken;
  bool add_bos = false;
  bool add_eos = false;
};

enum class SpecialTokens {
  kAsText,  // "</think>" is text like any other
  kParse,   // control and user-defined tokens' spellings become those tokens
};

// Immutable after creation, safe to share between threads.
class Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> create(TokenizerSpec spec);
  // From tokenizer.ggml.* of a model file. Errors: kBadFile naming the key.
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const GgufFile& file);

  ~Tokenizer();

  // Appends the ids of text to out. Never adds BOS or EOS. Invalid UTF-8 becomes byte tokens.
  void encode(std::string_view text, SpecialTokens special, std::vector<TokenId>& out) const;

  // The token's bytes (a control token's spelling); empty for unused ones.
  std::string_view bytes(TokenId id) const;
  std::string decode(const std::vector<TokenId>& ids) const;

  int vocab_size() const;
  TokenKind kind(TokenId id) const;
  // The id whose spelling this is (special tokens and marks: "<think>"), or kNoToken.
  TokenId find(std::string_view spelling) const;
  const TokenizerSpec& spec() const;
  TokenId bos() const { return spec().bos; }
  TokenId eos() const { return spec().eos; }
  bool add_bos() const { return spec().add_bos; }
  // EOS, end-of-turn and whatever else ends an answer.
  bool ends_generation(TokenId id) const;

 private:
  Tokenizer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of tokens into text, holding back an unfinished UTF-8 character. Bytes that can
// never become valid are passed on as U+FFFD at finish() or as soon as that is certain.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer);
  // The text that is now complete.
  std::string push(TokenId id);
  // Whether the bytes so far end on a character boundary.
  bool at_boundary() const { return pending_.empty(); }
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::string pending_;
};

}  // namespace reckon
