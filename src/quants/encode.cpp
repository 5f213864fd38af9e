// encode_row: float32 -> blocks of any type that reckon writes. The search for scales is in
// encode_small.cpp (blocks of 32) and encode_k.cpp (blocks of 256).
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "quants/codec.h"
#include "quants/encode_block.h"
#include "quants/half.h"
#include "quants/scale_fit.h"

namespace reckon {
namespace {

template <class Block, int kElements>
void encode_blocks(const float* values, const float* importance, void* blocks, int64_t n) {
  RECKON_CHECK(n % kElements == 0);
  auto* out = static_cast<std::byte*>(blocks);
  float x[kElements];
  for (int64_t first = 0; first < n; first += kElements) {
    for (int i = 0; i < kElements; ++i) {
      x[i] = std::clamp(values[first + i], -kMaxEncodable, kMaxEncodable);
    }
    Block block;
    encode_block(x, importance != nullptr ? importance + first : nullptr, block);
    std::memcpy(out, &block, sizeof(Block));
    out += sizeof(Block);
  }
}

template <uint16_t (*from_f32)(float)>
void encode_16bit(const float* values, void* out, int64_t n) {
  auto* bytes = static_cast<std::byte*>(out);
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = from_f32(values[i]);
    std::memcpy(bytes + 2 * i, &bits, 2);
  }
}

}  // namespace

bool can_encode(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
    case TensorType::kQ5_0:
    case TensorType::kQ5_1:
    case TensorType::kQ8_0:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
    case TensorType::kQ6_K: return true;
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kIQ4_NL:
    case TensorType::kIQ4_XS: return false;
  }
  return false;
}

void encode_row(TensorType type, const float* values, void* blocks, int64_t n,
                const float* importance) {
  switch (type) {
    case TensorType::kF32:
      if (n > 0) std::memcpy(blocks, values, static_cast<size_t>(n) * sizeof(float));
      return;
    case TensorType::kF16: return encode_16bit<f32_to_f16>(values, blocks, n);
    case TensorType::kBF16: return encode_16bit<f32_to_bf16>(values, blocks, n);
    case TensorType::kQ4_0:
      return encode_blocks<BlockQ4_0, kSmallBlock>(values, importance, blocks, n);
    case TensorType::kQ4_1:
      return encode_blocks<BlockQ4_1, kSmallBlock>(values, importance, blocks, n);
    case TensorType::kQ5_0:
      return encode_blocks<BlockQ5_0, kSmallBlock>(values, importance, blocks, n);
    case TensorType::kQ5_1:
      return encode_blocks<BlockQ5_1, kSmallBlock>(values, importance, blocks, n);
    case TensorType::kQ8_0:
      return encode_blocks<BlockQ8_0, kSmallBlock>(values, importance, blocks, n);
    case TensorType::kQ4_K:
      return encode_blocks<BlockQ4_K, kSuperBlock>(values, importance, blocks, n);
    case TensorType::kQ5_K:
      return encode_blocks<BlockQ5_K, kSuperBlock>(values, importance, blocks, n);
    case TensorType::kQ6_K:
      return encode_blocks<BlockQ6_K, kSuperBlock>(values, importance, blocks, n);
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kIQ4_NL:
    case TensorType::kIQ4_XS: break;
  }
  RECKON_CHECK(can_encode(type));
}

}  // namespace reckon
