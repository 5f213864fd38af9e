// cpuid and xgetbv on x86-64, the kernel's capability bits on aarch64. A set counts only when the
// operating system saves its registers too (Intel SDM volume 1, 13.3 and 15.2).
#include "kernels/cpu_features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace reckon::kernels {

#if defined(__x86_64__)
namespace {

struct Leaf {
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
};

Leaf cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Leaf out;
  __get_cpuid_count(leaf, subleaf, &out.eax, &out.ebx, &out.ecx, &out.edx);
  return out;
}

// The register states the system saves on a switch (XCR0).
uint64_t saved_states() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

bool has(uint32_t bits, int bit) { return (bits >> bit & 1u) != 0; }

}  // namespace

CpuFeatures detect_cpu_features() {
  const Leaf basic = cpuid(1);
  constexpr int kOsXsave = 27;
  if (!has(basic.ecx, kOsXsave)) return {};
  constexpr uint64_t kXmmYmm = 0x06;
  constexpr uint64_t kXmmYmmZmm = 0xe6;  // with the mask registers and both halves of zmm
  const uint64_t states = saved_states();
  const Leaf extended = cpuid(7);
  CpuFeatures features;
  features.avx2 = (states & kXmmYmm) == kXmmYmm && has(basic.ecx, 28) /* AVX */ &&
                  has(basic.ecx, 12) /* FMA */ && has(basic.ecx, 29) /* F16C */ &&
                  has(extended.ebx, 5) /* AVX2 */;
  features.avx512 = features.avx2 && (states & kXmmYmmZmm) == kXmmYmmZmm &&
                    has(extended.ebx, 16) /* F */ && has(extended.ebx, 17) /* DQ */ &&
                    has(extended.ebx, 30) /* BW */ && has(extended.ebx, 31) /* VL */ &&
                    has(extended.ecx, 11) /* VNNI */;
  // A leaf 7 without a second part says so in eax.
  features.avx512_bf16 =
      features.avx512 && extended.eax >= 1 && has(cpuid(7, 1).eax, 5) /* AVX512_BF16 */;
  return features;
}

#elif defined(__aarch64__)

CpuFeatures detect_cpu_features() {
  const unsigned long bits = getauxval(AT_HWCAP);
  constexpr unsigned long kAsimd = 1ul << 1;
  // FEAT_DotProd implies the ARMv8.1 instructions that the compiler may use beside it.
  constexpr unsigned long kDotProduct = 1ul << 20;
  CpuFeatures features;
  features.neon = (bits & kAsimd) != 0 && (bits & kDotProduct) != 0;
  return features;
}

#else

CpuFeatures detect_cpu_features() { return {}; }

#endif

}  // namespace reckon::kernels
