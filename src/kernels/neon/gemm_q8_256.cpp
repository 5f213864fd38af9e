// The products of the 256-element formats (kernels/vector/gemm_q8_256.h), compiled for this
// instruction set.
#include "kernels/vector/gemm_q8_256.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"

namespace reckon::kernels::neon {

GemmFunction gemm_q8_256(TensorType weight) noexcept { return find_gemm_q8_256<Isa>(weight); }

}  // namespace reckon::kernels::neon
