// The tables of the instruction sets, each defined in its own folder. Internal to kernels/.
#pragma once

#include "kernels/kernels.h"

namespace reckon::kernels {

extern const KernelTable kScalarTable;
extern const KernelTable kAvx2Table;    // on x86-64
extern const KernelTable kAvx512Table;  // on x86-64
extern const KernelTable kNeonTable;    // on aarch64

}  // namespace reckon::kernels
