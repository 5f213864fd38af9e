// The formats of 32, unpacked: one block of each of V::kRows weight rows -> eight words, word g
// holding quants 4 g .. 4 g + 3 of every row as unsigned (or, for the 8-bit formats, as V keeps
// signed bytes), and the rows' scales. The stored quant is the true one plus kOffset.
#pragma once

#include <cstddef>

#include "kernels/vector/products.h"
#include "quants/blocks.h"

namespace reckon::kernels {
namespace {

// The sixteen bytes of nibbles at `field`: low halves are elements 0..15, high halves 16..31.
template <class V, class Rows>
inline void unpack_nibbles(const Rows& rows, int64_t at, int64_t field, typename V::Words* w) {
  const typename V::Words mask = V::word(0x0f0f0f0f);
  typename V::Words packed[4];
  rows.words(at, field, packed);
  RECKON_UNROLL
  for (int g = 0; g < 4; ++g) {
    w[g] = V::both(packed[g], mask);
    w[g + 4] = V::both(V::template down<4>(packed[g]), mask);
  }
}

// Adds each element's fifth bit, bit i of the rows' 32-bit words at `field`, in place (as 16).
template <class V, class Rows>
inline void add_fifth_bits(const Rows& rows, int64_t at, int64_t field, typename V::Words* w) {
  using Words = typename V::Words;
  const Words bits = rows.word(at, field);
  const Words mask = V::word(0x10101010);
  RECKON_UNROLL
  for (int g = 0; g < 8; ++g) {
    // Bits 4 g .. 4 g + 3 go to bit 4 of bytes 0 .. 3: bit j moves up by 4 + 7 j.
    const Words four = V::both(V::down(bits, 4 * g), V::word(15));
    const Words low = V::either(V::template up<4>(four), V::template up<11>(four));
    const Words high = V::either(V::template up<18>(four), V::template up<25>(four));
    w[g] = V::either(w[g], V::both(V::either(low, high), mask));
  }
}

// What the products need to know of a format V-independently.
template <class Block, int kMax, int kOffsetOf, bool kHasMinimum>
struct SmallFormat {
  static constexpr int64_t kBlockBytes = sizeof(Block);
  static constexpr int kMaxWeight = kMax;
  static constexpr int kOffset = kOffsetOf;
  static constexpr bool kMinimum = kHasMinimum;
};

struct FormatQ4_0 : SmallFormat<BlockQ4_0, 15, 8, false> {
  template <class V, class Rows>
  static void unpack(const Rows& rows, int64_t at, typename V::Words* w, typename V::RowFloats& d,
                     typename V::RowFloats&) {
    d = rows.half(at, 0);
    unpack_nibbles<V>(rows, at, offsetof(BlockQ4_0, qs), w);
  }
};

struct FormatQ4_1 : SmallFormat<BlockQ4_1, 15, 0, true> {
  template <class V, class Rows>
  static void unpack(const Rows& rows, int64_t at, typename V::Words* w, typename V::RowFloats& d,
                     typename V::RowFloats& m) {
    const typename V::Words scales = rows.word(at, 0);
    d = V::half_to_float(scales);
    m = V::half_to_float(V::template down<16>(scales));
    unpack_nibbles<V>(rows, at, offsetof(BlockQ4_1, qs), w);
  }
};

struct FormatQ5_0 : SmallFormat<BlockQ5_0, 31, 16, false> {
  template <class V, class Rows>
  static void unpack(const Rows& rows, int64_t at, typename V::Words* w, typename V::RowFloats& d,
                     typename V::RowFloats&) {
    d = rows.half(at, 0);
    unpack_nibbles<V>(rows, at, offsetof(BlockQ5_0, qs), w);
    add_fifth_bits<V>(rows, at, offsetof(BlockQ5_0, qh), w);
  }
};

struct FormatQ5_1 : SmallFormat<BlockQ5_1, 31, 0, true> {
  template <class V, class Rows>
  static void unpack(const Rows& rows, int64_t at, typename V::Words* w, typename V::RowFloats& d,
                     typename V::RowFloats& m) {
    const typename V::Words scales = rows.word(at, 0);
    d = V::half_to_float(scales);
    m = V::half_to_float(V::template down<16>(scales));
    unpack_nibbles<V>(rows, at, offsetof(BlockQ5_1, qs), w);
    add_fifth_bits<V>(rows, at, offsetof(BlockQ5_1, qh), w);
  }
};

// The formats whose quants need eight signed bits; V says how it keeps those.
template <class V, class Block>
struct ByteFormat {
  static constexpr int64_t kBlockBytes = sizeof(Block);
  static constexpr int kMaxWeight = V::kMostByte;
  static constexpr int kOffset = V::kByteOffset;
  static constexpr bool kMinimum = false;
};

template <class V>
struct FormatQ8_0 : ByteFormat<V, BlockQ8_0> {
  template <class, class Rows>
  static void unpack(const Rows& rows, int64_t at, typename V::Words* w, typename V::RowFloats& d,
                     typename V::RowFloats&) {
    d = rows.half(at, 0);
    rows.words(at, offsetof(BlockQ8_0, qs), w);
    rows.words(at, offsetof(BlockQ8_0, qs) + 16, w + 4);
    RECKON_UNROLL
    for (int g = 0; g < 8; ++g) w[g] = V::signed_bytes(w[g]);
  }
};

template <class V>
struct FormatIQ4_NL : ByteFormat<V, BlockIQ4_NL> {
  template <class, class Rows>
  static void unpack(const Rows& rows, int64_t at, typename V::Words* w, typename V::RowFloats& d,
                     typename V::RowFloats&) {
    d = rows.half(at, 0);
    unpack_nibbles<V>(rows, at, offsetof(BlockIQ4_NL, qs), w);
    RECKON_UNROLL
    for (int g = 0; g < 8; ++g) w[g] = V::look_up_bytes(kIq4NlValues, w[g]);
  }
};

}  // namespace
}  // namespace reckon::kernels
