// The bfloat16 product of training (kernels/vector/training_gemm_bf16.h) with the instruction that
// it is defined by. Everything else is AVX-512's; this folder alone is compiled for BF16 too.
#include "kernels/avx512/isa.h"
#include "kernels/training_tables.h"
#include "kernels/vector/training_gemm_bf16.h"

namespace reckon::kernels {
namespace {

struct Bf16Isa : Isa {
  // Flushes subnormal numbers whatever MXCSR says.
  static Floats dot_pairs(Floats x, Floats y, Floats sums) {
    return _mm512_dpbf16_ps(sums, __builtin_bit_cast(__m512bh, x), __builtin_bit_cast(__m512bh, y));
  }
  static unsigned flush_subnormals() { return 0; }
  static void restore_subnormals(unsigned) {}
};

}  // namespace

namespace avx512_bf16 {

void gemm_bf16(const FloatGemmArgs& args) noexcept { training_gemm_bf16<Bf16Isa>(args); }

}  // namespace avx512_bf16
}  // namespace reckon::kernels
