// One function a block format: random bytes for the quants, then scales that give them mean zero
// and the wanted spread. Formats with a minimum get the one that makes their grid symmetric; in the
// others the grid reaches one step farther down than up, so the scale's sign is random and the
// blocks' means cancel out. (A mean common to all rows would be amplified from layer to layer until
// every token looked the same.)
#include "model/synth_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "quants/blocks.h"
#include "quants/half.h"

namespace reckon {
namespace {

// Words of one block: a function of the tensor's key and the block's place.
class BlockRandom {
 public:
  BlockRandom(uint64_t key, uint64_t block) : state_(key + block * kWordsApart * kStep) {}

  uint64_t word() {
    state_ += kStep;
    return mix_bits(state_);
  }

  void fill(void* out, size_t n_bytes) {
    auto* bytes = static_cast<unsigned char*>(out);
    for (; n_bytes >= sizeof(uint64_t); n_bytes -= sizeof(uint64_t)) {
      const uint64_t bits = word();
      std::memcpy(bytes, &bits, sizeof(bits));
      bytes += sizeof(bits);
    }
    if (n_bytes > 0) {
      const uint64_t bits = word();
      std::memcpy(bytes, &bits, n_bytes);
    }
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;  // odd: all states differ
  // More than any block uses (Q6_K: 27 for 210 bytes), so that blocks share no word.
  static constexpr uint64_t kWordsApart = 64;

  uint64_t state_;
};

// sqrt(mean of k^2) over whole numbers low..high.
double rms_of_range(int low, int high) {
  double sum = 0;
  for (int k = low; k <= high; ++k) sum += static_cast<double>(k) * k;
  return std::sqrt(sum / (high - low + 1));
}

// The deviation of n values one apart around their own mean.
double rms_centred(int n) { return std::sqrt((static_cast<double>(n) * n - 1) / 12); }

double rms_of_iq4_values() {
  double sum = 0;
  for (const int8_t value : kIq4NlValues) sum += static_cast<double>(value) * value;
  return std::sqrt(sum / 16);
}

// The least nonzero half stands in for a scale too small for halves.
uint16_t scale_half(double scale) {
  const uint16_t half = f32_to_f16(static_cast<float>(scale));
  return half == 0 ? uint16_t{1} : half;
}

uint16_t with_sign(uint16_t half, uint64_t bit) {
  return static_cast<uint16_t>(half | (bit & 1) << 15);
}

// factor * d, exactly when it fits a half.
uint16_t multiple(uint16_t half, double factor) {
  return f32_to_f16(static_cast<float>(f16_to_f32(half) * factor));
}

// Six-bit scales 32..63, each also the sub-block's minimum, as unpack_scales_mins reads them.
void pack_scales_as_mins(uint64_t bits, uint8_t* packed) {
  uint8_t scales[8];
  for (int s = 0; s < 8; ++s) scales[s] = static_cast<uint8_t>(32 + (bits >> (5 * s) & 31));
  for (int s = 0; s < 4; ++s) {
    const uint8_t first = scales[s];
    const uint8_t second = scales[s + 4];
    packed[s] = packed[s + 4] = static_cast<uint8_t>(first | second >> 4 << 6);
    packed[s + 8] = static_cast<uint8_t>((second & 15) | (second & 15) << 4);
  }
}

constexpr int kLowScale = 32;
constexpr int kHighScale = 63;

// What a block's d must be multiplied by to give the deviation of its values.
template <class Block>
double spread() {
  if constexpr (std::is_same_v<Block, BlockQ4_0>) return rms_of_range(-8, 7);
  if constexpr (std::is_same_v<Block, BlockQ4_1>) return rms_centred(16);
  if constexpr (std::is_same_v<Block, BlockQ5_0>) return rms_of_range(-16, 15);
  if constexpr (std::is_same_v<Block, BlockQ5_1>) return rms_centred(32);
  if constexpr (std::is_same_v<Block, BlockQ8_0>) return rms_of_range(-127, 127);
  if constexpr (std::is_same_v<Block, BlockQ2_K>) return rms_of_range(8, 15) * rms_centred(4);
  if constexpr (std::is_same_v<Block, BlockQ3_K>) {
    return rms_of_range(-32, 31) * rms_of_range(-4, 3);
  }
  if constexpr (std::is_same_v<Block, BlockQ4_K>) {
    return rms_of_range(kLowScale, kHighScale) * rms_centred(16);
  }
  if constexpr (std::is_same_v<Block, BlockQ5_K>) {
    return rms_of_range(kLowScale, kHighScale) * rms_centred(32);
  }
  if constexpr (std::is_same_v<Block, BlockQ6_K>) {
    return rms_of_range(64, 127) * rms_of_range(-32, 31);
  }
  if constexpr (std::is_same_v<Block, BlockIQ4_NL>) return rms_of_iq4_values();
  if constexpr (std::is_same_v<Block, BlockIQ4_XS>) {
    return rms_of_range(-32, 31) * rms_of_iq4_values();
  }
}

// Sets the scales of a block whose bytes are random already. d is the magnitude of its scale.
template <class Block>
void set_scales(BlockRandom& random, uint16_t d, Block& block) {
  if constexpr (std::is_same_v<Block, BlockQ4_1> || std::is_same_v<Block, BlockQ5_1>) {
    block.d = d;
    block.m = multiple(d, std::is_same_v<Block, BlockQ4_1> ? -7.5 : -15.5);
  } else if constexpr (std::is_same_v<Block, BlockQ4_K> || std::is_same_v<Block, BlockQ5_K>) {
    block.d = d;
    block.dmin = multiple(d, std::is_same_v<Block, BlockQ4_K> ? 7.5 : 15.5);
    pack_scales_as_mins(random.word(), block.scales);
  } else if constexpr (std::is_same_v<Block, BlockQ2_K>) {
    block.d = d;
    block.dmin = multiple(d, 1.5);
    for (uint8_t& scale : block.scales) {
      const auto magnitude = static_cast<uint8_t>(8 | (scale & 7));
      scale = static_cast<uint8_t>(magnitude | magnitude << 4);
    }
  } else if constexpr (std::is_same_v<Block, BlockQ6_K>) {
    block.d = d;
    for (int8_t& scale : block.scales) {
      const int magnitude = 64 | (scale & 63);
      scale = static_cast<int8_t>(scale < 0 ? -magnitude : magnitude);
    }
  } else {
    block.d = with_sign(d, random.word());
    if constexpr (std::is_same_v<Block, BlockQ8_0>) {
      for (int8_t& quant : block.qs) quant = std::max<int8_t>(quant, -127);
    }
  }
}

template <class Block>
void fill_blocks(uint64_t key, int64_t first, int64_t n, double deviation, void* out) {
  const uint16_t d = scale_half(deviation / spread<Block>());
  auto* bytes = static_cast<unsigned char*>(out);
  for (int64_t b = first; b < first + n; ++b) {
    BlockRandom random(key, static_cast<uint64_t>(b));
    Block block;
    random.fill(&block, sizeof(block));
    set_scales(random, d, block);
    std::memcpy(bytes, &block, sizeof(block));
    bytes += sizeof(block);
  }
}

// Nearly normal: the sum of four uniform 16-bit numbers.
float bell(uint64_t bits) {
  const auto sum = static_cast<int32_t>((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                        (bits >> 32 & 0xffff) + (bits >> 48));
  return static_cast<float>(sum - 2 * 0xffff);
}

template <class Store>
void fill_floats(uint64_t key, int64_t first, int64_t n, double deviation, const Store& store) {
  const auto scale = static_cast<float>(deviation / (2 * rms_centred(1 << 16)));
  for (int64_t i = 0; i < n; ++i) {
    BlockRandom random(key, static_cast<uint64_t>(first + i));
    store(i, bell(random.word()) * scale);
  }
}

}  // namespace

void random_weights(TensorType type, uint64_t key, int64_t first, int64_t n, double deviation,
                    void* out) {
  const int64_t block = tensor_type_info(type).block_elements;
  const int64_t b = first / block;
  const int64_t n_blocks = n / block;
  auto* floats = static_cast<float*>(out);
  auto* halves = static_cast<uint16_t*>(out);
  switch (type) {
    case TensorType::kF32:
      return fill_floats(key, b, n, deviation, [&](int64_t i, float x) { floats[i] = x; });
    case TensorType::kF16:
      return fill_floats(key, b, n, deviation,
                         [&](int64_t i, float x) { halves[i] = f32_to_f16(x); });
    case TensorType::kBF16:
      return fill_floats(key, b, n, deviation,
                         [&](int64_t i, float x) { halves[i] = f32_to_bf16(x); });
    case TensorType::kQ4_0: return fill_blocks<BlockQ4_0>(key, b, n_blocks, deviation, out);
    case TensorType::kQ4_1: return fill_blocks<BlockQ4_1>(key, b, n_blocks, deviation, out);
    case TensorType::kQ5_0: return fill_blocks<BlockQ5_0>(key, b, n_blocks, deviation, out);
    case TensorType::kQ5_1: return fill_blocks<BlockQ5_1>(key, b, n_blocks, deviation, out);
    case TensorType::kQ8_0: return fill_blocks<BlockQ8_0>(key, b, n_blocks, deviation, out);
    case TensorType::kQ2_K: return fill_blocks<BlockQ2_K>(key, b, n_blocks, deviation, out);
    case TensorType::kQ3_K: return fill_blocks<BlockQ3_K>(key, b, n_blocks, deviation, out);
    case TensorType::kQ4_K: return fill_blocks<BlockQ4_K>(key, b, n_blocks, deviation, out);
    case TensorType::kQ5_K: return fill_blocks<BlockQ5_K>(key, b, n_blocks, deviation, out);
    case TensorType::kQ6_K: return fill_blocks<BlockQ6_K>(key, b, n_blocks, deviation, out);
    case TensorType::kIQ4_NL: return fill_blocks<BlockIQ4_NL>(key, b, n_blocks, deviation, out);
    case TensorType::kIQ4_XS: return fill_blocks<BlockIQ4_XS>(key, b, n_blocks, deviation, out);
  }
}

}  // namespace reckon
