// The counters behind faults.h and the functions that stand in for the library's.
#include "tests/reliability/faults.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace reckon::faults {
namespace {

std::atomic<int64_t> calls_left{0};  // until the one that fails; 0 or less: none does
std::atomic<int> failing_call{-1};
std::atomic<int> failing_error{0};
std::atomic<bool> has_failed{false};
std::atomic<int64_t> n_allocations{0};
std::atomic<int64_t> n_mappings{0};
std::atomic<int64_t> n_files{0};

bool fails(Call call) {
  if (failing_call.load() != static_cast<int>(call)) return false;
  if (calls_left.fetch_sub(1) != 1) return false;
  has_failed.store(true);
  errno = failing_error.load();
  return true;
}

void* allocate(size_t bytes, size_t alignment) {
  if (fails(Call::kAllocate)) return nullptr;
  void* data = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    data = std::malloc(bytes == 0 ? 1 : bytes);
  } else if (posix_memalign(&data, alignment, bytes) != 0) {
    data = nullptr;
  }
  if (data != nullptr) n_allocations.fetch_add(1);
  return data;
}

void* allocate_or_throw(size_t bytes, size_t alignment) {
  void* data = allocate(bytes, alignment);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

void release(void* data) {
  if (data != nullptr) n_allocations.fetch_sub(1);
  std::free(data);
}

}  // namespace

const char* name(Call call) {
  switch (call) {
    case Call::kAllocate: return "allocation";
    case Call::kOpen: return "open";
    case Call::kRead: return "read";
    case Call::kWrite: return "write";
    case Call::kSync: return "fsync";
    case Call::kRename: return "rename";
    case Call::kMap: return "mmap";
    case Call::kStat: return "fstat";
    case Call::kClose: return "close";
  }
  return "";
}

void fail(Call call, int64_t n, int error) {
  has_failed.store(false);
  failing_error.store(error);
  calls_left.store(n);
  failing_call.store(static_cast<int>(call));
}

bool stop() {
  failing_call.store(-1);
  return has_failed.load();
}

Held held() { return {n_allocations.load(), n_mappings.load(), n_files.load()}; }

}  // namespace reckon::faults

using reckon::faults::Call;
using reckon::faults::fails;

void* operator new(size_t bytes) { return reckon::faults::allocate_or_throw(bytes, 1); }
void* operator new[](size_t bytes) { return reckon::faults::allocate_or_throw(bytes, 1); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return reckon::faults::allocate_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return reckon::faults::allocate_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return reckon::faults::allocate(bytes, 1);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return reckon::faults::allocate(bytes, 1);
}
void operator delete(void* data) noexcept { reckon::faults::release(data); }
void operator delete[](void* data) noexcept { reckon::faults::release(data); }
void operator delete(void* data, size_t) noexcept { reckon::faults::release(data); }
void operator delete[](void* data, size_t) noexcept { reckon::faults::release(data); }
void operator delete(void* data, std::align_val_t) noexcept { reckon::faults::release(data); }
void operator delete[](void* data, std::align_val_t) noexcept { reckon::faults::release(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept {
  reckon::faults::release(data);
}
void operator delete[](void* data, size_t, std::align_val_t) noexcept {
  reckon::faults::release(data);
}
void operator delete(void* data, const std::nothrow_t&) noexcept { reckon::faults::release(data); }
void operator delete[](void* data, const std::nothrow_t&) noexcept {
  reckon::faults::release(data);
}

extern "C" {

void* __real_aligned_alloc(size_t alignment, size_t bytes);
int __real_open(const char* path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void* data, size_t bytes);
ssize_t __real_write(int fd, const void* data, size_t bytes);
int __real_fsync(int fd);
int __real_rename(const char* from, const char* to);
void* __real_mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void* address, size_t bytes);
int __real_fstat(int fd, struct stat* info);

void* __wrap_aligned_alloc(size_t alignment, size_t bytes) {
  return fails(Call::kAllocate) ? nullptr : __real_aligned_alloc(alignment, bytes);
}

int __wrap_open(const char* path, int flags, ...) {
  if (fails(Call::kOpen)) return -1;
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  const int fd = __real_open(path, flags, mode);
  if (fd >= 0) reckon::faults::n_files.fetch_add(1);
  return fd;
}

int __wrap_close(int fd) {
  reckon::faults::n_files.fetch_sub(1);
  const int result = __real_close(fd);
  return fails(Call::kClose) ? -1 : result;
}

ssize_t __wrap_read(int fd, void* data, size_t bytes) {
  return fails(Call::kRead) ? -1 : __real_read(fd, data, bytes);
}

ssize_t __wrap_write(int fd, const void* data, size_t bytes) {
  return fails(Call::kWrite) ? -1 : __real_write(fd, data, bytes);
}

int __wrap_fsync(int fd) { return fails(Call::kSync) ? -1 : __real_fsync(fd); }

int __wrap_rename(const char* from, const char* to) {
  return fails(Call::kRename) ? -1 : __real_rename(from, to);
}

void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (fails(Call::kMap)) return MAP_FAILED;
  void* data = __real_mmap(address, bytes, protection, flags, fd, offset);
  if (data != MAP_FAILED) reckon::faults::n_mappings.fetch_add(1);
  return data;
}

int __wrap_munmap(void* address, size_t bytes) {
  reckon::faults::n_mappings.fetch_sub(1);
  return __real_munmap(address, bytes);
}

int __wrap_fstat(int fd, struct stat* info) {
  return fails(Call::kStat) ? -1 : __real_fstat(fd, info);
}

}  // extern "C"
