// Large zeroed memory of its own, on huge pages where the system gives them: fewer misses of the
// address cache when gigabytes are read in order. Pages are taken when they are first written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace reckon {

class HugeBuffer {
 public:
  // what names the memory in the error. Errors: kFailed when there is no room for it.
  static Result<HugeBuffer> create(uint64_t bytes, const char* what);

  HugeBuffer() = default;
  HugeBuffer(HugeBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  HugeBuffer& operator=(HugeBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~HugeBuffer();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace reckon
