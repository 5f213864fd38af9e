// What this processor and its operating system can run. Internal to kernels/.
#pragma once

namespace reckon::kernels {

struct CpuFeatures {
  bool avx2 = false;    // AVX2, FMA and F16C, with the system keeping the 256-bit registers
  bool avx512 = false;  // F, BW, VL, DQ and VNNI, with the system keeping the 512-bit registers
  bool avx512_bf16 = false;  // besides them the products of bfloat16 (VDPBF16PS)
  bool neon = false;         // Advanced SIMD with the dot-product instructions
};

CpuFeatures detect_cpu_features();

}  // namespace reckon::kernels
