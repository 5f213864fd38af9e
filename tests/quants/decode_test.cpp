// decode_row against another program: random blocks of every type and the floats that PyPI gguf
// decodes from them (tools/quant_fixtures.py), compared bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "quants/blocks.h"
#include "quants/codec.h"
#include "quants/half.h"

namespace reckon {
namespace {

uint32_t read_uint32(const std::string& data, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, data.data() + offset, 4);
  return value;
}

TEST(Decode, EveryTypeAsGgufDecodesIt) {
  std::ifstream file(RECKON_SOURCE_DIR "/tests/quants/fixtures/decode.bin", std::ios::binary);
  ASSERT_TRUE(file);
  const std::string data{std::istreambuf_iterator<char>(file), {}};
  std::set<TensorType> seen;
  size_t offset = 0;
  while (offset < data.size()) {
    ASSERT_LE(offset + 12, data.size());
    const auto type = tensor_type_from_id(read_uint32(data, offset));
    ASSERT_TRUE(type.has_value());
    const size_t block_bytes = read_uint32(data, offset + 4);
    const size_t n = read_uint32(data, offset + 8);
    ASSERT_EQ(row_bytes(*type, static_cast<int64_t>(n)), block_bytes);
    offset += 12;
    ASSERT_LE(offset + block_bytes + 4 * n, data.size());
    std::vector<float> expected(n);
    std::memcpy(expected.data(), data.data() + offset + block_bytes, 4 * n);
    std::vector<float> decoded(n);
    // The blocks lie unaligned here, as they may in a file.
    decode_row(*type, data.data() + offset, decoded.data(), static_cast<int64_t>(n));
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), std::bit_cast<uint32_t>(expected[i]))
          << tensor_type_info(*type).name << " element " << i << ": " << decoded[i] << " for "
          << expected[i];
    }
    seen.insert(*type);
    offset += block_bytes + 4 * n;
  }
  EXPECT_EQ(seen.size(), all_tensor_types().size());
}

TEST(Decode, NothingForNoElements) {
  float untouched = 7;
  for (const TensorTypeInfo& info : all_tensor_types()) {
    decode_row(info.type, nullptr, &untouched, 0);
  }
  EXPECT_EQ(untouched, 7);
}

TEST(Blocks, ScalesAndMinsUnpack) {
  // Scales 7, 14, ..., 56 and mins 63 - scale, each byte spelt out in bits as the layout has them.
  const uint8_t packed[12] = {
      0b10'000111, 0b10'001110, 0b11'010101, 0b11'011100,  // scales 4..7 high, scales 0..3
      0b01'111000, 0b01'110001, 0b00'101010, 0b00'100011,  // mins 4..7 high, mins 0..3
      0b1100'0011, 0b0101'1010, 0b1110'0001, 0b0111'1000,  // mins, scales 4..7 low
  };
  uint8_t scales[8];
  uint8_t mins[8];
  unpack_scales_mins(packed, scales, mins);
  for (int s = 0; s < 8; ++s) {
    EXPECT_EQ(scales[s], 7 * (s + 1));
    EXPECT_EQ(mins[s], 63 - 7 * (s + 1));
  }
}

}  // namespace
}  // namespace reckon
