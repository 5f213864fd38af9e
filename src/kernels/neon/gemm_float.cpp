// The products of float weights (kernels/vector/gemm_float.h), compiled for this instruction set.
#include "kernels/vector/gemm_float.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"

namespace reckon::kernels::neon {

GemmFunction gemm_float(TensorType weight) noexcept { return find_gemm_float<Isa>(weight); }

}  // namespace reckon::kernels::neon
