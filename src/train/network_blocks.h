// Blocks of rows: the unit in which a batch goes through half a layer. Sums over rows (gradients of
// norms and biases) are taken within a block first, so the block's size is part of the order of
// operations. Inside train/.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/training.h"

namespace reckon::train {

// 96 rows of d_model 256 with all they become in half a layer are about 1 MiB; 96 is a multiple of
// every kernel's rows.
inline constexpr int64_t kRowBlock = 96;
inline int64_t row_blocks(int64_t n) { return (n + kRowBlock - 1) / kRowBlock; }

struct RowBlock {
  int64_t begin;
  int64_t n;
  RowBlock(int64_t block, int64_t n_rows)
      : begin(block * kRowBlock), n(std::min(kRowBlock, n_rows - begin)) {}
  int64_t end() const { return begin + n; }
};

// out [rows, n_out] (+)= a [rows, depth] b [depth, n_out] of the block's rows, b in panels.
inline kernels::FloatGemmArgs row_product(const RowBlock& rows, const float* a, int64_t depth,
                                          const float* b, int64_t n_out, float* out,
                                          bool accumulate) {
  return {.a = a + rows.begin * depth,
          .a_row_stride = depth,
          .a_depth_stride = 1,
          .b = b,
          .b_stride = kernels::kPanelColumns,
          .b_panel_stride = kernels::kPanelColumns * depth,
          .out = out + rows.begin * n_out,
          .out_stride = n_out,
          .rows = rows.n,
          .columns = n_out,
          .depth = depth,
          .accumulate = accumulate,
          .scratch = nullptr};
}

// Places whose logits stand in memory at a time.
int64_t head_chunk_rows(int64_t vocab_size);

}  // namespace reckon::train
