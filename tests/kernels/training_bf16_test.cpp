// The bfloat16 product of training where its definition (kernels/training.h) says more than that
// sums are right: the order within a pair, rounding, what isn't finite, what is too small. The
// values are what Intel publishes of VDPBF16PS; a processor that has it is held against them too.
#include <gtest/gtest.h>
#include <bit>

#include "tests/kernels/training_support.h"

namespace reckon::kernels::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<Named> all_kernels() {
  std::vector<Named> list = vector_kernels();
  list.push_back({"scalar", scalar_kernels()});
  return list;
}

// One output: old + a [n] b [n].
struct Case {
  std::vector<float> a;
  std::vector<float> b;
  float old;
  float expected;
};

void check(const std::vector<Case>& cases) {
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    // In one row and one column, in rows that the widest tile takes, and turned.
    for (const int64_t n : {1, 24}) {
      for (const bool row_major : {true, false}) {
        const Product p{n, n, std::ssize(c.a), row_major, true, false};
        const ProductPlaces at(p);
        std::vector<float> a(at.n_a);
        std::vector<float> b(at.n_b);
        for (int64_t k = 0; k < p.depth; ++k) {
          for (int64_t j = 0; j < n; ++j) {
            a[at.a(j, k)] = c.a[k];
            b[at.b(k, j)] = c.b[k];
          }
        }
        const std::vector<float> expected(n, c.expected);
        for (const Named& table : all_kernels()) {
          const std::vector<float> out =
              run_product(table.kernels.gemm_bf16, p, a, b, std::vector<float>(at.n_out, c.old));
          for (int64_t row = 0; row < n; ++row) {
            const auto* found = out.data() + row * at.out_row;
            EXPECT_TRUE(same_floats(expected, {found, found + n}))
                << table.name << ", case " << i << ", " << n << " " << row_major;
          }
        }
      }
    }
  }
}

TEST(TrainingBf16, TheOddElementOfAPairComesFirst) { check({{{-0x1p24f, 0x1p24f}, {1, 1}, 1, 0}}); }

// To nearest, half to even, of operands; a product by one and nothing else shows them.
TEST(TrainingBf16, OperandsAreRounded) {
  const std::vector<std::pair<float, float>> rounded = {
      {1 + 0x1p-8f, 1},
      {1 + 0x1.01p-8f, 1 + 0x1p-7f},
      {1 + 0x3p-8f, 1 + 0x1p-6f},
      {-1 - 0x1p-8f, -1},
      {0x1.fep-1f, 0x1.fep-1f},
      {0x1.ffp-1f, 1},
      {0x1.fffffep127f, kInfinity},
      {-0x1.ffp127f, -kInfinity},
      {0x1.fefffep127f, 0x1.fep127f},
      {kInfinity, kInfinity},
      {-kInfinity, -kInfinity},
      {kNan, kNan},
      {std::bit_cast<float>(0x7f800001u), kNan},
      {std::bit_cast<float>(0xffffffffu), kNan},
      {0x1p-126f, 0x1p-126f},
      {0x1.fffffcp-127f, 0},  // would be 2^-126 if it were rounded and not flushed
      {-0x1p-149f, 0},
      {0x1.0101p-126f, 0x1.02p-126f},
  };
  std::vector<Case> cases;
  for (const auto& [x, expected] : rounded) {
    cases.push_back({{x}, {1}, 0, expected});
    cases.push_back({{1}, {x}, 0, expected});
  }
  check(cases);
}

// A product is not rounded, nor flushed, nor does it overflow, before it is added.
TEST(TrainingBf16, ProductsAreFused) {
  check({
      {{0x1p-70f}, {0x1p-70f}, 0x1p-120f, 0x1p-120f + 0x1p-140f},
      {{0x1p64f}, {0x1p64f}, -0x1p127f, 0x1p127f},
      {{0x1p-100f}, {-0x1p-100f}, 0x1p-126f, 0x1p-126f},
  });
}

// Tiny is what is below 2^-126 when it has been rounded to 24 bits with no least exponent: half an
// odd last place below 2^-126 is rounded up to it, anything more is flushed.
TEST(TrainingBf16, AtTheEdgeOfTheSubnormals) {
  check({
      {{0x1p-75f}, {-0x1p-75f}, 0x1p-126f, 0},
      {{0x1p-75f}, {-0x1.8p-76f}, 0x1p-126f, 0},
      {{0x1p-75f}, {-0x1.02p-76f}, 0x1p-126f, 0},
      {{0x1p-75f}, {-0x1p-76f}, 0x1p-126f, 0x1p-126f},
      {{0x1p-75f}, {0x1.8p-76f}, -0x1p-126f, -0.0f},
      {{0x1p-75f}, {0x1p-76f}, -0x1p-126f, -0x1p-126f},
      {{0x1p-63f}, {0x1p-63f}, 0, 0x1p-126f},
      {{0x1p-63f}, {-0x1p-64f}, 0, -0.0f},
      {{0x1p-100f}, {0x1p-100f}, 0, 0},
      {{0x1p-100f}, {-0x1p-100f}, 0, -0.0f},
      // A subnormal old value counts as zero, and so does what the first half of a pair leaves.
      {{1}, {0x1p-126f}, 0x1p-127f, 0x1p-126f},
      {{0x1p-63f, 0x1p-63f}, {0x1p-64f, 0x1p-64f}, 0, 0},
      {{0x1p-63f, 0x1p-63f}, {0x1p-63f, 0x1p-64f}, 0, 0x1p-126f},
      // By cancellation.
      {{0x1p-63f}, {-0x1p-63f}, 0x1.8p-126f, 0},
      {{0x1p-63f}, {-0x1p-63f}, 0x1p-125f, 0x1p-126f},
  });
}

TEST(TrainingBf16, WhatIsNotFinite) {
  check({
      {{kInfinity}, {0}, 1, kNan},
      {{kInfinity}, {0x1p-149f}, 1, kNan},  // a subnormal number is zero
      {{kInfinity}, {-1}, 1, -kInfinity},
      {{kInfinity, kInfinity}, {1, -1}, 0, kNan},
      {{0x1p100f}, {0x1p100f}, 0, kInfinity},
      // The second sum is of a finite product and what the first one left.
      {{0x1p100f, 0x1p100f}, {0x1p100f, -0x1p100f}, 0, -kInfinity},
      {{1, 1}, {1, 1}, kNan, kNan},
      {{1, 1}, {1, 1}, -kInfinity, -kInfinity},
  });
}

// Random numbers of sizes at which products and sums overflow, are subnormal or just are not, and
// of all bits.
TEST(TrainingBf16, ExtremeNumbersHaveTheScalarBits) {
  Random random(11);
  const auto number = [&](int64_t exponent) {
    const auto drawn = static_cast<int>(exponent + random.below(12));
    return std::ldexp(random.uniform(), drawn);
  };
  for (const int64_t exponent : {-149, -134, -126, -75, -66, -30, 58, 120}) {
    for (const Product& p : std::vector<Product>{{13, 33, 7, true, true, false},
                                                 {13, 33, 40, false, false, false},
                                                 {5, 70, 300, true, false, true},
                                                 {24, 17, 61, false, true, true}}) {
      const ProductPlaces at(p);
      std::vector<float> a(at.n_a);
      std::vector<float> b(at.n_b);
      std::vector<float> before(at.n_out);
      for (const int64_t other : {exponent, int64_t{-60}, -132 - exponent}) {
        for (float& x : a) x = number(exponent);
        for (float& x : b) x = number(other);
        for (float& x : before) x = number(std::clamp<int64_t>(exponent + other, -150, 122));
        for (const bool any_bits : {false, true}) {
          if (any_bits) {
            for (std::vector<float>* list : {&a, &b, &before}) {
              for (float& x : *list) {
                if (random.below(50) == 0) x = std::bit_cast<float>(uint32_t(random.bits() >> 32));
              }
            }
          }
          const std::vector<float> expected =
              run_product(scalar_kernels().gemm_bf16, p, a, b, before);
          for (const Named& table : vector_kernels()) {
            EXPECT_TRUE(
                same_floats(expected, run_product(table.kernels.gemm_bf16, p, a, b, before)))
                << table.name << " " << exponent << " " << other << " " << any_bits;
          }
        }
      }
    }
  }
}

TEST(TrainingBf16, CutsAtEvenPlacesChangeNoBit) {
  Random random(12);
  const Product p{13, 33, 300, true, false, false};
  const ProductPlaces at(p);
  const std::vector<float> a = random_floats(random, at.n_a);
  const std::vector<float> b = random_floats(random, at.n_b);
  const std::vector<float> before = random_floats(random, at.n_out);
  for (const Named& table : all_kernels()) {
    const TrainingGemm gemm = table.kernels.gemm_bf16;
    const std::vector<float> whole = run_product(gemm, p, a, b, before);
    for (const int64_t cut : {2, 54, 128, 256, 298}) {
      const std::vector<float> first = run_product(gemm, p, a, b, before, 0, cut);
      EXPECT_TRUE(same_floats(whole, run_product(gemm, p, a, b, first, cut)))
          << table.name << " " << cut;
    }
    EXPECT_EQ(run_product(gemm, p, a, b, before, 300), before);
  }
}

// The caller's subnormal numbers are its own again afterwards: float32's product has them.
TEST(TrainingBf16, LeavesTheProcessorAsItWas) {
  const Product p{1, 1, 1, true, false, false};
  const ProductPlaces at(p);
  const std::vector<float> a(static_cast<size_t>(at.n_a), 0x1p-126f);
  const std::vector<float> b(static_cast<size_t>(at.n_b), 0.5f);
  const std::vector<float> before(static_cast<size_t>(at.n_out));
  for (const Named& table : all_kernels()) {
    run_product(table.kernels.gemm_bf16, p, a, b, before);
    const float product = run_product(table.kernels.gemm, p, a, b, before).front();
    EXPECT_EQ(std::bit_cast<uint32_t>(product), 0x00400000u) << table.name;
  }
}

}  // namespace
}  // namespace reckon::kernels::test
