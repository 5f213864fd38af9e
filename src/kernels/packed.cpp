// The packing of weight rows.
#include "kernels/packed.h"

#include <cstring>

#include "base/check.h"
#include "kernels/kernels.h"

namespace reckon::kernels {
namespace {

// The formats of 32 whose scale, a half, comes before the quants.
bool half_comes_first(TensorType type) {
  return type == TensorType::kQ4_0 || type == TensorType::kQ5_0 || type == TensorType::kQ8_0 ||
         type == TensorType::kIQ4_NL;
}

template <int64_t kBytes>
void pack_field(const std::byte* rows, int64_t row_bytes, int64_t at, std::byte* packed) {
  std::byte* out = packed + at * kPackedRows;
  for (int64_t r = 0; r < kPackedRows; ++r) {
    std::memcpy(out + r * kBytes, rows + r * row_bytes + at, kBytes);
  }
}

}  // namespace

bool can_pack(TensorType type) { return activation_format(type) != ActivationFormat::kF32; }

void pack_rows(TensorType type, const std::byte* rows, int64_t row_bytes, std::byte* packed) {
  RECKON_CHECK(can_pack(type));
  const int64_t block = tensor_type_info(type).block_bytes;
  const bool has_half = block % 4 != 0;
  const int64_t first = has_half && half_comes_first(type) ? 2 : 0;
  for (int64_t at = 0; at < row_bytes; at += block) {
    int64_t field = at;
    if (first != 0) pack_field<2>(rows, row_bytes, field, packed);
    for (field += first; field + 4 <= at + block; field += 4) {
      pack_field<4>(rows, row_bytes, field, packed);
    }
    if (field < at + block) pack_field<2>(rows, row_bytes, field, packed);
  }
}

}  // namespace reckon::kernels
