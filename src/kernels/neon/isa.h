// NEON with the dot-product instructions behind the names that the algorithms in kernels/vector are
// written in. Included only by this folder's sources; all of it has internal linkage. What a name
// means is said in avx2/isa.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

struct Isa {
  // ---- 16 float lanes ----
  struct Floats {
    float32x4_t v[4];  // lanes 4 i .. 4 i + 3
  };
  // 2 x 2 outputs are 16 registers of 32.
  static constexpr int kFloatRows = 2;
  static constexpr int kFloatColumns = 2;
  // Training: 6 accumulators of four registers, four of b and one of a of 32.
  static constexpr int kTrainingRows = 6;
  static constexpr int kTrainingVectors = 1;

  static Floats set(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {{v, v, v, v}};
  }
  static Floats load(const float* x) {
    return {{vld1q_f32(x), vld1q_f32(x + 4), vld1q_f32(x + 8), vld1q_f32(x + 12)}};
  }
  static void store(float* x, Floats v) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) vst1q_f32(x + 4 * i, v.v[i]);
  }
  static Floats load_f16(const void* x) {
    const auto* bytes = static_cast<const uint8_t*>(x);
    Floats out;
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      out.v[i] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(bytes + 8 * i)));
    }
    return out;
  }
  static void store_f16(void* x, Floats v) {
    auto* bytes = static_cast<uint8_t*>(x);
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      vst1_u8(bytes + 8 * i, vreinterpret_u8_f16(vcvt_f16_f32(v.v[i])));
    }
  }
  static float float_of_half(uint16_t half) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half))), 0);
  }
  static uint16_t half_of_float(float x) {
    return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(x))), 0);
  }
  static Floats load_bf16(const void* x) {
    const auto* bytes = static_cast<const uint8_t*>(x);
    Floats out;
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      out.v[i] =
          vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(bytes + 8 * i)), 16));
    }
    return out;
  }
  static Floats load_i8(const int8_t* x) {
    const int8x16_t q = vld1q_s8(x);
    const int16x8_t low = vmovl_s8(vget_low_s8(q));
    const int16x8_t high = vmovl_s8(vget_high_s8(q));
    return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
             vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
             vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
             vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
  }
  static Floats add(Floats x, Floats y) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) x.v[i] = vaddq_f32(x.v[i], y.v[i]);
    return x;
  }
  static Floats sub(Floats x, Floats y) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) x.v[i] = vsubq_f32(x.v[i], y.v[i]);
    return x;
  }
  static Floats mul(Floats x, Floats y) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) x.v[i] = vmulq_f32(x.v[i], y.v[i]);
    return x;
  }
  static Floats div(Floats x, Floats y) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) x.v[i] = vdivq_f32(x.v[i], y.v[i]);
    return x;
  }
  static Floats max(Floats x, Floats y) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) x.v[i] = vmaxq_f32(x.v[i], y.v[i]);
    return x;
  }
  static Floats sqrt(Floats x) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) x.v[i] = vsqrtq_f32(x.v[i]);
    return x;
  }
  static Floats fma(Floats x, Floats y, Floats z) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) z.v[i] = vfmaq_f32(z.v[i], x.v[i], y.v[i]);
    return z;
  }
  static Floats fms(Floats x, Floats y, Floats z) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) z.v[i] = vfmaq_f32(vnegq_f32(z.v[i]), x.v[i], y.v[i]);
    return z;
  }

  // ---- bfloat16 ----
  static Floats bf16_pairs(Floats first, Floats second) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t low = vshrq_n_u32(round_bf16(first.v[i]), 16);
      first.v[i] = vreinterpretq_f32_u32(vorrq_u32(low, round_bf16(second.v[i])));
    }
    return first;
  }
  static void store_rounded_bf16(void* x, Floats v) {
    auto* bytes = static_cast<uint8_t*>(x);
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      vst1_u8(bytes + 8 * i, vreinterpret_u8_u16(vshrn_n_u32(round_bf16(v.v[i]), 16)));
    }
  }
  static Floats dot_pairs(Floats x, Floats y, Floats sums) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float32x4_t sum = zero_where(vcaltq_f32(sums.v[i], vdupq_n_f32(0x1p-126f)), sums.v[i]);
      const float32x4_t second = flushed_fma(second_bf16(x.v[i]), second_bf16(y.v[i]), sum);
      sums.v[i] = flushed_fma(first_bf16(x.v[i]), first_bf16(y.v[i]), second);
    }
    return sums;
  }
  // dot_pairs flushes by itself: what the processor has for it finds other results too small
  // (before they are rounded) than the definition's.
  static unsigned flush_subnormals() { return 0; }
  static void restore_subnormals(unsigned) {}

  static float sum(Floats v) {
    const float32x4_t s4 = vaddq_f32(vaddq_f32(v.v[0], v.v[2]), vaddq_f32(v.v[1], v.v[3]));
    const float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
    return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
  }
  static void sum4(const Floats (&v)[4], float* out) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) out[i] = sum(v[i]);
  }
  static float largest(Floats v) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.v[0], v.v[1]), vmaxq_f32(v.v[2], v.v[3])));
  }
  static Floats add_exponent(Floats e, Floats shifted) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t n = vshlq_n_u32(vreinterpretq_u32_f32(shifted.v[i]), 23);
      e.v[i] = vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(e.v[i]), n));
    }
    return e;
  }
  static Floats where_above(Floats x, float limit, float value, Floats other) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      other.v[i] = vbslq_f32(vcgtq_f32(x.v[i], vdupq_n_f32(limit)), vdupq_n_f32(value), other.v[i]);
    }
    return other;
  }
  static Floats where_below(Floats x, float limit, float value, Floats other) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      other.v[i] = vbslq_f32(vcltq_f32(x.v[i], vdupq_n_f32(limit)), vdupq_n_f32(value), other.v[i]);
    }
    return other;
  }
  static Floats where_nan(Floats x, Floats other) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      other.v[i] = vbslq_f32(vceqq_f32(x.v[i], x.v[i]), other.v[i], x.v[i]);
    }
    return other;
  }

  // ---- quantisation ----
  using Magnitudes = uint32x4_t;
  static Magnitudes no_magnitudes() { return vdupq_n_u32(0); }
  static Magnitudes larger_magnitudes(Magnitudes m, Floats v) {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) {
      m = vmaxq_u32(m, vreinterpretq_u32_f32(vabsq_f32(v.v[i])));
    }
    return m;
  }
  static uint32_t largest_magnitude(Magnitudes m) { return vmaxvq_u32(m); }
  static int store_i8(int8_t* q, Floats v) {
    int32x4_t w[4];
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) w[i] = vcvtnq_s32_f32(v.v[i]);
    const int16x8_t low = vcombine_s16(vmovn_s32(w[0]), vmovn_s32(w[1]));
    const int16x8_t high = vcombine_s16(vmovn_s32(w[2]), vmovn_s32(w[3]));
    vst1q_s8(q, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    return vaddvq_s32(vaddq_s32(vaddq_s32(w[0], w[1]), vaddq_s32(w[2], w[3])));
  }

  // ---- 4 weight rows side by side ----
  static constexpr int kRows = 4;
  static constexpr int kGroups = 1;
  static constexpr int columns(int) { return 4; }
  using Words = int32x4_t;
  using RowFloats = float32x4_t;
  using Ints = int32x4_t;
  // sdot multiplies signed bytes: nothing to offset, and quants up to 63 are as good signed.
  static constexpr int kByteOffset = 0;
  static constexpr int kMostByte = 128;

  static void load_words(const uint8_t* const* rows, int64_t at, Words* out) {
    int32x4_t v[4];
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) v[i] = vreinterpretq_s32_u8(vld1q_u8(rows[i] + at));
    const int64x2_t p01e = vreinterpretq_s64_s32(vtrn1q_s32(v[0], v[1]));
    const int64x2_t p01o = vreinterpretq_s64_s32(vtrn2q_s32(v[0], v[1]));
    const int64x2_t p23e = vreinterpretq_s64_s32(vtrn1q_s32(v[2], v[3]));
    const int64x2_t p23o = vreinterpretq_s64_s32(vtrn2q_s32(v[2], v[3]));
    out[0] = vreinterpretq_s32_s64(vtrn1q_s64(p01e, p23e));
    out[1] = vreinterpretq_s32_s64(vtrn1q_s64(p01o, p23o));
    out[2] = vreinterpretq_s32_s64(vtrn2q_s64(p01e, p23e));
    out[3] = vreinterpretq_s32_s64(vtrn2q_s64(p01o, p23o));
  }
  static Words load_word(const uint8_t* const* rows, int64_t at) {
    int32_t w[4];
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) __builtin_memcpy(&w[i], rows[i] + at, 4);
    return vld1q_s32(w);
  }
  static RowFloats load_half(const uint8_t* const* rows, int64_t at) {
    uint16_t h[4];
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) __builtin_memcpy(&h[i], rows[i] + at, 2);
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h)));
  }
  static Words load_row_words(const uint8_t* x) { return vreinterpretq_s32_u8(vld1q_u8(x)); }
  static RowFloats load_row_halves(const uint8_t* x) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(x)));
  }
  static RowFloats half_to_float(Words w) {
    return vcvt_f32_f16(vreinterpret_f16_s16(vmovn_s32(w)));
  }

  static Words word(uint32_t x) { return vreinterpretq_s32_u32(vdupq_n_u32(x)); }
  static Words both(Words x, Words y) { return vandq_s32(x, y); }
  static Words either(Words x, Words y) { return vorrq_s32(x, y); }
  template <int n>
  static Words up(Words x) {
    return vshlq_n_s32(x, n);
  }
  template <int n>
  static Words down(Words x) {
    return down(x, n);
  }
  static Words down(Words x, int n) {
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x), vdupq_n_s32(-n)));
  }
  static Words signed_bytes(Words x) { return x; }
  static Words look_up_bytes(const int8_t* table, Words numbers) {
    return vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(table), vreinterpretq_u8_s32(numbers)));
  }

  using Sums = int32x4_t;
  static constexpr int run_words(int) { return 8; }
  static Sums no_sums() { return vdupq_n_s32(0); }
  template <int>
  static Sums dot(Sums s, Words w, const int8_t* a) {
    int32_t four;
    __builtin_memcpy(&four, a, 4);
    return vdotq_s32(s, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(vdupq_n_s32(four)));
  }
  using Factors = int32x4_t;
  static Factors factors(Ints x) { return x; }
  static Factors same_factor(int x) { return vdupq_n_s32(x); }
  static Ints add_scaled(Ints total, Sums s, Factors f) { return vmlaq_s32(total, s, f); }
  static Ints add_plain(Ints total, Sums s) { return vaddq_s32(total, s); }

  static Ints no_ints() { return vdupq_n_s32(0); }
  static Ints same_int(int32_t x) { return vdupq_n_s32(x); }
  static Ints sub(Ints x, Ints y) { return vsubq_s32(x, y); }
  template <int n>
  static Ints byte(Words x) {
    return both(down(x, 8 * n), word(255));
  }
  template <int n>
  static Ints signed_byte(Words x) {
    return vshrq_n_s32(vshlq_n_s32(x, 24 - 8 * n), 24);
  }
  struct Pairs {
    int32x4_t even;
    int32x4_t odd;
  };
  static Pairs pairs(Ints even, Ints odd) { return {even, odd}; }
  static Ints add_pairs(Ints total, Pairs p, const int16_t* two) {
    return vmlaq_n_s32(vmlaq_n_s32(total, p.even, two[0]), p.odd, two[1]);
  }

  static RowFloats row_zero() { return vdupq_n_f32(0.0f); }
  static RowFloats row_set(float x) { return vdupq_n_f32(x); }
  static void row_store(float* x, RowFloats v) { vst1q_f32(x, v); }
  static RowFloats row_mul(RowFloats x, RowFloats y) { return vmulq_f32(x, y); }
  static RowFloats row_fma(RowFloats x, RowFloats y, RowFloats z) { return vfmaq_f32(z, x, y); }
  static RowFloats row_fnma(RowFloats x, RowFloats y, RowFloats z) { return vfmsq_f32(z, x, y); }
  static RowFloats to_float(Ints x) { return vcvtq_f32_s32(x); }

  // ---- attention ----
  // 1 x 4 are 16 registers of 32.
  static constexpr int kAttentionVectors = 1;
  static constexpr int kAttentionQueries = 4;
  struct Lanes {
    int32x4_t v[4];
  };
  static Lanes lanes(int32_t x) {
    return {{vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x)}};
  }
  static Floats lanes_to_floats(Lanes x) {
    return {{vcvtq_f32_s32(x.v[0]), vcvtq_f32_s32(x.v[1]), vcvtq_f32_s32(x.v[2]),
             vcvtq_f32_s32(x.v[3])}};
  }
  static constexpr int kKeyOffset = 0;
  struct KeyBytes {
    int8x16_t v[4];
  };
  static KeyBytes load_keys(const uint8_t* x) {
    return {{vreinterpretq_s8_u8(vld1q_u8(x)), vreinterpretq_s8_u8(vld1q_u8(x + 16)),
             vreinterpretq_s8_u8(vld1q_u8(x + 32)), vreinterpretq_s8_u8(vld1q_u8(x + 48))}};
  }
  static Lanes dot_keys(Lanes sum, KeyBytes k, const int8_t* query) {
    int32_t four;
    __builtin_memcpy(&four, query, 4);
    const int8x16_t all = vreinterpretq_s8_s32(vdupq_n_s32(four));
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) sum.v[i] = vdotq_s32(sum.v[i], k.v[i], all);
    return sum;
  }
  using ValueBytes = KeyBytes;
  static ValueBytes load_values(const uint8_t* x) { return load_keys(x); }
  static Lanes dot_values(Lanes sum, ValueBytes v, const int8_t* weights) {
    return dot_keys(sum, v, weights);
  }

 private:
  static uint32x4_t round_bf16(float32x4_t v) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t magnitude = vandq_u32(bits, vdupq_n_u32(0x7fffffffu));
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t is_nan = vcgtq_u32(magnitude, vdupq_n_u32(0x7f800000u));
    const uint32x4_t is_tiny = vcltq_u32(magnitude, vdupq_n_u32(0x00800000u));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000u));
    const uint32x4_t sign = vandq_u32(bits, vdupq_n_u32(0x80000000u));
    const uint32x4_t chosen = vbslq_u32(is_tiny, sign, vbslq_u32(is_nan, quiet, rounded));
    return vandq_u32(chosen, vdupq_n_u32(0xffff0000u));
  }
  static float32x4_t first_bf16(float32x4_t x) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(x), 16));
  }
  static float32x4_t second_bf16(float32x4_t x) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0xffff0000u)));
  }
  // Zeros of x's signs where the mask is set.
  static float32x4_t zero_where(uint32x4_t mask, float32x4_t x) {
    const uint32x4_t magnitude = vandq_u32(mask, vdupq_n_u32(0x7fffffffu));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), magnitude));
  }
  // x y + z, flushed as scalar/training.cpp says.
  static float32x4_t flushed_fma(float32x4_t x, float32x4_t y, float32x4_t z) {
    const float32x4_t up = vdupq_n_f32(0x1p64f);
    const float32x4_t scaled = vfmaq_f32(vmulq_f32(z, up), vmulq_f32(x, up), y);
    return zero_where(vcaltq_f32(scaled, vdupq_n_f32(0x1p-62f)), vfmaq_f32(z, x, y));
  }
};

}  // namespace
}  // namespace reckon::kernels
