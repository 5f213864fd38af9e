// The AVX-512 intrinsics that src/kernels/avx512 uses, in plain C++ after their published
// definitions: with it those sources run, and are compared bit for bit, on any processor. Only
// what is used stands here; an intrinsic that is missing fails to compile.
//
// Never included together with the compiler's own header.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "quants/half.h"

struct __m128 {
  float f[4];
};
struct __m256 {
  float f[8];
};
struct __m512 {
  float f[16];
};
struct __m128i {
  int32_t w[4];
};
struct __m256i {
  int16_t h[16];
};
struct __m512i {
  int32_t w[16];
};
struct __m256bh {
  uint16_t h[16];
};
struct __m512bh {
  uint16_t h[32];
};
using __mmask16 = uint16_t;

constexpr int _MM_FROUND_TO_NEAREST_INT = 0;
constexpr int _MM_FROUND_NO_EXC = 8;
constexpr int _CMP_GT_OQ = 30;
constexpr int _CMP_LT_OQ = 17;
constexpr int _CMP_UNORD_Q = 3;

namespace emulated {

// f(i) in every lane.
template <class F>
inline __m512 floats(const F& f) {
  __m512 out;
  for (int i = 0; i < 16; ++i) out.f[i] = f(i);
  return out;
}
template <class F>
inline __m512i words(const F& f) {
  __m512i out;
  for (int i = 0; i < 16; ++i) out.w[i] = static_cast<int32_t>(f(i));
  return out;
}
inline uint32_t bits(int32_t x) { return static_cast<uint32_t>(x); }
template <class To, class From>
inline To same_bytes(const From& from) {
  To to{};
  std::memcpy(&to, &from, sizeof(To) < sizeof(From) ? sizeof(To) : sizeof(From));
  return to;
}
template <class T>
inline T load(const void* from) {
  T to;
  std::memcpy(&to, from, sizeof(T));
  return to;
}

// The control register, of which only flushing by products and sums (_mm512_fmadd_ps) is emulated.
inline thread_local unsigned mxcsr = 0;
constexpr unsigned kFlushing = 0x8040;  // FTZ and DAZ

inline float without_subnormal(float x) {
  return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
}
// With FTZ and DAZ. Tiny is what, rounded to 24 bits without a least exponent, is below 2^-126: in
// double such a sum of a product is exact, or its last bits are far from a tie.
inline float flushing_fma(float x, float y, float z) {
  x = without_subnormal(x);
  y = without_subnormal(y);
  z = without_subnormal(z);
  const float sum = std::fma(x, y, z);
  const double exact = std::fma(static_cast<double>(x), static_cast<double>(y), z);
  if (!(std::fabs(exact) < 0x1p-100)) return sum;
  // 2^100 brings what can be tiny among the normal floats.
  const auto rounded = static_cast<float>(exact * 0x1p100);
  return std::fabs(rounded) < 0x1p-26f ? std::copysign(0.0f, sum) : sum;
}

}  // namespace emulated

inline unsigned _mm_getcsr() { return emulated::mxcsr; }
inline void _mm_setcsr(unsigned value) { emulated::mxcsr = value; }

// ---- 128 and 256 bits ----
inline __m128i _mm_loadu_si128(const void* p) { return emulated::load<__m128i>(p); }
inline void _mm_storeu_si128(void* p, __m128i x) { std::memcpy(p, &x, 16); }
inline __m128i _mm_cvtsi32_si128(int x) { return {{x, 0, 0, 0}}; }
inline void _mm_storeu_ps(float* p, __m128 x) { std::memcpy(p, &x, 16); }
inline float _mm_cvtss_f32(__m128 x) { return x.f[0]; }
inline __m128 _mm_add_ps(__m128 x, __m128 y) {
  return {{x.f[0] + y.f[0], x.f[1] + y.f[1], x.f[2] + y.f[2], x.f[3] + y.f[3]}};
}
inline __m128 _mm_movehl_ps(__m128 x, __m128 y) { return {{y.f[2], y.f[3], x.f[2], x.f[3]}}; }
inline __m128 _mm_movelh_ps(__m128 x, __m128 y) { return {{x.f[0], x.f[1], y.f[0], y.f[1]}}; }
inline __m128 _mm_movehdup_ps(__m128 x) { return {{x.f[1], x.f[1], x.f[3], x.f[3]}}; }
inline __m128 _mm_shuffle_ps(__m128 x, __m128 y, int n) {
  return {{x.f[n & 3], x.f[n >> 2 & 3], y.f[n >> 4 & 3], y.f[n >> 6 & 3]}};
}
inline __m256i _mm256_loadu_si256(const void* p) { return emulated::load<__m256i>(p); }
inline void _mm256_storeu_si256(void* p, __m256i x) { std::memcpy(p, &x, 32); }
inline __m256i _mm256_set1_epi16(int16_t x) {
  __m256i out;
  for (int16_t& h : out.h) h = x;
  return out;
}
inline __m256i _mm256_setr_epi16(int16_t a, int16_t b, int16_t c, int16_t d, int16_t e, int16_t f,
                                 int16_t g, int16_t h, int16_t i, int16_t j, int16_t k, int16_t l,
                                 int16_t m, int16_t n, int16_t o, int16_t p) {
  return {{a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p}};
}
inline __m256 _mm256_add_ps(__m256 x, __m256 y) {
  for (int i = 0; i < 8; ++i) x.f[i] = x.f[i] + y.f[i];
  return x;
}
inline __m128 _mm256_castps256_ps128(__m256 x) { return emulated::same_bytes<__m128>(x); }
inline __m128 _mm256_extractf128_ps(__m256 x, int n) { return emulated::load<__m128>(x.f + 4 * n); }

// ---- 512 bits: floats ----
inline __m512 _mm512_setzero_ps() { return {}; }
inline __m512 _mm512_set1_ps(float x) {
  return emulated::floats([&](int) { return x; });
}
inline __m512 _mm512_loadu_ps(const void* p) { return emulated::load<__m512>(p); }
inline __m512i _mm512_loadu_si512(const void* p) { return emulated::load<__m512i>(p); }
inline void _mm512_storeu_ps(void* p, __m512 x) { std::memcpy(p, &x, 64); }
inline float _mm512_cvtss_f32(__m512 x) { return x.f[0]; }
inline __m512 _mm512_add_ps(__m512 x, __m512 y) {
  return emulated::floats([&](int i) { return x.f[i] + y.f[i]; });
}
inline __m512 _mm512_sub_ps(__m512 x, __m512 y) {
  return emulated::floats([&](int i) { return x.f[i] - y.f[i]; });
}
inline __m512 _mm512_mul_ps(__m512 x, __m512 y) {
  return emulated::floats([&](int i) { return x.f[i] * y.f[i]; });
}
inline __m512 _mm512_div_ps(__m512 x, __m512 y) {
  return emulated::floats([&](int i) { return x.f[i] / y.f[i]; });
}
inline __m512 _mm512_sqrt_ps(__m512 x) {
  return emulated::floats([&](int i) { return std::sqrt(x.f[i]); });
}
// The second operand where either is NaN.
inline __m512 _mm512_max_ps(__m512 x, __m512 y) {
  return emulated::floats([&](int i) { return x.f[i] > y.f[i] ? x.f[i] : y.f[i]; });
}
inline __m512 _mm512_fmadd_ps(__m512 x, __m512 y, __m512 z) {
  return emulated::floats([&](int i) {
    return emulated::mxcsr == emulated::kFlushing ? emulated::flushing_fma(x.f[i], y.f[i], z.f[i])
                                                  : std::fma(x.f[i], y.f[i], z.f[i]);
  });
}
inline __m512 _mm512_fmsub_ps(__m512 x, __m512 y, __m512 z) {
  return emulated::floats([&](int i) { return std::fma(x.f[i], y.f[i], -z.f[i]); });
}
inline __m512 _mm512_fnmadd_ps(__m512 x, __m512 y, __m512 z) {
  return emulated::floats([&](int i) { return std::fma(-x.f[i], y.f[i], z.f[i]); });
}
inline float _mm512_reduce_max_ps(__m512 x) {
  float most = x.f[0];
  for (const float value : x.f) most = value > most ? value : most;
  return most;
}
inline __mmask16 _mm512_cmp_ps_mask(__m512 x, __m512 y, int predicate) {
  unsigned mask = 0;
  for (int i = 0; i < 16; ++i) {
    const bool unordered = std::isnan(x.f[i]) || std::isnan(y.f[i]);
    const bool yes = predicate == _CMP_UNORD_Q ? unordered
                     : predicate == _CMP_GT_OQ ? !unordered && x.f[i] > y.f[i]
                                               : !unordered && x.f[i] < y.f[i];
    mask |= static_cast<unsigned>(yes) << i;
  }
  return static_cast<__mmask16>(mask);
}
inline __m512 _mm512_mask_blend_ps(__mmask16 mask, __m512 x, __m512 y) {
  return emulated::floats([&](int i) { return (mask >> i & 1) != 0 ? y.f[i] : x.f[i]; });
}
inline __m256 _mm512_castps512_ps256(__m512 x) { return emulated::same_bytes<__m256>(x); }
inline __m256 _mm512_extractf32x8_ps(__m512 x, int n) {
  return emulated::load<__m256>(x.f + 8 * n);
}
inline __m512i _mm512_castps_si512(__m512 x) { return emulated::same_bytes<__m512i>(x); }
inline __m512 _mm512_castsi512_ps(__m512i x) { return emulated::same_bytes<__m512>(x); }
inline __m512 _mm512_cvtph_ps(__m256i x) {
  return emulated::floats([&](int i) { return reckon::f16_to_f32(static_cast<uint16_t>(x.h[i])); });
}
inline __m256i _mm512_cvtps_ph(__m512 x, int) {
  __m256i out;
  for (int i = 0; i < 16; ++i) out.h[i] = static_cast<int16_t>(reckon::f32_to_f16(x.f[i]));
  return out;
}
inline __m512 _mm512_cvtepi32_ps(__m512i x) {
  return emulated::floats([&](int i) { return static_cast<float>(x.w[i]); });
}
// To nearest even; the kernels convert no NaN and nothing beyond 2^22.
inline __m512i _mm512_cvtps_epi32(__m512 x) {
  return emulated::words([&](int i) { return std::lrint(x.f[i]); });
}

// ---- 512 bits: whole numbers ----
inline __m512i _mm512_setzero_si512() { return {}; }
inline __m512i _mm512_set1_epi32(int x) {
  return emulated::words([&](int) { return x; });
}
inline __m512i _mm512_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h, int i,
                                 int j, int k, int l, int m, int n, int o, int p) {
  return {{a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p}};
}
inline __m512i _mm512_castsi128_si512(__m128i x) { return emulated::same_bytes<__m512i>(x); }
inline __m512i _mm512_broadcast_i32x4(__m128i x) {
  return emulated::words([&](int i) { return x.w[i % 4]; });
}
inline __m512i _mm512_inserti32x4(__m512i x, __m128i y, int n) {
  std::memcpy(x.w + 4 * n, &y, 16);
  return x;
}
inline __m512i _mm512_and_si512(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return x.w[i] & y.w[i]; });
}
inline __m512i _mm512_or_si512(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return x.w[i] | y.w[i]; });
}
inline __m512i _mm512_xor_si512(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return x.w[i] ^ y.w[i]; });
}
inline __m512i _mm512_add_epi32(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return emulated::bits(x.w[i]) + emulated::bits(y.w[i]); });
}
inline __m512i _mm512_sub_epi32(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return emulated::bits(x.w[i]) - emulated::bits(y.w[i]); });
}
inline __m512i _mm512_mullo_epi32(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return emulated::bits(x.w[i]) * emulated::bits(y.w[i]); });
}
inline __m512i _mm512_max_epi32(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return x.w[i] > y.w[i] ? x.w[i] : y.w[i]; });
}
inline __mmask16 _mm512_cmpgt_epi32_mask(__m512i x, __m512i y) {
  unsigned mask = 0;
  for (int i = 0; i < 16; ++i) mask |= static_cast<unsigned>(x.w[i] > y.w[i]) << i;
  return static_cast<__mmask16>(mask);
}
inline __m512i _mm512_mask_blend_epi32(__mmask16 mask, __m512i x, __m512i y) {
  return emulated::words([&](int i) { return (mask >> i & 1) != 0 ? y.w[i] : x.w[i]; });
}
inline __m512i _mm512_slli_epi32(__m512i x, unsigned n) {
  return emulated::words([&](int i) { return n > 31 ? 0u : emulated::bits(x.w[i]) << n; });
}
inline __m512i _mm512_srli_epi32(__m512i x, unsigned n) {
  return emulated::words([&](int i) { return n > 31 ? 0u : emulated::bits(x.w[i]) >> n; });
}
inline __m512i _mm512_srl_epi32(__m512i x, __m128i n) {
  return _mm512_srli_epi32(x, emulated::bits(n.w[0]));
}
inline __m512i _mm512_srai_epi32(__m512i x, unsigned n) {
  return emulated::words([&](int i) { return x.w[i] >> n; });
}
inline int _mm512_reduce_add_epi32(__m512i x) {
  uint32_t sum = 0;
  for (const int32_t value : x.w) sum += emulated::bits(value);
  return static_cast<int>(sum);
}
inline int _mm512_reduce_max_epi32(__m512i x) {
  int most = x.w[0];
  for (const int32_t value : x.w) most = value > most ? value : most;
  return most;
}
inline __m512i _mm512_cvtepu16_epi32(__m256i x) {
  return emulated::words([&](int i) { return static_cast<uint16_t>(x.h[i]); });
}
inline __m512i _mm512_cvtepi8_epi32(__m128i x) {
  const auto* q = reinterpret_cast<const signed char*>(&x);
  return emulated::words([&](int i) { return q[i]; });
}
inline __m256i _mm512_cvtepi32_epi16(__m512i x) {
  __m256i out;
  for (int i = 0; i < 16; ++i) out.h[i] = static_cast<int16_t>(x.w[i]);
  return out;
}
inline __m128i _mm512_cvtepi32_epi8(__m512i x) {
  int8_t q[16];
  for (int i = 0; i < 16; ++i) q[i] = static_cast<int8_t>(x.w[i]);
  return emulated::load<__m128i>(q);
}

// The byte shuffle and the unpacks work within quarters of 128 bits.
inline __m512i _mm512_shuffle_epi8(__m512i x, __m512i control) {
  const auto* from = reinterpret_cast<const uint8_t*>(&x);
  const auto* c = reinterpret_cast<const uint8_t*>(&control);
  uint8_t out[64];
  for (int i = 0; i < 64; ++i) {
    out[i] = (c[i] & 0x80) != 0 ? uint8_t{0} : from[i / 16 * 16 + (c[i] & 15)];
  }
  return emulated::load<__m512i>(out);
}
inline __m512i _mm512_unpacklo_epi32(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return (i % 2 == 0 ? x : y).w[i / 4 * 4 + i % 4 / 2]; });
}
inline __m512i _mm512_unpackhi_epi32(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return (i % 2 == 0 ? x : y).w[i / 4 * 4 + 2 + i % 4 / 2]; });
}
inline __m512i _mm512_unpacklo_epi64(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return (i % 4 < 2 ? x : y).w[i / 4 * 4 + i % 2]; });
}
inline __m512i _mm512_unpackhi_epi64(__m512i x, __m512i y) {
  return emulated::words([&](int i) { return (i % 4 < 2 ? x : y).w[i / 4 * 4 + 2 + i % 2]; });
}

// VNNI: four unsigned by signed bytes, or two pairs of 16 bits, added to each word, wrapping.
inline __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i x, __m512i y) {
  const auto* u = reinterpret_cast<const uint8_t*>(&x);
  const auto* s = reinterpret_cast<const signed char*>(&y);
  return emulated::words([&](int i) {
    uint32_t total = emulated::bits(sum.w[i]);
    for (int j = 4 * i; j < 4 * i + 4; ++j) total += static_cast<uint32_t>(u[j] * s[j]);
    return total;
  });
}
inline __m512i _mm512_dpwssd_epi32(__m512i sum, __m512i x, __m512i y) {
  int16_t a[32];
  int16_t b[32];
  std::memcpy(a, &x, 64);
  std::memcpy(b, &y, 64);
  return emulated::words([&](int i) {
    return emulated::bits(sum.w[i]) + static_cast<uint32_t>(a[2 * i] * b[2 * i]) +
           static_cast<uint32_t>(a[2 * i + 1] * b[2 * i + 1]);
  });
}

inline __m512i _mm512_permutexvar_epi16(__m512i index, __m512i x) {
  uint16_t from[32];
  uint16_t i[32];
  uint16_t out[32];
  std::memcpy(from, &x, 64);
  std::memcpy(i, &index, 64);
  for (int j = 0; j < 32; ++j) out[j] = from[i[j] & 31];
  return emulated::load<__m512i>(out);
}

// BF16: rounded to nearest even, subnormal numbers to zero, NaN made quiet; of two vectors the
// second one's elements come first.
inline __m256bh _mm512_cvtneps_pbh(__m512 x) {
  __m256bh out;
  for (int i = 0; i < 16; ++i) {
    out.h[i] = reckon::f32_to_bf16(emulated::without_subnormal(x.f[i]));
  }
  return out;
}
inline __m512bh _mm512_cvtne2ps_pbh(__m512 x, __m512 y) {
  const __m256bh halves[] = {_mm512_cvtneps_pbh(y), _mm512_cvtneps_pbh(x)};
  return emulated::same_bytes<__m512bh>(halves);
}
// The odd element's product first, then the even one's, each sum rounded and flushed whatever
// the control register says.
inline __m512 _mm512_dpbf16_ps(__m512 sum, __m512bh x, __m512bh y) {
  return emulated::floats([&](int i) {
    float total = sum.f[i];
    for (const int j : {2 * i + 1, 2 * i}) {
      total =
          emulated::flushing_fma(reckon::bf16_to_f32(x.h[j]), reckon::bf16_to_f32(y.h[j]), total);
    }
    return total;
  });
}
