// encode_row: its error against llama.cpp's quantiser on generated weights, and odd blocks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quants/codec.h"
#include "tests/quants/sample_weights.h"

namespace reckon {
namespace {

using test::Distribution;
using test::ErrorWeight;
using test::QuantError;

std::vector<TensorType> quantised_types() {
  std::vector<TensorType> types;
  for (const TensorTypeInfo& info : all_tensor_types()) {
    if (info.block_elements > 1 && can_encode(info.type)) types.push_back(info.type);
  }
  return types;
}

std::vector<std::byte> encode(TensorType type, const std::vector<float>& x,
                              const float* importance = nullptr) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<std::byte> blocks(static_cast<size_t>(row_bytes(type, n)), std::byte{0xa5});
  encode_row(type, x.data(), blocks.data(), n, importance);
  return blocks;
}

std::vector<float> round_trip(TensorType type, const std::vector<float>& x,
                              const float* importance = nullptr) {
  const std::vector<std::byte> blocks = encode(type, x, importance);
  std::vector<float> decoded(x.size());
  decode_row(type, blocks.data(), decoded.data(), static_cast<int64_t>(x.size()));
  return decoded;
}

ErrorWeight error_weight(TensorType type) {
  if (type == TensorType::kQ4_K || type == TensorType::kQ5_K) return ErrorWeight::kLinear;
  if (type == TensorType::kQ6_K) return ErrorWeight::kSquare;
  return ErrorWeight::kEqual;
}

struct Reference {
  TensorType type;
  Distribution distribution;
  double plain;
  double weighted;
};

// What llama.cpp's quantiser (as in llama-cpp-python 0.3.36; ggml_quantize_chunk without an
// importance matrix, then its own dequantisation) leaves on sample_weights(distribution, 65536),
// measured with quant_error by a small program linked against its ggml library.
constexpr Reference kReferences[] = {
    {TensorType::kQ4_0, Distribution::kGaussian, 0.001688338, 0.001688338},
    {TensorType::kQ4_0, Distribution::kLaplacian, 0.003002177, 0.003002177},
    {TensorType::kQ4_0, Distribution::kUneven, 0.005220619, 0.005220619},
    {TensorType::kQ4_0, Distribution::kShifted, 0.002549472, 0.002549472},
    {TensorType::kQ4_1, Distribution::kGaussian, 0.001547865, 0.001547865},
    {TensorType::kQ4_1, Distribution::kLaplacian, 0.002580703, 0.002580703},
    {TensorType::kQ4_1, Distribution::kUneven, 0.004941482, 0.004941482},
    {TensorType::kQ4_1, Distribution::kShifted, 0.001559517, 0.001559517},
    {TensorType::kQ5_0, Distribution::kGaussian, 0.0008394281, 0.0008394281},
    {TensorType::kQ5_0, Distribution::kLaplacian, 0.001499932, 0.001499932},
    {TensorType::kQ5_0, Distribution::kUneven, 0.002673071, 0.002673071},
    {TensorType::kQ5_0, Distribution::kShifted, 0.001272964, 0.001272964},
    {TensorType::kQ5_1, Distribution::kGaussian, 0.0007471303, 0.0007471303},
    {TensorType::kQ5_1, Distribution::kLaplacian, 0.001251415, 0.001251415},
    {TensorType::kQ5_1, Distribution::kUneven, 0.00236607, 0.00236607},
    {TensorType::kQ5_1, Distribution::kShifted, 0.0007537922, 0.0007537922},
    {TensorType::kQ8_0, Distribution::kGaussian, 0.0001050344, 0.0001050344},
    {TensorType::kQ8_0, Distribution::kLaplacian, 0.000189825, 0.000189825},
    {TensorType::kQ8_0, Distribution::kUneven, 0.00034328, 0.00034328},
    {TensorType::kQ8_0, Distribution::kShifted, 0.0001606208, 0.0001606208},
    {TensorType::kQ4_K, Distribution::kGaussian, 0.001407783, 0.0002656026},
    {TensorType::kQ4_K, Distribution::kLaplacian, 0.002371638, 0.0005202639},
    {TensorType::kQ4_K, Distribution::kUneven, 0.004461018, 0.002215672},
    {TensorType::kQ4_K, Distribution::kShifted, 0.001416347, 0.0003660749},
    {TensorType::kQ5_K, Distribution::kGaussian, 0.0007140867, 0.0001354707},
    {TensorType::kQ5_K, Distribution::kLaplacian, 0.001205209, 0.0002670148},
    {TensorType::kQ5_K, Distribution::kUneven, 0.002266324, 0.001070215},
    {TensorType::kQ5_K, Distribution::kShifted, 0.0007113887, 0.000185025},
    {TensorType::kQ6_K, Distribution::kGaussian, 0.0003498155, 6.067724e-06},
    {TensorType::kQ6_K, Distribution::kLaplacian, 0.0006077368, 1.394472e-05},
    {TensorType::kQ6_K, Distribution::kUneven, 0.0009465916, 0.0002070932},
    {TensorType::kQ6_K, Distribution::kShifted, 0.0005363194, 1.735869e-05},
};

TEST(Encode, ErrorIsNoWorseThanLlamaCpps) {
  for (const Reference& reference : kReferences) {
    const std::vector<float> x = sample_weights(reference.distribution, 65536);
    const QuantError error =
        quant_error(error_weight(reference.type), x, round_trip(reference.type, x));
    EXPECT_LE(error.plain, reference.plain)
        << tensor_type_info(reference.type).name << " distribution "
        << static_cast<int>(reference.distribution);
    EXPECT_LE(error.weighted, reference.weighted)
        << tensor_type_info(reference.type).name << " distribution "
        << static_cast<int>(reference.distribution);
    // An error far below is a mistake in the test, not an achievement.
    EXPECT_GT(error.plain, 0.8 * reference.plain);
  }
}

TEST(Encode, WhatABlockCanHoldComesBackExactly) {
  // Values on the format's own grid: a scale that is a power of two, both ends of the range taken.
  for (const TensorType type : quantised_types()) {
    std::vector<float> x(256);
    for (int i = 0; i < 256; ++i) {
      int quant = i % 16 - 8;
      if (type == TensorType::kQ8_0) quant = i % 32 == 5 ? 127 : i % 32 - 16;
      if (type == TensorType::kQ6_K) quant = i % 16 == 0 ? -32 : i % 16;
      if (type == TensorType::kQ5_0 || type == TensorType::kQ5_1) quant = i % 32 - 16;
      x[i] = static_cast<float>(quant) * 0.125f;
    }
    const std::vector<float> decoded = round_trip(type, x);
    for (int i = 0; i < 256; ++i) {
      // Scales of the K formats are products of a half and a small integer: near, not equal.
      EXPECT_NEAR(decoded[i], x[i], 0.002f) << tensor_type_info(type).name << " " << i;
    }
  }
}

TEST(Encode, SecondRoundTripLosesLittle) {
  const std::vector<float> x = sample_weights(Distribution::kGaussian, 4096);
  for (const TensorType type : quantised_types()) {
    const std::vector<float> once = round_trip(type, x);
    const std::vector<float> twice = round_trip(type, once);
    const double first = quant_error(ErrorWeight::kEqual, x, once).plain;
    const double second = quant_error(ErrorWeight::kEqual, once, twice).plain;
    EXPECT_LT(second, first) << tensor_type_info(type).name;
  }
}

TEST(Encode, ZerosStayZero) {
  const std::vector<float> zeros(256, 0.0f);
  std::vector<float> negative_zeros(256, -0.0f);
  for (const TensorType type : quantised_types()) {
    for (const float value : round_trip(type, zeros)) EXPECT_EQ(value, 0.0f);
    for (const float value : round_trip(type, negative_zeros)) EXPECT_EQ(value, 0.0f);
  }
}

TEST(Encode, ConstantBlocks) {
  for (const TensorType type : quantised_types()) {
    for (const float value : {1.0f, -1.0f, 0.37f, -0.0123f, 300.0f, -1e-4f}) {
      const std::vector<float> x(256, value);
      for (const float decoded : round_trip(type, x)) {
        ASSERT_NEAR(decoded, value, std::fabs(value) * 0.005)
            << tensor_type_info(type).name << " " << value;
      }
    }
  }
}

TEST(Encode, OneSpikeAmongZeros) {
  for (const TensorType type : quantised_types()) {
    for (const float spike : {1.0f, -1.0f, 1000.0f}) {
      std::vector<float> x(256, 0.0f);
      x[77] = spike;
      const std::vector<float> decoded = round_trip(type, x);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(decoded[i], x[i], std::fabs(spike) * 0.005)
            << tensor_type_info(type).name << " " << i;
      }
    }
  }
}

TEST(Encode, TinyValuesGoToTheNearestStep) {
  // 2^-24, the smallest half, is the finest step; no value may end farther off than that.
  for (const TensorType type : quantised_types()) {
    for (const float size : {1e-45f, 1e-38f, 1e-20f, 1e-9f, 3e-8f, 6e-8f, 1e-7f, 1e-6f}) {
      std::vector<float> x(256);
      for (int i = 0; i < 256; ++i) x[i] = size * static_cast<float>(i % 7 - 3) / 3;
      const std::vector<float> decoded = round_trip(type, x);
      for (int i = 0; i < 256; ++i) {
        ASSERT_TRUE(std::isfinite(decoded[i]));
        ASSERT_LE(std::fabs(decoded[i] - x[i]), 0x1p-24f + 0.2f * size)
            << tensor_type_info(type).name << " " << size << " " << i;
      }
      if (size < 1e-9f) {
        EXPECT_TRUE(std::ranges::all_of(decoded, [](float v) { return v == 0; }));
      }
    }
  }
}

TEST(Encode, HugeValuesSaturate) {
  const float max = std::numeric_limits<float>::max();
  for (const TensorType type : quantised_types()) {
    for (const float size : {7e4f, 1e6f, 1e9f, 1e20f, max}) {
      std::vector<float> x(256);
      for (int i = 0; i < 256; ++i) x[i] = i % 3 == 0 ? size : i % 3 == 1 ? -size : size / 4;
      const std::vector<float> decoded = round_trip(type, x);
      for (int i = 0; i < 256; ++i) {
        ASSERT_TRUE(std::isfinite(decoded[i])) << tensor_type_info(type).name << " " << size;
        // Signs survive, and nothing grows by more than a quantisation step.
        ASSERT_GE(decoded[i] * (x[i] > 0 ? 1.0f : -1.0f), 0.0f)
            << tensor_type_info(type).name << " " << size << " " << i;
        ASSERT_LE(std::fabs(decoded[i]), 1.2f * std::min(size, 1e30f));
      }
    }
  }
}

TEST(Encode, MixedMagnitudesStayFinite) {
  test::Lcg lcg(99);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<float> x(256);
    for (float& value : x) {
      value = static_cast<float>(lcg.gaussian() * std::pow(10.0, 80 * lcg.uniform() - 45));
      if (!std::isfinite(value)) value = 0;
    }
    for (const TensorType type : quantised_types()) {
      for (const float decoded : round_trip(type, x)) ASSERT_TRUE(std::isfinite(decoded));
    }
  }
}

TEST(Encode, ImportanceMovesTheError) {
  // Elements with weight 100 must come out nearer than they do without.
  const std::vector<float> x = sample_weights(Distribution::kGaussian, 4096);
  std::vector<float> importance(x.size(), 1.0f);
  for (size_t i = 0; i < x.size(); i += 4) importance[i] = 100;
  const std::vector<float> none(x.size(), 0.0f);
  for (const TensorType type : quantised_types()) {
    const std::vector<float> plain = round_trip(type, x);
    const std::vector<float> weighted = round_trip(type, x, importance.data());
    double plain_error = 0;
    double weighted_error = 0;
    for (size_t i = 0; i < x.size(); i += 4) {
      plain_error += std::pow(plain[i] - x[i], 2);
      weighted_error += std::pow(weighted[i] - x[i], 2);
    }
    EXPECT_LT(weighted_error, plain_error) << tensor_type_info(type).name;
    // No importance anywhere still gives numbers of the right size.
    const std::vector<float> unimportant = round_trip(type, x, none.data());
    EXPECT_LT(quant_error(ErrorWeight::kEqual, x, unimportant).plain, 0.01)
        << tensor_type_info(type).name;
  }
}

TEST(Encode, RowsAreBlocksOneByOne) {
  const std::vector<float> x = sample_weights(Distribution::kLaplacian, 1024);
  for (const TensorType type : quantised_types()) {
    const std::vector<std::byte> whole = encode(type, x);
    for (size_t first = 0; first < x.size(); first += 256) {
      const std::vector<float> part(x.begin() + first, x.begin() + first + 256);
      const std::vector<std::byte> blocks = encode(type, part);
      EXPECT_EQ(
          std::memcmp(blocks.data(), whole.data() + first / 256 * blocks.size(), blocks.size()), 0);
    }
  }
}

TEST(Encode, SameBytesOnEveryMachine) {
  // FNV-1a over every type's blocks. Another figure on another processor or compiler means that the
  // searches' sums are not in one order any more; after a change of the searches, renew it.
  uint64_t hash = 14695981039346656037u;
  const std::vector<float> x = sample_weights(Distribution::kGaussian, 16384);
  for (const TensorType type : quantised_types()) {
    for (const std::byte byte : encode(type, x)) {
      hash = (hash ^ static_cast<uint64_t>(byte)) * 1099511628211u;
    }
  }
  EXPECT_EQ(hash, 12221819401844367664u);
}

TEST(Encode, UnquantisedTypes) {
  const std::vector<float> x = {0.0f, -1.5f, 3.14159265f, 65504.0f, 1e-8f};
  EXPECT_EQ(round_trip(TensorType::kF32, x), x);
  const std::vector<float> half = round_trip(TensorType::kF16, x);
  const std::vector<float> brain = round_trip(TensorType::kBF16, x);
  EXPECT_EQ(half, (std::vector<float>{0.0f, -1.5f, 3.140625f, 65504.0f, 0.0f}));
  EXPECT_EQ(brain[1], -1.5f);
  EXPECT_EQ(brain[2], 3.140625f);
  EXPECT_FALSE(can_encode(TensorType::kQ2_K));
  EXPECT_FALSE(can_encode(TensorType::kIQ4_XS));
}

}  // namespace
}  // namespace reckon
