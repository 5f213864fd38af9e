// Ids count upwards and never come back; id % kSlots is the place.
#include "engine/control_table.h"

namespace reckon {

RequestId ControlTable::claim() {
  for (uint64_t tries = 0; tries < kSlots; ++tries) {
    const RequestId id = ++last_id_;
    if (words_[slot(id)].load(std::memory_order_relaxed) != 0) continue;
    words_[slot(id)].store(id << kFlagBits, std::memory_order_release);
    return id;
  }
  return 0;
}

void ControlTable::release(RequestId id) { words_[slot(id)].store(0, std::memory_order_release); }

bool ControlTable::set(RequestId id, Flag flag) noexcept {
  std::atomic<uint64_t>& word = words_[slot(id)];
  uint64_t seen = word.load(std::memory_order_acquire);
  while (id != 0 && seen >> kFlagBits == id) {
    if (word.compare_exchange_weak(seen, seen | flag, std::memory_order_acq_rel)) return true;
  }
  return false;
}

uint64_t ControlTable::flags(RequestId id) const noexcept {
  const uint64_t word = words_[slot(id)].load(std::memory_order_acquire);
  return word >> kFlagBits == id ? word & kFlagMask : 0;
}

}  // namespace reckon
