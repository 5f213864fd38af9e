// This instruction set's row operations, and its table.
#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"
#include "kernels/tables.h"
#include "kernels/vector/attention.h"
#include "kernels/vector/rows.h"

namespace reckon::kernels {
namespace {

GemmFunction find_gemm(TensorType weight) noexcept {
  if (GemmFunction function = neon::gemm_float(weight)) return function;
  if (GemmFunction function = neon::gemm_q8_32(weight)) return function;
  return neon::gemm_q8_256(weight);
}

}  // namespace

const KernelTable kNeonTable = {
    .name = "neon",
    .reads_packed = true,
    .quantize_q8_32 = quantize_q8_32<Isa>,
    .quantize_q8_256 = quantize_q8_256<Isa>,
    .gemm = find_gemm,
    .rms_norm = rms_norm<Isa>,
    .add = add<Isa>,
    .silu_mul = silu_mul<Isa>,
    .rope_half_split = rope_half_split<Isa>,
    .rope_interleaved = rope_interleaved,
    .store_k = store_k<Isa>,
    .store_v = store_v<Isa>,
    .attention = attention<Isa>,
    .attention_output = attention_output<Isa>,
    .exp_sum = exp_sum<Isa>,
};

}  // namespace reckon::kernels
