// A library to preload under the reckon program: the n-th call of a kind fails, counted from the
// entry of main (what the loader and static objects allocate before it, no program can answer for).
// RECKON_FAULT is "KIND:N" (malloc, open, read, write, fsync, rename, mmap, close); once it has
// failed, the file RECKON_FAULT_FIRED exists. Every call through the dynamic linker is caught.
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

using Main = int(int, char**, char**);

std::atomic<int64_t> calls_left{0};  // until the call that fails; 0 or less: none does
const char* failing_kind = nullptr;
size_t kind_length = 0;
Main* real_main = nullptr;

int main_with_fault(int argc, char** argv, char** environment) {
  const char* setting = std::getenv("RECKON_FAULT");
  const char* colon = setting == nullptr ? nullptr : std::strchr(setting, ':');
  if (colon != nullptr) {
    failing_kind = setting;
    kind_length = static_cast<size_t>(colon - setting);
    calls_left = std::strtoll(colon + 1, nullptr, 10);
  }
  return real_main(argc, argv, environment);
}

bool fails(const char* kind, int error) {
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

int __libc_start_main(Main* main, int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*loader_fini)(), void* stack_end) {
  real_main = main;
  auto* const start = next<decltype(__libc_start_main)>("__libc_start_main");
  return start(main_with_fault, argc, argv, init, fini, loader_fini, stack_end);
}

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
int openat(int folder, const char* path, int flags, ...) {
  if (fails("open", EMFILE)) return -1;
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}
ssize_t read(int fd, void* data, size_t bytes) {
  return fails("read", EIO) ? -1 : syscall(SYS_read, fd, data, bytes);
}
ssize_t pread(int fd, void* data, size_t bytes, off_t offset) {
  return fails("read", EIO) ? -1 : syscall(SYS_pread64, fd, data, bytes, offset);
}
ssize_t write(int fd, const void* data, size_t bytes) {
  return fails("write", ENOSPC) ? -1 : syscall(SYS_write, fd, data, bytes);
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  return fails("write", ENOSPC) ? -1 : syscall(SYS_pwrite64, fd, data, bytes, offset);
}
int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  if (fails("write", ENOSPC)) return -1;
  return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, bytes));
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
int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  static auto* const real = next<int(int, const char*, int, const char*)>("renameat");
  return fails("rename", EIO) ? -1 : real(from_folder, from, to_folder, to);
}
void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (fails("mmap", ENOMEM)) return MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, bytes, protection, flags, fd, offset));
}

}  // extern "C"
