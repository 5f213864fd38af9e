// Anonymous mappings.
#include "base/huge_buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

namespace reckon {

Result<HugeBuffer> HugeBuffer::create(uint64_t bytes, const char* what) {
  HugeBuffer buffer;
  if (bytes == 0) return buffer;
  void* data = MAP_FAILED;
  if (bytes <= SIZE_MAX) {
    data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  if (data == MAP_FAILED) return failed(fmt::format("{}: no room for {} bytes", what, bytes));
  ::madvise(data, bytes, MADV_HUGEPAGE);
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.size_ = bytes;
  return buffer;
}

HugeBuffer::~HugeBuffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace reckon
