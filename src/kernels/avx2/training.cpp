// The kernels of training (kernels/vector/training.h), compiled for this instruction set.
#include "kernels/vector/training.h"

#include "kernels/avx2/isa.h"
#include "kernels/training_tables.h"

namespace reckon::kernels::avx2 {

const TrainingKernels kTraining = make_training_kernels<Isa>();

}  // namespace reckon::kernels::avx2
