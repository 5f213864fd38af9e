// This folder's functions that its table is made of. Internal to kernels/avx512.
#pragma once

#include "kernels/kernels.h"

namespace reckon::kernels::avx512 {

// Products by the activation format of the weights; null for a type of another format.
GemmFunction gemm_float(TensorType weight) noexcept;
GemmFunction gemm_q8_32(TensorType weight) noexcept;
GemmFunction gemm_q8_256(TensorType weight) noexcept;

}  // namespace reckon::kernels::avx512
