// The replaced operator new and delete behind heap_meter.h.
#include "tests/gguf/heap_meter.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

namespace reckon::test {
namespace {

// Of all threads: other tests of the program have several.
std::atomic<size_t> held = 0;
std::atomic<size_t> held_at_reset = 0;
std::atomic<size_t> peak = 0;
std::atomic<int64_t> fail_in = -1;
std::atomic<bool> failed = false;

}  // namespace

void reset_heap_peak() {
  held_at_reset = held.load();
  peak = held.load();
}
size_t heap_peak_bytes() { return peak - std::min(peak.load(), held_at_reset.load()); }
void fail_allocation(int64_t n) {
  fail_in = n;
  failed = false;
}
bool allocation_failed() { return failed; }

void* metered_new(size_t n) {
  if (fail_in >= 0 && fail_in-- == 0) {
    failed = true;
    throw std::bad_alloc();
  }
  void* const p = std::malloc(n == 0 ? 1 : n);
  if (p == nullptr) throw std::bad_alloc();
  const size_t now = held += malloc_usable_size(p);
  size_t before = peak;
  while (before < now && !peak.compare_exchange_weak(before, now)) {
  }
  return p;
}

void metered_delete(void* p) noexcept {
  if (p == nullptr) return;
  held -= malloc_usable_size(p);
  std::free(p);
}

TEST(HeapMeterTest, SeesPeaksAndFails) {
  reset_heap_peak();
  {
    std::vector<char> block(1 << 20);
  }
  std::vector<char> small(1 << 10);
  EXPECT_GE(heap_peak_bytes(), size_t{1} << 20);
  EXPECT_LT(heap_peak_bytes(), size_t{2} << 20);
  fail_allocation(1);
  std::vector<char> first(10);
  EXPECT_FALSE(allocation_failed());
  EXPECT_THROW(std::vector<char>(10), std::bad_alloc);
  EXPECT_TRUE(allocation_failed());
  EXPECT_NO_THROW(std::vector<char>(10));
}

}  // namespace reckon::test

void* operator new(size_t n) { return reckon::test::metered_new(n); }
void* operator new[](size_t n) { return reckon::test::metered_new(n); }
void operator delete(void* p) noexcept { reckon::test::metered_delete(p); }
void operator delete[](void* p) noexcept { reckon::test::metered_delete(p); }
void operator delete(void* p, size_t) noexcept { reckon::test::metered_delete(p); }
void operator delete[](void* p, size_t) noexcept { reckon::test::metered_delete(p); }
