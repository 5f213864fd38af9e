// The products of the 256-element formats (kernels/vector/gemm_q8_256.h), compiled for this
// instruction set.
#include "kernels/vector/gemm_q8_256.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/isa.h"

namespace reckon::kernels::avx512 {

GemmFunction gemm_q8_256(TensorType weight) noexcept { return find_gemm_q8_256<Isa>(weight); }

}  // namespace reckon::kernels::avx512
