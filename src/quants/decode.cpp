// decode_row: blocks of every readable type -> float32, one element after another, in the order of
// operations that docs/numerics.md fixes. The results are those of ggml's own dequantisation, bit
// for bit, so that a file means the same numbers in both programs. Every product and sum below is
// one float32 operation, rounded to nearest; none is fused.
#include <cstring>

#include "base/check.h"
#include "quants/blocks.h"
#include "quants/codec.h"
#include "quants/half.h"

namespace reckon {
namespace {

void decode_block(const BlockQ4_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
    out[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
  }
}

// Product first, then the minimum is added.
void decode_block(const BlockQ4_1& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(block.qs[j] & 15) * d + m;
    out[j + 16] = static_cast<float>(block.qs[j] >> 4) * d + m;
  }
}

// The fifth bit of element i, in place as 0 or 16.
int fifth_bit(const uint8_t* qh, int i) { return ((qh[i / 8] >> (i % 8)) & 1) << 4; }

void decode_block(const BlockQ5_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(((block.qs[j] & 15) | fifth_bit(block.qh, j)) - 16) * d;
    out[j + 16] = static_cast<float>(((block.qs[j] >> 4) | fifth_bit(block.qh, j + 16)) - 16) * d;
  }
}

void decode_block(const BlockQ5_1& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((block.qs[j] & 15) | fifth_bit(block.qh, j)) * d + m;
    out[j + 16] = static_cast<float>((block.qs[j] >> 4) | fifth_bit(block.qh, j + 16)) * d + m;
  }
}

void decode_block(const BlockQ8_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(block.qs[j]) * d;
}

// (d * scale) * quant - (dmin * min): the sub-block's scale and minimum are rounded first.
void decode_block(const BlockQ2_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(block.scales[s] & 15);
    const float min = dmin * static_cast<float>(block.scales[s] >> 4);
    const uint8_t* qs = block.qs + s / 8 * 32 + s % 2 * 16;
    const int shift = s / 2 % 4 * 2;
    for (int l = 0; l < 16; ++l) {
      out[s * 16 + l] = scale * static_cast<float>((qs[l] >> shift) & 3) - min;
    }
  }
}

// (d * scale) * quant.
void decode_block(const BlockQ3_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  int8_t scales[16];
  unpack_scales_q3_k(block.scales, scales);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(scales[s]);
    const uint8_t* qs = block.qs + s / 8 * 32 + s % 2 * 16;
    const uint8_t* high = block.hmask + s % 2 * 16;
    const int shift = s / 2 % 4 * 2;
    for (int l = 0; l < 16; ++l) {
      const int quant = ((qs[l] >> shift) & 3) | ((high[l] >> (s / 2)) & 1) << 2;
      out[s * 16 + l] = scale * static_cast<float>(quant - 4);
    }
  }
}

// (d * scale) * quant - (dmin * min), as in Q2_K.
void decode_block(const BlockQ4_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  uint8_t scales[8];
  uint8_t mins[8];
  unpack_scales_mins(block.scales, scales, mins);
  for (int s = 0; s < 8; ++s) {
    const float scale = d * static_cast<float>(scales[s]);
    const float min = dmin * static_cast<float>(mins[s]);
    const uint8_t* qs = block.qs + s / 2 * 32;
    const int shift = s % 2 * 4;
    for (int l = 0; l < 32; ++l) {
      out[s * 32 + l] = scale * static_cast<float>((qs[l] >> shift) & 15) - min;
    }
  }
}

void decode_block(const BlockQ5_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  uint8_t scales[8];
  uint8_t mins[8];
  unpack_scales_mins(block.scales, scales, mins);
  for (int s = 0; s < 8; ++s) {
    const float scale = d * static_cast<float>(scales[s]);
    const float min = dmin * static_cast<float>(mins[s]);
    const uint8_t* qs = block.qs + s / 2 * 32;
    const int shift = s % 2 * 4;
    for (int l = 0; l < 32; ++l) {
      const int quant = ((qs[l] >> shift) & 15) | ((block.qh[l] >> s) & 1) << 4;
      out[s * 32 + l] = scale * static_cast<float>(quant) - min;
    }
  }
}

// (d * scale) * quant.
void decode_block(const BlockQ6_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(block.scales[s]);
    const int half = s / 8;
    const int quarter = s / 2 % 4;  // of the half's 128 elements
    const uint8_t* low = block.qs + half * 64 + quarter % 2 * 32 + s % 2 * 16;
    const uint8_t* high = block.qh + half * 32 + s % 2 * 16;
    for (int l = 0; l < 16; ++l) {
      const int quant = ((low[l] >> (quarter / 2 * 4)) & 15) | ((high[l] >> (quarter * 2)) & 3)
                                                                   << 4;
      out[s * 16 + l] = scale * static_cast<float>(quant - 32);
    }
  }
}

void decode_block(const BlockIQ4_NL& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(kIq4NlValues[block.qs[j] & 15]) * d;
    out[j + 16] = static_cast<float>(kIq4NlValues[block.qs[j] >> 4]) * d;
  }
}

// (d * scale) * level.
void decode_block(const BlockIQ4_XS& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int s = 0; s < 8; ++s) {
    const float scale = d * static_cast<float>(scale_iq4_xs(block, s));
    const uint8_t* qs = block.qs + s * 16;
    for (int j = 0; j < 16; ++j) {
      out[s * 32 + j] = scale * static_cast<float>(kIq4NlValues[qs[j] & 15]);
      out[s * 32 + j + 16] = scale * static_cast<float>(kIq4NlValues[qs[j] >> 4]);
    }
  }
}

template <class Block, int kElements>
void decode_blocks(const void* blocks, float* out, int64_t n) {
  RECKON_CHECK(n % kElements == 0);
  const auto* bytes = static_cast<const std::byte*>(blocks);
  for (int64_t b = 0; b < n / kElements; ++b) {
    // Copied out, because nothing promises that a mapped tensor is aligned for the struct.
    Block block;
    std::memcpy(&block, bytes + b * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
    decode_block(block, out + b * kElements);
  }
}

template <float (*to_f32)(uint16_t)>
void decode_16bit(const void* values, float* out, int64_t n) {
  const auto* bytes = static_cast<const std::byte*>(values);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + 2 * i, 2);
    out[i] = to_f32(bits);
  }
}

}  // namespace

void decode_row(TensorType type, const void* blocks, float* out, int64_t n) {
  switch (type) {
    case TensorType::kF32:
      if (n > 0) std::memcpy(out, blocks, static_cast<size_t>(n) * sizeof(float));
      return;
    case TensorType::kF16: return decode_16bit<f16_to_f32>(blocks, out, n);
    case TensorType::kBF16: return decode_16bit<bf16_to_f32>(blocks, out, n);
    case TensorType::kQ4_0: return decode_blocks<BlockQ4_0, kSmallBlock>(blocks, out, n);
    case TensorType::kQ4_1: return decode_blocks<BlockQ4_1, kSmallBlock>(blocks, out, n);
    case TensorType::kQ5_0: return decode_blocks<BlockQ5_0, kSmallBlock>(blocks, out, n);
    case TensorType::kQ5_1: return decode_blocks<BlockQ5_1, kSmallBlock>(blocks, out, n);
    case TensorType::kQ8_0: return decode_blocks<BlockQ8_0, kSmallBlock>(blocks, out, n);
    case TensorType::kQ2_K: return decode_blocks<BlockQ2_K, kSuperBlock>(blocks, out, n);
    case TensorType::kQ3_K: return decode_blocks<BlockQ3_K, kSuperBlock>(blocks, out, n);
    case TensorType::kQ4_K: return decode_blocks<BlockQ4_K, kSuperBlock>(blocks, out, n);
    case TensorType::kQ5_K: return decode_blocks<BlockQ5_K, kSuperBlock>(blocks, out, n);
    case TensorType::kQ6_K: return decode_blocks<BlockQ6_K, kSuperBlock>(blocks, out, n);
    case TensorType::kIQ4_NL: return decode_blocks<BlockIQ4_NL, kSmallBlock>(blocks, out, n);
    case TensorType::kIQ4_XS: return decode_blocks<BlockIQ4_XS, kSuperBlock>(blocks, out, n);
  }
  RECKON_CHECK(false);
}

}  // namespace reckon
