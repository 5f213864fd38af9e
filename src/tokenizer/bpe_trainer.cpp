// Every distinct piece is a word of symbols. A heap holds the pairs of neighbours by count (more
// first, then the lower ids); a count that has fallen since is put back, corrected. Each merge
// touches only the words that its pair was seen in.
#include "tokenizer/bpe_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <set>
#include <unordered_map>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pre_tokenizer.h"

namespace reckon {
namespace {

constexpr int64_t kMaxVocabSize = int64_t{1} << 24;
constexpr int64_t kBytes = 256;
constexpr int64_t kMergesAStep = 64;  // between two calls of progress

using Pair = std::pair<TokenId, TokenId>;

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const auto both = static_cast<uint64_t>(static_cast<uint32_t>(pair.first)) << 32 |
                      static_cast<uint32_t>(pair.second);
    return both * 0x9e3779b97f4a7c15u >> 16;
  }
};

struct Word {
  std::vector<TokenId> symbols;
  int64_t count = 0;
};

struct Candidate {
  int64_t count = 0;
  Pair pair;
  std::set<uint32_t> words;

  // The top of the heap is the greatest: the most frequent pair, of equals that of the lowest ids.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : other.pair < pair;
  }
};

class Merging {
 public:
  Merging(const std::map<std::string, int64_t, std::less<>>& pieces, TokenizerSpec& spec)
      : spec_(spec) {
    add_alphabet();
    for (const auto& [piece, count] : pieces) {
      Word word{.symbols = {}, .count = count};
      for (const char c : piece) word.symbols.push_back(byte_ids_[static_cast<uint8_t>(c)]);
      words_.push_back(std::move(word));
    }
    std::unordered_map<Pair, std::set<uint32_t>, PairHash> places;
    for (uint32_t at = 0; at < words_.size(); ++at) {
      const auto& symbols = words_[at].symbols;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const Pair pair(symbols[i], symbols[i + 1]);
        counts_[pair] += words_[at].count;
        places[pair].insert(at);
      }
    }
    push(std::move(places));
  }

  // Makes the next merge; false when no pair is left that stands min_count times.
  bool step(int64_t min_count) {
    while (!heap_.empty()) {
      Candidate best = heap_.top();
      heap_.pop();
      const int64_t count = counts_[best.pair];
      if (best.count != count) {
        best.count = count;
        heap_.push(std::move(best));
        continue;
      }
      if (count < std::max<int64_t>(min_count, 1)) return false;
      merge(best);
      return true;
    }
    return false;
  }

 private:
  // Ids by the alphabet's characters as Unicode numbers them, not by the bytes they stand for.
  void add_alphabet() {
    std::map<std::string, int> by_spelling;  // UTF-8 sorts as the code points do
    for (int byte = 0; byte < kBytes; ++byte) {
      const char c = static_cast<char>(byte);
      std::string spelling;
      append_spelling(std::string_view(&c, 1), spelling);
      by_spelling[spelling] = byte;
    }
    byte_ids_.resize(kBytes);
    for (const auto& [spelling, byte] : by_spelling) byte_ids_[byte] = id_of(spelling);
  }

  // Different merges may spell the same token.
  TokenId id_of(const std::string& spelling) {
    const auto [found, is_new] =
        ids_.try_emplace(spelling, static_cast<TokenId>(spec_.tokens.size()));
    if (is_new) {
      spec_.tokens.push_back(spelling);
      spec_.kinds.push_back(TokenKind::kNormal);
    }
    return found->second;
  }

  void push(std::unordered_map<Pair, std::set<uint32_t>, PairHash> places) {
    for (auto& [pair, words] : places) {
      const int64_t count = counts_[pair];
      if (count > 0) heap_.push({.count = count, .pair = pair, .words = std::move(words)});
    }
  }

  void merge(const Candidate& best) {
    const std::string left = spec_.tokens[best.pair.first];
    const std::string right = spec_.tokens[best.pair.second];
    const TokenId joined = id_of(left + right);
    spec_.merges.push_back(left + " " + right);
    std::unordered_map<Pair, std::set<uint32_t>, PairHash> places;
    for (const uint32_t at : best.words) merge_word(at, best.pair, joined, places);
    push(std::move(places));
  }

  void merge_word(uint32_t at, const Pair& pair, TokenId joined,
                  std::unordered_map<Pair, std::set<uint32_t>, PairHash>& places) {
    Word& word = words_[at];
    auto& symbols = word.symbols;
    const auto add = [&](const Pair& made) {
      counts_[made] += word.count;
      places[made].insert(at);
    };
    size_t n = 0;  // symbols kept so far
    for (size_t i = 0; i < symbols.size(); ++i) {
      const bool is_pair =
          symbols[i] == pair.first && i + 1 < symbols.size() && symbols[i + 1] == pair.second;
      if (!is_pair) {
        symbols[n++] = symbols[i];
        continue;
      }
      if (n > 0) {
        counts_[{symbols[n - 1], pair.first}] -= word.count;
        add({symbols[n - 1], joined});
      }
      if (i + 2 < symbols.size()) {
        counts_[{pair.second, symbols[i + 2]}] -= word.count;
        add({joined, symbols[i + 2]});
      }
      symbols[n++] = joined;
      ++i;
    }
    symbols.resize(n);
  }

  TokenizerSpec& spec_;
  std::vector<TokenId> byte_ids_;
  std::unordered_map<std::string, TokenId> ids_;
  std::vector<Word> words_;
  std::unordered_map<Pair, int64_t, PairHash> counts_;
  std::priority_queue<Candidate> heap_;
};

TokenId add_special_tokens(TokenizerSpec& spec) {
  const auto first = static_cast<TokenId>(spec.tokens.size());
  for (const SpecialToken& token : r1_special_tokens()) {
    spec.tokens.emplace_back(token.spelling);
    spec.kinds.push_back(token.kind);
  }
  return first;
}

}  // namespace

const std::vector<SpecialToken>& r1_special_tokens() {
  static const std::vector<SpecialToken> tokens = {
      {"<｜end▁of▁sentence｜>", TokenKind::kControl},
      {"<｜begin▁of▁sentence｜>", TokenKind::kControl},
      {"<｜User｜>", TokenKind::kControl},
      {"<｜Assistant｜>", TokenKind::kControl},
      {"<think>", TokenKind::kUserDefined},
      {"</think>", TokenKind::kUserDefined},
      {"<｜▁pad▁｜>", TokenKind::kControl},
  };
  return tokens;
}

Result<BpeTrainer> BpeTrainer::create(const BpeTrainerOptions& options) {
  if (find_pre_tokenizer(options.pre_tokenizer) == nullptr) {
    return usage_error(fmt::format("pre-tokenizer: expected one of {}, found \"{}\"",
                                   pre_tokenizer_names(), options.pre_tokenizer));
  }
  const int64_t least = kBytes + static_cast<int64_t>(r1_special_tokens().size());
  if (options.vocab_size < least || options.vocab_size > kMaxVocabSize) {
    return usage_error(
        fmt::format("vocabulary: expected {} tokens (bytes and special tokens) to "
                    "{}, found {}",
                    least, kMaxVocabSize, options.vocab_size));
  }
  if (options.min_count < 1) {
    return usage_error(fmt::format("min-count: expected 1 or more, found {}", options.min_count));
  }
  return BpeTrainer(options);
}

void BpeTrainer::add(std::string_view text) {
  const PreTokenizer& pre = *find_pre_tokenizer(options_.pre_tokenizer);
  std::string buffer;
  if (pre.nfc) text = normalise_nfc(text, buffer);
  auto count = [&](std::string_view piece) {
    const auto found = pieces_.find(piece);
    if (found != pieces_.end()) {
      ++found->second;
    } else {
      pieces_.emplace(piece, 1);
    }
  };
  split_pieces(pre.rule, text, PieceSink(count));
}

Result<TokenizerSpec> BpeTrainer::train(const Progress& progress) const {
  TokenizerSpec spec;
  spec.pre_tokenizer = options_.pre_tokenizer;
  const auto n_text = static_cast<size_t>(options_.vocab_size) - r1_special_tokens().size();
  Merging merging(pieces_, spec);
  while (spec.tokens.size() < n_text && merging.step(options_.min_count)) {
    const auto done = static_cast<int64_t>(spec.tokens.size());
    if (done % kMergesAStep == 0 && progress && !progress(done, static_cast<int64_t>(n_text))) {
      return Error{ErrorKind::kInterrupted, ""};
    }
  }
  const TokenId first = add_special_tokens(spec);
  spec.eos = first;
  spec.bos = first + 1;
  spec.padding = first + 6;
  spec.add_bos = true;
  return spec;
}

}  // namespace reckon
