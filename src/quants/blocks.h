// The block formats of GGUF's quantised tensors, as they lie in the file (little-endian, no
// padding): structs, the table of IQ4_NL, and the unpacking of packed scales. decode.cpp states
// what a block means; kernels read the same structs.
//
// A "quant" is the small stored integer, a "scale" the factor it is multiplied by. Formats of 32
// hold one scale a block; formats of 256 ("K quants") hold sub-blocks of 16 or 32 whose own scales
// are small integers, multiplied by the block's half-precision d (and dmin for the minima).
//
// Functions and tables here have internal linkage: instruction-set objects that include this file
// must not export weak symbols.
#pragma once

#include <cstdint>

namespace reckon {

// Elements of a block.
constexpr int kSmallBlock = 32;
constexpr int kSuperBlock = 256;

// Fields named d, m and dmin are IEEE halves (quants/half.h).

// value[i] = d * (quant - 8). qs[j] holds element j in its low nibble and j + 16 in its high one.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

// value[i] = d * quant + m. qs as in Q4_0.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// value[i] = d * (quant - 16). Low four bits as in Q4_0; bit i of the little-endian 32-bit qh is
// element i's fifth.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// value[i] = d * quant + m. qh and qs as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// value[i] = d * qs[i].
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// 16 sub-blocks of 16: value = d * (scales[s] & 15) * quant - dmin * (scales[s] >> 4).
// Byte qs[32 h + l] holds elements 128 h + 32 k + l for k = 0..3 in bits 2 k and 2 k + 1.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

// 16 sub-blocks of 16: value = d * (scale - 32) * (quant - 4), where the quant's low two bits lie
// as in Q2_K and its third is bit (4 h + k) of hmask[l]. The 6-bit scales: see
// unpack_scales_q3_k.
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110);

// 8 sub-blocks of 32: value = d * scale * quant - dmin * min, scale and min of 6 bits packed as
// unpack_scales_mins reads them. qs[32 c + l] holds elements 64 c + l (low nibble) and
// 64 c + 32 + l (high nibble).
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

// As Q4_K with a fifth bit: bit s of qh[l] belongs to element 32 s + l.
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// 16 sub-blocks of 16: value = d * scales[s] * (quant - 32). For h = 0, 1 and l < 32, the elements
// 128 h + l + {0, 32, 64, 96} have their low four bits in qs[64 h + l] low, qs[64 h + 32 + l] low,
// qs[64 h + l] high, qs[64 h + 32 + l] high, and their upper two in bits {0, 2, 4, 6} of
// qh[32 h + l].
struct BlockQ6_K {
  uint8_t qs[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

// value[i] = d * kIq4NlValues[quant]. qs as in Q4_0.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

// 8 sub-blocks of 32: value = d * (scale - 32) * kIq4NlValues[quant]. scales_l holds the scales'
// low nibbles (sub-block 2 i in byte i's low half), scales_h two upper bits each from bit 2 s on.
// Each sub-block's 16 bytes of qs are laid out as in Q4_0.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

// The 16 levels of IQ4_NL and IQ4_XS, part of the format.
constexpr int8_t kIq4NlValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

// packed [12] of Q4_K and Q5_K -> scales [8], mins [8], 6 bits each. Sub-blocks 0..3 have their
// scale in bytes 0..3 and their min in bytes 4..7, low 6 bits; sub-blocks 4..7 have the low four
// bits of both in bytes 8..11 and the upper two in the top bits of bytes 0..7.
static inline void unpack_scales_mins(const uint8_t* packed, uint8_t* scales, uint8_t* mins) {
  for (int s = 0; s < 4; ++s) {
    scales[s] = packed[s] & 63;
    mins[s] = packed[s + 4] & 63;
    scales[s + 4] = static_cast<uint8_t>((packed[s + 8] & 15) | (packed[s] >> 6 << 4));
    mins[s + 4] = static_cast<uint8_t>((packed[s + 8] >> 4) | (packed[s + 4] >> 6 << 4));
  }
}

// packed [12] of Q3_K -> scales [16], already less 32. Scale s has its low four bits in byte s % 8
// (low half for s < 8, else high) and its upper two in byte 8 + s % 4 at bit 2 (s / 4).
static inline void unpack_scales_q3_k(const uint8_t* packed, int8_t* scales) {
  for (int s = 0; s < 16; ++s) {
    const int low = s < 8 ? packed[s] & 15 : packed[s - 8] >> 4;
    const int high = (packed[8 + s % 4] >> (2 * (s / 4))) & 3;
    scales[s] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

// The scale of an IQ4_XS sub-block s, already less 32.
static inline int scale_iq4_xs(const BlockIQ4_XS& block, int s) {
  const int low = (block.scales_l[s / 2] >> (4 * (s % 2))) & 15;
  const int high = (block.scales_h >> (2 * s)) & 3;
  return (low | high << 4) - 32;
}

}  // namespace reckon
