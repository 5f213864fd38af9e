// The loops of both measurements. Each is written once for every instruction set it is compiled
// for; the one to run is chosen by what the kernels' tables say the machine has.
#include "engine/machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/huge_buffer.h"
#include "engine/memory.h"
#include "kernels/kernels.h"
#include "kernels/vector/unroll.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace reckon {
namespace {

constexpr int kRuns = 5;
constexpr size_t kReadBytes = size_t{1} << 30;
constexpr size_t kReadPiece = size_t{4} << 20;  // handed to a thread at a time

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// ---- reading ------------------------------------------------------------------------------------

// As wide as the function it stands in may load: the compiler splits it where it must.
typedef uint64_t Words __attribute__((vector_size(64)));

inline __attribute__((always_inline)) uint64_t sum_words(const std::byte* data, size_t bytes) {
  const auto* words = reinterpret_cast<const Words*>(data);
  Words sums[4] = {};
  for (size_t i = 0; i < bytes / sizeof(Words); i += 4) {
    for (size_t k = 0; k < 4; ++k) sums[k] += words[i + k];
  }
  const Words sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return (sum[0] ^ sum[1]) + (sum[2] ^ sum[3]) + (sum[4] ^ sum[5]) + (sum[6] ^ sum[7]);
}

using SumFunction = uint64_t (*)(const std::byte*, size_t);

uint64_t sum_baseline(const std::byte* data, size_t bytes) { return sum_words(data, bytes); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t sum_avx2(const std::byte* data, size_t bytes) {
  return sum_words(data, bytes);
}
__attribute__((target("avx512f"))) uint64_t sum_avx512(const std::byte* data, size_t bytes) {
  return sum_words(data, bytes);
}
#endif

SumFunction widest_sum() {
#if defined(__x86_64__)
  if (kernels::table_available("avx512")) return sum_avx512;
  if (kernels::table_available("avx2")) return sum_avx2;
#endif
  return sum_baseline;
}

// ---- multiply-adds ------------------------------------------------------------------------------

// One call does kRounds rounds; the value is what a round multiplies and adds.
constexpr int64_t kRounds = 400'000;
constexpr int64_t kCallsPerThread = 16;

struct MacLoop {
  void (*run)();
  int64_t macs_a_round;
};

// Keeps a vector that the compiler might compute once, or not at all, in its register.
#if defined(__x86_64__)
#define RECKON_OPAQUE(value) asm volatile("" : "+v"(value))
#else
#define RECKON_OPAQUE(value) asm volatile("" : "+w"(value))
#endif

#if defined(__x86_64__)
constexpr int kAvx2Sums = 6;  // with as many factors and the common one: 13 of 16 registers

__attribute__((target("avx2"))) void mac_avx2() {
  __m256i sums[kAvx2Sums];
  __m256i factors[kAvx2Sums];
  RECKON_UNROLL
  for (int i = 0; i < kAvx2Sums; ++i) {
    sums[i] = _mm256_setzero_si256();
    factors[i] = _mm256_set1_epi8(static_cast<char>(i));
  }
  const __m256i common = _mm256_set1_epi8(1);
  for (int64_t round = 0; round < kRounds; ++round) {
    RECKON_UNROLL
    for (int i = 0; i < kAvx2Sums; ++i) {
      RECKON_OPAQUE(factors[i]);
      sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(common, factors[i]));
    }
  }
  RECKON_UNROLL
  for (int i = 0; i < kAvx2Sums; ++i) RECKON_OPAQUE(sums[i]);
}

constexpr int kVnniSums = 12;

__attribute__((target("avx512f,avx512vnni"))) void mac_avx512() {
  __m512i sums[kVnniSums];
  RECKON_UNROLL
  for (int i = 0; i < kVnniSums; ++i) sums[i] = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi8(1);
  const __m512i b = _mm512_set1_epi8(2);
  for (int64_t round = 0; round < kRounds; ++round) {
    RECKON_UNROLL
    for (int i = 0; i < kVnniSums; ++i) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
      RECKON_OPAQUE(sums[i]);
    }
  }
}
#elif defined(__aarch64__)
constexpr int kDotSums = 12;

__attribute__((target("arch=armv8.2-a+dotprod"))) void mac_neon() {
  int32x4_t sums[kDotSums];
  RECKON_UNROLL
  for (int i = 0; i < kDotSums; ++i) sums[i] = vdupq_n_s32(0);
  const int8x16_t a = vdupq_n_s8(1);
  const int8x16_t b = vdupq_n_s8(2);
  for (int64_t round = 0; round < kRounds; ++round) {
    RECKON_UNROLL
    for (int i = 0; i < kDotSums; ++i) {
      sums[i] = vdotq_s32(sums[i], a, b);
      RECKON_OPAQUE(sums[i]);
    }
  }
}
#endif

// Eight 16-bit products and sums, which every processor of the baseline has.
void mac_baseline() {
  typedef int16_t Lanes __attribute__((vector_size(16)));
  constexpr int kSums = 4;
  Lanes sums[kSums] = {};
  Lanes factor = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int64_t round = 0; round < kRounds; ++round) {
    RECKON_UNROLL
    for (int i = 0; i < kSums; ++i) {
      RECKON_OPAQUE(factor);
      sums[i] += factor * factor;
    }
  }
  RECKON_UNROLL
  for (int i = 0; i < kSums; ++i) RECKON_OPAQUE(sums[i]);
}

MacLoop densest_macs() {
#if defined(__x86_64__)
  if (kernels::table_available("avx512")) return {mac_avx512, kVnniSums * 64};
  if (kernels::table_available("avx2")) return {mac_avx2, kAvx2Sums * 32};
#elif defined(__aarch64__)
  if (kernels::table_available("neon")) return {mac_neon, kDotSums * 16};
#endif
  return {mac_baseline, 4 * 8};
}

}  // namespace

Result<double> measure_read_limit(ThreadPool& pool) {
  RECKON_ASSIGN(const int64_t available, available_memory());
  const size_t wanted =
      std::min(kReadBytes, static_cast<size_t>(std::max<int64_t>(0, available / 4)));
  const size_t bytes = wanted / kReadPiece * kReadPiece;
  if (bytes == 0) {
    return failed("read limit: expected memory for at least " + format_bytes(kReadPiece) +
                  " to read, found " + format_bytes(available) + " free");
  }
  RECKON_ASSIGN(const HugeBuffer buffer, HugeBuffer::create(bytes, "read limit"));
  const SumFunction sum = widest_sum();
  const auto n_pieces = static_cast<int64_t>(bytes / kReadPiece);
  std::atomic<uint64_t> total{0};
  // Written by the threads that read, so that pages lie near them.
  pool.parallel_for(n_pieces, [&](int64_t piece, int) {
    std::fill_n(buffer.data() + static_cast<size_t>(piece) * kReadPiece, kReadPiece, std::byte{1});
  });
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(n_pieces, [&](int64_t piece, int) {
      total += sum(buffer.data() + static_cast<size_t>(piece) * kReadPiece, kReadPiece);
    });
    best = std::max(best, static_cast<double>(bytes) / seconds_since(start) * 1e-9);
  }
  return best;
}

double measure_mac_limit(ThreadPool& pool) {
  const MacLoop loop = densest_macs();
  const int64_t n_calls = kCallsPerThread * pool.n_threads();
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(n_calls, [&](int64_t, int) { loop.run(); });
    const auto macs = static_cast<double>(n_calls * kRounds * loop.macs_a_round);
    best = std::max(best, macs / seconds_since(start) * 1e-9);
  }
  return best;
}

}  // namespace reckon
