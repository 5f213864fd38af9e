// The kernels of training: the scalar ones against double precision, the vector ones against the
// scalar ones bit for bit.
#include "kernels/training.h"

#include <gtest/gtest.h>

#include "tests/kernels/support.h"

namespace reckon::kernels::emulated_avx512 {
extern const TrainingKernels kTraining;
}

namespace reckon::kernels::test {
namespace {

const TrainingKernels& scalar_kernels() { return training_kernels(scalar_table()); }

struct Named {
  const char* name;
  const TrainingKernels* kernels;
};
// The machine's own, and AVX-512's sources over plain C++.
std::vector<Named> vector_kernels() {
  std::vector<Named> list = {{"emulated avx512", &emulated_avx512::kTraining}};
  for (const char* name : {"avx2", "avx512", "neon"}) {
    if (table_available(name)) list.push_back({name, &training_kernels(**find_table(name))});
  }
  return list;
}

struct Product {
  int64_t rows, columns, depth;
  bool a_row_major, accumulate, b_packed;
};

std::vector<float> run(const TrainingKernels& kernels, const Product& p,
                       const std::vector<float>& a, const std::vector<float>& b,
                       std::vector<float> out) {
  std::vector<float> scratch(kFloatGemmScratch);
  // Strides wider than the rows, so that a write outside would be seen.
  kernels.gemm({.a = a.data(),
                .a_row_stride = p.a_row_major ? p.depth + 3 : 1,
                .a_depth_stride = p.a_row_major ? 1 : p.rows + 3,
                .b = b.data(),
                .b_stride = p.b_packed ? 16 : p.columns + 5,
                .b_panel_stride = p.b_packed ? 16 * p.depth + 16 : 16,
                .out = out.data(),
                .out_stride = p.columns + 2,
                .rows = p.rows,
                .columns = p.columns,
                .depth = p.depth,
                .accumulate = p.accumulate,
                .scratch = scratch.data()});
  return out;
}

TEST(TrainingGemm, EveryTableAndShapeHasTheScalarBitsAndTheyAreRight) {
  Random random(3);
  for (const int64_t rows : {1, 2, 3, 5, 12, 13, 200}) {
    for (const int64_t columns : {1, 15, 16, 17, 32, 33, 70}) {
      for (const int64_t depth : {1, 7, 256, 300}) {
        for (const bool row_major : {true, false}) {
          const Product p{
              rows, columns, depth, row_major, (rows + columns) % 2 == 0, (rows + depth) % 2 == 0};
          const std::vector<float> a = random_floats(random, (rows + 3) * (depth + 3));
          const std::vector<float> b =
              random_floats(random, (columns + 15) / 16 * 16 * (depth + 1) + 5 * depth);
          const auto b_at = [&](int64_t k, int64_t j) {
            return p.b_packed ? b[j / 16 * (16 * depth + 16) + 16 * k + j % 16]
                              : b[k * (columns + 5) + j];
          };
          const std::vector<float> before = random_floats(random, rows * (columns + 2));
          const std::vector<float> expected = run(scalar_kernels(), p, a, b, before);
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < columns; ++j) {
              double sum = p.accumulate ? before[i * (columns + 2) + j] : 0;
              double size = std::fabs(sum);
              for (int64_t k = 0; k < depth; ++k) {
                const double x = row_major ? a[i * (depth + 3) + k] : a[k * (rows + 3) + i];
                sum += x * b_at(k, j);
                size += std::fabs(x * b_at(k, j));
              }
              ASSERT_NEAR(expected[i * (columns + 2) + j], sum, 1e-5 * size);
            }
            // What lies between the rows stays.
            EXPECT_EQ(expected[i * (columns + 2) + columns], before[i * (columns + 2) + columns]);
          }
          for (const Named& table : vector_kernels()) {
            EXPECT_TRUE(same_floats(expected, run(*table.kernels, p, a, b, before)))
                << table.name << " " << rows << " " << columns << " " << depth;
          }
        }
      }
    }
  }
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
      EXPECT_TRUE(same_floats(expected, run_rows(*table.kernels, n, 7))) << table.name << " " << n;
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
