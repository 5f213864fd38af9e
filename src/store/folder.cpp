// openat() and its family behind folder.h.
#include "store/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/file.h"

namespace reckon {
namespace {

constexpr const char* kLockName = ".lock";

Error path_problem(const std::string& path, const char* what) {
  const int error = errno;
  return failed(path + ": " + what + ": " + std::strerror(error));
}

// The folder and those above it.
Status make_folders(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0777) != 0 && errno != EEXIST) {
      return path_problem(part, "can't be made");
    }
    if (slash == std::string::npos) return {};
  }
}

}  // namespace

FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

Result<FileStat> stat_file(const std::string& path, Links links) {
  struct stat info{};
  const int flags = links == Links::kFollow ? 0 : AT_SYMLINK_NOFOLLOW;
  if (::fstatat(AT_FDCWD, path.c_str(), &info, flags) != 0) {
    const int error = errno;
    return bad_file(path + ": can't be looked at: " + std::strerror(error));
  }
  if (!S_ISREG(info.st_mode)) return bad_file(path + ": expected a regular file, no link to one");
  return FileStat{static_cast<uint64_t>(info.st_size), time_of_writing_ns(info)};
}

Error ModelFolder::problem(const std::string& name, const char* what) const {
  return path_problem(path_ + "/" + name, what);
}

Result<ModelFolder> ModelFolder::create(const std::string& store, const std::string& name) {
  RECKON_RETURN_IF_ERROR(make_folders(store));
  ModelFolder folder;
  folder.path_ = store + "/" + name;
  const bool is_new = ::mkdir(folder.path_.c_str(), 0777) == 0;
  if (!is_new && errno != EEXIST) return path_problem(folder.path_, "can't be made");
  folder.fd_ =
      FileHandle(::open(folder.path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.fd_.is_open()) return path_problem(folder.path_, "expected a folder, no link");
  if (is_new) {
    const FileHandle above(::open(store.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!above.is_open() || (::fsync(above.get()) != 0 && errno != EINVAL)) {
      const Error error = path_problem(store, "can't be synced to disk");
      ::rmdir(folder.path_.c_str());
      return error;
    }
  }
  return folder;
}

Status ModelFolder::lock() {
  FileHandle file(
      ::openat(fd(), kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666));
  if (!file.is_open()) return problem(kLockName, "can't be opened");
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return failed(path_ + ": another pull or change of this model is under way");
    }
    return problem(kLockName, "can't be locked");
  }
  // Whoever removed the folder meanwhile removed this lock with it.
  struct stat held{};
  struct stat there{};
  if (::fstat(file.get(), &held) != 0 ||
      ::fstatat(fd(), kLockName, &there, AT_SYMLINK_NOFOLLOW) != 0 || held.st_ino != there.st_ino) {
    return failed(path_ + ": another change of this model is under way");
  }
  lock_ = std::move(file);
  return {};
}

Result<FileHandle> ModelFolder::open_file(const std::string& name) const {
  return open_checked(name, O_RDWR);
}

Result<FileHandle> ModelFolder::open_file_to_read(const std::string& name) const {
  return open_checked(name, O_RDONLY);
}

Result<FileHandle> ModelFolder::open_checked(const std::string& name, int access) const {
  FileHandle file(::openat(fd(), name.c_str(), access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) {
    if (errno == ENOENT) return FileHandle();
    return problem(name, "can't be opened (links are not followed)");
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return problem(name, "can't be examined");
  if (!S_ISREG(info.st_mode) || info.st_nlink != 1) {
    return failed(path_ + "/" + name + ": expected a regular file with one link");
  }
  return file;
}

Result<FileHandle> ModelFolder::create_file(const std::string& name) const {
  remove_file(name);
  FileHandle file(
      ::openat(fd(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file.is_open()) return problem(name, "can't be written");
  return file;
}

bool ModelFolder::has(const std::string& name) const {
  struct stat info{};
  return ::fstatat(fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

void ModelFolder::remove_file(const std::string& name) const { ::unlinkat(fd(), name.c_str(), 0); }

Status ModelFolder::rename_file(const std::string& from, const std::string& to) const {
  if (::renameat(fd(), from.c_str(), fd(), to.c_str()) != 0) {
    return problem(to, "can't be put in place");
  }
  return {};
}

Status ModelFolder::sync() const {
  // Some file systems can't sync folders and say EINVAL; a rename is as safe as they make it.
  if (::fsync(fd()) != 0 && errno != EINVAL) return path_problem(path_, "can't be synced to disk");
  return {};
}

Result<std::vector<std::string>> ModelFolder::names() const {
  const int again = ::openat(fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = again < 0 ? nullptr : ::fdopendir(again);
  if (entries == nullptr) {
    const Error error = path_problem(path_, "can't be listed");
    if (again >= 0) ::close(again);
    return error;
  }
  std::vector<std::string> found;
  while (const dirent* entry = ::readdir(entries)) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && name != kLockName) found.push_back(name);
  }
  ::closedir(entries);
  return found;
}

void ModelFolder::remove_if_empty() const {
  const Result<std::vector<std::string>> left = names();
  if (!left.ok() || !left->empty()) return;
  ::unlinkat(fd(), kLockName, 0);
  ::rmdir(path_.c_str());
}

Status ModelFolder::remove_all() const {
  RECKON_ASSIGN(const std::vector<std::string> left, names());
  // The record first: without it, the rest is only what a broken-off pull leaves. The lock last.
  ::unlinkat(fd(), "model.json", 0);
  for (const std::string& name : left) {
    if (::unlinkat(fd(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return problem(name, "can't be removed");
    }
  }
  ::unlinkat(fd(), kLockName, 0);
  if (::rmdir(path_.c_str()) != 0) return path_problem(path_, "can't be removed");
  return {};
}

Result<uint64_t> ModelFolder::free_bytes() const {
  struct statvfs info{};
  if (::fstatvfs(fd(), &info) != 0) return path_problem(path_, "its disk can't be examined");
  return uint64_t{info.f_bavail} * uint64_t{info.f_frsize};
}

}  // namespace reckon
