// AVX2, FMA and F16C behind the names that the algorithms in kernels/vector are written in.
// Included only by this folder's sources; all of it has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

struct Isa {
  // ---- 16 float lanes: the unit of every sum over k ----
  struct Floats {
    __m256 a;  // lanes 0..7
    __m256 b;  // lanes 8..15
  };
  // A float tile of the products: 2 x 3 outputs are 12 registers of 16, the rest for operands.
  static constexpr int kFloatRows = 2;
  static constexpr int kFloatColumns = 3;
  // Training: 6 accumulators of two registers, two of b and one of a of 16.
  static constexpr int kTrainingRows = 6;
  static constexpr int kTrainingVectors = 1;

  static Floats set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Floats load(const float* x) { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
  static void store(float* x, Floats v) {
    _mm256_storeu_ps(x, v.a);
    _mm256_storeu_ps(x + 8, v.b);
  }
  static Floats load_f16(const void* x) {
    const auto* p = static_cast<const __m128i*>(x);
    return {_mm256_cvtph_ps(_mm_loadu_si128(p)), _mm256_cvtph_ps(_mm_loadu_si128(p + 1))};
  }
  static void store_f16(void* x, Floats v) {
    auto* p = static_cast<__m128i*>(x);
    _mm_storeu_si128(p, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(p + 1, _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
  }
  static float float_of_half(uint16_t half) { return _cvtsh_ss(half); }
  static uint16_t half_of_float(float x) {
    return static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static Floats load_bf16(const void* x) {
    const auto* p = static_cast<const __m128i*>(x);
    return {widen_bf16(_mm_loadu_si128(p)), widen_bf16(_mm_loadu_si128(p + 1))};
  }
  static Floats load_i8(const int8_t* x) {
    const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(q, q)))};
  }
  static Floats add(Floats x, Floats y) {
    return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
  }
  static Floats sub(Floats x, Floats y) {
    return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
  }
  static Floats mul(Floats x, Floats y) {
    return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
  }
  static Floats div(Floats x, Floats y) {
    return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
  }
  static Floats max(Floats x, Floats y) {
    return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
  }
  static Floats sqrt(Floats x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
  // x y + z and x y - z, rounded once.
  static Floats fma(Floats x, Floats y, Floats z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
  }
  static Floats fms(Floats x, Floats y, Floats z) {
    return {_mm256_fmsub_ps(x.a, y.a, z.a), _mm256_fmsub_ps(x.b, y.b, z.b)};
  }

  // ---- bfloat16 (kernels/training.h): words of two, the first in the low half ----
  // Rounded, sixteen words of two depths, and sixteen halves one after the other.
  static Floats bf16_pairs(Floats first, Floats second) {
    return {bf16_pairs(first.a, second.a), bf16_pairs(first.b, second.b)};
  }
  static void store_rounded_bf16(void* x, Floats v) {
    const __m256i halves = _mm256_packus_epi32(_mm256_srli_epi32(round_bf16(v.a), 16),
                                               _mm256_srli_epi32(round_bf16(v.b), 16));
    _mm256_storeu_si256(static_cast<__m256i*>(x),
                        _mm256_permute4x64_epi64(halves, _MM_SHUFFLE(3, 1, 2, 0)));
  }
  // sums + second second, then + first first, while subnormal numbers are flushed.
  static Floats dot_pairs(Floats x, Floats y, Floats sums) {
    return {dot_pairs(x.a, y.a, sums.a), dot_pairs(x.b, y.b, sums.b)};
  }
  // Subnormal operands and results count as zeros (MXCSR's DAZ and FTZ) until what is returned is
  // put back.
  static unsigned flush_subnormals() {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u);
    return before;
  }
  static void restore_subnormals(unsigned before) { _mm_setcsr(before); }

  // (l, l + 8), (l, l + 4), (l, l + 2), (l, l + 1).
  static float sum(Floats v) {
    const __m256 s8 = _mm256_add_ps(v.a, v.b);
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
  }
  // The sums of four at once, each in sum()'s order.
  static void sum4(const Floats (&v)[4], float* out) {
    __m128 s4[4];
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const __m256 s8 = _mm256_add_ps(v[i].a, v[i].b);
      s4[i] = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    }
    // Lanes (0, 1) of two vectors against lanes (2, 3) of the same two.
    const __m128 s2_01 = _mm_add_ps(_mm_movelh_ps(s4[0], s4[1]), _mm_movehl_ps(s4[1], s4[0]));
    const __m128 s2_23 = _mm_add_ps(_mm_movelh_ps(s4[2], s4[3]), _mm_movehl_ps(s4[3], s4[2]));
    _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(s2_01, s2_23, _MM_SHUFFLE(2, 0, 2, 0)),
                                  _mm_shuffle_ps(s2_01, s2_23, _MM_SHUFFLE(3, 1, 3, 1))));
  }
  static float largest(Floats v) {
    const __m256 m8 = _mm256_max_ps(v.a, v.b);
    const __m128 m4 = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));
    const __m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
    return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2)));
  }
  // Adds the low 9 bits of shifted's mantissa to e's exponent.
  static Floats add_exponent(Floats e, Floats shifted) {
    return {add_exponent(e.a, shifted.a), add_exponent(e.b, shifted.b)};
  }
  // x > limit ? value : other; x < limit ? value : other; x is NaN ? x : other.
  static Floats where_above(Floats x, float limit, float value, Floats other) {
    const __m256 l = _mm256_set1_ps(limit);
    const __m256 v = _mm256_set1_ps(value);
    return {_mm256_blendv_ps(other.a, v, _mm256_cmp_ps(x.a, l, _CMP_GT_OQ)),
            _mm256_blendv_ps(other.b, v, _mm256_cmp_ps(x.b, l, _CMP_GT_OQ))};
  }
  static Floats where_below(Floats x, float limit, float value, Floats other) {
    const __m256 l = _mm256_set1_ps(limit);
    const __m256 v = _mm256_set1_ps(value);
    return {_mm256_blendv_ps(other.a, v, _mm256_cmp_ps(x.a, l, _CMP_LT_OQ)),
            _mm256_blendv_ps(other.b, v, _mm256_cmp_ps(x.b, l, _CMP_LT_OQ))};
  }
  static Floats where_nan(Floats x, Floats other) {
    return {_mm256_blendv_ps(other.a, x.a, _mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q)),
            _mm256_blendv_ps(other.b, x.b, _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q))};
  }

  // ---- quantisation: 16 floats at a time ----
  // Bits of the largest magnitude so far, as signed words (magnitudes never have the top bit).
  using Magnitudes = __m256i;
  static Magnitudes no_magnitudes() { return _mm256_setzero_si256(); }
  static Magnitudes larger_magnitudes(Magnitudes m, Floats v) {
    const __m256i mask = _mm256_set1_epi32(0x7fffffff);
    const __m256i a = _mm256_and_si256(_mm256_castps_si256(v.a), mask);
    const __m256i b = _mm256_and_si256(_mm256_castps_si256(v.b), mask);
    return _mm256_max_epi32(m, _mm256_max_epi32(a, b));
  }
  static uint32_t largest_magnitude(Magnitudes m) {
    __m128i v = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    v = _mm_max_epi32(v, _mm_unpackhi_epi64(v, v));
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(v));
  }
  // Rounds to nearest even, |v| <= 127.5; stores 16 and returns their sum.
  static int store_i8(int8_t* q, Floats v) {
    const __m256i a = _mm256_cvtps_epi32(v.a);
    const __m256i b = _mm256_cvtps_epi32(v.b);
    const __m128i a16 = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    const __m128i b16 = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm_packs_epi16(a16, b16));
    const __m256i s8 = _mm256_add_epi32(a, b);
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1));
    s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 1));
    return _mm_cvtsi128_si32(s);
  }

  // ---- 8 weight rows side by side: a 32-bit word of each row in a lane ----
  static constexpr int kRows = 8;
  // Groups of kRows rows that share a load of activations, and columns that share one of weights.
  // 2 x 3 are six sums, six totals, two words, one of activations and one product: 16 registers.
  // 5 loads serve six products so; 1 x 4 had 5 for four, and loads were the limit.
  static constexpr int kGroups = 2;
  static constexpr int columns(int n_groups) { return n_groups == 2 ? 3 : 4; }
  using Words = __m256i;
  using RowFloats = __m256;
  using Ints = __m256i;
  // Signed 8-bit quants stay as they are; dot() moves their signs to the activations.
  static constexpr int kByteOffset = 0;
  static constexpr int kMostByte = 128;

  // Sixteen bytes of each row -> four words.
  static void load_words(const uint8_t* const* rows, int64_t at, Words* out) {
    __m256i v[4];
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const auto* low = reinterpret_cast<const __m128i*>(rows[i] + at);
      const auto* high = reinterpret_cast<const __m128i*>(rows[i + 4] + at);
      v[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)),
                                     _mm_loadu_si128(high), 1);
    }
    const __m256i p01l = _mm256_unpacklo_epi32(v[0], v[1]);
    const __m256i p01h = _mm256_unpackhi_epi32(v[0], v[1]);
    const __m256i p23l = _mm256_unpacklo_epi32(v[2], v[3]);
    const __m256i p23h = _mm256_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm256_unpacklo_epi64(p01l, p23l);
    out[1] = _mm256_unpackhi_epi64(p01l, p23l);
    out[2] = _mm256_unpacklo_epi64(p01h, p23h);
    out[3] = _mm256_unpackhi_epi64(p01h, p23h);
  }
  // One word of each row.
  static Words load_word(const uint8_t* const* rows, int64_t at) {
    int32_t w[8];
    RECKON_UNROLL
    for (int i = 0; i < 8; ++i) __builtin_memcpy(&w[i], rows[i] + at, 4);
    return _mm256_setr_epi32(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
  }
  // One half of each row.
  static RowFloats load_half(const uint8_t* const* rows, int64_t at) {
    int16_t h[8];
    RECKON_UNROLL
    for (int i = 0; i < 8; ++i) __builtin_memcpy(&h[i], rows[i] + at, 2);
    return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
  }
  // kRows words, kRows halves that lie side by side.
  static Words load_row_words(const uint8_t* x) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  }
  static RowFloats load_row_halves(const uint8_t* x) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  }
  // The half in each word's low 16 bits.
  static RowFloats half_to_float(Words w) {
    const __m256i low = _mm256_and_si256(w, _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_packus_epi32(low, low);
    return _mm256_cvtph_ps(
        _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0))));
  }

  static Words word(uint32_t x) { return _mm256_set1_epi32(static_cast<int32_t>(x)); }
  static Words both(Words x, Words y) { return _mm256_and_si256(x, y); }
  static Words either(Words x, Words y) { return _mm256_or_si256(x, y); }
  template <int n>
  static Words up(Words x) {
    return _mm256_slli_epi32(x, n);
  }
  template <int n>
  static Words down(Words x) {
    return _mm256_srli_epi32(x, n);
  }
  static Words down(Words x, int n) { return _mm256_srl_epi32(x, _mm_cvtsi32_si128(n)); }
  // Four signed bytes of each row, as dot() takes them.
  static Words signed_bytes(Words x) { return x; }
  // Four numbers 0..15 of each row -> table[number], likewise.
  static Words look_up_bytes(const int8_t* table, Words numbers) {
    const __m256i levels =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    return _mm256_shuffle_epi8(levels, numbers);
  }

  // Sums of quant products of a run of words, in 16 bits: a run is as long as no sum overflows.
  // Two products meet in a 16-bit lane, each at most max_weight * 127.
  using Sums = __m256i;
  static constexpr int run_words(int max_weight) {
    const int most = 32767 / (2 * 127 * max_weight);
    return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
  }
  static Sums no_sums() { return _mm256_setzero_si256(); }
  // Adds each row's four weights times the same four activations. Weights up to 63 are unsigned as
  // maddubs wants it; of signed bytes it gets the magnitudes, and the activations their signs: two
  // products are at most 2 * 128 * 127 = 32,512.
  template <int kMaxWeight>
  static Sums dot(Sums s, Words w, const int8_t* a) {
    int32_t word_of_a;
    __builtin_memcpy(&word_of_a, a, 4);
    __m256i four = _mm256_set1_epi32(word_of_a);
    if constexpr (kMaxWeight == kMostByte) {
      four = _mm256_sign_epi8(four, w);
      w = _mm256_abs_epi8(w);
    }
    return in_order(_mm256_add_epi16(s, _mm256_maddubs_epi16(w, four)));
  }
  // A factor for each row's sums, |factor| < 2^15, twice in its word.
  using Factors = __m256i;
  static Factors factors(Ints x) {
    return _mm256_or_si256(_mm256_slli_epi32(x, 16),
                           _mm256_and_si256(x, _mm256_set1_epi32(0xffff)));
  }
  static Factors same_factor(int x) { return _mm256_set1_epi16(static_cast<int16_t>(x)); }
  static Ints add_scaled(Ints total, Sums s, Factors f) {
    return _mm256_add_epi32(total, _mm256_madd_epi16(s, f));
  }
  static Ints add_plain(Ints total, Sums s) {
    return _mm256_add_epi32(total, _mm256_madd_epi16(s, _mm256_set1_epi16(1)));
  }

  static Ints no_ints() { return _mm256_setzero_si256(); }
  static Ints same_int(int32_t x) { return _mm256_set1_epi32(x); }
  static Ints sub(Ints x, Ints y) { return _mm256_sub_epi32(x, y); }
  // Byte n of each word: as unsigned, as signed.
  template <int n>
  static Ints byte(Words x) {
    return _mm256_and_si256(_mm256_srli_epi32(x, 8 * n), _mm256_set1_epi32(255));
  }
  template <int n>
  static Ints signed_byte(Words x) {
    return _mm256_srai_epi32(_mm256_slli_epi32(x, 24 - 8 * n), 24);
  }
  // Two numbers of 16 bits a row, and the sum of their products with two common ones.
  using Pairs = __m256i;
  static Pairs pairs(Ints even, Ints odd) {
    return _mm256_or_si256(_mm256_slli_epi32(odd, 16),
                           _mm256_and_si256(even, _mm256_set1_epi32(0xffff)));
  }
  static Ints add_pairs(Ints total, Pairs p, const int16_t* two) {
    int32_t both_sums;
    __builtin_memcpy(&both_sums, two, 4);
    return _mm256_add_epi32(total, _mm256_madd_epi16(p, _mm256_set1_epi32(both_sums)));
  }

  static RowFloats row_zero() { return _mm256_setzero_ps(); }
  static RowFloats row_set(float x) { return _mm256_set1_ps(x); }
  static void row_store(float* x, RowFloats v) { _mm256_storeu_ps(x, v); }
  static RowFloats row_mul(RowFloats x, RowFloats y) { return _mm256_mul_ps(x, y); }
  static RowFloats row_fma(RowFloats x, RowFloats y, RowFloats z) {
    return _mm256_fmadd_ps(x, y, z);
  }
  // z - x y, rounded once.
  static RowFloats row_fnma(RowFloats x, RowFloats y, RowFloats z) {
    return _mm256_fnmadd_ps(x, y, z);
  }
  static RowFloats to_float(Ints x) { return _mm256_cvtepi32_ps(x); }

  // ---- attention ----
  // Vectors of sixteen positions or elements, and queries, whose sums are in registers at a time:
  // 1 x 4 are 8 registers of 16.
  static constexpr int kAttentionVectors = 1;
  static constexpr int kAttentionQueries = 4;
  // Sixteen whole numbers.
  struct Lanes {
    __m256i a;
    __m256i b;
  };
  static Lanes lanes(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
  static Floats lanes_to_floats(Lanes x) {
    return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
  }
  // What is added to keys before they are multiplied.
  static constexpr int kKeyOffset = 0;
  // Four bytes each of sixteen positions. maddubs takes magnitudes and moves the sign to the other
  // side: two products of at most 128 * 127 fit 16 bits.
  struct KeyBytes {
    __m256i a;
    __m256i b;
  };
  static KeyBytes load_keys(const uint8_t* x) { return {load_bytes(x), load_bytes(x + 32)}; }
  static Lanes dot_keys(Lanes sum, KeyBytes k, const int8_t* query) {
    const __m256i four = four_bytes(query);
    return {add_pairs_of(sum.a, _mm256_abs_epi8(k.a), _mm256_sign_epi8(four, k.a)),
            add_pairs_of(sum.b, _mm256_abs_epi8(k.b), _mm256_sign_epi8(four, k.b))};
  }
  // Four bytes, of four positions, each of sixteen elements; weights are 0 ... 127.
  using ValueBytes = KeyBytes;
  static ValueBytes load_values(const uint8_t* x) { return load_keys(x); }
  static Lanes dot_values(Lanes sum, ValueBytes v, const int8_t* weights) {
    const __m256i four = four_bytes(weights);
    return {add_pairs_of(sum.a, four, v.a), add_pairs_of(sum.b, four, v.b)};
  }

  // The compiler may not look behind this sum. It knows that whole numbers can be added in any
  // order, forms all products first to add them in pairs, and has registers for less than half of
  // them: it stored and loaded again what should never leave a register.
  static __m256i in_order(__m256i sum) {
    __asm__("" : "+x"(sum));
    return sum;
  }

 private:
  static __m256i load_bytes(const uint8_t* x) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  }
  static __m256i four_bytes(const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return _mm256_set1_epi32(four);
  }
  static __m256i add_pairs_of(__m256i sum, __m256i unsigned_bytes, __m256i signed_bytes) {
    const __m256i pairs = _mm256_maddubs_epi16(unsigned_bytes, signed_bytes);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  // To the upper half of each word: half to even, a NaN made quiet, a subnormal number zero.
  static __m256i round_bf16(__m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i magnitude = _mm256_and_si256(bits, word(0x7fffffff));
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), word(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, word(0x7fff)), odd);
    const __m256i is_nan = _mm256_cmpgt_epi32(magnitude, word(0x7f800000));
    const __m256i is_tiny = _mm256_cmpgt_epi32(word(0x00800000), magnitude);
    const __m256i quiet = _mm256_or_si256(bits, word(0x00400000));
    const __m256i sign = _mm256_and_si256(bits, word(0x80000000u));
    const __m256i chosen =
        _mm256_blendv_epi8(_mm256_blendv_epi8(rounded, quiet, is_nan), sign, is_tiny);
    return _mm256_and_si256(chosen, word(0xffff0000u));
  }
  static __m256 bf16_pairs(__m256 first, __m256 second) {
    const __m256i low = _mm256_srli_epi32(round_bf16(first), 16);
    return _mm256_castsi256_ps(_mm256_or_si256(low, round_bf16(second)));
  }
  static __m256 first_bf16(__m256 x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 16));
  }
  static __m256 second_bf16(__m256 x) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(word(0xffff0000u)));
  }
  static __m256 dot_pairs(__m256 x, __m256 y, __m256 sums) {
    return _mm256_fmadd_ps(first_bf16(x), first_bf16(y),
                           _mm256_fmadd_ps(second_bf16(x), second_bf16(y), sums));
  }
  static __m256 widen_bf16(__m128i x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  }
  static __m256 add_exponent(__m256 e, __m256 shifted) {
    return _mm256_castsi256_ps(_mm256_add_epi32(
        _mm256_castps_si256(e), _mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
  }
};

}  // namespace
}  // namespace reckon::kernels
