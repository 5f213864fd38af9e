// Cutting products into pieces for the threads.
#include "train/float_ops.h"

#include <algorithm>
#include <cstring>

namespace reckon::train {
namespace {

// A piece of a product: its rows of a (96 KiB at a depth of 256) stay in the second cache while
// the panels of b pass; the columns only make more pieces than threads where there are few rows.
constexpr int64_t kPieceRows = 96;
constexpr int64_t kPieceColumns = 512;
constexpr int64_t kVectorPiece = 4096;

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

}  // namespace

FloatOps::FloatOps(const kernels::KernelTable& table, ThreadPool& pool)
    : table_(table),
      training_(kernels::training_kernels(table)),
      pool_(pool),
      scratch_(static_cast<size_t>(pool.n_threads() * kernels::kFloatGemmScratch)) {}

void FloatOps::gemm_here(kernels::FloatGemmArgs args, int thread) const {
  args.scratch = scratch_.data() + thread * kernels::kFloatGemmScratch;
  training_.gemm(args);
}

void FloatOps::gemm(const kernels::FloatGemmArgs& args) const {
  const int64_t across = pieces(args.columns, kPieceColumns);
  pool_.parallel_for(pieces(args.rows, kPieceRows) * across, [&](int64_t piece, int thread) {
    const int64_t row = piece / across * kPieceRows;
    const int64_t column = piece % across * kPieceColumns;
    kernels::FloatGemmArgs part = args;
    part.a += row * args.a_row_stride;
    part.b += column;
    part.out += row * args.out_stride + column;
    part.rows = std::min(kPieceRows, args.rows - row);
    part.columns = std::min(kPieceColumns, args.columns - column);
    gemm_here(part, thread);
  });
}

void transpose_here(const float* in, int64_t in_stride, int64_t rows, int64_t columns, float* out,
                    int64_t out_stride) {
  constexpr int64_t kTile = 16;  // a cache line each way
  for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
    const int64_t r1 = std::min(rows, r0 + kTile);
    for (int64_t c0 = 0; c0 < columns; c0 += kTile) {
      const int64_t c1 = std::min(columns, c0 + kTile);
      for (int64_t c = c0; c < c1; ++c) {
        for (int64_t r = r0; r < r1; ++r) out[c * out_stride + r] = in[r * in_stride + c];
      }
    }
  }
}

void FloatOps::transpose(const float* in, int64_t in_stride, int64_t rows, int64_t columns,
                         float* out) const {
  constexpr int64_t kRows = 64;
  pool_.parallel_for(pieces(rows, kRows), [&](int64_t piece, int) {
    const int64_t row = piece * kRows;
    transpose_here(in + row * in_stride, in_stride, std::min(kRows, rows - row), columns, out + row,
                   rows);
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
