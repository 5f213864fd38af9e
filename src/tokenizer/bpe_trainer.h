// Texts -> the vocabulary and merges of a byte-level BPE (Sennrich et al. 2016, algorithm 1), with
// the same ids as Hugging Face's trainer gives. `reckon tokenizer train` writes them as a
// tokenizer.json; a small model's training starts from it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

struct BpeTrainerOptions {
  int64_t vocab_size = 4096;  // special tokens included
  std::string pre_tokenizer = "deepseek-r1-qwen";
  int64_t min_count = 2;  // a pair rarer than this is not merged
};

// R1's own special tokens in the order of its distills: end and begin of sentence, User,
// Assistant, the two think marks, and padding. They follow the tokens of text.
struct SpecialToken {
  std::string_view spelling;
  TokenKind kind;
};
const std::vector<SpecialToken>& r1_special_tokens();

// Gathers the pieces of the texts; then train(). One thread.
class BpeTrainer {
 public:
  // Errors: kUsage for a pre-tokenizer that is none, and for a vocabulary that can't hold the 256
  // bytes and the special tokens, or has more than 2^24 tokens.
  static Result<BpeTrainer> create(const BpeTrainerOptions& options);

  // Pieces never join two texts.
  void add(std::string_view text);
  // Called with merges made and wanted; false stops.
  using Progress = std::function<bool(int64_t done, int64_t total)>;
  // The vocabulary may come out smaller than wanted, where no pair is frequent enough. bos, eos,
  // padding and add_bos are set as in R1's distills. Errors: kInterrupted.
  Result<TokenizerSpec> train(const Progress& progress = {}) const;

 private:
  explicit BpeTrainer(BpeTrainerOptions options) : options_(std::move(options)) {}

  BpeTrainerOptions options_;
  std::map<std::string, int64_t, std::less<>> pieces_;  // and how often each stood in the texts
};

}  // namespace reckon
