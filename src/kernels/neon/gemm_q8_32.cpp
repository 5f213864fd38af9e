// The products of the formats of 32 (kernels/vector/gemm_q8_32.h), compiled for this instruction
// set.
#include "kernels/vector/gemm_q8_32.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"

namespace reckon::kernels::neon {

GemmFunction gemm_q8_32(TensorType weight) noexcept { return find_gemm_q8_32<Isa>(weight); }

}  // namespace reckon::kernels::neon
