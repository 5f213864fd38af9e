// The training kernels of a table's instruction set.
#include "kernels/training.h"

#include "kernels/cpu_features.h"
#include "kernels/tables.h"
#include "kernels/training_tables.h"

namespace reckon::kernels {

bool has_native_bf16([[maybe_unused]] const KernelTable& table) {
#if defined(__x86_64__)
  static const bool has = detect_cpu_features().avx512_bf16;
  return &table == &kAvx512Table && has;
#else
  return false;
#endif
}

const TrainingKernels& training_kernels(const KernelTable& table) {
#if defined(__x86_64__)
  static const TrainingKernels native = [] {
    TrainingKernels kernels = avx512::kTraining;
    kernels.gemm_bf16 = avx512_bf16::gemm_bf16;
    return kernels;
  }();
  if (has_native_bf16(table)) return native;
  if (&table == &kAvx512Table) return avx512::kTraining;
  if (&table == &kAvx2Table) return avx2::kTraining;
#elif defined(__aarch64__)
  if (&table == &kNeonTable) return neon::kTraining;
#endif
  return scalar::kTraining;
}

}  // namespace reckon::kernels
