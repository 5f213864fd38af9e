// The part and its journal.
#include "store/part_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/json.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr uint64_t kLeastPieceBytes = 64 << 10;
constexpr uint64_t kLargestPieceBytes = uint64_t{64} << 20;
constexpr uint64_t kPieces = 64;
constexpr uint64_t kMaxJournalBytes = uint64_t{4} << 20;
// Left free on the disk for the journal, the record and everybody else.
constexpr uint64_t kSpareBytes = uint64_t{16} << 20;

// Powers of two, so that pieces begin on whole pages of the file.
uint64_t piece_bytes_for(uint64_t bytes) {
  uint64_t piece = kLeastPieceBytes;
  while (piece < kLargestPieceBytes && piece * kPieces < bytes) piece *= 2;
  return piece;
}

bool says(const json::object& object, const char* key, const std::string& expected) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() && value->as_string() == expected.c_str();
}

bool says(const json::object& object, const char* key, uint64_t expected) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() &&
         value->as_int64() == static_cast<int64_t>(expected);
}

}  // namespace

PartFile::PartFile(const ModelFolder& folder, const ServedFile& served)
    : folder_(&folder),
      name_(served.remote.name),
      etag_(served.etag),
      sha256_(served.remote.sha256),
      bytes_(served.remote.bytes),
      piece_bytes_(piece_bytes_for(bytes_)),
      n_pieces_((bytes_ + piece_bytes_ - 1) / piece_bytes_),
      done_(std::make_unique<std::atomic<uint64_t>[]>(n_pieces_)) {}

uint64_t PartFile::piece_end(size_t piece) const {
  return std::min(piece_begin(piece) + piece_bytes_, bytes_);
}

uint64_t PartFile::total_done() const {
  uint64_t total = 0;
  for (size_t piece = 0; piece < n_pieces_; ++piece) total += done(piece);
  return total;
}

Result<PartFile> PartFile::open(const ModelFolder& folder, const ServedFile& served) {
  PartFile part(folder, served);
  const std::string part_name = part.name_ + ".part";
  Result<FileHandle> file = folder.open_file(part_name);
  uint64_t allocated_bytes = 0;
  if (file.ok() && file->is_open()) {
    struct stat info{};
    const bool is_whole =
        ::fstat(file->get(), &info) == 0 && static_cast<uint64_t>(info.st_size) == part.bytes_;
    if (is_whole && part.read_journal()) {
      part.file_ = std::move(*file);
      allocated_bytes = static_cast<uint64_t>(info.st_blocks) * 512;
    }
  }
  if (!part.file_.is_open()) {
    part.start_over();
    folder.remove_file(part_name + ".json");
    RECKON_ASSIGN(part.file_, folder.create_file(part_name));
  }
  const Status reserved = part.reserve(allocated_bytes);
  if (!reserved.ok()) {
    if (part.total_done() == 0) part.remove();
    return reserved.error();
  }
  return part;
}

// Room for the whole file is taken at the beginning: a disk that is too small says so before
// anything is fetched.
Status PartFile::reserve(uint64_t allocated_bytes) {
  const std::string path = folder_->path() + "/" + name_;
  RECKON_ASSIGN(const uint64_t free_bytes, folder_->free_bytes());
  const uint64_t missing = bytes_ - std::min(allocated_bytes, bytes_);
  if (missing + kSpareBytes > free_bytes) {
    return failed(fmt::format("{}: its disk is too small: expected {} bytes free, found {}", path,
                              missing + kSpareBytes, free_bytes));
  }
  if (::fallocate(fd(), 0, 0, static_cast<off_t>(bytes_)) == 0) return {};
  // Not every file system can.
  if ((errno == EOPNOTSUPP || errno == ENOSYS) &&
      ::ftruncate(fd(), static_cast<off_t>(bytes_)) == 0) {
    return {};
  }
  const int error = errno;
  return failed(
      fmt::format("{}: no room for its {} bytes: {}", path, bytes_, std::strerror(error)));
}

bool PartFile::read_journal() {
  const std::string path = folder_->path() + "/" + name_ + ".part.json";
  const Result<FileHandle> handle = folder_->open_file(name_ + ".part.json");
  if (!handle.ok() || !handle->is_open()) return false;
  const Result<std::string> text = read_file(path, kMaxJournalBytes);
  if (!text.ok()) return false;
  const Result<json::value> value = parse_json(*text, path, 4);
  if (!value.ok() || !value->is_object()) return false;
  const json::object& object = value->as_object();
  // Without a hash or an ETag nothing says that it is the same file.
  const bool is_same = (!etag_.empty() || !sha256_.empty()) && says(object, "etag", etag_) &&
                       says(object, "sha256", sha256_) && says(object, "bytes", bytes_) &&
                       says(object, "piece_bytes", piece_bytes_);
  const json::value* pieces = object.if_contains("done");
  if (!is_same || pieces == nullptr || !pieces->is_array() ||
      pieces->as_array().size() != n_pieces_) {
    return false;
  }
  for (size_t piece = 0; piece < n_pieces_; ++piece) {
    const json::value& done = pieces->as_array()[piece];
    const uint64_t size = piece_end(piece) - piece_begin(piece);
    if (!done.is_int64() || done.as_int64() < 0 || static_cast<uint64_t>(done.as_int64()) > size) {
      start_over();
      return false;
    }
    done_[piece] = static_cast<uint64_t>(done.as_int64());
  }
  return true;
}

std::string PartFile::journal() const {
  json::object object;
  object["etag"] = etag_;
  object["sha256"] = sha256_;
  object["bytes"] = static_cast<int64_t>(bytes_);
  object["piece_bytes"] = static_cast<int64_t>(piece_bytes_);
  json::array pieces;
  for (size_t piece = 0; piece < n_pieces_; ++piece) {
    pieces.emplace_back(static_cast<int64_t>(done(piece)));
  }
  object["done"] = std::move(pieces);
  return json::serialize(object) + "\n";
}

Status PartFile::append(size_t piece, std::span<const char> data) {
  while (!data.empty()) {
    const uint64_t offset = piece_begin(piece) + done(piece);
    const ssize_t n = ::pwrite(fd(), data.data(), data.size(), static_cast<off_t>(offset));
    const int error = errno;
    if (n < 0 && error == EINTR) continue;
    if (n <= 0) {
      return failed(fmt::format("{}/{}: can't be written: {}", folder_->path(), name_,
                                n == 0 ? "nothing was" : std::strerror(error)));
    }
    done_[piece].fetch_add(static_cast<uint64_t>(n), std::memory_order_release);
    data = data.subspan(static_cast<size_t>(n));
  }
  return {};
}

void PartFile::start_over() {
  for (size_t piece = 0; piece < n_pieces_; ++piece) done_[piece] = 0;
}

Error PartFile::sync_failed(int error) const {
  remove();
  return failed(fmt::format("{}/{}: can't be synced to disk: {}; nothing of it is kept",
                            folder_->path(), name_, std::strerror(error)));
}

Status PartFile::checkpoint() {
  // What is counted here was written before; what comes later is not in this journal.
  const std::string text = journal();
  if (::fsync(fd()) != 0) return sync_failed(errno);
  return write_file(folder_->path() + "/" + name_ + ".part.json", text);
}

Status PartFile::put_in_place() {
  ::fchmod(fd(), 0444);
  if (::fsync(fd()) != 0) return sync_failed(errno);
  RECKON_RETURN_IF_ERROR(folder_->rename_file(name_ + ".part", name_));
  RECKON_RETURN_IF_ERROR(folder_->sync());
  folder_->remove_file(name_ + ".part.json");
  return {};
}

void PartFile::remove() const {
  folder_->remove_file(name_ + ".part.json");
  folder_->remove_file(name_ + ".part");
}

}  // namespace reckon
