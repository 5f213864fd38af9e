// The alphabet: printable Latin-1 characters stand for their own byte, the 68 other bytes have the
// characters from U+0100 on, in the order of the bytes.
#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

constexpr uint32_t kMoved = 0x100;
constexpr size_t kAlphabetEnd = 0x144;

constexpr bool stands_for_itself(uint32_t byte) {
  return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
}

struct Alphabet {
  std::array<uint16_t, 256> character = {};
  std::array<int16_t, kAlphabetEnd> byte = {};  // -1: not of the alphabet

  constexpr Alphabet() {
    byte.fill(-1);
    uint32_t next = kMoved;
    for (uint32_t b = 0; b < 256; ++b) {
      const uint32_t c = stands_for_itself(b) ? b : next++;
      character[b] = static_cast<uint16_t>(c);
      byte[c] = static_cast<int16_t>(b);
    }
  }
};

constexpr Alphabet kAlphabet;
static_assert(kAlphabet.byte[kAlphabetEnd - 1] == 0xad);

}  // namespace

bool append_spelled_bytes(std::string_view spelling, std::string& out) {
  const size_t before = out.size();
  for (size_t at = 0; at < spelling.size();) {
    const Utf8Char c = decode_utf8(spelling, at);
    if (c.code_point >= kAlphabetEnd || kAlphabet.byte[c.code_point] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(kAlphabet.byte[c.code_point]));
    at += c.bytes;
  }
  return true;
}

void append_spelling(std::string_view bytes, std::string& out) {
  for (const char byte : bytes) append_utf8(kAlphabet.character[static_cast<uint8_t>(byte)], out);
}

}  // namespace reckon
