// Weight rows as the vector kernels read them fastest: kPackedRows rows side by side. A block of
// each of them becomes, 4 bytes at a time, the same 4 bytes of all rows one after the other; a half
// that stands before or after a block's whole words, all rows' halves. So whatever stands `field`
// bytes into a row's block is found 16 * field bytes into the packed block, nothing grows, and a
// vector of 4, 8 or 16 rows is one load.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quants/tensor_type.h"

namespace reckon::kernels {

inline constexpr int64_t kPackedRows = 16;

// Goes up when pack_rows() packs anything otherwise: files of packed rows are made anew then.
inline constexpr uint32_t kPackedLayoutVersion = 1;

// Whether rows of this type can be packed: the quantised ones.
bool can_pack(TensorType type);

// kPackedRows rows of row_bytes each, one after the other -> the same number of bytes. No overlap.
void pack_rows(TensorType type, const std::byte* rows, int64_t row_bytes, std::byte* packed);

}  // namespace reckon::kernels
