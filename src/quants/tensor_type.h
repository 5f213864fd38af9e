// The tensor types of GGUF that reckon reads: their numbers in the file (ggml's ids), names and
// block sizes. What a block means is in quants/blocks.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace reckon {

enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;   // as in "q4_K", ggml's spelling
  int64_t block_elements;  // elements a block holds; a row is a whole number of blocks
  int64_t block_bytes;
};

// Every type reckon knows, in the order of their ids.
std::span<const TensorTypeInfo> all_tensor_types();

const TensorTypeInfo& tensor_type_info(TensorType type);
// Empty for an id reckon can't read (removed, unknown or not supported).
std::optional<TensorType> tensor_type_from_id(uint32_t id);
// Case-insensitive name, "Q4_K" or "q4_k".
std::optional<TensorType> tensor_type_from_name(std::string_view name);
// ggml's name for an id that reckon can't read ("iq2_xxs"), or "unknown": for error messages.
std::string_view foreign_tensor_type_name(uint32_t id);

// Bytes of a row of n_elements; n_elements must be a multiple of block_elements.
inline int64_t row_bytes(TensorType type, int64_t n_elements) {
  const TensorTypeInfo& info = tensor_type_info(type);
  return n_elements / info.block_elements * info.block_bytes;
}

}  // namespace reckon
