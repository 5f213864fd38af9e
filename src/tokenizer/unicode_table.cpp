// The generated runs spread out for look-up, and strict UTF-8.
#include "tokenizer/unicode_table.h"

#include <algorithm>
#include <memory>

namespace reckon {

const uint8_t* unicode_classes() {
  static const std::unique_ptr<const uint8_t[]> table = [] {
    auto classes = std::make_unique<uint8_t[]>(kCodePoints);
    uint8_t* next = classes.get();
    for (const uint32_t run : unicode_class_runs()) {
      next = std::fill_n(next, run >> 8, static_cast<uint8_t>(run & 0xff));
    }
    return classes;
  }();
  return table.get();
}

Utf8Char decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const size_t left = text.size() - at;
  const auto continues = [&](size_t i) { return i < left && (byte(i) & 0xc0) == 0x80; };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead >= 0xc2 && lead < 0xe0 && continues(1)) {
    return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  }
  if (lead >= 0xe0 && lead < 0xf0 && continues(1) && continues(2)) {
    const uint32_t c = (lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    if (c >= 0x800 && (c < 0xd800 || c >= 0xe000)) return {c, 3};
  }
  if (lead >= 0xf0 && lead < 0xf5 && continues(1) && continues(2) && continues(3)) {
    const uint32_t c =
        (lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    if (c >= 0x10000 && c < kCodePoints) return {c, 4};
  }
  return {kCodePoints + lead, 1};
}

void append_utf8(uint32_t code_point, std::string& out) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point >= kCodePoints) {
    put(code_point - kCodePoints);
  } else if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

}  // namespace reckon
