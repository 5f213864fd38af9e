// The kernels of training: the scalar ones against double precision, the vector ones against the
// scalar ones bit for bit.
#include "kernels/training.h"

#include <gtest/gtest.h>

#include "tests/kernels/training_support.h"

namespace reckon::kernels::test {
namespace {

// Every table's products have the scalar bits, and those are the sums of the products of what
// rounded() makes of the elements.
void check_products(TrainingGemm TrainingKernels::* gemm, float (*rounded)(float)) {
  Random random(3);
  std::vector<Product> products;
  for (const int64_t rows : {1, 2, 3, 5, 12, 13, 200}) {
    for (const int64_t columns : {1, 15, 16, 17, 32, 33, 70}) {
      for (const int64_t depth : {1, 7, 256, 300}) {
        for (const bool row_major : {true, false}) {
          products.push_back({rows, columns, depth, row_major, (rows + columns) % 2 == 0,
                              (rows + depth) % 2 == 0});
        }
      }
    }
  }
  // More columns than one pass of any kernel.
  for (const bool packed : {true, false}) products.push_back({2, 1070, 9, true, true, packed});
  for (const Product& p : products) {
    const ProductPlaces at(p);
    const std::vector<float> a = random_floats(random, at.n_a);
    const std::vector<float> b = random_floats(random, at.n_b);
    const std::vector<float> before = random_floats(random, at.n_out);
    const std::vector<float> expected = run_product(scalar_kernels().*gemm, p, a, b, before);
    for (int64_t i = 0; i < p.rows; ++i) {
      for (int64_t j = 0; j < p.columns; ++j) {
        double sum = p.accumulate ? before[i * at.out_row + j] : 0;
        double size = std::fabs(sum);
        for (int64_t k = 0; k < p.depth; ++k) {
          const double x = rounded(a[at.a(i, k)]);
          const double y = rounded(b[at.b(k, j)]);
          sum += x * y;
          size += std::fabs(x * y);
        }
        ASSERT_NEAR(expected[i * at.out_row + j], sum, 1e-5 * size);
      }
      // What lies between the rows stays.
      EXPECT_EQ(expected[i * at.out_row + p.columns], before[i * at.out_row + p.columns]);
    }
    for (const Named& table : vector_kernels()) {
      EXPECT_TRUE(same_floats(expected, run_product(table.kernels.*gemm, p, a, b, before)))
          << table.name << " " << p.rows << " " << p.columns << " " << p.depth;
    }
  }
}

TEST(TrainingGemm, EveryTableAndShapeHasTheScalarBitsAndTheyAreRight) {
  check_products(&TrainingKernels::gemm, [](float x) { return x; });
}
TEST(TrainingBf16, EveryTableAndShapeHasTheScalarBitsAndTheyAreRight) {
  check_products(&TrainingKernels::gemm_bf16, [](float x) { return bf16_to_f32(f32_to_bf16(x)); });
}

const std::vector<int64_t> kLengths = {1, 2, 15, 16, 17, 33, 100, 576};

// All the row operations on one set of inputs, their results one after the other.
std::vector<float> run_rows(const TrainingKernels& t, int64_t n, uint64_t seed) {
  Random random(seed);
  const std::vector<float> x = random_floats(random, n);
  const std::vector<float> y = random_floats(random, n);
  const std::vector<float> z = random_floats(random, n);
  std::vector<float> all;
  const auto keep = [&](const std::vector<float>& v) { all.insert(all.end(), v.begin(), v.end()); };
  std::vector<float> p = x;
  std::vector<float> q = y;
  std::vector<float> r = z;
  t.rms_norm_backward(x.data(), y.data(), z.data(), 1e-5f, n, q.data(), r.data());
  keep(q);
  keep(r);
  t.silu_mul_backward(x.data(), y.data(), z.data(), n, p.data(), q.data(), r.data());
  keep(p);
  keep(q);
  keep(r);
  const int64_t part = (n + 1) / 2;
  float max = 0;
  float inverse = 0;
  p = x;
  t.softmax(p.data(), 0.125f, part, n, &max, &inverse);
  keep(p);
  q = x;
  t.softmax_again(q.data(), 0.125f, max, inverse, part, n);
  EXPECT_TRUE(same_floats(p, q));
  r = z;
  t.softmax_backward(p.data(), 0.125f, n, r.data());
  keep(r);
  t.scale(r.data(), 0.3f, n);
  keep(r);
  all.push_back(t.largest(x.data(), n));
  all.push_back(t.dot(x.data(), y.data(), n));
  std::vector<float> first = y;
  std::vector<float> second = z;
  for (float& value : second) value = std::fabs(value);
  p = x;
  const AdamwStep step{0.5f, 0.9f, 0.95f, 1.2f, 1.7f, 1e-3f, 1e-8f, 1e-4f};
  t.adamw(step, n, z.data(), first.data(), second.data(), p.data());
  keep(p);
  keep(first);
  keep(second);
  return all;
}

TEST(TrainingRows, EveryTableHasTheScalarBits) {
  for (const int64_t n : kLengths) {
    const std::vector<float> expected = run_rows(scalar_kernels(), n, 7);
    for (const Named& table : vector_kernels()) {
      EXPECT_TRUE(same_floats(expected, run_rows(table.kernels, n, 7))) << table.name << " " << n;
    }
  }
}

TEST(TrainingRows, SoftmaxSumsToOne) {
  Random random(5);
  for (const int64_t n : kLengths) {
    std::vector<float> x = random_floats(random, n);
    const std::vector<float> before = x;
    float max = 0;
    float inverse = 0;
    scalar_kernels().softmax(x.data(), 0.5f, n, n, &max, &inverse);
    double sum = 0;
    for (const float value : before) sum += std::exp(0.5 * value);
    for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(x[i], std::exp(0.5 * before[i]) / sum, 1e-6);
  }
}

// Loshchilov and Hutter's algorithm 2 written out in double precision.
TEST(TrainingRows, AdamwIsThePapers) {
  const AdamwStep step{2.0f, 0.9f, 0.99f, 1.0f / 0.19f, 1.0f / 0.0199f, 0.01f, 1e-8f, 0.001f};
  float p = 0.5f;
  float m = 0.1f;
  float v = 0.2f;
  const float gradient = -0.3f;
  scalar_kernels().adamw(step, 1, &gradient, &m, &v, &p);
  const double g = -0.6;
  const double first = 0.9 * 0.1 + 0.1 * g;
  const double second = 0.99 * 0.2 + 0.01 * g * g;
  EXPECT_NEAR(m, first, 1e-7);
  EXPECT_NEAR(v, second, 1e-7);
  EXPECT_NEAR(p, 0.5 - 0.001 * 0.5 - 0.01 * (first / 0.19) / (std::sqrt(second / 0.0199) + 1e-8),
              1e-6);
}

}  // namespace
}  // namespace reckon::kernels::test
