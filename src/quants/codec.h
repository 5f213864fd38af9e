// Scalar encode and decode of every block type: the meaning of the formats, against which kernels
// are tested. A row is a whole number of blocks.
#pragma once

#include <cstdint>

#include "quants/tensor_type.h"

namespace reckon {

// blocks: row_bytes(type, n) bytes -> out [n]. The float operations' order is part of
// docs/numerics.md.
void decode_row(TensorType type, const void* blocks, float* out, int64_t n);

// Whether encode_row knows the type (F32, F16, BF16, Q4_0, Q8_0, Q4_K, Q5_K, Q6_K and what the
// mixes fall back to).
bool can_encode(TensorType type);

// values [n] -> blocks. importance [n] weighs each element's error, or null.
// Non-finite values are the caller's to refuse.
void encode_row(TensorType type, const float* values, void* blocks, int64_t n,
                const float* importance = nullptr);

}  // namespace reckon
