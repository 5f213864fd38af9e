// A model's folder inside the store, held open: names are taken relative to it and symbolic links
// are never followed, so that nothing outside can be reached through it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace reckon {

// An open descriptor.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileHandle();

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct FileStat {
  uint64_t bytes = 0;
  int64_t written_at_ns = 0;
};
// Errors: kBadFile for what can't be looked at or is no regular file; a link is none where links
// are not followed.
enum class Links { kFollow, kRefuse };
Result<FileStat> stat_file(const std::string& path, Links links);

class ModelFolder {
 public:
  // Makes the store's folder and the model's in it where they are missing. The store's own may be a
  // link, the model's may not. Errors: kFailed.
  static Result<ModelFolder> create(const std::string& store, const std::string& name);

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

  // Keeps others from changing this model until the object goes. Errors: kFailed when another
  // process or thread holds it.
  Status lock();

  // The regular file of this name, with no second link to it, to read and write; not open when
  // there is none. Errors: kFailed for anything else of that name.
  Result<FileHandle> open_file(const std::string& name) const;
  // The same, to read only.
  Result<FileHandle> open_file_to_read(const std::string& name) const;
  // A new one; what had the name is removed first.
  Result<FileHandle> create_file(const std::string& name) const;
  bool has(const std::string& name) const;
  void remove_file(const std::string& name) const;
  Status rename_file(const std::string& from, const std::string& to) const;
  Status sync() const;
  // The folder with everything in it. Errors: kFailed.
  Status remove_all() const;
  // Only if nothing but the lock is in it.
  void remove_if_empty() const;
  // Bytes that can still be written to its disk.
  Result<uint64_t> free_bytes() const;

 private:
  // Of everything but the lock.
  Result<std::vector<std::string>> names() const;
  Result<FileHandle> open_checked(const std::string& name, int access) const;
  Error problem(const std::string& name, const char* what) const;  // with errno

  std::string path_;
  FileHandle fd_;
  FileHandle lock_;
};

}  // namespace reckon
