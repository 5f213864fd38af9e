// Counts what the program takes from the heap through operator new, and can make an allocation
// fail. Defined in heap_meter_test.cpp for the whole test program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reckon::test {

// Starts anew: the peak is then the most that was held at once beyond what is held now.
void reset_heap_peak();
size_t heap_peak_bytes();

// The n-th allocation from now (0 is the next) throws std::bad_alloc, once; negative: none does.
void fail_allocation(int64_t n);
// Whether the one asked for has failed.
bool allocation_failed();

}  // namespace reckon::test
