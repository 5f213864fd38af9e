// The bfloat16 product of training (kernels/vector/training_gemm_bf16.h) with the instructions that
// it is defined by: VDPBF16PS, and VCVTNE2PS2BF16 and VCVTNEPS2BF16, which round as the definition
// does (SDM volume 2, convert_fp32_to_bfloat16). Everything else is AVX-512's; this folder alone is
// compiled for BF16 too.
#include "kernels/avx512/isa.h"
#include "kernels/training_tables.h"
#include "kernels/vector/training_gemm_bf16.h"

namespace reckon::kernels {
namespace {

// Of 32 halves, the first sixteen and the other sixteen in turn.
alignas(64) constexpr uint16_t kInterleaved[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                   21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                   11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

struct Bf16Isa : Isa {
  static Floats bf16_pairs(Floats first, Floats second) {
    const auto halves = __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(second, first));
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_loadu_si512(kInterleaved), halves));
  }
  static void store_rounded_bf16(void* x, Floats v) {
    _mm256_storeu_si256(static_cast<__m256i*>(x),
                        __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(v)));
  }
  // They treat subnormal numbers as they do whatever MXCSR says.
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
