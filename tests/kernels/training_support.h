// Shared by the tests of training's kernels: what is compared with the scalar ones, and products.
#pragma once

#include <vector>

#include "kernels/training.h"
#include "kernels/training_tables.h"
#include "tests/kernels/support.h"

namespace reckon::kernels::emulated_avx512 {
extern const TrainingKernels kTraining;
}
namespace reckon::kernels::emulated_avx512_bf16 {
void gemm_bf16(const FloatGemmArgs& args) noexcept;
}

namespace reckon::kernels::test {

inline const TrainingKernels& scalar_kernels() { return training_kernels(scalar_table()); }

struct Named {
  const char* name;
  TrainingKernels kernels;
};
// The machine's own, and AVX-512's sources over plain C++: without BF16 and with it.
inline std::vector<Named> vector_kernels() {
  std::vector<Named> list = {{"emulated avx512", emulated_avx512::kTraining},
                             {"emulated avx512 with BF16", emulated_avx512::kTraining}};
  list.back().kernels.gemm_bf16 = emulated_avx512_bf16::gemm_bf16;
  for (const char* name : {"avx2", "avx512", "neon"}) {
    if (table_available(name)) list.push_back({name, training_kernels(**find_table(name))});
  }
#if defined(__x86_64__)
  if (table_available("avx512") && has_native_bf16(**find_table("avx512"))) {
    list.push_back({"avx512 without its BF16", avx512::kTraining});
  }
#endif
  return list;
}

struct Product {
  int64_t rows, columns, depth;
  bool a_row_major, accumulate, b_packed;
};

using TrainingGemm = void (*)(const FloatGemmArgs&) noexcept;

// Strides wider than the rows, so that a write outside would be seen.
struct ProductPlaces {
  explicit ProductPlaces(const Product& p)
      : a_row(p.a_row_major ? p.depth + 3 : 1),
        a_depth(p.a_row_major ? 1 : p.rows + 3),
        b_depth(p.b_packed ? 16 : p.columns + 5),
        b_panel(p.b_packed ? 16 * p.depth + 16 : 16),
        out_row(p.columns + 2),
        n_a((p.rows + 3) * (p.depth + 3)),
        n_b((p.columns + 15) / 16 * 16 * (p.depth + 1) + 5 * p.depth),
        n_out(p.rows * out_row) {}
  int64_t a(int64_t i, int64_t k) const { return i * a_row + k * a_depth; }
  int64_t b(int64_t k, int64_t j) const { return j / 16 * b_panel + k * b_depth + j % 16; }

  int64_t a_row, a_depth, b_depth, b_panel, out_row;
  int64_t n_a, n_b, n_out;  // floats in all
};

// The depths [begin, end) of a product, all of them by default.
inline std::vector<float> run_product(TrainingGemm gemm, const Product& p,
                                      const std::vector<float>& a, const std::vector<float>& b,
                                      std::vector<float> out, int64_t begin = 0, int64_t end = -1) {
  std::vector<float> scratch(kFloatGemmScratch);
  const ProductPlaces at(p);
  gemm({.a = a.data() + begin * at.a_depth,
        .a_row_stride = at.a_row,
        .a_depth_stride = at.a_depth,
        .b = b.data() + begin * at.b_depth,
        .b_stride = at.b_depth,
        .b_panel_stride = at.b_panel,
        .out = out.data(),
        .out_stride = at.out_row,
        .rows = p.rows,
        .columns = p.columns,
        .depth = (end < 0 ? p.depth : end) - begin,
        .accumulate = p.accumulate || begin > 0,
        .scratch = scratch.data()});
  return out;
}

}  // namespace reckon::kernels::test
