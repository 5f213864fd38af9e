// POSIX files behind the interface of file.h.
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "base/descriptor.h"

namespace reckon {
namespace {

constexpr size_t kWriteBufferBytes = size_t{1} << 20;

std::string errno_text(int error) { return std::strerror(error); }

// Opens path for reading and tells its size; refuses what is no regular file (a folder or a FIFO
// would map to nothing or hang).
Result<Descriptor> open_regular(const std::string& path, struct stat& info) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    const int error = errno;
    return bad_file(path + ": can't be opened: " + errno_text(error));
  }
  if (::fstat(fd.get(), &info) != 0) {
    const int error = errno;
    return bad_file(path + ": can't be examined: " + errno_text(error));
  }
  if (!S_ISREG(info.st_mode)) {
    return bad_file(path + ": expected a regular file, found " +
                    (S_ISDIR(info.st_mode) ? "a folder" : "something else"));
  }
  return fd;
}

constexpr std::string_view kTemporaryMark = ".tmp-";  // then PID-N

// A new file beside path, made with the rights the user's mask gives; its name goes into
// temporary_path. Returns the descriptor, or -1 and errno, and then no name. The lock on it lasts
// as long as its writer.
int create_beside(const std::string& path, std::string& temporary_path) {
  constexpr int kMaxTries = 100;
  const std::string stem = path + std::string(kTemporaryMark) + std::to_string(::getpid()) + "-";
  for (int attempt = 0; attempt < kMaxTries; ++attempt) {
    std::string name = stem + std::to_string(attempt);
    const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) ::flock(fd, LOCK_EX | LOCK_NB);
    if (fd >= 0) temporary_path = std::move(name);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  errno = EEXIST;
  return -1;
}

// Whether name is that of a temporary file whose writer is gone. The process tells, and for one of
// another container, whose number means nothing here, the lock.
bool is_abandoned(const std::string& name, std::string_view stem) {
  const size_t mark = name.rfind(kTemporaryMark);
  if (!name.starts_with(stem) || mark == std::string::npos) return false;
  const char* last = name.data() + name.size();
  pid_t pid = 0;
  const auto parsed = std::from_chars(name.data() + mark + kTemporaryMark.size(), last, pid);
  if (parsed.ec != std::errc() || parsed.ptr == last || *parsed.ptr != '-' || pid <= 0)
    return false;
  if (::kill(pid, 0) == 0 || errno != ESRCH) return false;
  const Descriptor fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  return fd.get() >= 0 && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

// A new file would take the place of whatever has the name: of a device or a pipe, named itself or
// by a link, that would be the machine's loss.
Status check_replaceable(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  return failed(path + ": can't be written: expected a regular file or none, found " +
                (S_ISDIR(info.st_mode) ? "a folder" : "a device or a pipe"));
}

void on_bus_error(int) {
  static const char message[] =
      "\nreckon: a mapped model file could not be read: it was shortened or its disk failed while "
      "in use\n";
  const ssize_t written = ::write(STDERR_FILENO, message, sizeof(message) - 1);
  (void)written;
  ::_exit(1);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  struct stat info{};
  RECKON_ASSIGN(Descriptor fd, open_regular(path, info));
  const auto size = static_cast<size_t>(info.st_size);
  MappedFile file;
  file.path_ = path;
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (data == MAP_FAILED) {
      const int error = errno;
      const std::string message = path + ": can't be mapped: " + errno_text(error);
      return error == ENOMEM ? failed(message) : bad_file(message);
    }
    file.data_ = static_cast<const std::byte*>(data);
    file.size_ = size;
  }
  file.fd_ = fd.release();
  file.written_at_ns_ = time_of_writing_ns(info);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)),
      written_at_ns_(other.written_at_ns_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(fd_, other.fd_);
    std::swap(written_at_ns_, other.written_at_ns_);
  }
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

Status MappedFile::check_unchanged() const {
  if (fd_ < 0) return {};
  struct stat info{};
  if (::fstat(fd_, &info) != 0) {
    const int error = errno;
    return failed(path_ + ": can't be examined: " + errno_text(error));
  }
  if (static_cast<uint64_t>(info.st_size) != size_) {
    return failed(path_ + ": its size changed while in use: expected " + std::to_string(size_) +
                  " bytes, found " + std::to_string(info.st_size));
  }
  if (time_of_writing_ns(info) != written_at_ns_) {
    return failed(path_ + ": it was written to while in use");
  }
  return {};
}

void MappedFile::advise(size_t offset, size_t length, Advice advice) const {
  if (data_ == nullptr || offset >= size_) return;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page;
  const size_t end = length > size_ - offset ? size_ : offset + length;
  int flag = MADV_NORMAL;
  switch (advice) {
    case Advice::kSequential: flag = MADV_SEQUENTIAL; break;
    case Advice::kRandom: flag = MADV_RANDOM; break;
    case Advice::kWillNeed: flag = MADV_WILLNEED; break;
    case Advice::kDontNeed: flag = MADV_DONTNEED; break;
  }
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, flag);
}

Status MappedFile::populate(size_t offset, size_t length) const {
  if (data_ == nullptr || offset >= size_) return {};
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page;
  const size_t end = length > size_ - offset ? size_ : offset + length;
#ifdef MADV_POPULATE_READ
  constexpr int kPopulateRead = MADV_POPULATE_READ;
#else
  constexpr int kPopulateRead = 22;  // Linux 5.14's number, for older headers
#endif
  std::byte* start = const_cast<std::byte*>(data_) + begin;
  while (::madvise(start, end - begin, kPopulateRead) != 0) {
    switch (errno) {
      case EINTR: continue;
      case EFAULT: return bad_file(path_ + ": can't be read: it became shorter or its disk failed");
      case ENOMEM: return failed(path_ + ": not enough memory to read it");
      default: advise(begin, end - begin, Advice::kWillNeed); return {};  // an older kernel
    }
  }
  return {};
}

void MappedFile::release(size_t offset, size_t length) const {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + length) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

void install_mapped_file_guard() {
  struct sigaction action{};
  action.sa_handler = on_bus_error;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

Result<std::string> read_file(const std::string& path, uint64_t max_bytes) {
  struct stat info{};
  RECKON_ASSIGN(const Descriptor fd, open_regular(path, info));
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes) {
    return bad_file(path + ": expected at most " + std::to_string(max_bytes) + " bytes, found " +
                    std::to_string(size));
  }
  std::string text(size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + done, text.size() - done);
    const int error = errno;
    if (n < 0 && error == EINTR) continue;
    if (n <= 0) {
      return bad_file(path + ": can't be read: " +
                      (n < 0 ? errno_text(error) : std::string("it became shorter")));
    }
    done += static_cast<size_t>(n);
  }
  return text;
}

int64_t time_of_writing_ns(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

void remove_abandoned_writes(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);  // empty without a slash
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(
      ::opendir(folder.empty() ? "." : folder.c_str()), ::closedir);
  if (entries == nullptr) return;
  std::vector<std::string> abandoned;
  while (const dirent* entry = ::readdir(entries.get())) {
    if (std::string name = folder + entry->d_name; is_abandoned(name, path)) {
      abandoned.push_back(std::move(name));
    }
  }
  for (const std::string& file : abandoned) ::unlink(file.c_str());
}

Result<AtomicFileWriter> AtomicFileWriter::create(const std::string& path) {
  RECKON_RETURN_IF_ERROR(check_replaceable(path));
  remove_abandoned_writes(path);
  AtomicFileWriter writer;
  writer.path_ = path;
  writer.buffer_.reserve(kWriteBufferBytes);
  writer.fd_ = create_beside(path, writer.temporary_path_);
  if (writer.fd_ < 0) {
    const int error = errno;
    return failed(path + ": can't be written: " + errno_text(error));
  }
  return writer;
}

AtomicFileWriter::AtomicFileWriter(AtomicFileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})),
      buffer_(std::move(other.buffer_)),
      offset_(other.offset_),
      fd_(std::exchange(other.fd_, -1)) {}

AtomicFileWriter& AtomicFileWriter::operator=(AtomicFileWriter&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::move(other.path_);
    temporary_path_ = std::exchange(other.temporary_path_, {});
    buffer_ = std::move(other.buffer_);
    offset_ = other.offset_;
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

AtomicFileWriter::~AtomicFileWriter() { discard(); }

void AtomicFileWriter::discard() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
  temporary_path_.clear();
}

Status AtomicFileWriter::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      discard();
      return failed(path_ + ": can't be written: " + errno_text(error));
    }
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
  return {};
}

Status AtomicFileWriter::write(std::span<const std::byte> bytes) {
  return write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Status AtomicFileWriter::write(std::string_view text) {
  if (fd_ < 0) return failed(path_ + ": an earlier write failed");
  offset_ += text.size();
  while (!text.empty()) {
    const size_t room = kWriteBufferBytes - buffer_.size();
    const std::string_view head = text.substr(0, room);
    buffer_.append(head);
    text.remove_prefix(head.size());
    if (buffer_.size() == kWriteBufferBytes) RECKON_RETURN_IF_ERROR(flush());
  }
  return {};
}

Status AtomicFileWriter::commit() {
  if (fd_ < 0) return failed(path_ + ": an earlier write failed");
  RECKON_RETURN_IF_ERROR(flush());
  const auto fail = [&](const char* what) -> Status {
    const int error = errno;
    discard();
    return failed(path_ + ": " + what + ": " + errno_text(error));
  };
  if (::fsync(fd_) != 0) return fail("can't be synced to disk");
  if (::close(std::exchange(fd_, -1)) != 0) return fail("can't be closed");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return fail("can't be put in place");
  temporary_path_.clear();
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd < 0) return fail("its folder can't be opened to be synced");
  const int synced = ::fsync(folder_fd);
  const int error = errno;
  ::close(folder_fd);
  // Some file systems can't sync folders and say EINVAL; the rename is as safe as they make it.
  if (synced != 0 && error != EINVAL) {
    errno = error;
    return fail("its folder can't be synced");
  }
  return {};
}

Status copy_whole(const std::string& from, const std::string& to) {
  RECKON_ASSIGN(const MappedFile file, MappedFile::open(from));
  RECKON_ASSIGN(AtomicFileWriter writer, AtomicFileWriter::create(to));
  RECKON_RETURN_IF_ERROR(writer.write(file.bytes()));
  return writer.commit();
}

Status write_file(const std::string& path, std::string_view text) {
  RECKON_ASSIGN(AtomicFileWriter writer, AtomicFileWriter::create(path));
  RECKON_RETURN_IF_ERROR(writer.write(text));
  return writer.commit();
}

}  // namespace reckon
