// The packed matrices, then the trailer: key, hash of the matrices, hash of the trailer so far, its
// length, a mark. It comes last because the hash is known last, and because a file cut short then
// has none.
#include "model/packed_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/content_hash.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "kernels/packed.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = "reckon packed 1\n";
constexpr std::string_view kSuffix = ".packed";
constexpr const char* kLockName = "lock";
constexpr uint64_t kMaxTrailerBytes = uint64_t{1} << 20;
// What a thread reads and hashes at a time: it is still in the second cache when it is hashed.
constexpr uint64_t kSliceBytes = uint64_t{256} << 10;
constexpr int64_t kSlicesARound = 256;  // 64 MiB between two words of progress

template <class Number>
void append(std::string& text, Number number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

template <class Number>
Number number_at(std::string_view text, size_t at) {
  Number number;
  std::memcpy(&number, text.data() + at, sizeof(number));
  return number;
}

uint64_t hash_of(std::string_view text) { return content_hash(std::as_bytes(std::span(text))); }

// The hash of the slices' hashes. slice(offset, length) gives a slice's bytes, on any thread.
template <class Slice>
uint64_t hash_slices(uint64_t bytes, ThreadPool& pool, const Slice& slice,
                     const PackedFile::Progress& progress = {}) {
  std::vector<uint64_t> hashes((bytes + kSliceBytes - 1) / kSliceBytes);
  const auto n_slices = static_cast<int64_t>(hashes.size());
  for (int64_t first = 0; first < n_slices; first += kSlicesARound) {
    pool.parallel_for(std::min(kSlicesARound, n_slices - first), [&](int64_t i, int) {
      const uint64_t offset = static_cast<uint64_t>(first + i) * kSliceBytes;
      const uint64_t length = std::min(kSliceBytes, bytes - offset);
      hashes[static_cast<size_t>(first + i)] = content_hash(slice(offset, length));
    });
    const auto done = static_cast<uint64_t>(first + kSlicesARound) * kSliceBytes;
    if (progress) progress(static_cast<int64_t>(std::min(bytes, done)));
  }
  return content_hash(std::as_bytes(std::span(hashes)));
}

// The header is what stands before the first tensor's data: names, shapes, types, places.
uint64_t header_hash(const GgufFile& source, int shard, std::span<const std::byte> bytes) {
  uint64_t end = bytes.size();
  for (const GgufTensor& tensor : source.tensors()) {
    if (tensor.shard == shard) end = std::min(end, tensor.file_offset);
  }
  return content_hash(bytes.first(end));
}

// Where the first shard stands in a key, and what it says of it.
constexpr size_t kFirstShardAt = 16;
constexpr size_t kShardBytes = 24;

std::string key_of(const GgufFile& source, uint64_t layout) {
  std::string key;
  append(key, kernels::kPackedLayoutVersion);
  append(key, static_cast<uint32_t>(source.shards().size()));
  append(key, layout);
  int index = 0;
  for (const MappedFile& shard : source.shards()) {
    append(key, static_cast<uint64_t>(shard.bytes().size()));
    append(key, shard.written_at_ns());
    append(key, header_hash(source, index++, shard.bytes()));
  }
  return key;
}

Descriptor open_to_read(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
}

bool read_at(int fd, uint64_t offset, std::span<std::byte> target) {
  while (!target.empty()) {
    const ssize_t n = ::pread(fd, target.data(), target.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    offset += static_cast<uint64_t>(n);
    target = target.subspan(static_cast<size_t>(n));
  }
  return true;
}

struct Trailer {
  std::string key;
  std::string source;  // its path, by which it is found out whether the file is still of use
  uint64_t contents_hash = 0;
  uint64_t contents_bytes = 0;
};

std::string trailer_text(const Trailer& trailer) {
  std::string text;
  append(text, static_cast<uint32_t>(trailer.key.size()));
  append(text, static_cast<uint32_t>(trailer.source.size()));
  text += trailer.key;
  text += trailer.source;
  append(text, trailer.contents_bytes);
  append(text, trailer.contents_hash);
  append(text, hash_of(text));
  append(text, static_cast<uint64_t>(text.size()));
  return text.append(kMark);
}

// Empty for anything but a whole file of this user's.
std::optional<Trailer> read_trailer(int fd) {
  constexpr uint64_t kFixedBytes = 8 + 4 * 8 + kMark.size();
  struct stat info{};
  if (fd < 0 || ::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const auto size = static_cast<uint64_t>(info.st_size);
  if (info.st_uid != ::geteuid() || size < kFixedBytes) return std::nullopt;
  std::string end(8 + kMark.size(), '\0');
  const auto read = [&](uint64_t offset, std::string& text) {
    return read_at(fd, offset, std::as_writable_bytes(std::span(text)));
  };
  if (!read(size - end.size(), end) || !end.ends_with(kMark)) return std::nullopt;
  const auto length = number_at<uint64_t>(end, 0);  // of what stands before it
  if (length < kFixedBytes - end.size() || length > kMaxTrailerBytes ||
      length > size - end.size()) {
    return std::nullopt;
  }
  std::string text(length, '\0');
  if (!read(size - end.size() - length, text)) return std::nullopt;
  const std::string_view hashed = std::string_view(text).substr(0, length - 8);
  if (hash_of(hashed) != number_at<uint64_t>(text, length - 8)) return std::nullopt;
  const auto key_bytes = number_at<uint32_t>(text, 0);
  const auto source_bytes = number_at<uint32_t>(text, 4);
  if (8 + uint64_t{key_bytes} + source_bytes + 24 != length) return std::nullopt;
  Trailer trailer{.key = text.substr(8, key_bytes),
                  .source = text.substr(8 + key_bytes, source_bytes),
                  .contents_hash = number_at<uint64_t>(text, length - 16),
                  .contents_bytes = number_at<uint64_t>(text, length - 24)};
  if (trailer.contents_bytes != size - end.size() - length) return std::nullopt;
  return trailer;
}

// Whether the source still is where it was and what it was.
bool is_of_use(const Trailer& trailer) {
  struct stat info{};
  if (trailer.key.size() < kFirstShardAt + kShardBytes) return false;
  return ::stat(trailer.source.c_str(), &info) == 0 &&
         static_cast<uint64_t>(info.st_size) == number_at<uint64_t>(trailer.key, kFirstShardAt) &&
         time_of_writing_ns(info) == number_at<int64_t>(trailer.key, kFirstShardAt + 8);
}

// With the lock held: nobody is writing, so a file that is not whole never will be.
void remove_useless_files(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string path = entry->path().string();
    // An AtomicFileWriter's temporary file has a longer name.
    if (path.find(kSuffix, folder.size()) == std::string::npos) continue;
    const Descriptor fd = open_to_read(path);
    const std::optional<Trailer> trailer = read_trailer(fd.get());
    if (path.ends_with(kSuffix) && trailer && is_of_use(*trailer)) continue;
    ::unlink(path.c_str());
  }
}

}  // namespace

PackedFile::PackedFile(std::string folder, const GgufFile& source, uint64_t layout)
    : folder_(std::move(folder)), key_(key_of(source, layout)) {
  path_ = fmt::format("{}/{:016x}{}", folder_, hash_of(key_), kSuffix);
  std::error_code error;
  source_ = fs::absolute(source.shards()[0].path(), error).string();
}

bool PackedFile::read(std::span<std::byte> target, ThreadPool& pool,
                      const Progress& progress) const {
  const Descriptor fd = open_to_read(path_);
  const std::optional<Trailer> trailer = read_trailer(fd.get());
  if (!trailer || trailer->key != key_ || trailer->contents_bytes != target.size()) return false;
  std::atomic<bool> is_read = true;
  const auto slice = [&](uint64_t offset, uint64_t length) -> std::span<const std::byte> {
    const std::span<std::byte> bytes = target.subspan(offset, length);
    if (!read_at(fd.get(), offset, bytes)) is_read = false;
    return bytes;
  };
  const uint64_t hash = hash_slices(target.size(), pool, slice, progress);
  return is_read && hash == trailer->contents_hash;
}

Status PackedFile::write(std::span<const std::byte> packed, ThreadPool& pool) const {
  std::error_code error;
  fs::create_directories(folder_, error);
  const std::string lock_path = folder_ + "/" + kLockName;
  const Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.get() < 0) {
    const int reason = errno;
    return failed(fmt::format("{}: can't be written: {}", lock_path, std::strerror(reason)));
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return failed(folder_ + ": another process is keeping packed weights there");
  }
  remove_useless_files(folder_);
  ::unlink(path_.c_str());
  const uint64_t hash = hash_slices(packed.size(), pool, [&](uint64_t offset, uint64_t length) {
    return packed.subspan(offset, length);
  });
  RECKON_ASSIGN(AtomicFileWriter writer, AtomicFileWriter::create(path_));
  RECKON_RETURN_IF_ERROR(writer.write(packed));
  RECKON_RETURN_IF_ERROR(writer.write(trailer_text(
      {.key = key_, .source = source_, .contents_hash = hash, .contents_bytes = packed.size()})));
  return writer.commit();
}

}  // namespace reckon
