// The kernels of training (kernels/vector/training.h), compiled for this instruction set.
#include "kernels/vector/training.h"

#include "kernels/neon/isa.h"
#include "kernels/training_tables.h"

namespace reckon::kernels::neon {

const TrainingKernels kTraining = make_training_kernels<Isa>();

}  // namespace reckon::kernels::neon
