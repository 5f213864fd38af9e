// Attention: scalar against a plain softmax in double precision, vector tables against scalar bit
// for bit, and independence of everything but the positions attended to.
#include <gtest/gtest.h>

#include "kernels/activations.h"
#include "tests/kernels/support.h"

namespace reckon::kernels::test {
namespace {

// One head's cache in pages of a given size, and queries over it.
struct Case {
  KvType type;
  int64_t head_dim;
  int64_t page_positions;
  int64_t n_positions;
  std::vector<Buffer> pages;  // K pages, then V pages
  std::vector<const std::byte*> pointers;
  std::vector<float> queries;

  Case(Random& random, KvType kv_type, int64_t head, int64_t page, int64_t n, int64_t n_queries)
      : type(kv_type), head_dim(head), page_positions(page), n_positions(n) {
    const size_t row = kv_row_bytes(type, head_dim);
    const int64_t n_pages = (n + page - 1) / page;
    for (int plane = 0; plane < 2; ++plane) {
      for (int64_t p = 0; p < n_pages; ++p) {
        // The last page ends with the last position, so that sanitizers see a row read too far.
        const int64_t rows = std::min(page, n - p * page);
        Buffer buffer(static_cast<size_t>(rows) * row);
        for (int64_t i = 0; i < rows; ++i) {
          const std::vector<float> x = random_floats(random, head_dim);
          scalar_table().store_kv(type, x.data(), head_dim, buffer.data() + i * row);
        }
        pages.push_back(std::move(buffer));
      }
    }
    for (const Buffer& buffer : pages) pointers.push_back(buffer.data());
    queries = random_floats(random, n_queries * head_dim);
  }

  std::vector<float> run(const KernelTable& table, int64_t first_query, int64_t n_queries,
                         int64_t positions) const {
    std::vector<float> scratch(attention_scratch_floats(n_queries, head_dim), 7.0f);
    std::vector<float> out(n_queries * head_dim);
    table.attention({.queries = queries.data() + first_query * head_dim,
                     .out = out.data(),
                     .n_queries = n_queries,
                     .head_dim = head_dim,
                     .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                     .kv_type = type,
                     .page_k = pointers.data(),
                     .page_v = pointers.data() + pointers.size() / 2,
                     .page_positions = page_positions,
                     .n_positions = positions,
                     .scratch = scratch.data()});
    return out;
  }

  double cached(int plane, int64_t p, int64_t i) const {
    const std::byte* row = pointers[plane * pointers.size() / 2 + p / page_positions] +
                           p % page_positions * kv_row_bytes(type, head_dim);
    if (type == KvType::kF16) return f16_to_f32(reinterpret_cast<const uint16_t*>(row)[i]);
    const auto& block = reinterpret_cast<const KvBlockQ8*>(row)[i / 32];
    return static_cast<double>(f16_to_f32(block.d)) * block.q[i % 32];
  }
};

TEST(Attention, MatchesDoublePrecision) {
  Random random(1);
  for (const KvType type : {KvType::kF16, KvType::kQ8}) {
    for (const int64_t n : {1, 31, 32, 33, 200}) {
      const Case c(random, type, 64, 64, n, 2);
      const std::vector<float> out = c.run(scalar_table(), 0, 2, n);
      for (int64_t q = 0; q < 2; ++q) {
        std::vector<double> scores(n);
        double largest = -1e300;
        for (int64_t p = 0; p < n; ++p) {
          for (int64_t i = 0; i < 64; ++i) scores[p] += c.queries[q * 64 + i] * c.cached(0, p, i);
          scores[p] /= 8.0;
          largest = std::max(largest, scores[p]);
        }
        double sum = 0.0;
        for (double& score : scores) sum += score = std::exp(score - largest);
        for (int64_t i = 0; i < 64; ++i) {
          double expected = 0.0;
          double magnitude = 0.0;
          for (int64_t p = 0; p < n; ++p) {
            expected += scores[p] / sum * c.cached(1, p, i);
            magnitude += scores[p] / sum * std::fabs(c.cached(1, p, i));
          }
          // Scores reach some hundreds here, so their own rounding moves the weights by 1e-5.
          EXPECT_NEAR(out[q * 64 + i], expected, 1e-4 * magnitude + 1e-6) << n;
        }
      }
    }
  }
}

TEST(Attention, VectorTablesGiveTheScalarBits) {
  Random random(2);
  for (const KernelTable* table : vector_tables()) {
    for (const KvType type : {KvType::kF16, KvType::kQ8}) {
      for (const int64_t head_dim : {32, 64, 96, 128, 40, 5, 80}) {
        if (type == KvType::kQ8 && head_dim % 32 != 0) continue;
        for (const int64_t n : {1, 4, 9, 31, 32, 33, 64, 65, 131}) {
          for (const int64_t n_queries : {1, 3, 7}) {
            const Case c(random, type, head_dim, 32 * (1 + random.below(3)), n, n_queries);
            EXPECT_TRUE(
                same_floats(c.run(scalar_table(), 0, n_queries, n), c.run(*table, 0, n_queries, n)))
                << table->name << " head " << head_dim << " positions " << n << " queries "
                << n_queries;
          }
        }
      }
    }
  }
}

// A query's result is the same alone and in a group, whatever the page size, and it does not see
// positions beyond its own.
TEST(Attention, DependsOnPositionsAlone) {
  std::vector<const KernelTable*> tables = vector_tables();
  tables.push_back(&scalar_table());
  for (const KernelTable* table : tables) {
    Random random(3);
    Case c(random, KvType::kF16, 64, 32, 150, 6);
    const std::vector<float> together = c.run(*table, 0, 6, 100);
    for (int64_t q = 0; q < 6; ++q) {
      const std::vector<float> alone = c.run(*table, q, 1, 100);
      EXPECT_TRUE(same_bits(together.data() + q * 64, alone.data(), alone.size() * 4))
          << table->name;
    }
    // The same rows in one large page.
    const size_t row = kv_row_bytes(KvType::kF16, 64);
    std::vector<std::vector<std::byte>> planes(2);
    for (int plane = 0; plane < 2; ++plane) {
      for (int64_t p = 0; p < 150; ++p) {
        const std::byte* from = c.pointers[plane * 5 + p / 32] + p % 32 * row;
        planes[plane].insert(planes[plane].end(), from, from + row);
      }
    }
    c.page_positions = 160;
    c.pointers = {planes[0].data(), planes[1].data()};
    EXPECT_TRUE(same_floats(together, c.run(*table, 0, 6, 100))) << table->name;
  }
}

// Infinite and NaN cache entries and queries give NaN on every table, never a plausible number.
TEST(Attention, DamageShows) {
  std::vector<const KernelTable*> tables = vector_tables();
  tables.push_back(&scalar_table());
  for (const KernelTable* table : tables) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 1e30f}) {
      Random random(4);
      Case c(random, KvType::kQ8, 64, 64, 50, 1);
      std::vector<float> row(64, 1.0f);
      row[33] = bad;
      scalar_table().store_kv(KvType::kQ8, row.data(), 64,
                              c.pages[1].data() + 20 * kv_row_bytes(KvType::kQ8, 64));
      const std::vector<float> out = c.run(*table, 0, 1, 50);
      for (int64_t i = 32; i < 64; ++i) EXPECT_TRUE(std::isnan(out[i])) << table->name;
    }
  }
}

}  // namespace
}  // namespace reckon::kernels::test
