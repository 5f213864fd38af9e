// Cutting products into pieces for the threads.
#include "train/float_ops.h"

#include <algorithm>
#include <cstring>

namespace reckon::train {
namespace {

// The most of a product that one piece computes: its rows are what a pass of the kernel packs.
constexpr int64_t kPieceRows = kernels::kFloatGemmRows;
constexpr int64_t kPieceColumns = kernels::kFloatGemmColumns;
constexpr int64_t kPiecesPerThread = 4;
constexpr int64_t kLeastRows = 48;
constexpr int64_t kVectorPiece = 4096;
constexpr int64_t kPanel = kernels::kPanelColumns;

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

}  // namespace

FloatOps::FloatOps(const kernels::KernelTable& table, ThreadPool& pool, ComputeProfile profile)
    : table_(table),
      training_(kernels::training_kernels(table)),
      gemm_(profile == ComputeProfile::kBf16 ? training_.gemm_bf16 : training_.gemm),
      pool_(pool),
      scratch_(static_cast<size_t>(pool.n_threads() * kernels::kFloatGemmScratch)) {}

void FloatOps::gemm_here(kernels::FloatGemmArgs args, int thread) const {
  args.scratch = scratch_.data() + thread * kernels::kFloatGemmScratch;
  gemm_(args);
}

void FloatOps::gemm(const kernels::FloatGemmArgs& args) const {
  // Pieces of about the same size, in whole tiles and panels: several for each thread, so that none
  // waits long for another, but not so small that packing their operands shows.
  const int64_t across = pieces(args.columns, kPieceColumns);
  const int64_t wanted = pool_.n_threads() == 1 ? 1 : kPiecesPerThread * pool_.n_threads();
  const int64_t down = std::max(pieces(args.rows, kPieceRows),
                                std::min(pieces(wanted, across), pieces(args.rows, kLeastRows)));
  const int64_t n_rows = pieces(pieces(args.rows, down), 12) * 12;
  const int64_t n_columns = pieces(pieces(args.columns, across), 32) * 32;
  pool_.parallel_for(down * across, [&](int64_t piece, int thread) {
    const int64_t row = piece / across * n_rows;
    const int64_t column = piece % across * n_columns;
    if (row >= args.rows || column >= args.columns) return;
    kernels::FloatGemmArgs part = args;
    part.a += row * args.a_row_stride;
    part.b += column / kernels::kPanelColumns * args.b_panel_stride;
    part.out += row * args.out_stride + column;
    part.rows = std::min(n_rows, args.rows - row);
    part.columns = std::min(n_columns, args.columns - column);
    gemm_here(part, thread);
  });
}

void pack_here(const float* w, int64_t stride, int64_t rows, int64_t columns, float* panels) {
  for (int64_t column = 0; column < columns; column += kPanel) {
    const int64_t n = std::min(kPanel, columns - column);
    for (int64_t row = 0; row < rows; ++row, panels += kPanel) {
      const float* from = w + row * stride + column;
      for (int64_t i = 0; i < n; ++i) panels[i] = from[i];
      for (int64_t i = n; i < kPanel; ++i) panels[i] = 0;
    }
  }
}

void pack_turned_here(const float* w, int64_t stride, int64_t rows, int64_t columns,
                      float* panels) {
  for (int64_t row = 0; row < rows; row += kPanel) {
    const int64_t n = std::min(kPanel, rows - row);
    for (int64_t column = 0; column < columns; ++column, panels += kPanel) {
      const float* from = w + row * stride + column;
      for (int64_t i = 0; i < n; ++i) panels[i] = from[i * stride];
      for (int64_t i = n; i < kPanel; ++i) panels[i] = 0;
    }
  }
}

void FloatOps::pack(const float* w, int64_t rows, int64_t columns, float* panels) const {
  pool_.parallel_for(pieces(columns, kPanel), [&](int64_t piece, int) {
    const int64_t column = piece * kPanel;
    pack_here(w + column, columns, rows, std::min(kPanel, columns - column),
              panels + column * rows);
  });
}

void FloatOps::pack_turned(const float* w, int64_t rows, int64_t columns, float* panels) const {
  pool_.parallel_for(pieces(rows, kPanel), [&](int64_t piece, int) {
    const int64_t row = piece * kPanel;
    pack_turned_here(w + row * columns, columns, std::min(kPanel, rows - row), columns,
                     panels + row * columns);
  });
}

double FloatOps::sum_of_squares(const float* x, int64_t n) const {
  std::vector<float> parts(static_cast<size_t>(pieces(n, kVectorPiece)));
  pool_.parallel_for(static_cast<int64_t>(parts.size()), [&](int64_t piece, int) {
    const float* from = x + piece * kVectorPiece;
    parts[static_cast<size_t>(piece)] =
        training_.dot(from, from, std::min(kVectorPiece, n - piece * kVectorPiece));
  });
  double sum = 0;
  for (const float part : parts) sum += static_cast<double>(part);
  return sum;
}

void FloatOps::clear(float* x, int64_t n) const {
  constexpr int64_t kPiece = int64_t{1} << 18;
  pool_.parallel_for(pieces(n, kPiece), [&](int64_t piece, int) {
    const int64_t begin = piece * kPiece;
    std::memset(x + begin, 0, static_cast<size_t>(std::min(kPiece, n - begin)) * sizeof(float));
  });
}

}  // namespace reckon::train
