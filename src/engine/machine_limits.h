// What this machine can do at most, for comparison with what a model reaches: how fast memory can
// be read and how many multiply-adds of small integers can be done, by as many threads as the model
// uses.
#pragma once

#include "base/result.h"
#include "base/thread_pool.h"

namespace reckon {

// 10^9 bytes a second: the best of five sums over 1 GiB (less where memory is short) on huge pages,
// by the widest loads. Errors: kFailed when there is no memory for it.
Result<double> measure_read_limit(ThreadPool& pool);

// 10^9 multiply-adds of bytes a second: the best of five runs of the processor's densest
// instruction over registers alone. VNNI's vpdpbusd, NEON's sdot, else AVX2's vpmaddubsw with a
// 16-bit addition.
double measure_mac_limit(ThreadPool& pool);

}  // namespace reckon
