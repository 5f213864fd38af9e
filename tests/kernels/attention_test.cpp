// Attention: scalar against a plain softmax in double precision, vector tables against scalar bit
// for bit, and independence of everything but the positions attended to.
#include <gtest/gtest.h>

#include "kernels/activations.h"
#include "tests/kernels/support.h"

namespace reckon::kernels::test {
namespace {

// One head's cache, and queries of several tokens over it: token t attends to all positions but the
// last n_tokens - 1 - t.
struct Case {
  KvType type;
  int64_t head_dim;
  int64_t n_positions;
  int64_t n_tokens;
  int64_t n_heads;
  std::vector<Buffer> tiles;  // of keys, then of values
  std::vector<const std::byte*> pointers;
  std::vector<float> keys;  // what was stored
  std::vector<float> values;
  std::vector<float> queries;

  Case(Random& random, KvType kv_type, int64_t head, int64_t n, int64_t tokens, int64_t heads)
      : type(kv_type),
        head_dim(head),
        n_positions(n),
        n_tokens(tokens),
        n_heads(heads),
        keys(random_floats(random, n * head)),
        values(random_floats(random, n * head)),
        queries(random_floats(random, tokens * heads * head)) {
    const int64_t n_tiles = (n + kAttentionTile - 1) / kAttentionTile;
    for (int64_t t = 0; t < n_tiles; ++t) tiles.emplace_back(k_tile_bytes(type, head));
    for (int64_t t = 0; t < n_tiles; ++t) tiles.emplace_back(v_tile_bytes(type, head));
    // What isn't stored is left from others: it must not show.
    for (Buffer& tile : tiles) std::memset(tile.data(), 0xfe, tile.size());
    for (int64_t p = 0; p < n; ++p) store(scalar_table(), p);
    for (const Buffer& tile : tiles) pointers.push_back(tile.data());
  }

  void store(const KernelTable& table, int64_t p) {
    const auto tile = static_cast<size_t>(p / kAttentionTile);
    table.store_k(type, keys.data() + p * head_dim, head_dim, p % kAttentionTile,
                  tiles[tile].data());
    table.store_v(type, values.data() + p * head_dim, head_dim, p % kAttentionTile,
                  tiles[tile + tiles.size() / 2].data());
  }

  // Tokens [first, first + n), in one call, or a segment a call.
  std::vector<float> run(const KernelTable& table, int64_t first, int64_t n,
                         bool by_segments = false) const {
    const int64_t n_queries = n * n_heads;
    const int64_t last = n_positions - n_tokens + first + n;
    const int64_t n_segments = (last + kAttentionSegment - 1) / kAttentionSegment;
    std::vector<float> scratch(attention_scratch_floats(n_queries, head_dim), 7.0f);
    const size_t stride = attention_state_floats(n_queries, head_dim);
    std::vector<float> states(stride * static_cast<size_t>(n_segments), 7.0f);
    // A row a token, longer than its heads.
    const int64_t token_stride = n_heads * head_dim + 3;
    std::vector<float> rows(static_cast<size_t>(n * token_stride));
    std::vector<float> out(rows.size(), 7.0f);
    for (int64_t t = 0; t < n; ++t) {
      std::copy_n(queries.data() + (first + t) * n_heads * head_dim, n_heads * head_dim,
                  rows.data() + t * token_stride);
    }
    AttentionArgs args = {.queries = rows.data(),
                          .out = out.data(),
                          .token_stride = token_stride,
                          .n_tokens = n,
                          .n_heads = n_heads,
                          .head_dim = head_dim,
                          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                          .kv_type = type,
                          .k_tiles = pointers.data(),
                          .v_tiles = pointers.data() + pointers.size() / 2,
                          .first_position = last - n,
                          .segment_begin = 0,
                          .segment_end = n_segments,
                          .states = states.data(),
                          .scratch = scratch.data()};
    if (by_segments) {
      for (int64_t s = 0; s < n_segments; ++s) {
        args.segment_begin = s;
        args.segment_end = s + 1;
        args.states = states.data() + stride * static_cast<size_t>(s);
        table.attention(args);
      }
      args.states = states.data();
      table.attention_output(args, n_segments);
    } else {
      table.attention(args);
      table.attention_output(args, 1);
    }
    std::vector<float> dense;
    for (int64_t t = 0; t < n; ++t) {
      const auto row = out.begin() + t * token_stride;
      dense.insert(dense.end(), row, row + n_heads * head_dim);
    }
    return dense;
  }
};

// Against softmax in double precision over the values as they were stored: f16 keeps 11 bits of
// them, q8 nearly 8, of queries and weights too.
TEST(Attention, MatchesDoublePrecision) {
  Random random(1);
  for (const KvType type : {KvType::kF16, KvType::kQ8}) {
    for (const int64_t n : {1, 31, 63, 64, 65, 200, 1024, 1025, 2100}) {
      Case c(random, type, 64, n, 1, 2);
      for (float& key : c.keys) key *= 0.02f;  // scores within a few units of each other
      for (int64_t p = 0; p < n; ++p) c.store(scalar_table(), p);
      const std::vector<float> out = c.run(scalar_table(), 0, 1);
      double error = 0.0;
      double magnitude = 0.0;
      for (int64_t q = 0; q < 2; ++q) {
        std::vector<double> scores(static_cast<size_t>(n));
        double largest = -1e300;
        for (int64_t p = 0; p < n; ++p) {
          for (int64_t i = 0; i < 64; ++i) {
            scores[p] += static_cast<double>(c.queries[q * 64 + i]) * c.keys[p * 64 + i];
          }
          scores[p] /= 8.0;
          largest = std::max(largest, scores[p]);
        }
        double sum = 0.0;
        for (double& score : scores) sum += score = std::exp(score - largest);
        for (int64_t i = 0; i < 64; ++i) {
          double expected = 0.0;
          for (int64_t p = 0; p < n; ++p) expected += scores[p] / sum * c.values[p * 64 + i];
          error += std::pow(out[q * 64 + i] - expected, 2);
          magnitude += std::pow(expected, 2);
        }
      }
      EXPECT_LT(std::sqrt(error / magnitude), type == KvType::kF16 ? 2e-3 : 5e-2) << n;
    }
  }
}

TEST(Attention, VectorTablesGiveTheScalarBits) {
  Random random(2);
  for (const KernelTable* table : vector_tables()) {
    for (const KvType type : {KvType::kF16, KvType::kQ8}) {
      for (const int64_t head_dim : {32, 64, 96, 128, 40, 5, 80}) {
        if (type == KvType::kQ8 && head_dim % 32 != 0) continue;
        for (const int64_t n : {9, 16, 17, 64, 65, 131, 1030}) {
          const int64_t n_heads = 1 + random.below(7);
          const int64_t n_tokens = 1 + random.below(9);
          const Case c(random, type, head_dim, n, n_tokens, n_heads);
          EXPECT_TRUE(same_floats(c.run(scalar_table(), 0, n_tokens), c.run(*table, 0, n_tokens)))
              << table->name << " head " << head_dim << " positions " << n << " heads " << n_heads
              << " tokens " << n_tokens;
        }
      }
    }
  }
}

// A token's result is the same alone and among others, and whether its segments are summed in one
// call or apart; it does not see positions beyond its own.
TEST(Attention, DependsOnPositionsAlone) {
  std::vector<const KernelTable*> tables = vector_tables();
  tables.push_back(&scalar_table());
  for (const KernelTable* table : tables) {
    for (const KvType type : {KvType::kF16, KvType::kQ8}) {
      Random random(3);
      constexpr int64_t kTokens = 7;
      constexpr int64_t kHeads = 3;
      // The first tokens end in one segment, the last ones begin the next.
      const Case c(random, type, 64, 2 * kAttentionSegment + 3, kTokens, kHeads);
      const std::vector<float> together = c.run(*table, 0, kTokens);
      EXPECT_TRUE(same_floats(together, c.run(*table, 0, kTokens, true))) << table->name;
      for (int64_t t = 0; t < kTokens; ++t) {
        const std::vector<float> alone = c.run(*table, t, 1);
        EXPECT_TRUE(same_bits(together.data() + t * kHeads * 64, alone.data(), alone.size() * 4))
            << table->name << " token " << t;
        EXPECT_TRUE(same_floats(alone, c.run(*table, t, 1, true))) << table->name;
      }
    }
  }
}

// Infinite and NaN cache entries give NaN on every table, never a plausible number.
TEST(Attention, DamageShows) {
  std::vector<const KernelTable*> tables = vector_tables();
  tables.push_back(&scalar_table());
  for (const KernelTable* table : tables) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 1e30f}) {
      Random random(4);
      Case c(random, KvType::kQ8, 64, 50, 1, 1);
      c.values[20 * 64 + 33] = bad;
      c.store(scalar_table(), 20);
      const std::vector<float> out = c.run(*table, 0, 1);
      for (const float x : out) EXPECT_TRUE(std::isnan(x)) << table->name;
    }
  }
}

}  // namespace
}  // namespace reckon::kernels::test
