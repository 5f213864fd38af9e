// The products of float weights (kernels/vector/gemm_float.h), compiled for this instruction set.
#include "kernels/vector/gemm_float.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/isa.h"

namespace reckon::kernels::avx512 {

GemmFunction gemm_float(TensorType weight) noexcept { return find_gemm_float<Isa>(weight); }

}  // namespace reckon::kernels::avx512
