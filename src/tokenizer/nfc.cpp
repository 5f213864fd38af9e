// NFC by the algorithm of Unicode's chapter 3.11: decompose, order marks by combining class,
// compose. Only the stretches around characters that can change are touched; the rest is copied.
#include "tokenizer/nfc.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

// Hangul syllables are composed by arithmetic (Unicode chapter 3.12).
constexpr uint32_t kHangulL = 0x1100, kHangulV = 0x1161, kHangulT = 0x11a7, kHangulS = 0xac00;
constexpr uint32_t kCountL = 19, kCountV = 21, kCountT = 28;
constexpr uint32_t kCountS = kCountL * kCountV * kCountT;

struct Composition {
  uint64_t parts;  // first << 32 | second
  uint32_t code_point;
};

struct Tables {
  // Whether a character can change or be changed by the one before it. What has neither a combining
  // class nor a place in a decomposition is where a stretch can be cut.
  std::vector<uint64_t> unsettled;  // a bit a code point
  std::span<const CombiningRange> combining = unicode_combining_ranges();
  std::span<const Decomposition> decompositions = unicode_decompositions();
  std::vector<Composition> compositions;  // in the order of parts

  Tables() : unsettled(kCodePoints / 64) {
    for (const CombiningRange& range : combining) {
      for (uint32_t i = 0; i < range.count; ++i) mark(range.first + i);
    }
    for (const Decomposition& d : decompositions) {
      if (!d.composes) {
        mark(d.code_point);
        continue;
      }
      mark(d.second);
      compositions.push_back({uint64_t{d.first} << 32 | d.second, d.code_point});
    }
    for (uint32_t i = 0; i < kCountV; ++i) mark(kHangulV + i);
    for (uint32_t i = 1; i < kCountT; ++i) mark(kHangulT + i);
    std::ranges::sort(compositions, {}, &Composition::parts);
  }

  void mark(uint32_t code_point) { unsettled[code_point / 64] |= uint64_t{1} << code_point % 64; }
  bool settled(uint32_t code_point) const {
    return code_point >= kCodePoints || !(unsettled[code_point / 64] >> code_point % 64 & 1);
  }
  uint8_t combining_class(uint32_t code_point) const {
    const auto after = std::ranges::upper_bound(combining, code_point, {}, &CombiningRange::first);
    if (after == combining.begin()) return 0;
    const CombiningRange& range = *(after - 1);
    return code_point - range.first < range.count ? range.combining_class : 0;
  }
};

const Tables& tables() {
  static const Tables instance;
  return instance;
}

struct Char {
  uint32_t code_point;
  uint8_t combining_class;
};

void decompose(const Tables& t, uint32_t code_point, std::vector<Char>& out) {
  if (code_point - kHangulS < kCountS) {
    const uint32_t s = code_point - kHangulS;
    out.push_back({kHangulL + s / (kCountV * kCountT), 0});
    out.push_back({kHangulV + s % (kCountV * kCountT) / kCountT, 0});
    if (s % kCountT != 0) out.push_back({kHangulT + s % kCountT, 0});
    return;
  }
  const auto found =
      std::ranges::lower_bound(t.decompositions, code_point, {}, &Decomposition::code_point);
  if (found == t.decompositions.end() || found->code_point != code_point) {
    out.push_back({code_point, t.combining_class(code_point)});
    return;
  }
  // Decompositions nest at most three deep.
  decompose(t, found->first, out);
  if (found->second != 0) decompose(t, found->second, out);
}

void order_marks(std::vector<Char>& chars) {
  for (auto begin = chars.begin(); begin != chars.end();) {
    if (begin->combining_class == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, chars.end(), [](const Char& c) { return c.combining_class == 0; });
    std::ranges::stable_sort(begin, end, {}, &Char::combining_class);
    begin = end;
  }
}

// The character that the two compose to, or 0.
uint32_t composed(const Tables& t, uint32_t first, uint32_t second) {
  if (first - kHangulL < kCountL && second - kHangulV < kCountV) {
    return kHangulS + ((first - kHangulL) * kCountV + (second - kHangulV)) * kCountT;
  }
  if (first - kHangulS < kCountS && (first - kHangulS) % kCountT == 0 &&
      second - kHangulT - 1 < kCountT - 1) {
    return first + (second - kHangulT);
  }
  const uint64_t parts = uint64_t{first} << 32 | second;
  const auto found = std::ranges::lower_bound(t.compositions, parts, {}, &Composition::parts);
  return found != t.compositions.end() && found->parts == parts ? found->code_point : 0;
}

void compose(const Tables& t, std::vector<Char>& chars) {
  size_t kept = 0;
  size_t starter = 0;
  bool has_starter = false;
  for (const Char c : chars) {
    // Blocked: something between the starter and c has c's class or a higher one.
    const bool adjacent = has_starter && kept == starter + 1;
    const bool blocked =
        !adjacent && kept > 0 && chars[kept - 1].combining_class >= c.combining_class;
    if (has_starter && !blocked) {
      if (const uint32_t whole = composed(t, chars[starter].code_point, c.code_point)) {
        chars[starter].code_point = whole;
        continue;
      }
    }
    if (c.combining_class == 0) {
      starter = kept;
      has_starter = true;
    }
    chars[kept++] = c;
  }
  chars.resize(kept);
}

// The first character from `at` on that isn't settled, or text.size(); `cut` becomes the start of
// the settled character before it.
size_t find_unsettled(const Tables& t, std::string_view text, size_t at, size_t& cut) {
  cut = at;
  while (at < text.size()) {
    if (static_cast<uint8_t>(text[at]) < 0x80) {
      cut = at++;
      continue;
    }
    const Utf8Char c = decode_utf8(text, at);
    if (!t.settled(c.code_point)) return at;
    cut = at;
    at += c.bytes;
  }
  return at;
}

}  // namespace

std::string_view normalise_nfc(std::string_view text, std::string& buffer) {
  const Tables& t = tables();
  size_t cut = 0;
  size_t unsettled = find_unsettled(t, text, 0, cut);
  if (unsettled == text.size()) return text;
  buffer.clear();
  buffer.reserve(text.size() + text.size() / 8);
  std::vector<Char> stretch;
  size_t done = 0;
  while (unsettled < text.size()) {
    buffer.append(text.substr(done, cut - done));
    // From the settled character before it to the next settled one.
    stretch.clear();
    size_t at = cut;
    while (at < text.size()) {
      const Utf8Char c = decode_utf8(text, at);
      if (at > cut && t.settled(c.code_point)) break;
      decompose(t, c.code_point, stretch);
      at += c.bytes;
    }
    order_marks(stretch);
    compose(t, stretch);
    for (const Char& c : stretch) append_utf8(c.code_point, buffer);
    done = at;
    unsettled = find_unsettled(t, text, at, cut);
  }
  buffer.append(text.substr(done));
  return buffer;
}

}  // namespace reckon
