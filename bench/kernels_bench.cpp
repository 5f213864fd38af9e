// Products and attention on one core, table by table, beside what the machine can do. One column
// reads the weights once for each: GB/s of weights against the read bandwidth. Many columns are
// bound by arithmetic: multiply-adds a second against the same table's float peak.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "quants/half.h"
#include "quants/tensor_type.h"

namespace reckon::kernels {
namespace {

constexpr int64_t kDepth = 2048;
constexpr size_t kStreamBytes = size_t{256} << 20;  // well past any cache

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// GB/s one core reads from memory: the best of several passes over kStreamBytes.
double read_bandwidth() {
  const std::vector<uint64_t> data(kStreamBytes / 8, 1);
  double best = 0.0;
  for (int pass = 0; pass < 6; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    uint64_t sums[8] = {};
    for (size_t i = 0; i < data.size(); i += 8) {
      for (size_t lane = 0; lane < 8; ++lane) sums[lane] += data[i + lane];
    }
    benchmark::DoNotOptimize(sums);
    best = std::max(best, static_cast<double>(kStreamBytes) / seconds_since(start) / 1e9);
  }
  return best;
}

// Random blocks with plausible scales: a half somewhere in a block decides nothing about speed, but
// denormals and NaNs could.
std::vector<uint8_t> random_weights(TensorType type, int64_t n_rows) {
  std::vector<uint8_t> bytes(static_cast<size_t>(n_rows * row_bytes(type, kDepth)));
  uint64_t state = 1;
  for (uint8_t& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(state >> 56) & 0x3f;
  }
  return bytes;
}

void products(benchmark::State& state, const KernelTable* table, TensorType type, int64_t n_columns,
              bool from_memory, double limit_gb_s) {
  const int64_t weight_row = row_bytes(type, kDepth);
  // Whole groups of rows that are packed together; random bytes are as good packed as not.
  const int64_t n_rows =
      from_memory ? static_cast<int64_t>(kStreamBytes) / weight_row / 32 * 32 : 256;
  const int64_t n_packed_rows = table->reads_packed ? n_rows : 0;
  const std::vector<uint8_t> weights = random_weights(type, n_rows);
  const ActivationFormat format = activation_format(type);
  const size_t stride = activation_row_bytes(format, kDepth);
  std::vector<std::byte> storage(stride * static_cast<size_t>(n_columns) + 64);
  auto* activations =
      reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(storage.data()) + 63) / 64 * 64);
  std::vector<float> x(kDepth);
  for (int64_t c = 0; c < n_columns; ++c) {
    for (int64_t k = 0; k < kDepth; ++k) x[k] = static_cast<float>((k * 7 + c) % 255 - 127);
    std::byte* to = activations + static_cast<size_t>(c) * stride;
    if (format == ActivationFormat::kF32) std::memcpy(to, x.data(), stride);
    if (format == ActivationFormat::kQ8_32) table->quantize_q8_32(x.data(), kDepth, to);
    if (format == ActivationFormat::kQ8_256) table->quantize_q8_256(x.data(), kDepth, to);
  }
  std::vector<float> out(static_cast<size_t>(n_rows * n_columns));
  constexpr int64_t kPieceRows = 32;  // as the decoder hands them out
  for (auto _ : state) {
    for (int64_t row = 0; row < n_rows; row += kPieceRows) {
      table->gemm(type)({.weights = weights.data(),
                         .weight_row_bytes = weight_row,
                         .activations = activations,
                         .out = out.data(),
                         .out_stride = n_rows,
                         .depth = kDepth,
                         .row_begin = row,
                         .row_end = std::min(row + kPieceRows, n_rows),
                         .n_columns = n_columns,
                         .n_packed_rows = n_packed_rows});
    }
    benchmark::ClobberMemory();
  }
  const auto iterations = static_cast<double>(state.iterations());
  const double bytes = iterations * static_cast<double>(weights.size());
  const double macs = iterations * static_cast<double>(n_rows * n_columns) * kDepth;
  state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsRate);
  state.counters["GMAC/s"] = benchmark::Counter(macs / 1e9, benchmark::Counter::kIsRate);
  if (from_memory) {
    state.counters["of_limit"] =
        benchmark::Counter(bytes / 1e9 / limit_gb_s, benchmark::Counter::kIsRate);
  }
}

// n_tokens tokens of six heads over 2048 positions, as in the 1.5B's shape.
void attention(benchmark::State& state, const KernelTable* table, KvType type, int64_t n_tokens) {
  constexpr int64_t kHead = 128;
  constexpr int64_t kHeads = 6;
  constexpr int64_t kPositions = 2048;
  const int64_t n_queries = n_tokens * kHeads;
  std::vector<float> x(static_cast<size_t>(kHead * n_queries));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) * 0.1f - 0.8f;
  const size_t k_bytes = k_tile_bytes(type, kHead);
  const size_t v_bytes = v_tile_bytes(type, kHead);
  std::vector<std::byte> k(k_bytes * kPositions / kAttentionTile);
  std::vector<std::byte> v(v_bytes * kPositions / kAttentionTile);
  std::vector<const std::byte*> tiles;
  for (size_t t = 0; t < kPositions / kAttentionTile; ++t) tiles.push_back(k.data() + t * k_bytes);
  for (size_t t = 0; t < kPositions / kAttentionTile; ++t) tiles.push_back(v.data() + t * v_bytes);
  for (int64_t p = 0; p < kPositions; ++p) {
    const auto tile = static_cast<size_t>(p / kAttentionTile);
    table->store_k(type, x.data(), kHead, p % kAttentionTile, k.data() + tile * k_bytes);
    table->store_v(type, x.data(), kHead, p % kAttentionTile, v.data() + tile * v_bytes);
  }
  std::vector<float> out(x.size());
  std::vector<float> states(attention_state_floats(n_queries, kHead));
  std::vector<float> scratch(attention_scratch_floats(n_queries, kHead));
  const AttentionArgs args = {.queries = x.data(),
                              .out = out.data(),
                              .token_stride = kHeads * kHead,
                              .n_tokens = n_tokens,
                              .n_heads = kHeads,
                              .head_dim = kHead,
                              .scale = 0.088f,
                              .kv_type = type,
                              .k_tiles = tiles.data(),
                              .v_tiles = tiles.data() + kPositions / kAttentionTile,
                              .first_position = kPositions - n_tokens,
                              .segment_begin = 0,
                              .segment_end = kPositions / kAttentionSegment,
                              .states = states.data(),
                              .scratch = scratch.data()};
  for (auto _ : state) {
    table->attention(args);
    table->attention_output(args, 1);
    benchmark::ClobberMemory();
  }
  const double macs = static_cast<double>(state.iterations()) * 2.0 * kPositions *
                      static_cast<double>(kHead * n_queries);
  state.counters["GMAC/s"] = benchmark::Counter(macs / 1e9, benchmark::Counter::kIsRate);
}

void register_all(double limit_gb_s) {
  for (const char* name : {"scalar", "avx2", "avx512", "neon"}) {
    if (!table_available(name)) continue;
    const KernelTable* table = *find_table(name);
    for (const TensorTypeInfo& info : all_tensor_types()) {
      const std::string prefix = std::string(name) + "/" + std::string(info.name);
      const TensorType type = info.type;
      for (const int64_t n : {1, 4, 8, 16, 128}) {
        const std::string columns = "/columns:" + std::to_string(n);
        if (n <= 8) {
          benchmark::RegisterBenchmark((prefix + "/memory" + columns).c_str(), products, table,
                                       type, n, true, limit_gb_s);
        }
        benchmark::RegisterBenchmark((prefix + "/cache" + columns).c_str(), products, table, type,
                                     n, false, limit_gb_s);
      }
    }
    for (const int64_t n : {1, 8}) {
      const std::string queries = "tokens:" + std::to_string(n);
      benchmark::RegisterBenchmark((std::string(name) + "/attention_f16/" + queries).c_str(),
                                   attention, table, KvType::kF16, n);
      benchmark::RegisterBenchmark((std::string(name) + "/attention_q8/" + queries).c_str(),
                                   attention, table, KvType::kQ8, n);
    }
  }
}

}  // namespace
}  // namespace reckon::kernels

int main(int argc, char** argv) {
  const double limit_gb_s = reckon::kernels::read_bandwidth();
  std::printf("one core reads %.1f GB/s from memory\n", limit_gb_s);
  reckon::kernels::register_all(limit_gb_s);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
