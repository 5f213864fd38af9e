// AVX-512 (F, BW, VL, DQ, VNNI) behind the names that the algorithms in kernels/vector are written
// in. Included only by the sources of this folder and avx512_bf16; all of it has internal linkage.
// What a name means is said in avx2/isa.h.
#pragma once

#include <cstdint>

#include "kernels/avx512/intrinsics.h"
#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

struct Isa {
  // ---- 16 float lanes ----
  using Floats = __m512;
  // 16 accumulators of 32 registers.
  static constexpr int kFloatRows = 4;
  static constexpr int kFloatColumns = 4;
  // Training: 12 x 2 accumulators, two vectors of b and one of a of 32 registers.
  static constexpr int kTrainingRows = 12;
  static constexpr int kTrainingVectors = 2;

  static Floats set(float x) { return _mm512_set1_ps(x); }
  static Floats load(const float* x) { return _mm512_loadu_ps(x); }
  static void store(float* x, Floats v) { _mm512_storeu_ps(x, v); }
  static Floats load_f16(const void* x) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(x)));
  }
  static void store_f16(void* x, Floats v) {
    _mm256_storeu_si256(static_cast<__m256i*>(x),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static float float_of_half(uint16_t half) {
    return _mm512_cvtss_f32(_mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(half))));
  }
  static uint16_t half_of_float(float x) {
    uint16_t halves[16];
    store_f16(halves, set(x));
    return halves[0];
  }
  static Floats load_bf16(const void* x) {
    const __m256i bits = _mm256_loadu_si256(static_cast<const __m256i*>(x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static Floats load_i8(const int8_t* x) {
    const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
  }
  static Floats add(Floats x, Floats y) { return _mm512_add_ps(x, y); }
  static Floats sub(Floats x, Floats y) { return _mm512_sub_ps(x, y); }
  static Floats mul(Floats x, Floats y) { return _mm512_mul_ps(x, y); }
  static Floats div(Floats x, Floats y) { return _mm512_div_ps(x, y); }
  static Floats max(Floats x, Floats y) { return _mm512_max_ps(x, y); }
  static Floats sqrt(Floats x) { return _mm512_sqrt_ps(x); }
  static Floats fma(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
  static Floats fms(Floats x, Floats y, Floats z) { return _mm512_fmsub_ps(x, y, z); }

  // ---- bfloat16 ----
  static Floats bf16_pairs(Floats first, Floats second) {
    const __m512i low = _mm512_srli_epi32(round_bf16(first), 16);
    return _mm512_castsi512_ps(_mm512_or_si512(low, round_bf16(second)));
  }
  static void store_rounded_bf16(void* x, Floats v) {
    _mm256_storeu_si256(static_cast<__m256i*>(x),
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_bf16(v), 16)));
  }
  static Floats dot_pairs(Floats x, Floats y, Floats sums) {
    return fma(first_bf16(x), first_bf16(y), fma(second_bf16(x), second_bf16(y), sums));
  }
  static unsigned flush_subnormals() {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u);
    return before;
  }
  static void restore_subnormals(unsigned before) { _mm_setcsr(before); }

  static float sum(Floats v) {
    const __m128 s4 = quarter_sums(v);
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ps(s2, _mm_movehdup_ps(s2)));
  }
  static void sum4(const Floats (&v)[4], float* out) {
    const __m128 a = quarter_sums(v[0]);
    const __m128 b = quarter_sums(v[1]);
    const __m128 c = quarter_sums(v[2]);
    const __m128 d = quarter_sums(v[3]);
    const __m128 ab = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
    const __m128 cd = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));
    _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd)));
  }
  static float largest(Floats v) { return _mm512_reduce_max_ps(v); }
  static Floats add_exponent(Floats e, Floats shifted) {
    return _mm512_castsi512_ps(_mm512_add_epi32(
        _mm512_castps_si512(e), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
  }
  static Floats where_above(Floats x, float limit, float value, Floats other) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, set(limit), _CMP_GT_OQ), other, set(value));
  }
  static Floats where_below(Floats x, float limit, float value, Floats other) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, set(limit), _CMP_LT_OQ), other, set(value));
  }
  static Floats where_nan(Floats x, Floats other) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), other, x);
  }

  // ---- quantisation ----
  using Magnitudes = __m512i;
  static Magnitudes no_magnitudes() { return _mm512_setzero_si512(); }
  static Magnitudes larger_magnitudes(Magnitudes m, Floats v) {
    const __m512i mask = _mm512_set1_epi32(0x7fffffff);
    return _mm512_max_epi32(m, _mm512_and_si512(_mm512_castps_si512(v), mask));
  }
  static uint32_t largest_magnitude(Magnitudes m) {
    return static_cast<uint32_t>(_mm512_reduce_max_epi32(m));
  }
  static int store_i8(int8_t* q, Floats v) {
    const __m512i words = _mm512_cvtps_epi32(v);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(words));
    return _mm512_reduce_add_epi32(words);
  }

  // ---- 16 weight rows side by side ----
  static constexpr int kRows = 16;
  // Tiles of outputs: 2 groups of rows times 6 columns are 12 accumulators and as many totals of 32
  // registers; 12 sums in flight also cover the multiplier's latency, and a load of activations
  // serves two products (one load a product would bound the loop).
  static constexpr int kGroups = 2;
  static constexpr int columns(int n_groups) { return n_groups == 2 ? 6 : 4; }
  using Words = __m512i;
  using RowFloats = __m512;
  using Ints = __m512i;
  // vpdpbusd multiplies unsigned by signed bytes: signed weights are kept with 128 added.
  static constexpr int kByteOffset = 128;
  static constexpr int kMostByte = 255;

  static void load_words(const uint8_t* const* rows, int64_t at, Words* out) {
    __m512i v[4];
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      // Rows i, i + 4, i + 8, i + 12 in the four quarters.
      v[i] = _mm512_castsi128_si512(load_16(rows[i] + at));
      v[i] = _mm512_inserti32x4(v[i], load_16(rows[i + 4] + at), 1);
      v[i] = _mm512_inserti32x4(v[i], load_16(rows[i + 8] + at), 2);
      v[i] = _mm512_inserti32x4(v[i], load_16(rows[i + 12] + at), 3);
    }
    const __m512i p01l = _mm512_unpacklo_epi32(v[0], v[1]);
    const __m512i p01h = _mm512_unpackhi_epi32(v[0], v[1]);
    const __m512i p23l = _mm512_unpacklo_epi32(v[2], v[3]);
    const __m512i p23h = _mm512_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm512_unpacklo_epi64(p01l, p23l);
    out[1] = _mm512_unpackhi_epi64(p01l, p23l);
    out[2] = _mm512_unpacklo_epi64(p01h, p23h);
    out[3] = _mm512_unpackhi_epi64(p01h, p23h);
  }
  static Words load_word(const uint8_t* const* rows, int64_t at) {
    int32_t w[16];
    RECKON_UNROLL
    for (int i = 0; i < 16; ++i) __builtin_memcpy(&w[i], rows[i] + at, 4);
    return _mm512_setr_epi32(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10],
                             w[11], w[12], w[13], w[14], w[15]);
  }
  static RowFloats load_half(const uint8_t* const* rows, int64_t at) {
    int16_t h[16];
    RECKON_UNROLL
    for (int i = 0; i < 16; ++i) __builtin_memcpy(&h[i], rows[i] + at, 2);
    return _mm512_cvtph_ps(_mm256_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8],
                                             h[9], h[10], h[11], h[12], h[13], h[14], h[15]));
  }
  static Words load_row_words(const uint8_t* x) { return _mm512_loadu_si512(x); }
  static RowFloats load_row_halves(const uint8_t* x) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
  }
  static RowFloats half_to_float(Words w) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(w)); }

  static Words word(uint32_t x) { return _mm512_set1_epi32(static_cast<int32_t>(x)); }
  static Words both(Words x, Words y) { return _mm512_and_si512(x, y); }
  static Words either(Words x, Words y) { return _mm512_or_si512(x, y); }
  template <int n>
  static Words up(Words x) {
    return _mm512_slli_epi32(x, n);
  }
  template <int n>
  static Words down(Words x) {
    return _mm512_srli_epi32(x, n);
  }
  static Words down(Words x, int n) { return _mm512_srl_epi32(x, _mm_cvtsi32_si128(n)); }
  static Words signed_bytes(Words x) { return _mm512_xor_si512(x, word(0x80808080u)); }
  static Words look_up_bytes(const int8_t* table, Words numbers) {
    const __m512i levels = _mm512_broadcast_i32x4(load_16(table));
    return signed_bytes(_mm512_shuffle_epi8(levels, numbers));
  }

  // Sums are exact in 32 bits however long the run.
  using Sums = __m512i;
  static constexpr int run_words(int) { return 8; }
  static Sums no_sums() { return _mm512_setzero_si512(); }
  template <int>
  static Sums dot(Sums s, Words w, const int8_t* a) {
    int32_t four;
    __builtin_memcpy(&four, a, 4);
    return _mm512_dpbusd_epi32(s, w, _mm512_set1_epi32(four));
  }
  using Factors = __m512i;
  static Factors factors(Ints x) { return x; }
  static Factors same_factor(int x) { return _mm512_set1_epi32(x); }
  static Ints add_scaled(Ints total, Sums s, Factors f) {
    return _mm512_add_epi32(total, _mm512_mullo_epi32(s, f));
  }
  static Ints add_plain(Ints total, Sums s) { return _mm512_add_epi32(total, s); }

  static Ints no_ints() { return _mm512_setzero_si512(); }
  static Ints same_int(int32_t x) { return _mm512_set1_epi32(x); }
  static Ints sub(Ints x, Ints y) { return _mm512_sub_epi32(x, y); }
  template <int n>
  static Ints byte(Words x) {
    return _mm512_and_si512(_mm512_srli_epi32(x, 8 * n), word(255));
  }
  template <int n>
  static Ints signed_byte(Words x) {
    return _mm512_srai_epi32(_mm512_slli_epi32(x, 24 - 8 * n), 24);
  }
  using Pairs = __m512i;
  static Pairs pairs(Ints even, Ints odd) {
    return _mm512_or_si512(_mm512_slli_epi32(odd, 16), _mm512_and_si512(even, word(0xffff)));
  }
  static Ints add_pairs(Ints total, Pairs p, const int16_t* two) {
    int32_t both_sums;
    __builtin_memcpy(&both_sums, two, 4);
    return _mm512_dpwssd_epi32(total, p, _mm512_set1_epi32(both_sums));
  }

  static RowFloats row_zero() { return _mm512_setzero_ps(); }
  static RowFloats row_set(float x) { return _mm512_set1_ps(x); }
  static void row_store(float* x, RowFloats v) { _mm512_storeu_ps(x, v); }
  static RowFloats row_mul(RowFloats x, RowFloats y) { return _mm512_mul_ps(x, y); }
  static RowFloats row_fma(RowFloats x, RowFloats y, RowFloats z) {
    return _mm512_fmadd_ps(x, y, z);
  }
  static RowFloats row_fnma(RowFloats x, RowFloats y, RowFloats z) {
    return _mm512_fnmadd_ps(x, y, z);
  }
  static RowFloats to_float(Ints x) { return _mm512_cvtepi32_ps(x); }

  // ---- attention ----
  // 2 vectors times 6 queries, as in the products.
  static constexpr int kAttentionVectors = 2;
  static constexpr int kAttentionQueries = 6;
  using Lanes = __m512i;
  static Lanes lanes(int32_t x) { return _mm512_set1_epi32(x); }
  static Floats lanes_to_floats(Lanes x) { return _mm512_cvtepi32_ps(x); }
  // Keys are the unsigned side, with 128 added.
  static constexpr int kKeyOffset = 128;
  using KeyBytes = __m512i;
  static KeyBytes load_keys(const uint8_t* x) {
    return _mm512_xor_si512(_mm512_loadu_si512(x), word(0x80808080u));
  }
  static Lanes dot_keys(Lanes sum, KeyBytes k, const int8_t* query) {
    return dot<kMostByte>(sum, k, query);
  }
  using ValueBytes = __m512i;
  static ValueBytes load_values(const uint8_t* x) { return _mm512_loadu_si512(x); }
  static Lanes dot_values(Lanes sum, ValueBytes v, const int8_t* weights) {
    int32_t four;
    __builtin_memcpy(&four, weights, 4);
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(four), v);
  }

 private:
  static __m512i round_bf16(__m512 v) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i magnitude = _mm512_and_si512(bits, word(0x7fffffff));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), word(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, word(0x7fff)), odd);
    const __mmask16 is_nan = _mm512_cmpgt_epi32_mask(magnitude, word(0x7f800000));
    const __mmask16 is_tiny = _mm512_cmpgt_epi32_mask(word(0x00800000), magnitude);
    const __m512i quiet = _mm512_or_si512(bits, word(0x00400000));
    const __m512i sign = _mm512_and_si512(bits, word(0x80000000u));
    const __m512i number = _mm512_mask_blend_epi32(is_nan, rounded, quiet);
    return _mm512_and_si512(_mm512_mask_blend_epi32(is_tiny, number, sign), word(0xffff0000u));
  }
  static __m512 first_bf16(__m512 x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 16));
  }
  static __m512 second_bf16(__m512 x) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), word(0xffff0000u)));
  }
  static __m128i load_16(const void* x) { return _mm_loadu_si128(static_cast<const __m128i*>(x)); }
  // (l, l + 8), (l, l + 4).
  static __m128 quarter_sums(__m512 v) {
    const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  }
};

}  // namespace
}  // namespace reckon::kernels
