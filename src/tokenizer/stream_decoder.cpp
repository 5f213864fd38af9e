// The streaming detokenizer: whole characters go out at once, an unfinished one waits for its rest.
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// How many bytes at the start of rest are the beginning of some valid character: all that one
// replacement character stands for (Unicode's "maximal subpart"), at least 1. rest doesn't start
// with a whole character.
size_t unfinished_bytes(std::string_view rest) {
  const auto lead = static_cast<uint8_t>(rest[0]);
  const size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return 1;
  for (size_t n = 1; n < rest.size() && n < whole; ++n) {
    const auto byte = static_cast<uint8_t>(rest[n]);
    // After these leads the second byte's range is narrower: no overlong forms, no surrogates,
    // nothing above U+10FFFF.
    const uint8_t low = n > 1 ? 0x80 : lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = n > 1 ? 0xbf : lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte < low || byte > high) return n;
  }
  return rest.size() < whole ? rest.size() : whole;
}

bool may_continue(std::string_view rest) {
  const auto lead = static_cast<uint8_t>(rest[0]);
  const size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  return lead >= 0xc2 && lead <= 0xf4 && rest.size() < whole &&
         unfinished_bytes(rest) == rest.size();
}

}  // namespace

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

std::string StreamDecoder::push(TokenId id) {
  pending_ += tokenizer_->bytes(id);
  std::string text;
  size_t at = 0;
  while (at < pending_.size()) {
    const Utf8Char c = decode_utf8(pending_, at);
    const std::string_view rest = std::string_view(pending_).substr(at);
    if (c.valid()) {
      text += rest.substr(0, c.bytes);
      at += c.bytes;
    } else if (may_continue(rest)) {
      break;
    } else {
      text += kReplacement;
      at += unfinished_bytes(rest);
    }
  }
  pending_.erase(0, at);
  return text;
}

std::string StreamDecoder::finish() {
  // What is pending is the start of one character.
  const bool cut = !pending_.empty();
  pending_.clear();
  return cut ? std::string(kReplacement) : std::string();
}

}  // namespace reckon
