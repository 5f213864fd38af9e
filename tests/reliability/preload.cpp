// A library to preload under the reckon program: the n-th call of a kind fails. RECKON_FAULT is
// "KIND:N" (malloc, open, read, write, fsync, rename, mmap, close); once it has failed, the file
// RECKON_FAULT_FIRED exists. Everything of the program and of glibc's dynamic callers is caught.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

// Until the call that fails. Read from the environment on the first call of any kind, which comes
// before main.
std::atomic<int64_t> calls_left{-1};
const char* failing_kind = nullptr;
size_t kind_length = 0;

void read_setting() {
  const char* setting = std::getenv("RECKON_FAULT");
  const char* colon = setting == nullptr ? nullptr : std::strchr(setting, ':');
  if (colon == nullptr) {
    calls_left = 0;
    return;
  }
  failing_kind = setting;
  kind_length = static_cast<size_t>(colon - setting);
  calls_left = std::strtoll(colon + 1, nullptr, 10);
}

bool fails(const char* kind, int error) {
  if (calls_left == -1) read_setting();
  if (failing_kind == nullptr || std::strlen(kind) != kind_length ||
      std::strncmp(kind, failing_kind, kind_length) != 0) {
    return false;
  }
  if (calls_left.load() <= 0 || calls_left.fetch_sub(1) != 1) return false;
  if (const char* mark = std::getenv("RECKON_FAULT_FIRED")) {
    syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT, 0600));
  }
  errno = error;
  return true;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

// glibc's own, which need no look-up.
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t bytes) { return fails("malloc", ENOMEM) ? nullptr : __libc_malloc(bytes); }
void* calloc(size_t n, size_t bytes) {
  return fails("malloc", ENOMEM) ? nullptr : __libc_calloc(n, bytes);
}
void* realloc(void* data, size_t bytes) {
  return fails("malloc", ENOMEM) ? nullptr : __libc_realloc(data, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return fails("malloc", ENOMEM) ? nullptr : __libc_memalign(alignment, bytes);
}

int open(const char* path, int flags, ...) {
  if (fails("open", EMFILE)) return -1;
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
ssize_t read(int fd, void* data, size_t bytes) {
  return fails("read", EIO) ? -1 : syscall(SYS_read, fd, data, bytes);
}
ssize_t write(int fd, const void* data, size_t bytes) {
  return fails("write", ENOSPC) ? -1 : syscall(SYS_write, fd, data, bytes);
}
int fsync(int fd) { return fails("fsync", EIO) ? -1 : static_cast<int>(syscall(SYS_fsync, fd)); }
int close(int fd) {
  const int result = static_cast<int>(syscall(SYS_close, fd));
  return fails("close", EIO) ? -1 : result;
}
int rename(const char* from, const char* to) {
  static auto* const real = next<int(const char*, const char*)>("rename");
  return fails("rename", EIO) ? -1 : real(from, to);
}
void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (fails("mmap", ENOMEM)) return MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, bytes, protection, flags, fd, offset));
}

}  // extern "C"
