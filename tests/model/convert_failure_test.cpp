// threats.md, A5: whichever allocation or system call fails while a file is read or written, the
// error is clean, the target is what it was or what it should become, nothing is left beside it,
// and the next try works. The system calls of base/file.cpp are played by the functions below.
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <filesystem>
#include <functional>
#include <new>

#include "base/file.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "gguf/safetensors.h"
#include "model/convert.h"
#include "tests/gguf/heap_meter.h"

namespace {

int fail_call_in = -1;  // the call to fail, counted from here; negative: none
int fail_with = EIO;
bool call_failed = false;

bool fails_now() {
  if (fail_call_in < 0 || fail_call_in-- != 0) return false;
  call_failed = true;
  errno = fail_with;
  return true;
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// These stand before the C library's when the program is linked.
extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (fails_now()) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int fstat(int fd, struct stat* info) noexcept {
  static auto* const next = real<int(int, struct stat*)>("fstat");
  return fails_now() ? -1 : next(fd, info);
}
ssize_t read(int fd, void* data, size_t n) {
  return fails_now() ? -1 : ::syscall(SYS_read, fd, data, n);
}
ssize_t write(int fd, const void* data, size_t n) {
  return fails_now() ? -1 : ::syscall(SYS_write, fd, data, n);
}
int fsync(int fd) { return fails_now() ? -1 : static_cast<int>(::syscall(SYS_fsync, fd)); }
int fchmod(int fd, mode_t mode) noexcept {
  return fails_now() ? -1 : static_cast<int>(::syscall(SYS_fchmod, fd, mode));
}
int rename(const char* from, const char* to) noexcept {
  if (fails_now()) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int mkostemp(char* name, int flags) {
  static auto* const next = real<int(char*, int)>("mkostemp");
  return fails_now() ? -1 : next(name, flags);
}
// With the file's data unmapped a failure is as good as any: only mappings of files are counted.
void* mmap(void* address, size_t n, int protection, int flags, int fd, off_t offset) noexcept {
  if (fd >= 0 && fails_now()) return MAP_FAILED;
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, n, protection, flags, fd, offset));
}

}  // extern "C"

namespace reckon {
namespace {

namespace fs = std::filesystem;

class ConvertFailureTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("failure_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    ASSERT_TRUE(convert_hf_to_gguf(source_, path("good.gguf")).ok());
    ASSERT_TRUE(convert_gguf_to_hf(path("good.gguf"), path("good")).ok());
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(std::string_view name) const { return (folder_ / name).string(); }

  // Runs job again and again, failing the first call, the second, … until none is left to fail;
  // after each, check says whether the disk is as it should be. Returns how many failed.
  int each_call_fails(const std::function<Status()>& job, const std::function<void(bool)>& check) {
    int n = 0;
    for (;; ++n) {
      fail_call_in = n;
      fail_with = n % 2 == 0 ? EIO : ENOSPC;
      call_failed = false;
      const Status status = job();
      fail_call_in = -1;
      if (!call_failed) {
        EXPECT_TRUE(status.ok()) << status.error().message;
        return n;
      }
      EXPECT_TRUE(status.ok() || !status.error().message.empty());
      check(status.ok());
      if (testing::Test::HasFailure() || n > 10000) return n;
    }
  }

  // The same with allocations; strides grow, as there are many.
  int each_allocation_fails(const std::function<Status()>& job,
                            const std::function<void(bool)>& check) {
    int failures = 0;
    for (int64_t n = 0;; n += 1 + n / 50) {
      test::fail_allocation(n);
      const Status status = job();
      const bool failed = test::allocation_failed();
      test::fail_allocation(-1);
      if (!failed) {
        EXPECT_TRUE(status.ok());
        return failures;
      }
      EXPECT_FALSE(status.ok()) << "allocation " << n;
      check(false);
      ++failures;
      if (testing::Test::HasFailure()) return failures;
    }
  }

  // Files in the test's folder besides those that belong there.
  std::vector<std::string> strangers(const fs::path& folder) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".tmp-") != std::string::npos) found.push_back(name);
    }
    return found;
  }

  const std::string source_ = RECKON_SOURCE_DIR "/tests/model/fixtures/hf_qwen2";
  fs::path folder_;
};

std::string contents(const std::string& path) {
  const auto text = read_file(path, 1 << 24);
  return text.ok() ? *text : "none";
}

TEST_F(ConvertFailureTest, Loading) {
  const std::string good = path("good.gguf");
  const auto load_gguf = [&]() -> Status {
    const auto file = GgufFile::open(good);
    return file.ok() ? Status() : Status(file.error());
  };
  const auto load_safetensors = [&]() -> Status {
    const auto file = Safetensors::open_folder(source_);
    return file.ok() ? Status() : Status(file.error());
  };
  const auto must_fail = [](bool ok) { EXPECT_FALSE(ok); };
  EXPECT_GE(each_call_fails(load_gguf, must_fail), 3);
  EXPECT_GE(each_call_fails(load_safetensors, must_fail), 3);
  EXPECT_GE(each_allocation_fails(load_gguf, must_fail), 10);
  EXPECT_GE(each_allocation_fails(load_safetensors, must_fail), 10);
}

TEST_F(ConvertFailureTest, ToGguf) {
  const std::string good = contents(path("good.gguf"));
  const std::string target = path("target.gguf");
  const auto job = [&] { return convert_hf_to_gguf(source_, target); };
  const auto check = [&](bool ok) {
    const std::string now = contents(target);
    EXPECT_TRUE(now == good || (!ok && now == "before"));
    EXPECT_THAT(strangers(folder_), testing::IsEmpty());
    ASSERT_TRUE(write_file(target, "before").ok());
  };
  ASSERT_TRUE(write_file(target, "before").ok());
  EXPECT_GE(each_call_fails(job, check), 15);
  EXPECT_EQ(contents(target), good);
  ASSERT_TRUE(write_file(target, "before").ok());
  EXPECT_GE(each_allocation_fails(job, check), 100);
  EXPECT_EQ(contents(target), good);
}

TEST_F(ConvertFailureTest, ToFolder) {
  const std::string target = path("target");
  const char* const names[] = {"config.json", "generation_config.json", "model.safetensors",
                               "tokenizer.json", "tokenizer_config.json"};
  const std::string good = path("good.gguf");
  const auto job = [&] { return convert_gguf_to_hf(good, target); };
  const auto check = [&](bool) {
    // Each file is the old one or the new one.
    for (const char* name : names) {
      const std::string now = contents(target + "/" + name);
      EXPECT_TRUE(now == "none" || now == contents(path("good") + "/" + name)) << name;
    }
    EXPECT_TRUE(!fs::exists(target) || strangers(target).empty());
    fs::remove_all(target);
  };
  EXPECT_GE(each_call_fails(job, check), 30);
  fs::remove_all(target);
  EXPECT_GE(each_allocation_fails(job, check), 100);
  for (const char* name : names) {
    EXPECT_EQ(contents(target + "/" + name), contents(path("good") + "/" + name));
  }
}

}  // namespace
}  // namespace reckon
