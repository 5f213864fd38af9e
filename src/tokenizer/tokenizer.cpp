// Encoding and decoding: special tokens are cut out, the text between them normalised, split into
// pieces, and each piece merged.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <functional>

#include "base/json.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/unicode_table.h"
#include "tokenizer/vocabulary.h"

namespace reckon {

struct Tokenizer::Impl {
  TokenizerSpec spec;
  PreTokenizer pre;
  Vocabulary vocabulary;
  MergeTable merges{0};
  SpecialMatcher specials;
  std::vector<TokenId> ends;  // what ends an answer

  Status build();
  Status check_ids() const;
  Status build_merges();
  void find_ends();
};

namespace {

// Ends of turns and texts of the families that are read, besides what a file names as eos or eot.
constexpr std::string_view kEndOfTurn[] = {"<|eot_id|>", "<|im_end|>"};
constexpr std::string_view kEnds[] = {"<|eom_id|>", "<|end_of_text|>", "<|endoftext|>",
                                      "<｜end▁of▁sentence｜>"};

// Merging looks at no more at once, so that positions fit 32 bits.
constexpr size_t kMaxSymbols = size_t{1} << 31;

// One encode() call: scratch memory and a cache of the words met so far, so that none is shared
// between threads.
class Encoder {
 public:
  Encoder(const PreTokenizer& pre, const Vocabulary& vocabulary, const MergeTable& merges,
          size_t text_bytes, std::vector<TokenId>& out)
      : pre_(pre), vocabulary_(vocabulary), merger_(merges), out_(out) {
    if (text_bytes >= kCacheFromBytes) {
      words_.resize(std::bit_ceil(std::min(text_bytes / 16, kMaxWords)));
    }
  }

  // text stays where it is until the encoder is gone.
  void encode(std::string_view text) {
    if (pre_.nfc) text = normalise_nfc(text, normalised_.emplace_back());
    auto take = [this](std::string_view piece) { encode_piece(piece); };
    split_pieces(pre_.rule, text, PieceSink(take));
  }

 private:
  // A word and where in out_ its tokens stand.
  struct Word {
    std::string_view text;
    size_t begin = 0;
    size_t n_tokens = 0;
  };
  static constexpr size_t kCacheFromBytes = 256;
  static constexpr size_t kMaxWords = 8192;
  static constexpr size_t kMaxWordBytes = 64;

  void encode_piece(std::string_view piece) {
    if (words_.empty() || piece.size() < 2 || piece.size() > kMaxWordBytes) {
      merge_piece(piece);
      return;
    }
    Word& word = words_[std::hash<std::string_view>()(piece) & (words_.size() - 1)];
    const size_t begin = out_.size();
    if (word.text == piece) {
      for (size_t i = 0; i < word.n_tokens; ++i) out_.push_back(out_[word.begin + i]);
      return;
    }
    merge_piece(piece);
    word = {piece, begin, out_.size() - begin};
  }

  void merge_piece(std::string_view piece) {
    if (pre_.ignore_merges && take_whole(piece)) return;
    tokens_.clear();
    tokens_.reserve(std::min(piece.size(), kMaxSymbols));
    for (size_t at = 0; at < piece.size();) {
      const Utf8Char c = decode_utf8(piece, at);
      // Bytes that aren't UTF-8 merge with nothing.
      if (!c.valid() || tokens_.size() >= kMaxSymbols) flush();
      for (const char byte : piece.substr(at, c.bytes)) {
        // A byte that the vocabulary lacks is left out, as the reference leaves it out.
        const TokenId token = vocabulary_.byte_token(static_cast<uint8_t>(byte));
        if (token != kNoToken) tokens_.push_back(token);
      }
      if (!c.valid()) flush();
      at += c.bytes;
    }
    flush();
  }

  void flush() {
    merger_.merge(tokens_, out_);
    tokens_.clear();
  }

  // Takes a piece that is a token as it is; not where bytes of it aren't UTF-8.
  bool take_whole(std::string_view piece) {
    if (piece.size() > kMaxTokenBytes) return false;
    spelling_.clear();
    append_spelling(piece, spelling_);
    const TokenId whole = vocabulary_.find(spelling_);
    if (!vocabulary_.is_text(whole)) return false;
    for (size_t at = 0; at < piece.size();) {
      const Utf8Char c = decode_utf8(piece, at);
      if (!c.valid() && piece.size() > 1) return false;
      at += c.bytes;
    }
    out_.push_back(whole);
    return true;
  }

  const PreTokenizer& pre_;
  const Vocabulary& vocabulary_;
  BpeMerger merger_;
  std::vector<TokenId>& out_;
  std::vector<Word> words_;
  std::deque<std::string> normalised_;  // kept, because words_ looks into them
  std::vector<TokenId> tokens_;
  std::string spelling_;
};

Status check_id(TokenId id, std::string_view what, const Vocabulary& vocabulary) {
  if (id == kNoToken || vocabulary.has(id)) return {};
  return bad_file(std::string(what) + " token id: expected 0 to " +
                  std::to_string(vocabulary.size() - 1) + ", found " + std::to_string(id));
}

}  // namespace

Status Tokenizer::Impl::check_ids() const {
  RECKON_RETURN_IF_ERROR(check_id(spec.bos, "bos", vocabulary));
  RECKON_RETURN_IF_ERROR(check_id(spec.eos, "eos", vocabulary));
  RECKON_RETURN_IF_ERROR(check_id(spec.eot, "eot", vocabulary));
  RECKON_RETURN_IF_ERROR(check_id(spec.padding, "padding", vocabulary));
  if (spec.add_bos && spec.bos == kNoToken) {
    return bad_file("the tokenizer adds a bos token but names none");
  }
  if (spec.add_eos && spec.eos == kNoToken) {
    return bad_file("the tokenizer adds an eos token but names none");
  }
  return {};
}

Status Tokenizer::Impl::build_merges() {
  merges = MergeTable(spec.merges.size());
  std::string whole;
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const std::string& merge = spec.merges[rank];
    const auto name = [&] { return "merge " + std::to_string(rank) + " (" + excerpt(merge) + ")"; };
    const size_t space = merge.find(' ');
    if (space == 0 || space == std::string::npos || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string::npos) {
      return bad_file(name() + ": expected two tokens with a space between them");
    }
    const auto left_spelling = std::string_view(merge).substr(0, space);
    const auto right_spelling = std::string_view(merge).substr(space + 1);
    whole.assign(left_spelling).append(right_spelling);
    const TokenId left = vocabulary.find(left_spelling);
    const TokenId right = vocabulary.find(right_spelling);
    const TokenId result = vocabulary.find(whole);
    if (left == kNoToken || right == kNoToken || result == kNoToken) {
      const std::string_view absent = left == kNoToken    ? left_spelling
                                      : right == kNoToken ? right_spelling
                                                          : whole;
      return bad_file(name() + ": the vocabulary has no token " + excerpt(absent));
    }
    // Text never becomes a special token, not even by a merge that spells one.
    if (!vocabulary.is_text(left) || !vocabulary.is_text(right) || !vocabulary.is_text(result)) {
      continue;
    }
    if (!merges.insert(left, right, {static_cast<uint32_t>(rank), result})) {
      return bad_file(name() + ": stands twice");
    }
  }
  return {};
}

void Tokenizer::Impl::find_ends() {
  for (const std::string_view spelling : kEndOfTurn) {
    const TokenId id = vocabulary.find(spelling);
    if (spec.eot == kNoToken) spec.eot = id;
    ends.push_back(id);
  }
  for (const std::string_view spelling : kEnds) ends.push_back(vocabulary.find(spelling));
  ends.push_back(spec.eos);
  ends.push_back(spec.eot);
  std::erase(ends, kNoToken);
}

Status Tokenizer::Impl::build() {
  const PreTokenizer* known = find_pre_tokenizer(spec.pre_tokenizer);
  if (known == nullptr) {
    return bad_file("unknown pre-tokenizer " + excerpt(spec.pre_tokenizer) + ", expected one of " +
                    pre_tokenizer_names());
  }
  pre = *known;
  if (spec.tokens.empty() || spec.tokens.size() >= size_t{1} << 31) {
    return bad_file("expected 1 to 2^31 - 1 tokens, found " + std::to_string(spec.tokens.size()));
  }
  if (spec.kinds.size() != spec.tokens.size()) {
    return bad_file("expected as many token types as tokens, " +
                    std::to_string(spec.tokens.size()) + ", found " +
                    std::to_string(spec.kinds.size()));
  }
  if (spec.merges.size() >= size_t{1} << 31) {
    return bad_file("expected under 2^31 merges, found " + std::to_string(spec.merges.size()));
  }
  RECKON_RETURN_IF_ERROR(vocabulary.build(spec.tokens, spec.kinds));
  RECKON_RETURN_IF_ERROR(check_ids());
  RECKON_RETURN_IF_ERROR(build_merges());
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    if (kind == TokenKind::kControl || kind == TokenKind::kUserDefined) {
      specials.insert(vocabulary.bytes(id), id);
    }
  }
  find_ends();
  return {};
}

Tokenizer::Tokenizer() : impl_(std::make_unique<Impl>()) {}
Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(TokenizerSpec spec) {
  std::shared_ptr<Tokenizer> tokenizer(new Tokenizer());
  tokenizer->impl_->spec = std::move(spec);
  RECKON_RETURN_IF_ERROR(tokenizer->impl_->build());
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

void Tokenizer::encode(std::string_view text, SpecialTokens special,
                       std::vector<TokenId>& out) const {
  Encoder encoder(impl_->pre, impl_->vocabulary, impl_->merges, text.size(), out);
  if (special == SpecialTokens::kAsText) {
    encoder.encode(text);
    return;
  }
  for (size_t at = 0; at < text.size();) {
    const SpecialMatcher::Match match = impl_->specials.find(text, at);
    encoder.encode(text.substr(at, match.begin - at));
    if (match.id != kNoToken) out.push_back(match.id);
    at = match.end;
  }
}

std::string_view Tokenizer::bytes(TokenId id) const { return impl_->vocabulary.bytes(id); }

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  std::string text;
  for (const TokenId id : ids) text += bytes(id);
  return text;
}

int Tokenizer::vocab_size() const { return impl_->vocabulary.size(); }
TokenKind Tokenizer::kind(TokenId id) const { return impl_->vocabulary.kind(id); }
TokenId Tokenizer::find(std::string_view spelling) const {
  return impl_->vocabulary.find(spelling);
}
const TokenizerSpec& Tokenizer::spec() const { return impl_->spec; }
bool Tokenizer::ends_generation(TokenId id) const {
  return std::ranges::find(impl_->ends, id) != impl_->ends.end();
}

}  // namespace reckon
