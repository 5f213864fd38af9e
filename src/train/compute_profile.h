// In which arithmetic a run's products are computed. It decides over the bits of what comes out.
#pragma once

namespace reckon::train {

enum class ComputeProfile {
  kF32,   // float32 throughout
  kBf16,  // products of operands rounded to bfloat16, summed in float32 (kernels/training.h);
          // everything else, master weights, gradients and moments among it, stays float32
};

// As --compute and the lockfile spell it.
inline const char* name_of(ComputeProfile profile) {
  return profile == ComputeProfile::kBf16 ? "bf16" : "f32";
}

// At the end of a checkpoint's fingerprint: nothing for float32, which older checkpoints don't
// name.
inline const char* in_fingerprint(ComputeProfile profile) {
  return profile == ComputeProfile::kBf16 ? " compute bf16" : "";
}

}  // namespace reckon::train
