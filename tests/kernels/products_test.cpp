// Products: the scalar ones against double precision over decode_row's values, the vector ones
// against the scalar ones bit for bit.
#include <gtest/gtest.h>

#include "kernels/activations.h"
#include "kernels/packed.h"
#include "quants/codec.h"
#include "tests/kernels/support.h"

namespace reckon::kernels::test {
namespace {

// The values a quantised column stands for, read back from its blocks.
std::vector<double> activation_values(TensorType type, const Buffer& activations, int64_t column,
                                      int64_t depth) {
  const ActivationFormat format = activation_format(type);
  const std::byte* row =
      activations.data() + static_cast<size_t>(column) * activation_row_bytes(format, depth);
  std::vector<double> values(depth);
  for (int64_t k = 0; k < depth; ++k) {
    if (format == ActivationFormat::kF32) values[k] = reinterpret_cast<const float*>(row)[k];
    if (format == ActivationFormat::kQ8_32) {
      const auto& block = reinterpret_cast<const ActivationBlock32*>(row)[k / 32];
      values[k] = static_cast<double>(block.d) * block.q[k % 32];
    }
    if (format == ActivationFormat::kQ8_256) {
      const auto& block = reinterpret_cast<const ActivationBlock256*>(row)[k / 256];
      values[k] = static_cast<double>(block.d) * block.q[k % 256];
    }
  }
  return values;
}

class Products : public ::testing::TestWithParam<TensorType> {};

TEST_P(Products, ScalarMatchesDoublePrecision) {
  const TensorType type = GetParam();
  const int64_t block = tensor_type_info(type).block_elements;
  Random random(static_cast<uint64_t>(type) + 1);
  for (const int64_t blocks : {1, 3, 8}) {
    const int64_t depth = block == 1 ? 37 * blocks : block * blocks;
    const int64_t n_rows = 5;
    const int64_t n_columns = 3;
    const Buffer weights = make_weights(random, type, n_rows, depth);
    const std::vector<float> x = random_floats(random, n_columns * depth);
    const Buffer activations = make_activations(scalar_table(), type, x, n_columns, depth);
    const std::vector<float> out =
        multiply(scalar_table(), type, weights, activations, n_rows, n_columns, depth, 0, n_rows);
    std::vector<float> w(depth);
    for (int64_t r = 0; r < n_rows; ++r) {
      decode_row(type, weights.data() + r * row_bytes(type, depth), w.data(), depth);
      float largest = 0.0f;
      for (const float value : w) largest = std::max(largest, std::fabs(value));
      for (int64_t c = 0; c < n_columns; ++c) {
        const std::vector<double> a = activation_values(type, activations, c, depth);
        double expected = 0.0;
        double magnitude = 0.0;
        for (int64_t k = 0; k < depth; ++k) {
          expected += static_cast<double>(w[k]) * a[k];
          // The minima cancel against the quants: what rounds may be larger than w itself.
          magnitude += (std::fabs(w[k]) + largest) * std::fabs(a[k]);
        }
        EXPECT_NEAR(out[c * n_rows + r], expected, 1e-6 * magnitude)
            << "depth " << depth << " row " << r << " column " << c;
      }
    }
  }
}

TEST_P(Products, QuantisedActivationsAreClose) {
  const TensorType type = GetParam();
  const int64_t depth = 512;
  Random random(7);
  const std::vector<float> x = random_floats(random, depth);
  const Buffer activations = make_activations(scalar_table(), type, x, 1, depth);
  const std::vector<double> values = activation_values(type, activations, 0, depth);
  const ActivationFormat format = activation_format(type);
  const int64_t block = format == ActivationFormat::kF32     ? 1
                        : format == ActivationFormat::kQ8_32 ? 32
                                                             : 256;
  for (int64_t k = 0; k < depth; ++k) {
    float largest = 0.0f;
    for (int64_t i = k / block * block; i < k / block * block + block; ++i) {
      largest = std::max(largest, std::fabs(x[i]));
    }
    const double step = block == 1 ? 0.0 : largest / 127.0;
    EXPECT_NEAR(values[k], x[k], 0.5001 * step) << k;
  }
}

TEST_P(Products, VectorTablesGiveTheScalarBits) {
  const TensorType type = GetParam();
  const int64_t block = tensor_type_info(type).block_elements;
  Random random(static_cast<uint64_t>(type) + 100);
  const std::vector<int64_t> depths = block == 1    ? std::vector<int64_t>{1, 16, 31, 100, 576}
                                      : block == 32 ? std::vector<int64_t>{32, 64, 256, 320, 576}
                                                    : std::vector<int64_t>{256, 512, 1280};
  for (const KernelTable* table : vector_tables()) {
    for (const int64_t depth : depths) {
      for (const int64_t n_rows : {1, 7, 16, 37}) {
        const Buffer weights = make_weights(random, type, n_rows, depth);
        for (int64_t n_columns = 1; n_columns <= 9; ++n_columns) {
          const std::vector<float> x = random_floats(random, n_columns * depth);
          const Buffer activations = make_activations(scalar_table(), type, x, n_columns, depth);
          const int64_t begin = random.below(n_rows);
          const int64_t end = begin + 1 + random.below(n_rows - begin);
          EXPECT_TRUE(same_floats(
              multiply(scalar_table(), type, weights, activations, n_rows, n_columns, depth, begin,
                       end),
              multiply(*table, type, weights, activations, n_rows, n_columns, depth, begin, end)))
              << table->name << " depth " << depth << " rows " << begin << ".." << end << " of "
              << n_rows << " columns " << n_columns;
        }
      }
    }
  }
}

TEST_P(Products, PackedRowsGiveTheScalarBits) {
  const TensorType type = GetParam();
  if (!can_pack(type)) return;
  const int64_t block = tensor_type_info(type).block_elements;
  Random random(static_cast<uint64_t>(type) + 500);
  for (const int64_t depth : {block, 3 * block, 768 / block * block}) {
    for (const int64_t n_rows : {16, 37, 64}) {
      const int64_t n_packed = n_rows / kPackedRows * kPackedRows;
      const Buffer weights = make_weights(random, type, n_rows, depth);
      const Buffer packed = pack(type, weights, n_rows, depth);
      for (const int64_t n_columns : {1, 2, 3, 8, 13, 70}) {
        const std::vector<float> x = random_floats(random, n_columns * depth);
        const Buffer activations = make_activations(scalar_table(), type, x, n_columns, depth);
        const int64_t begin = random.below(n_packed / kPackedRows) * kPackedRows;
        const std::vector<float> expected = multiply(scalar_table(), type, weights, activations,
                                                     n_rows, n_columns, depth, begin, n_rows);
        for (const KernelTable* table : vector_tables()) {
          ASSERT_TRUE(table->reads_packed);
          EXPECT_TRUE(same_floats(expected, multiply(*table, type, packed, activations, n_rows,
                                                     n_columns, depth, begin, n_rows, n_packed)))
              << table->name << " depth " << depth << " rows " << begin << ".." << n_rows
              << " columns " << n_columns;
        }
      }
    }
  }
}

TEST_P(Products, ManyColumnsGiveTheScalarBits) {
  const TensorType type = GetParam();
  Random random(static_cast<uint64_t>(type) + 200);
  const int64_t depth = 768;
  const int64_t n_rows = 35;
  const int64_t n_columns = 150;
  const Buffer weights = make_weights(random, type, n_rows, depth);
  const std::vector<float> x = random_floats(random, n_columns * depth);
  const Buffer activations = make_activations(scalar_table(), type, x, n_columns, depth);
  const std::vector<float> expected =
      multiply(scalar_table(), type, weights, activations, n_rows, n_columns, depth, 0, n_rows);
  for (const KernelTable* table : vector_tables()) {
    EXPECT_TRUE(same_floats(expected, multiply(*table, type, weights, activations, n_rows,
                                               n_columns, depth, 0, n_rows)))
        << table->name;
  }
}

// Quants, sub-scales and activations at the ends of their ranges, where 16-bit sums would overflow.
TEST_P(Products, ExtremesGiveTheScalarBits) {
  const TensorType type = GetParam();
  const int64_t depth = 512;
  const int64_t n_rows = 17;
  const int64_t n_columns = 5;
  Random random(static_cast<uint64_t>(type) + 300);
  for (const WeightKind kind :
       {WeightKind::kLargest, WeightKind::kSmallest, WeightKind::kSignBits, WeightKind::kRandom}) {
    const Buffer weights = make_weights(random, type, n_rows, depth, kind);
    std::vector<float> x(n_columns * depth);
    for (int64_t i = 0; i < depth; ++i) {
      x[i] = 127.0f;
      x[depth + i] = -127.0f;
      x[2 * depth + i] = i % 2 == 0 ? 127.0f : -127.0f;
      x[3 * depth + i] = random.below(2) == 0 ? 127.0f : -127.0f;
      x[4 * depth + i] = i < 256 ? 0.0f : 1e-42f * random.uniform();
    }
    const Buffer activations = make_activations(scalar_table(), type, x, n_columns, depth);
    const std::vector<float> expected =
        multiply(scalar_table(), type, weights, activations, n_rows, n_columns, depth, 0, n_rows);
    for (const KernelTable* table : vector_tables()) {
      EXPECT_TRUE(same_floats(expected, multiply(*table, type, weights, activations, n_rows,
                                                 n_columns, depth, 0, n_rows)))
          << table->name << " kind " << static_cast<int>(kind);
    }
  }
}

// A NaN or an infinity among the activations makes every output of its column NaN or infinite, on
// every table: damage never turns into plausible numbers.
TEST_P(Products, DamageShows) {
  const TensorType type = GetParam();
  const int64_t depth = 512;
  const int64_t n_rows = 9;
  Random random(static_cast<uint64_t>(type) + 400);
  const Buffer weights = make_weights(random, type, n_rows, depth);
  std::vector<const KernelTable*> tables = vector_tables();
  tables.push_back(&scalar_table());
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = random_floats(random, 2 * depth);
    x[300] = bad;
    for (const KernelTable* table : tables) {
      const Buffer activations = make_activations(*table, type, x, 2, depth);
      const std::vector<float> out =
          multiply(*table, type, weights, activations, n_rows, 2, depth, 0, n_rows);
      for (int64_t r = 0; r < n_rows; ++r) {
        EXPECT_FALSE(std::isfinite(out[r])) << table->name;
        EXPECT_TRUE(std::isfinite(out[n_rows + r])) << table->name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Products, ::testing::ValuesIn(all_types()),
                         [](const auto& type) { return type_name(type.param); });

}  // namespace
}  // namespace reckon::kernels::test
