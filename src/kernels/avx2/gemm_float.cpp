// The products of float weights (kernels/vector/gemm_float.h), compiled for this instruction set.
#include "kernels/vector/gemm_float.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/isa.h"

namespace reckon::kernels::avx2 {

GemmFunction gemm_float(TensorType weight) noexcept { return find_gemm_float<Isa>(weight); }

}  // namespace reckon::kernels::avx2
