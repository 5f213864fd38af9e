// The 256-element formats, unpacked: one block of each of V::kRows weight rows -> 64 words,
// word i holding quants 4 i .. 4 i + 3 of every row, with the rows' sub-block scales as
// factors. The stored quant is the true one plus kOffset.
#pragma once

#include <cstddef>

#include "kernels/vector/products.h"
#include "quants/blocks.h"

namespace reckon::kernels {
namespace {

// A format's unpack(rows, at, out) calls out.set_d and set_dmin, set_factors and set_pairs for four
// sub-blocks at a time, and then put(i, word) once for each i, a sub-block's words one after
// another. Its loops are unrolled, so that i is a constant to whatever out does with it; all of it
// is inlined, so that the words stay in registers.

// The four bytes of each word, one after another.
template <class V>
inline void bytes_of(typename V::Words word, typename V::Ints (&out)[4]) {
  out[0] = V::template byte<0>(word);
  out[1] = V::template byte<1>(word);
  out[2] = V::template byte<2>(word);
  out[3] = V::template byte<3>(word);
}

template <class V, class Rows>
[[gnu::always_inline]] inline void load_32_bytes(const Rows& rows, int64_t at, int64_t field,
                                                 typename V::Words* out) {
  rows.words(at, field, out);
  rows.words(at, field + 16, out + 4);
}

template <class Block, int kSub, int kMax, int kOffsetOf, bool kHasMinimum>
struct KFormat {
  static constexpr int64_t kBlockBytes = sizeof(Block);
  static constexpr int kSubElements = kSub;
  static constexpr int kMaxWeight = kMax;
  static constexpr int kOffset = kOffsetOf;
  static constexpr bool kMinimum = kHasMinimum;
};

struct FormatQ2_K : KFormat<BlockQ2_K, 16, 3, 0, true> {
  template <class V, class Rows, class Out>
  [[gnu::always_inline]] static void unpack(const Rows& rows, int64_t at, Out& out) {
    const typename V::Words halves = rows.word(at, offsetof(BlockQ2_K, d));
    out.set_d(V::half_to_float(halves));
    out.set_dmin(V::half_to_float(V::template down<16>(halves)));
    typename V::Words packed[4];
    rows.words(at, offsetof(BlockQ2_K, scales), packed);
    const typename V::Words nibbles = V::word(0x0f0f0f0f);
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      typename V::Ints values[4];
      bytes_of<V>(V::both(packed[i], nibbles), values);
      out.set_factors(4 * i, values);
      bytes_of<V>(V::both(V::template down<4>(packed[i]), nibbles), values);
      out.set_pairs(4 * i, values);
    }
    const typename V::Words mask = V::word(0x03030303);
    RECKON_UNROLL
    for (int h = 0; h < 2; ++h) {
      typename V::Words q[8];
      load_32_bytes<V>(rows, at, offsetof(BlockQ2_K, qs) + 32 * h, q);
      RECKON_UNROLL
      for (int k = 0; k < 4; ++k) {
        RECKON_UNROLL
        for (int g = 0; g < 8; ++g) {
          out.put(32 * h + 8 * k + g, V::both(V::down(q[g], 2 * k), mask));
        }
      }
    }
  }
};

struct FormatQ3_K : KFormat<BlockQ3_K, 16, 7, 4, false> {
  template <class V, class Rows, class Out>
  [[gnu::always_inline]] static void unpack_scales(const Rows& rows, int64_t at, Out& out) {
    out.set_d(rows.half(at, offsetof(BlockQ3_K, d)));
    typename V::Words packed[3];
    RECKON_UNROLL
    for (int i = 0; i < 3; ++i) packed[i] = rows.word(at, offsetof(BlockQ3_K, scales) + 4 * i);
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const typename V::Words low =
          V::both(V::down(packed[i % 2], 4 * (i / 2)), V::word(0x0f0f0f0f));
      const typename V::Words high = V::both(V::down(packed[2], 2 * i), V::word(0x03030303));
      typename V::Ints values[4];
      bytes_of<V>(V::either(low, V::template up<4>(high)), values);
      for (typename V::Ints& value : values) value = V::sub(value, V::same_int(32));
      out.set_factors(4 * i, values);
      out.set_pairs(4 * i, values);
    }
  }

  template <class V, class Rows, class Out>
  [[gnu::always_inline]] static void unpack(const Rows& rows, int64_t at, Out& out) {
    unpack_scales<V>(rows, at, out);
    typename V::Words third[8];
    load_32_bytes<V>(rows, at, offsetof(BlockQ3_K, hmask), third);
    RECKON_UNROLL
    for (int h = 0; h < 2; ++h) {
      typename V::Words q[8];
      load_32_bytes<V>(rows, at, offsetof(BlockQ3_K, qs) + 32 * h, q);
      RECKON_UNROLL
      for (int k = 0; k < 4; ++k) {
        RECKON_UNROLL
        for (int g = 0; g < 8; ++g) {
          const typename V::Words low = V::both(V::down(q[g], 2 * k), V::word(0x03030303));
          const typename V::Words high = V::both(V::down(third[g], 4 * h + k), V::word(0x01010101));
          out.put(32 * h + 8 * k + g, V::either(low, V::template up<2>(high)));
        }
      }
    }
  }
};

// Q4_K's and Q5_K's first sixteen bytes: d, dmin and the packed scales and minima.
template <class V, class Rows, class Out>
[[gnu::always_inline]] inline void unpack_head(const Rows& rows, int64_t at, Out& out) {
  typename V::Words head[4];
  rows.words(at, 0, head);
  out.set_d(V::half_to_float(head[0]));
  out.set_dmin(V::half_to_float(V::template down<16>(head[0])));
  const typename V::Words six = V::word(0x3f3f3f3f);
  const typename V::Words four = V::word(0x0f0f0f0f);
  const typename V::Words upper = V::word(0x30303030);
  typename V::Ints values[4];
  bytes_of<V>(V::both(head[1], six), values);
  out.set_factors(0, values);
  bytes_of<V>(V::either(V::both(head[3], four), V::both(V::template down<2>(head[1]), upper)),
              values);
  out.set_factors(4, values);
  bytes_of<V>(V::both(head[2], six), values);
  out.set_pairs(0, values);
  bytes_of<V>(V::either(V::both(V::template down<4>(head[3]), four),
                        V::both(V::template down<2>(head[2]), upper)),
              values);
  out.set_pairs(4, values);
}

struct FormatQ4_K : KFormat<BlockQ4_K, 32, 15, 0, true> {
  template <class V, class Rows, class Out>
  [[gnu::always_inline]] static void unpack(const Rows& rows, int64_t at, Out& out) {
    unpack_head<V>(rows, at, out);
    const typename V::Words mask = V::word(0x0f0f0f0f);
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      typename V::Words q[8];
      load_32_bytes<V>(rows, at, offsetof(BlockQ4_K, qs) + 32 * i, q);
      RECKON_UNROLL
      for (int g = 0; g < 8; ++g) out.put(16 * i + g, V::both(q[g], mask));
      RECKON_UNROLL
      for (int g = 0; g < 8; ++g) {
        out.put(16 * i + 8 + g, V::both(V::template down<4>(q[g]), mask));
      }
    }
  }
};

struct FormatQ5_K : KFormat<BlockQ5_K, 32, 31, 0, true> {
  template <class V, class Rows, class Out>
  [[gnu::always_inline]] static void unpack(const Rows& rows, int64_t at, Out& out) {
    unpack_head<V>(rows, at, out);
    const typename V::Words mask = V::word(0x0f0f0f0f);
    const typename V::Words bit = V::word(0x01010101);
    typename V::Words fifth[8];
    load_32_bytes<V>(rows, at, offsetof(BlockQ5_K, qh), fifth);
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      typename V::Words q[8];
      load_32_bytes<V>(rows, at, offsetof(BlockQ5_K, qs) + 32 * i, q);
      RECKON_UNROLL
      for (int g = 0; g < 8; ++g) {
        const typename V::Words even = V::both(V::down(fifth[g], 2 * i), bit);
        out.put(16 * i + g, V::either(V::both(q[g], mask), V::template up<4>(even)));
      }
      RECKON_UNROLL
      for (int g = 0; g < 8; ++g) {
        const typename V::Words odd = V::both(V::down(fifth[g], 2 * i + 1), bit);
        out.put(16 * i + 8 + g,
                V::either(V::both(V::template down<4>(q[g]), mask), V::template up<4>(odd)));
      }
    }
  }
};

struct FormatQ6_K : KFormat<BlockQ6_K, 16, 63, 32, false> {
  template <class V, class Rows, class Out>
  [[gnu::always_inline]] static void unpack(const Rows& rows, int64_t at, Out& out) {
    out.set_d(rows.half(at, offsetof(BlockQ6_K, d)));
    typename V::Words scales[4];
    rows.words(at, offsetof(BlockQ6_K, scales), scales);
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const typename V::Ints values[4] = {
          V::template signed_byte<0>(scales[i]), V::template signed_byte<1>(scales[i]),
          V::template signed_byte<2>(scales[i]), V::template signed_byte<3>(scales[i])};
      out.set_factors(4 * i, values);
      out.set_pairs(4 * i, values);
    }
    const typename V::Words nibble = V::word(0x0f0f0f0f);
    const typename V::Words two = V::word(0x30303030);
    RECKON_UNROLL
    for (int h = 0; h < 2; ++h) {
      RECKON_UNROLL
      for (int g = 0; g < 8; g += 4) {
        typename V::Words low[4];
        typename V::Words other[4];
        typename V::Words high[4];
        rows.words(at, offsetof(BlockQ6_K, qs) + 64 * h + 4 * g, low);
        rows.words(at, offsetof(BlockQ6_K, qs) + 64 * h + 32 + 4 * g, other);
        rows.words(at, offsetof(BlockQ6_K, qh) + 32 * h + 4 * g, high);
        const int i = 32 * h + g;
        RECKON_UNROLL
        for (int k = 0; k < 4; ++k) {
          out.put(i + k,
                  V::either(V::both(low[k], nibble), V::both(V::template up<4>(high[k]), two)));
        }
        RECKON_UNROLL
        for (int k = 0; k < 4; ++k) {
          out.put(i + 8 + k,
                  V::either(V::both(other[k], nibble), V::both(V::template up<2>(high[k]), two)));
        }
        RECKON_UNROLL
        for (int k = 0; k < 4; ++k) {
          out.put(i + 16 + k,
                  V::either(V::both(V::template down<4>(low[k]), nibble), V::both(high[k], two)));
        }
        RECKON_UNROLL
        for (int k = 0; k < 4; ++k) {
          out.put(i + 24 + k, V::either(V::both(V::template down<4>(other[k]), nibble),
                                        V::both(V::template down<2>(high[k]), two)));
        }
      }
    }
  }
};

template <class V>
struct FormatIQ4_XS {
  static constexpr int64_t kBlockBytes = sizeof(BlockIQ4_XS);
  static constexpr int kSubElements = 32;
  static constexpr int kMaxWeight = V::kMostByte;
  static constexpr int kOffset = V::kByteOffset;
  static constexpr bool kMinimum = false;

  template <class, class Rows, class Out>
  [[gnu::always_inline]] static void unpack(const Rows& rows, int64_t at, Out& out) {
    const typename V::Words head = rows.word(at, 0);
    const typename V::Words lows = rows.word(at, offsetof(BlockIQ4_XS, scales_l));
    out.set_d(V::half_to_float(head));
    RECKON_UNROLL
    for (int i = 0; i < 8; i += 4) {
      typename V::Ints values[4];
      RECKON_UNROLL
      for (int s = i; s < i + 4; ++s) {
        const typename V::Words lower = V::both(V::down(lows, 4 * s), V::word(15));
        const typename V::Words upper = V::both(V::down(head, 16 + 2 * s), V::word(3));
        values[s - i] = V::sub(V::either(lower, V::template up<4>(upper)), V::same_int(32));
      }
      out.set_factors(i, values);
      out.set_pairs(i, values);
    }
    const typename V::Words mask = V::word(0x0f0f0f0f);
    RECKON_UNROLL
    for (int s = 0; s < 8; ++s) {
      typename V::Words q[4];
      rows.words(at, offsetof(BlockIQ4_XS, qs) + 16 * s, q);
      RECKON_UNROLL
      for (int g = 0; g < 4; ++g) {
        out.put(8 * s + g, V::look_up_bytes(kIq4NlValues, V::both(q[g], mask)));
      }
      RECKON_UNROLL
      for (int g = 0; g < 4; ++g) {
        const typename V::Words upper = V::both(V::template down<4>(q[g]), mask);
        out.put(8 * s + 4 + g, V::look_up_bytes(kIq4NlValues, upper));
      }
    }
  }
};

}  // namespace
}  // namespace reckon::kernels
