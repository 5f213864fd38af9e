// What both families of quantised products share: V::kRows rows of weights at a time, one row in
// each lane, so that an output's accumulator never crosses lanes and the scalar definition's one
// chain of fused multiply-adds an output is kept. Weights are unpacked once for all columns.
//
// V is the instruction set (avx2/isa.h and its like). Everything has internal linkage.
//
// Where the rows lie is a group's business: words(at, field, out), word and half read, of every row
// of the group, what stands `field` bytes into the block that begins `at` bytes into the row.
#pragma once

#include <cstdint>

#include "kernels/activations.h"
#include "kernels/kernels.h"
#include "kernels/packed.h"
#include "kernels/vector/unroll.h"

namespace reckon::kernels {
namespace {

// Columns whose accumulators live on the stack at a time.
constexpr int64_t kColumnTile = 64;
// Elements unpacked at a time: eight blocks of 32, or one of 256.
constexpr int64_t kPanel = 256;
// Groups of rows that go over a tile of columns while its activations (64 times 320 bytes a panel)
// are in the first cache: each fetch of them from further away serves so many groups.
constexpr int64_t kGroupsPerBlock = 8;

constexpr int64_t kFewStreams = 16;

// Memory that is needed next, asked for a little at a time: a core waits for about a dozen lines at
// once, and more of them in a row would keep it from anything else.
struct Ahead {
  uintptr_t next = 0;
  uintptr_t end = 0;

  // Asks for the next `lines` lines of 64 bytes.
  void fetch(int64_t lines) {
    for (int64_t i = 0; i < lines && next < end; ++i, next += 64) {
      __builtin_prefetch(reinterpret_cast<const void*>(next));
    }
  }
};

// The first of V::kRows rows and how many of them count; the others repeat the last one, so that
// no row past the end is read.
template <class V>
struct RowGroup {
  const uint8_t* rows[V::kRows];
  int64_t first;
  int64_t n;

  RowGroup(const GemmArgs& g, int64_t first_row) : first(first_row) {
    const int64_t left = g.row_end - first_row;
    n = left < V::kRows ? left : V::kRows;
    for (int64_t i = 0; i < V::kRows; ++i) {
      const int64_t row = first_row + (i < n ? i : n - 1);
      rows[i] = static_cast<const uint8_t*>(g.weights) + row * g.weight_row_bytes;
    }
  }

  // Asks for the same bytes of the rows after this group: row by row the whole matrix is fetched
  // one group ahead of its use. (Prefetching past the matrix's end is harmless.)
  void prefetch_next(const GemmArgs& g, int64_t at, int64_t bytes) const {
    const int64_t ahead = V::kRows * g.weight_row_bytes;
    for (int64_t i = 0; i < n; ++i) {
      const auto from = reinterpret_cast<uintptr_t>(rows[i]) + static_cast<uintptr_t>(ahead + at);
      for (int64_t o = 0; o < bytes; o += 64) {
        __builtin_prefetch(reinterpret_cast<const void*>(from + static_cast<uintptr_t>(o)));
      }
    }
  }

  // Rows that lie apart are left to the processor's own prefetch.
  static Ahead ahead(const GemmArgs&, int64_t, int64_t, int64_t) { return {}; }

  // Four words, 16 bytes of each row.
  void words(int64_t at, int64_t field, typename V::Words* out) const {
    V::load_words(rows, at + field, out);
  }
  typename V::Words word(int64_t at, int64_t field) const { return V::load_word(rows, at + field); }
  typename V::RowFloats half(int64_t at, int64_t field) const {
    return V::load_half(rows, at + field);
  }

  void store(const GemmArgs& g, int64_t column, typename V::RowFloats sums) const {
    float* out = g.out + column * g.out_stride + first;
    if (n == V::kRows) return V::row_store(out, sums);
    float lanes[V::kRows];
    V::row_store(lanes, sums);
    for (int64_t i = 0; i < n; ++i) out[i] = lanes[i];
  }
};

// V::kRows of kPackedRows rows that are packed together: one load a word.
template <class V>
struct PackedGroup {
  const uint8_t* base;  // of all kPackedRows rows
  int64_t lane;         // the first of these rows among them
  int64_t first;

  PackedGroup(const GemmArgs& g, int64_t first_row)
      : base(static_cast<const uint8_t*>(g.weights) +
             first_row / kPackedRows * kPackedRows * g.weight_row_bytes),
        lane(first_row % kPackedRows),
        first(first_row) {}

  // How far ahead of its use memory is asked for: what a core reads in the time memory takes to
  // answer, with some to spare. Beyond the group's end that is the next group.
  static constexpr int64_t kAhead = 4096;

  void prefetch_next(const GemmArgs&, int64_t at, int64_t bytes) const {
    const auto from = reinterpret_cast<uintptr_t>(base) + static_cast<uintptr_t>(at * kPackedRows);
    for (int64_t o = 0; o < bytes * kPackedRows; o += 64) {
      __builtin_prefetch(reinterpret_cast<const void*>(from + static_cast<uintptr_t>(o + kAhead)));
    }
  }

  // The `bytes` bytes at `at` of all rows from `row` on that are packed together.
  static Ahead ahead(const GemmArgs& g, int64_t row, int64_t at, int64_t bytes) {
    if (row % kPackedRows != 0) return {};  // asked for with the rows before it
    const auto from = reinterpret_cast<uintptr_t>(g.weights) +
                      static_cast<uintptr_t>(row * g.weight_row_bytes + at * kPackedRows);
    return {from, from + static_cast<uintptr_t>(bytes * kPackedRows)};
  }

  void words(int64_t at, int64_t field, typename V::Words* out) const {
    RECKON_UNROLL
    for (int i = 0; i < 4; ++i) out[i] = word(at, field + 4 * i);
  }
  typename V::Words word(int64_t at, int64_t field) const {
    return V::load_row_words(base + (at + field) * kPackedRows + 4 * lane);
  }
  typename V::RowFloats half(int64_t at, int64_t field) const {
    return V::load_row_halves(base + (at + field) * kPackedRows + 2 * lane);
  }

  void store(const GemmArgs& g, int64_t column, typename V::RowFloats sums) const {
    V::row_store(g.out + column * g.out_stride + first, sums);
  }
};

// Adds to totals[g][c], for kGroups groups of rows and kColumns columns, factor[g] * the sum over
// kWords words of w[g] . a[c], exactly. kScaled: factors differ between rows; else they are 1.
// A column's activations are fetched once for all groups. Inlined whatever the compiler thinks of
// its size: the sums must stay in registers.
template <class V, int kWords, int kMaxWeight, bool kScaled, int kGroups, int kColumns>
[[gnu::always_inline]] inline void add_dots(typename V::Ints (&totals)[kGroups][kColumns],
                                            const typename V::Words* const (&w)[kGroups],
                                            const typename V::Factors (&factor)[kGroups],
                                            const int8_t* const (&a)[kColumns]) {
  constexpr int kRun = V::run_words(kMaxWeight) < kWords ? V::run_words(kMaxWeight) : kWords;
  RECKON_UNROLL
  for (int begin = 0; begin < kWords; begin += kRun) {
    typename V::Sums sums[kGroups][kColumns];
    RECKON_UNROLL
    for (int g = 0; g < kGroups; ++g) {
      RECKON_UNROLL
      for (int c = 0; c < kColumns; ++c) sums[g][c] = V::no_sums();
    }
    RECKON_UNROLL
    for (int i = begin; i < begin + kRun; ++i) {
      RECKON_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        RECKON_UNROLL
        for (int g = 0; g < kGroups; ++g) {
          sums[g][c] = V::template dot<kMaxWeight>(sums[g][c], w[g][i], a[c] + 4 * i);
        }
      }
    }
    RECKON_UNROLL
    for (int g = 0; g < kGroups; ++g) {
      RECKON_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        totals[g][c] = kScaled ? V::add_scaled(totals[g][c], sums[g][c], factor[g])
                               : V::add_plain(totals[g][c], sums[g][c]);
      }
    }
  }
}

// log2 of an offset, all of which are powers of two.
constexpr int log2_of(int x) { return x <= 1 ? 0 : 1 + log2_of(x / 2); }

// Runs kernel(first column, how many as a constant) over n columns, kMost at a time and then 4, 2
// and 1. What is left and would end in a narrow tile, which leaves the multipliers idle, is halved:
// 8 into two fours, 4 into two twos.
template <int kColumns>
struct Columns {
  static constexpr int kCount = kColumns;
};
template <int kMost, class Kernel>
inline void for_column_tiles(int64_t n, const Kernel& kernel) {
  static_assert(kMost == 3 || kMost == 4 || kMost == 6);
  constexpr int64_t kHalved = kMost == 6 ? 8 : kMost == 3 ? 4 : 0;
  int64_t c = 0;
  for (; n - c >= kMost && n - c != kHalved; c += kMost) kernel(c, Columns<kMost>());
  if constexpr (kMost > 4) {
    for (; n - c >= 4; c += 4) kernel(c, Columns<4>());
  }
  for (; n - c >= 2; c += 2) kernel(c, Columns<2>());
  if (c < n) kernel(c, Columns<1>());
}

// The loops around one format's panels. Panel: unpack(group, first element, n elements), then
// multiply<groups, columns>(panels, activations, stride, first element, sums, what to ask memory
// for meanwhile and how much of it at each of kSteps steps) for a number of groups and columns; or
// multiply_one, which does both for a single column without storing what it unpacks. Sums of a
// group are kColumnTile apart.

// kGroups groups of rows from first_row on, elements [k, k + kPanel), n columns. While they are
// multiplied, the weights that come next are asked for: those of next_row at next_k.
template <class V, class Panel, int kGroups, class Group>
inline void multiply_panels(const GemmArgs& g, int64_t first_row, int64_t k, int64_t next_row,
                            int64_t next_k, const uint8_t* activations, int64_t stride, int64_t n,
                            typename V::RowFloats* sums) {
  const int64_t left = g.depth - k;
  Panel panels[kGroups];
  for (int i = 0; i < kGroups; ++i) {
    panels[i].unpack(Group(g, first_row + i * V::kRows), k, left < kPanel ? left : kPanel);
  }
  constexpr int64_t kBytes = kPanel / Panel::kBlock * Panel::kBlockBytes;
  const int64_t next_at = next_k / Panel::kBlock * Panel::kBlockBytes;
  Ahead ahead[kGroups];
  for (int i = 0; i < kGroups; ++i) {
    ahead[i] = Group::ahead(g, next_row + i * V::kRows, next_at, kBytes);
  }
  // Lines of each group at each of a panel's steps, as many as all tiles together have.
  const int64_t n_steps = Panel::kSteps * ((n + V::columns(kGroups) - 1) / V::columns(kGroups));
  const int64_t lines = (kBytes * kPackedRows / 64 + n_steps - 1) / n_steps;
  for_column_tiles<V::columns(kGroups)>(n, [&](int64_t c, auto columns) {
    constexpr int kColumns = decltype(columns)::kCount;
    Panel::template multiply<kGroups, kColumns>(panels, activations + c * stride, stride, k,
                                                sums + c, ahead, lines);
  });
}

template <class V, class Panel, class Group>
inline void multiply_one_column(const GemmArgs& g, const Group& group) {
  typename V::RowFloats sum = V::row_zero();
  for (int64_t k = 0; k < g.depth; k += Panel::kSingleStep) {
    const int64_t at = k / Panel::kBlock * Panel::kBlockBytes;
    sum = Panel::multiply_one(group, at, g.activations, k, sum);
    group.prefetch_next(g, at, Panel::kSingleStep / Panel::kBlock * Panel::kBlockBytes);
  }
  group.store(g, 0, sum);
}

// n_groups groups of rows from first_row on, columns [first, first + n).
template <class V, class Panel, class Group>
inline void multiply_block(const GemmArgs& g, int64_t first_row, int64_t n_groups, int64_t first,
                           int64_t n) {
  const int64_t stride = Panel::activation_stride(g.depth);
  const auto* activations = static_cast<const uint8_t*>(g.activations) + first * stride;
  typename V::RowFloats sums[kGroupsPerBlock * kColumnTile];
  for (int64_t i = 0; i < n_groups; ++i) {
    for (int64_t c = 0; c < n; ++c) sums[i * kColumnTile + c] = V::row_zero();
  }
  for (int64_t k = 0; k < g.depth; k += kPanel) {
    const int64_t next_panel = k + kPanel < g.depth ? k + kPanel : 0;
    for (int64_t i = 0; i < n_groups;) {
      const int64_t row = first_row + i * V::kRows;
      const bool is_pair = V::kGroups == 2 && i + 2 <= n_groups;
      const int64_t after = i + (is_pair ? 2 : 1);
      const bool is_last = after >= n_groups;
      const int64_t next_row = is_last ? first_row : first_row + after * V::kRows;
      const int64_t next_k = is_last ? next_panel : k;
      typename V::RowFloats* of_group = sums + i * kColumnTile;
      if (is_pair) {
        multiply_panels<V, Panel, V::kGroups, Group>(g, row, k, next_row, next_k, activations,
                                                     stride, n, of_group);
      } else {
        multiply_panels<V, Panel, 1, Group>(g, row, k, next_row, next_k, activations, stride, n,
                                            of_group);
      }
      i = after;
    }
  }
  for (int64_t i = 0; i < n_groups; ++i) {
    const Group group(g, first_row + i * V::kRows);
    for (int64_t c = 0; c < n; ++c) group.store(g, first + c, sums[i * kColumnTile + c]);
  }
}

// Rows [begin, end), which all lie as Group expects them.
template <class V, class Panel, class Group>
inline void multiply_rows(const GemmArgs& g, int64_t begin, int64_t end) {
  if (g.n_columns == 1) {
    for (int64_t r = begin; r < end; r += V::kRows) multiply_one_column<V, Panel>(g, Group(g, r));
    return;
  }
  // The activations of a few columns stay near anyway, and weights are best read in few streams.
  const int64_t block_rows = V::kRows * (g.n_columns <= kFewStreams ? V::kGroups : kGroupsPerBlock);
  for (int64_t r = begin; r < end; r += block_rows) {
    const int64_t rows = end - r < block_rows ? end - r : block_rows;
    for (int64_t first = 0; first < g.n_columns; first += kColumnTile) {
      const int64_t left = g.n_columns - first;
      multiply_block<V, Panel, Group>(g, r, (rows + V::kRows - 1) / V::kRows, first,
                                      left < kColumnTile ? left : kColumnTile);
    }
  }
}

template <class V, class Panel>
void gemm(const GemmArgs& g) noexcept {
  const int64_t packed = g.n_packed_rows < g.row_end ? g.n_packed_rows : g.row_end;
  if (g.row_begin < packed) multiply_rows<V, Panel, PackedGroup<V>>(g, g.row_begin, packed);
  const int64_t rest = g.row_begin < packed ? packed : g.row_begin;
  if (rest < g.row_end) multiply_rows<V, Panel, RowGroup<V>>(g, rest, g.row_end);
}

}  // namespace
}  // namespace reckon::kernels
