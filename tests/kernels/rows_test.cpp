// The row operations: the scalar ones against double precision, the vector ones against the scalar
// ones bit for bit.
#include <gtest/gtest.h>

#include "kernels/activations.h"
#include "tests/kernels/support.h"

namespace reckon::kernels::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<int64_t> kLengths = {1, 2, 15, 16, 17, 32, 33, 100, 576, 1000};

// Ordinary values with every odd one mixed in.
std::vector<float> odd_floats(Random& random, int64_t n) {
  const float odd[] = {0.0f,       -0.0f, 1e-45f,    -1e-40f,   3e38f,  -3e38f,  kInfinity,
                       -kInfinity, kNan,  88.72283f, 88.72284f, -87.3f, -87.31f, -104.0f};
  std::vector<float> x = random_floats(random, n);
  for (float& value : x) {
    if (random.below(3) == 0) value = odd[random.below(std::size(odd))];
  }
  return x;
}

TEST(RmsNorm, MatchesDoublePrecision) {
  Random random(1);
  for (const int64_t n : kLengths) {
    const std::vector<float> x = random_floats(random, n);
    const std::vector<float> weight = random_floats(random, n);
    std::vector<float> out(n);
    scalar_table().rms_norm(x.data(), weight.data(), 1e-5f, n, out.data());
    double squares = 0.0;
    for (const float value : x) squares += static_cast<double>(value) * value;
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-5f);
    for (int64_t i = 0; i < n; ++i) {
      const double expected = x[i] * inverse * weight[i];
      EXPECT_NEAR(out[i], expected, 1e-6 * std::fabs(expected)) << n;
    }
  }
}

TEST(SiluMul, MatchesDoublePrecision) {
  for (float g = -90.0f; g < 90.0f; g += 0.37f) {
    const float up = 1.5f;
    float out = 0.0f;
    scalar_table().silu_mul(&g, &up, 1, &out);
    const double expected = g / (1.0 + std::exp(-static_cast<double>(g))) * up;
    EXPECT_NEAR(out, expected, 3e-7 * std::fabs(expected) + 1e-36) << g;
  }
}

TEST(Rope, RotatesPairs) {
  Random random(2);
  const int64_t n = 64;
  const std::vector<float> x = random_floats(random, n);
  std::vector<float> cos_sin(n);
  for (int64_t i = 0; i < n / 2; ++i) {
    const double angle = 0.1 * static_cast<double>(i);
    cos_sin[i] = static_cast<float>(std::cos(angle));
    cos_sin[n / 2 + i] = static_cast<float>(std::sin(angle));
  }
  std::vector<float> half_split = x;
  std::vector<float> interleaved = x;
  scalar_table().rope_half_split(half_split.data(), cos_sin.data(), n);
  scalar_table().rope_interleaved(interleaved.data(), cos_sin.data(), n);
  for (int64_t i = 0; i < n / 2; ++i) {
    const double cosine = cos_sin[i];
    const double sine = cos_sin[n / 2 + i];
    EXPECT_NEAR(half_split[i], x[i] * cosine - x[i + n / 2] * sine, 1e-5);
    EXPECT_NEAR(half_split[i + n / 2], x[i] * sine + x[i + n / 2] * cosine, 1e-5);
    EXPECT_NEAR(interleaved[2 * i], x[2 * i] * cosine - x[2 * i + 1] * sine, 1e-5);
    EXPECT_NEAR(interleaved[2 * i + 1], x[2 * i] * sine + x[2 * i + 1] * cosine, 1e-5);
  }
}

TEST(ExpSum, MatchesDoublePrecision) {
  Random random(3);
  const std::vector<float> x = random_floats(random, 1000);
  const float max = *std::max_element(x.begin(), x.end());
  std::vector<float> out(x.size());
  const float sum = scalar_table().exp_sum(x.data(), max, 1000, out.data());
  double expected = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double e = std::exp(static_cast<double>(x[i] - max));
    EXPECT_NEAR(out[i], e, 2e-7 * e + 1.2e-38);
    expected += e;
  }
  EXPECT_NEAR(sum, expected, 1e-6 * expected);
}

TEST(Rows, VectorTablesGiveTheScalarBits) {
  for (const KernelTable* table : vector_tables()) {
    for (const bool odd : {false, true}) {
      Random random(odd ? 4 : 5);
      for (const int64_t n : kLengths) {
        const auto floats = [&] { return odd ? odd_floats(random, n) : random_floats(random, n); };
        const std::vector<float> x = floats();
        const std::vector<float> y = floats();
        const auto check = [&](const char* what, auto&& run) {
          EXPECT_TRUE(same_floats(run(scalar_table()), run(*table)))
              << table->name << " " << what << " n " << n << " odd " << odd;
        };
        check("rms_norm", [&](const KernelTable& t) {
          std::vector<float> out(n);
          t.rms_norm(x.data(), y.data(), 1e-6f, n, out.data());
          return out;
        });
        check("add", [&](const KernelTable& t) {
          std::vector<float> out = x;
          t.add(out.data(), y.data(), n);
          return out;
        });
        check("silu_mul in place", [&](const KernelTable& t) {
          std::vector<float> out = x;
          t.silu_mul(out.data(), y.data(), n, out.data());
          return out;
        });
        check("exp_sum", [&](const KernelTable& t) {
          std::vector<float> out(n);
          const float sum = t.exp_sum(x.data(), 2.5f, n, out.data());
          out.push_back(sum);
          return out;
        });
        check("rope_half_split", [&](const KernelTable& t) {
          std::vector<float> out = x;
          t.rope_half_split(out.data(), y.data(), n / 2 * 2);
          return out;
        });
        check("rope_interleaved", [&](const KernelTable& t) {
          std::vector<float> out = x;
          t.rope_interleaved(out.data(), y.data(), n / 2 * 2);
          return out;
        });
      }
    }
  }
}

// The kernels' e^x through exp_sum, over every magnitude, against double precision: at most one
// unit in the last place, and the stated results at and beyond the ends.
TEST(Exp, IsWithinOneUlp) {
  std::vector<float> x;
  for (uint32_t bits = 0x32000000u; bits < 0x42b20000u; bits += 641) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-std::bit_cast<float>(bits));
  }
  const auto n = static_cast<int64_t>(x.size());
  std::vector<float> out(x.size());
  scalar_table().exp_sum(x.data(), 0.0f, n, out.data());
  double worst = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] > 88.72283f || x[i] < -87.3f) continue;
    const double expected = std::exp(static_cast<double>(x[i]));
    const double ulp = std::ldexp(1.0, std::ilogb(expected) - 23);
    worst = std::max(worst, std::fabs(out[i] - expected) / ulp);
  }
  EXPECT_LE(worst, 1.0);
  RecordProperty("worst_ulp", std::to_string(worst));
  for (const KernelTable* table : vector_tables()) {
    std::vector<float> found(x.size());
    table->exp_sum(x.data(), 0.0f, n, found.data());
    EXPECT_TRUE(same_floats(out, found)) << table->name;
  }
}

TEST(Exp, HasDefinedEnds) {
  const float x[] = {0.0f, -0.0f, 88.72283f, 88.7229f, kInfinity, -87.3f, -87.4f, -kInfinity, kNan};
  float out[std::size(x)];
  scalar_table().exp_sum(x, 0.0f, std::size(x), out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], 1.0f);
  EXPECT_TRUE(std::isfinite(out[2]) && out[2] > 3.4e38f);
  EXPECT_EQ(out[3], kInfinity);
  EXPECT_EQ(out[4], kInfinity);
  EXPECT_GT(out[5], std::numeric_limits<float>::min());
  EXPECT_EQ(out[6], 0.0f);
  EXPECT_EQ(out[7], 0.0f);
  EXPECT_TRUE(std::isnan(out[8]));
}

// Blocks of every kind: ordinary, zero, denormal, huge, halfway cases, and damaged.
std::vector<float> blocks_of_all_kinds(Random& random) {
  std::vector<float> x;
  const float scales[] = {1.0f,  0.0f, 1e-42f, 1e-31f, 7e-31f, 8e-31f, 1e-20f,
                          3e38f, 5e6f, 9e6f,   1e-8f,  4e-6f,  8e-6f};
  for (const float scale : scales) {
    for (int i = 0; i < 256; ++i) x.push_back(scale * random.uniform());
  }
  for (int i = 0; i < 256; ++i) x.push_back(static_cast<float>(i - 127) * 0.5f);  // halves
  x[x.size() - 1] = 127.0f;
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    for (int i = 0; i < 256; ++i) x.push_back(i == 77 ? bad : random.uniform());
  }
  return x;
}

// One position stored by the table and by the scalar one changes the same bytes.
void expect_same_tiles(const KernelTable& table, KvType type, const float* x, int64_t head_dim,
                       int64_t p) {
  Buffer expected(k_tile_bytes(type, head_dim));
  Buffer found(expected.size());
  scalar_table().store_k(type, x, head_dim, p, expected.data());
  table.store_k(type, x, head_dim, p, found.data());
  EXPECT_TRUE(same_bits(expected.data(), found.data(), expected.size()))
      << table.name << " keys, head " << head_dim << " position " << p;
  Buffer expected_v(v_tile_bytes(type, head_dim));
  Buffer found_v(expected_v.size());
  scalar_table().store_v(type, x, head_dim, p, expected_v.data());
  table.store_v(type, x, head_dim, p, found_v.data());
  EXPECT_TRUE(same_bits(expected_v.data(), found_v.data(), expected_v.size()))
      << table.name << " values, head " << head_dim << " position " << p;
}

TEST(Quantise, VectorTablesGiveTheScalarBytes) {
  Random random(6);
  const std::vector<float> x = blocks_of_all_kinds(random);
  const auto n = static_cast<int64_t>(x.size());
  for (const KernelTable* table : vector_tables()) {
    for (const ActivationFormat format : {ActivationFormat::kQ8_32, ActivationFormat::kQ8_256}) {
      Buffer expected(activation_row_bytes(format, n));
      Buffer found(activation_row_bytes(format, n));
      const bool is_32 = format == ActivationFormat::kQ8_32;
      (is_32 ? scalar_table().quantize_q8_32 : scalar_table().quantize_q8_256)(x.data(), n,
                                                                               expected.data());
      (is_32 ? table->quantize_q8_32 : table->quantize_q8_256)(x.data(), n, found.data());
      EXPECT_TRUE(same_bits(expected.data(), found.data(), expected.size())) << table->name;
    }
    for (const KvType type : {KvType::kF16, KvType::kQ8}) {
      for (const int64_t head_dim : {int64_t{32}, int64_t{64}, int64_t{96}, int64_t{128}, n}) {
        for (const int64_t p : {0, 17, 63}) {
          expect_same_tiles(*table, type, x.data() + n - head_dim, head_dim, p);
        }
      }
    }
    expect_same_tiles(*table, KvType::kF16, x.data(), 37, 5);
  }
}

TEST(Quantise, RoundsHalvesToEvenAndKeepsTheEnds) {
  std::vector<float> x(32, 0.0f);
  x[0] = 127.0f;
  x[1] = -127.0f;
  x[2] = 0.5f;
  x[3] = 1.5f;
  x[4] = 2.5f;
  x[5] = -0.5f;
  x[6] = -1.5f;
  Buffer out(activation_row_bytes(ActivationFormat::kQ8_32, 32));
  scalar_table().quantize_q8_32(x.data(), 32, out.data());
  const auto& block = *reinterpret_cast<const ActivationBlock32*>(out.data());
  EXPECT_EQ(block.d, 1.0f);
  const int expected[] = {127, -127, 0, 2, 2, 0, -2, 0};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(block.q[i], expected[i]) << i;
  EXPECT_EQ(block.sum, 2);
}

TEST(Quantise, CachedRowsAreClose) {
  Random random(8);
  constexpr int64_t kHead = 128;
  constexpr int64_t kAt = 21;
  const std::vector<float> x = random_floats(random, kHead);
  Buffer keys(k_tile_bytes(KvType::kQ8, kHead));
  Buffer values(v_tile_bytes(KvType::kQ8, kHead));
  scalar_table().store_k(KvType::kQ8, x.data(), kHead, kAt, keys.data());
  scalar_table().store_v(KvType::kQ8, x.data(), kHead, kAt, values.data());
  const auto half = [](const Buffer& tile, int64_t at) {
    uint16_t bits;
    std::memcpy(&bits, tile.data() + at, 2);
    return f16_to_f32(bits);
  };
  const auto quant = [](const Buffer& tile, int64_t at) {
    return static_cast<float>(static_cast<int8_t>(tile.data()[at]));
  };
  const auto largest = [&](int64_t begin, int64_t end) {
    float most = 0.0f;
    for (int64_t j = begin; j < end; ++j) most = std::max(most, std::fabs(x[j]));
    return most;
  };
  for (int64_t i = 0; i < kHead; ++i) {
    // Half a step, and the half's own rounding of the scale.
    constexpr double kStep = 0.51 / 127 + 0x1p-11;
    EXPECT_NEAR(
        half(keys, key_scale_at(kHead, kAt, i)) * quant(keys, key_word_at(kHead, kAt, i) + i % 4),
        x[i], largest(i / 32 * 32, i / 32 * 32 + 32) * kStep);
    EXPECT_NEAR(
        half(values, value_scale_at(kHead, kAt)) * quant(values, value_byte_at(kHead, kAt, i)),
        x[i], largest(0, kHead) * kStep);
  }
}

}  // namespace
}  // namespace reckon::kernels::test
