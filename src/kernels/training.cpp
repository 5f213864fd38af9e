// The training kernels of a table's instruction set.
#include "kernels/training.h"

#include "kernels/tables.h"
#include "kernels/training_tables.h"

namespace reckon::kernels {

const TrainingKernels& training_kernels(const KernelTable& table) {
#if defined(__x86_64__)
  if (&table == &kAvx512Table) return avx512::kTraining;
  if (&table == &kAvx2Table) return avx2::kTraining;
#elif defined(__aarch64__)
  if (&table == &kNeonTable) return neon::kTraining;
#endif
  return scalar::kTraining;
}

}  // namespace reckon::kernels
