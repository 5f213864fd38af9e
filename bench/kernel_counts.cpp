// Runs every hot kernel of one table once, on small made-up inputs: what
// tools/count_instructions.py counts under callgrind. The same work on every machine, no clock, no
// thread.
//
//   kernel_counts ISA      prints the kernels' names in the order in which they ran
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/packed.h"
#include "quants/tensor_type.h"

// Counting goes on inside this function alone, and a total is written each time it ends.
extern "C" [[gnu::noinline]] void reckon_counted(const std::function<void()>& work);
extern "C" void reckon_counted(const std::function<void()>& work) {
  work();
  __asm__ volatile("" ::: "memory");  // so that the call above is no jump out of the function
}

namespace reckon::kernels {
namespace {

constexpr int64_t kRows = 32;  // two groups that are packed together
constexpr int64_t kDepth = 1024;
constexpr int64_t kMostColumns = 16;
constexpr int64_t kHeadDim = 128;
constexpr int64_t kHeads = 6;
constexpr int64_t kPositions = 256;

struct AlignedDelete {
  void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t(64)); }
};
using Aligned = std::unique_ptr<std::byte, AlignedDelete>;
Aligned aligned(size_t bytes) {
  auto* data = static_cast<std::byte*>(::operator new(bytes, std::align_val_t(64)));
  std::memset(data, 0, bytes);
  return Aligned(data);
}

void count(const std::string& name, const std::function<void()>& work) {
  std::puts(name.c_str());
  reckon_counted(work);
}

std::vector<float> some_floats(int64_t n) {
  std::vector<float> x(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    x[static_cast<size_t>(i)] = static_cast<float>((i * 37) % 255 - 127) * 0.01f;
  }
  return x;
}

void products(const KernelTable& table, TensorType type) {
  const int64_t stride = row_bytes(type, kDepth);
  std::vector<std::byte> rows(static_cast<size_t>(stride * kRows));
  uint64_t state = 1;
  for (std::byte& byte : rows) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(state >> 56) & std::byte{0x3f};  // no denormal, no NaN
  }
  std::vector<std::byte> weights = rows;
  const bool packed = table.reads_packed && can_pack(type);
  for (int64_t row = 0; packed && row < kRows; row += kPackedRows) {
    pack_rows(type, rows.data() + row * stride, stride, weights.data() + row * stride);
  }
  const ActivationFormat format = activation_format(type);
  const size_t column_bytes = activation_row_bytes(format, kDepth);
  const Aligned activations = aligned(column_bytes * kMostColumns);
  const std::vector<float> x = some_floats(kDepth);
  for (int64_t c = 0; c < kMostColumns; ++c) {
    std::byte* to = activations.get() + static_cast<size_t>(c) * column_bytes;
    if (format == ActivationFormat::kF32) std::memcpy(to, x.data(), column_bytes);
    if (format == ActivationFormat::kQ8_32) table.quantize_q8_32(x.data(), kDepth, to);
    if (format == ActivationFormat::kQ8_256) table.quantize_q8_256(x.data(), kDepth, to);
  }
  std::vector<float> out(static_cast<size_t>(kRows * kMostColumns));
  for (const int64_t n : {int64_t{1}, int64_t{8}, kMostColumns}) {
    const GemmArgs args = {.weights = weights.data(),
                           .weight_row_bytes = stride,
                           .activations = activations.get(),
                           .out = out.data(),
                           .out_stride = kRows,
                           .depth = kDepth,
                           .row_begin = 0,
                           .row_end = kRows,
                           .n_columns = n,
                           .n_packed_rows = packed ? kRows : 0};
    count("product " + std::string(tensor_type_info(type).name) + " columns " + std::to_string(n),
          [&] { table.gemm(type)(args); });
  }
}

void attention(const KernelTable& table, KvType type, int64_t n_tokens) {
  const size_t k_bytes = k_tile_bytes(type, kHeadDim);
  const size_t v_bytes = v_tile_bytes(type, kHeadDim);
  constexpr int64_t kTiles = kPositions / kAttentionTile;
  const Aligned cache = aligned((k_bytes + v_bytes) * kTiles);
  std::array<const std::byte*, kTiles> k_tiles;
  std::array<const std::byte*, kTiles> v_tiles;
  const std::vector<float> x = some_floats(n_tokens * kHeads * kHeadDim);
  for (size_t tile = 0; tile < kTiles; ++tile) {
    std::byte* k = cache.get() + tile * k_bytes;
    std::byte* v = cache.get() + kTiles * k_bytes + tile * v_bytes;
    for (int64_t p = 0; p < kAttentionTile; ++p) {
      table.store_k(type, x.data() + p, kHeadDim, p, k);
      table.store_v(type, x.data() + p, kHeadDim, p, v);
    }
    k_tiles[tile] = k;
    v_tiles[tile] = v;
  }
  const int64_t n_queries = n_tokens * kHeads;
  std::vector<float> out(x.size());
  std::vector<float> states(attention_state_floats(n_queries, kHeadDim));
  std::vector<float> scratch(attention_scratch_floats(n_queries, kHeadDim));
  const AttentionArgs args = {.queries = x.data(),
                              .out = out.data(),
                              .token_stride = kHeads * kHeadDim,
                              .n_tokens = n_tokens,
                              .n_heads = kHeads,
                              .head_dim = kHeadDim,
                              .scale = 0.088f,
                              .kv_type = type,
                              .k_tiles = k_tiles.data(),
                              .v_tiles = v_tiles.data(),
                              .first_position = kPositions - n_tokens,
                              .segment_begin = 0,
                              .segment_end = 1,
                              .states = states.data(),
                              .scratch = scratch.data()};
  count(std::string("attention ") + (type == KvType::kQ8 ? "q8" : "f16") + " tokens " +
            std::to_string(n_tokens),
        [&] {
          table.attention(args);
          table.attention_output(args, 1);
        });
}

void row_operations(const KernelTable& table) {
  std::vector<float> x = some_floats(kDepth);
  std::vector<float> y = some_floats(kDepth);
  const Aligned quants = aligned(activation_row_bytes(ActivationFormat::kQ8_32, kDepth) +
                                 activation_row_bytes(ActivationFormat::kQ8_256, kDepth));
  count("quantize_q8_32", [&] { table.quantize_q8_32(x.data(), kDepth, quants.get()); });
  count("quantize_q8_256", [&] { table.quantize_q8_256(x.data(), kDepth, quants.get()); });
  count("rms_norm", [&] { table.rms_norm(x.data(), y.data(), 1e-6f, kDepth, y.data()); });
  count("silu_mul", [&] { table.silu_mul(x.data(), y.data(), kDepth, y.data()); });
  count("exp_sum", [&] { table.exp_sum(x.data(), 2.0f, kDepth, y.data()); });
  const Aligned tile = aligned(k_tile_bytes(KvType::kF16, kHeadDim));
  for (const KvType type : {KvType::kF16, KvType::kQ8}) {
    const std::string name = type == KvType::kQ8 ? " q8" : " f16";
    count("store_k" + name, [&] { table.store_k(type, x.data(), kHeadDim, 5, tile.get()); });
    count("store_v" + name, [&] { table.store_v(type, x.data(), kHeadDim, 5, tile.get()); });
  }
}

int run(const char* isa) {
  const Result<const KernelTable*> table = find_table(isa);
  if (!table.ok()) {
    std::fprintf(stderr, "%s\n", table.error().message.c_str());
    return 1;
  }
  for (const TensorTypeInfo& info : all_tensor_types()) products(**table, info.type);
  for (const KvType type : {KvType::kF16, KvType::kQ8}) {
    attention(**table, type, 1);
    attention(**table, type, 8);
  }
  row_operations(**table);
  return 0;
}

}  // namespace
}  // namespace reckon::kernels

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: kernel_counts scalar|avx2\n", stderr);
    return 2;
  }
  return reckon::kernels::run(argv[1]);
}
