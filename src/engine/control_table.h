// Flags by which other threads and signal handlers steer running requests. One 64-bit word a
// request holds its id and its flags, so setting a flag is a lock-free compare-and-swap that can't
// hit a later request in the same place.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/request.h"

namespace reckon {

class ControlTable {
 public:
  static constexpr uint64_t kSlots = 1024;  // requests an engine knows at once
  enum Flag : uint64_t { kCancel = 1, kAnswerNow = 2 };

  // A fresh id, or 0 when all slots are taken. One thread at a time.
  RequestId claim();
  // One thread at a time; may run beside claim() only under the same lock.
  void release(RequestId id);

  // False when the request is not known (any more). Any thread, signal handlers too.
  bool set(RequestId id, Flag flag) noexcept;
  uint64_t flags(RequestId id) const noexcept;

 private:
  static constexpr uint64_t kFlagBits = 2;
  static constexpr uint64_t kFlagMask = (1 << kFlagBits) - 1;
  static_assert(std::atomic<uint64_t>::is_always_lock_free);

  static size_t slot(RequestId id) { return id % kSlots; }

  std::array<std::atomic<uint64_t>, kSlots> words_{};  // id << kFlagBits | flags; 0: free
  uint64_t last_id_ = 0;
};

}  // namespace reckon
