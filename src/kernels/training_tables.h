// The instruction sets' training kernels, each defined in its own folder. Internal to kernels/.
#pragma once

#include "kernels/training.h"

namespace reckon::kernels {

namespace scalar {
extern const TrainingKernels kTraining;
}
namespace avx2 {
extern const TrainingKernels kTraining;
}
namespace avx512 {
extern const TrainingKernels kTraining;
}
namespace avx512_bf16 {
void gemm_bf16(const FloatGemmArgs& args) noexcept;
}
namespace neon {
extern const TrainingKernels kTraining;
}

}  // namespace reckon::kernels
