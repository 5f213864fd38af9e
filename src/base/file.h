// Files: reading, mapping, and writing so that a file is either wholly there or not at all.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace reckon {

// When a file had last been written to, in ns since 1970.
int64_t time_of_writing_ns(const struct stat& info);

// A whole file mapped for reading. The bytes are those of the file as long as nobody writes to it;
// a read past a shortened end raises SIGBUS (see install_mapped_file_guard), one in the last page
// that is left finds zeros: check_unchanged() tells. Movable, thread-safe to read.
class MappedFile {
 public:
  // Errors: kBadFile when it can't be opened, isn't a regular file, or can't be mapped. An empty
  // file maps to an empty span.
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // When it had last been written to as it was mapped, in ns since 1970.
  int64_t written_at_ns() const { return written_at_ns_; }

  enum class Advice { kSequential, kRandom, kWillNeed, kDontNeed };
  // A hint to the kernel about a range, rounded out to whole pages. Never fails loudly.
  void advise(size_t offset, size_t length, Advice advice) const;

  // Reads a range into memory and maps it, so that later reads find it there. Errors: kBadFile when
  // the file has become shorter or its disk fails, kFailed when memory is short.
  Status populate(size_t offset, size_t length) const;

  // Lets go of the memory of the whole pages in a range; they are read again when they are used.
  void release(size_t offset, size_t length) const;

  // Whether the file still has the size and the time of writing that it had when it was mapped:
  // what was read before this call succeeded is good. Costs one system call. Errors: kFailed.
  Status check_unchanged() const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int fd_ = -1;
  int64_t written_at_ns_ = 0;
};

// From here on, reading a mapped file that was shortened or whose disk fails ends the program with
// a clear message and exit code 1 instead of a bare signal. Called by mains only.
void install_mapped_file_guard();

// The whole file as a string. Errors: kBadFile when it can't be read or is over max_bytes.
Result<std::string> read_file(const std::string& path, uint64_t max_bytes);

// Writes to a temporary file beside the target; commit() syncs it, renames it over the target and
// syncs the folder. Without commit() the target stays as it was and the temporary file is removed.
class AtomicFileWriter {
 public:
  static Result<AtomicFileWriter> create(const std::string& path);

  AtomicFileWriter(AtomicFileWriter&& other) noexcept;
  AtomicFileWriter& operator=(AtomicFileWriter&& other) noexcept;
  ~AtomicFileWriter();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  // Bytes written so far.
  uint64_t offset() const { return offset_; }
  Status commit();

 private:
  AtomicFileWriter() = default;
  void discard() noexcept;
  Status flush();

  std::string path_;
  std::string temporary_path_;
  std::string buffer_;
  uint64_t offset_ = 0;
  int fd_ = -1;
};

// Removes what writers of path, and of files whose names go on from its name, left when they were
// killed; those that still run keep theirs. Every writer does so for its own path first.
void remove_abandoned_writes(const std::string& path);

// Errors: as MappedFile's and AtomicFileWriter's.
Status copy_whole(const std::string& from, const std::string& to);

// write_file: an AtomicFileWriter for a text that is already whole.
Status write_file(const std::string& path, std::string_view text);

}  // namespace reckon
