// Makes the n-th allocation or system call fail, and counts what is held, so that a test can fail
// each one in turn and see that nothing leaks. Calls are caught by replacing operator new and by
// the linker's --wrap (tests/reliability/CMakeLists.txt): this program alone is affected.
#pragma once

#include <cstdint>

namespace reckon::faults {

enum class Call { kAllocate, kOpen, kRead, kWrite, kSync, kRename, kMap, kStat, kClose };
inline constexpr Call kAllCalls[] = {Call::kAllocate, Call::kOpen, Call::kRead,
                                     Call::kWrite,    Call::kSync, Call::kRename,
                                     Call::kMap,      Call::kStat, Call::kClose};
const char* name(Call call);

// From now on the n-th call of that kind (1 is the next) fails with this errno; an allocation that
// fails throws or gives null. A close that fails closes nevertheless, as Linux does.
void fail(Call call, int64_t n, int error);
// Ends it. Whether the n-th call came.
bool stop();

// Held at this moment: allocations, mappings and open files.
struct Held {
  int64_t allocations = 0;
  int64_t mappings = 0;
  int64_t files = 0;
  bool operator==(const Held&) const = default;
};
Held held();

}  // namespace reckon::faults
