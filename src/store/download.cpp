// The team of connections that fetches a file's pieces, and what is done with the whole.
#include "store/download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/byte_range.h"
#include "store/part_file.h"
#include "store/sha256.h"

namespace reckon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTell{100};
constexpr std::chrono::seconds kCheckpointEvery{1};
constexpr std::chrono::seconds kSpeedOver{5};

// Bytes a second over the last few seconds.
class Speed {
 public:
  double add(uint64_t done_bytes) {
    const Clock::time_point now = Clock::now();
    samples_.push_back({now, done_bytes});
    while (samples_.size() > 2 && now - samples_.front().first > kSpeedOver) samples_.pop_front();
    const double seconds = std::chrono::duration<double>(now - samples_.front().first).count();
    if (seconds < 0.5 || done_bytes < samples_.front().second) return 0;
    return static_cast<double>(done_bytes - samples_.front().second) / seconds;
  }

 private:
  std::deque<std::pair<Clock::time_point, uint64_t>> samples_;
};

class Download {
 public:
  Download(const ServedFile& served, PartFile& part, const DownloadOptions& options)
      : served_(served), part_(part), options_(options) {}

  // Until all pieces are there. changed: the server's file is no longer the one asked about.
  Status run(bool& changed) {
    const size_t n_workers =
        served_.has_ranges
            ? std::min<size_t>(static_cast<size_t>(options_.n_connections), part_.n_pieces())
            : 1;
    if (!served_.has_ranges) part_.start_over();
    std::vector<std::thread> workers;
    n_running_ = n_workers;
    for (size_t i = 0; i < n_workers; ++i) workers.emplace_back([this] { work(); });
    const Status watched = watch();
    stop_ = true;
    for (std::thread& worker : workers) worker.join();
    changed = changed_;
    if (!watched.ok()) return watched;
    if (error_) {
      // What came so far is kept for the next try.
      RECKON_RETURN_IF_ERROR(part_.checkpoint());
      return *error_;
    }
    return {};
  }

 private:
  // The caller's thread: tells, asks whether to go on, and keeps the journal.
  Status watch() {
    Speed speed;
    Clock::time_point noted = Clock::now();
    std::unique_lock lock(mutex_);
    while (n_running_ > 0) {
      changed_state_.wait_for(lock, kTell);
      lock.unlock();
      const uint64_t done_bytes = part_.total_done();
      if (options_.progress) {
        options_.progress({.stage = StoreProgress::Stage::kDownloading,
                           .file = served_.remote.name,
                           .sha256 = served_.remote.sha256,
                           .done_bytes = done_bytes,
                           .total_bytes = part_.bytes(),
                           .bytes_per_s = speed.add(done_bytes)});
      }
      if (options_.http.cancelled && options_.http.cancelled() && !stop_) {
        fail(Error{ErrorKind::kInterrupted, ""});
      }
      if (Clock::now() - noted > kCheckpointEvery) {
        RECKON_RETURN_IF_ERROR(part_.checkpoint());
        noted = Clock::now();
      }
      lock.lock();
    }
    return {};
  }

  void fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stop_ = true;
  }

  void work() {
    try {
      HttpOptions http = options_.http;
      http.cancelled = [this] { return stop_.load(); };
      HttpClient client(std::move(http));
      while (!stop_) {
        const size_t piece = next_piece_.fetch_add(1);
        if (piece >= part_.n_pieces()) break;
        const Status fetched = served_.has_ranges ? fetch_piece(client, piece) : fetch_all(client);
        if (!fetched.ok()) fail(fetched.error());
        if (!served_.has_ranges) break;
      }
    } catch (const std::exception& error) {
      fail(failed(served_.remote.url.public_text() + ": " + error.what()));
    }
    const std::lock_guard lock(mutex_);
    --n_running_;
    changed_state_.notify_all();
  }

  // Tries until the piece is whole, as long as it comes further or retries are left.
  Status fetch_piece(HttpClient& client, size_t piece) {
    const uint64_t size = part_.piece_end(piece) - part_.piece_begin(piece);
    int n_failed = 0;
    while (part_.done(piece) < size) {
      const uint64_t before = part_.done(piece);
      bool is_final = false;
      const Status tried = try_piece(client, piece, is_final);
      if (tried.ok()) continue;
      if (is_final || stop_) return tried;
      n_failed = part_.done(piece) > before ? 1 : n_failed + 1;
      if (n_failed > options_.n_retries) return tried;
      wait(options_.first_wait * (1 << (n_failed - 1)));
    }
    return {};
  }

  Status try_piece(HttpClient& client, size_t piece, bool& is_final) {
    const uint64_t begin = part_.piece_begin(piece) + part_.done(piece);
    const uint64_t end = part_.piece_end(piece);
    HttpGet get;
    get.url = served_.remote.url;
    get.fields.emplace_back("Range", fmt::format("bytes={}-{}", begin, end - 1));
    std::string linked_etag;
    get.on_redirect = [&](const HttpHead& head) { note_link(head, linked_etag); };
    get.on_head = [&](const HttpHead& head) -> Result<bool> {
      is_final = is_final_status(head.status);
      note_link(head, linked_etag);
      // A 200 speaks of anything but the piece, of a page that says "back soon" above all: a try
      // that failed, and no reason to drop what came so far, unless the hub itself says so.
      const bool speaks_of_file = head.status == 206 || served_.etag_is_linked;
      const std::string_view etag = etag_of(head, linked_etag);
      if (speaks_of_file && !etag.empty() && !is_same(etag)) {
        is_final = true;
        return changed();
      }
      if (head.status != 206) return unexpected(head);
      if (!is_same(etag)) {
        return failed(fmt::format("{}: the server doesn't say any more which file it sends (ETag)",
                                  served_.remote.url.public_text()));
      }
      const auto range = parse_content_range(head.field("Content-Range"));
      const bool is_right = range && range->first == begin && range->last == end - 1 &&
                            range->total == part_.bytes() &&
                            head.content_length.value_or(end - begin) == end - begin;
      if (is_right) return true;
      is_final = true;
      return failed(fmt::format("{}: expected bytes {}-{} of {}, the server answers with \"{}\"",
                                served_.remote.url.public_text(), begin, end - 1, part_.bytes(),
                                head.field("Content-Range")));
    };
    get.on_body = [&](std::span<const char> data) -> Status {
      if (data.size() > end - part_.piece_begin(piece) - part_.done(piece)) {
        is_final = true;
        return failed(fmt::format("{}: the server sends more than it said",
                                  served_.remote.url.public_text()));
      }
      const Status written = part_.append(piece, data);
      is_final = !written.ok();
      return written;
    };
    return client.get(get);
  }

  // From a server without ranges: everything, from the beginning each time.
  Status fetch_all(HttpClient& client) {
    for (int n_failed = 0;;) {
      part_.start_over();
      bool is_final = false;
      const Status tried = try_all(client, is_final);
      if (tried.ok() && part_.total_done() == part_.bytes()) return {};
      if (is_final || stop_) return tried;
      if (++n_failed > options_.n_retries) {
        return tried.ok() ? Status(failed(served_.remote.url.public_text() +
                                          ": the server sends less than it said"))
                          : tried;
      }
      wait(options_.first_wait * (1 << (n_failed - 1)));
    }
  }

  Status try_all(HttpClient& client, bool& is_final) {
    HttpGet get;
    get.url = served_.remote.url;
    std::string linked_etag;
    get.on_redirect = [&](const HttpHead& head) { note_link(head, linked_etag); };
    get.on_head = [&](const HttpHead& head) -> Result<bool> {
      is_final = is_final_status(head.status);
      note_link(head, linked_etag);
      if (head.status != 200) return unexpected(head);
      if (is_same(etag_of(head, linked_etag)) && head.content_length == part_.bytes()) return true;
      is_final = true;
      return changed();
    };
    size_t piece = 0;
    get.on_body = [&](std::span<const char> data) -> Status {
      while (!data.empty()) {
        while (piece < part_.n_pieces() &&
               part_.done(piece) == part_.piece_end(piece) - part_.piece_begin(piece)) {
          ++piece;
        }
        is_final = true;
        if (piece == part_.n_pieces()) {
          return failed(served_.remote.url.public_text() + ": the server sends more than it said");
        }
        const uint64_t room = part_.piece_end(piece) - part_.piece_begin(piece) - part_.done(piece);
        const size_t n = std::min<size_t>(data.size(), room);
        RECKON_RETURN_IF_ERROR(part_.append(piece, data.first(n)));
        is_final = false;
        data = data.subspan(n);
      }
      return {};
    };
    return client.get(get);
  }

  // What the hub says on its redirect or its answer.
  void note_link(const HttpHead& head, std::string& linked_etag) const {
    const std::string_view etag = head.field("X-Linked-Etag");
    if (!etag.empty() && head.url.has_origin_of(served_.remote.url)) linked_etag = etag;
  }

  std::string_view etag_of(const HttpHead& head, const std::string& linked_etag) const {
    return served_.etag_is_linked ? linked_etag : head.field("ETag");
  }
  bool is_same(std::string_view etag) const { return served_.etag.empty() || etag == served_.etag; }

  Error changed() {
    changed_ = true;
    return failed(fmt::format("{}: the file changed on the server while it was fetched",
                              served_.remote.url.public_text()));
  }

  Error unexpected(const HttpHead& head) const {
    return failed(fmt::format("{}: the server answers with {}", served_.remote.url.public_text(),
                              describe_http_status(head.status)));
  }

  // What would be the same the next time. (A signature that ran out gives 403, and asking the hub
  // again a new one.)
  static bool is_final_status(int status) {
    return status == 401 || status == 404 || status == 410 || status == 416;
  }

  void wait(std::chrono::milliseconds time) {
    const auto end = Clock::now() + time;
    while (!stop_ && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  const ServedFile& served_;
  PartFile& part_;
  const DownloadOptions& options_;
  std::atomic<size_t> next_piece_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> changed_{false};
  std::mutex mutex_;
  std::condition_variable changed_state_;
  size_t n_running_ = 0;
  std::optional<Error> error_;
};

// Reads the file back and hashes it.
Result<std::string> hash(int fd, const std::string& path, const ServedFile& served,
                         const DownloadOptions& options) {
  return sha256_of_file(fd, path, [&](uint64_t done_bytes) {
    if (options.progress) {
      options.progress({.stage = StoreProgress::Stage::kVerifying,
                        .file = served.remote.name,
                        .sha256 = served.remote.sha256,
                        .done_bytes = done_bytes,
                        .total_bytes = served.remote.bytes,
                        .bytes_per_s = 0});
    }
    return !options.http.cancelled || !options.http.cancelled();
  });
}

Result<ModelFile> describe(const std::string& path, const std::string& sha256) {
  RECKON_ASSIGN(const FileStat stat, stat_file(path, Links::kRefuse));
  return ModelFile{path, stat.bytes, sha256, stat.written_at_ns};
}

// A file that an earlier pull put in place before it was broken off.
Result<std::optional<ModelFile>> find_whole(const ModelFolder& folder, const ServedFile& served,
                                            const DownloadOptions& options) {
  const std::string path = folder.path() + "/" + served.remote.name;
  if (served.remote.sha256.empty() || !folder.has(served.remote.name))
    return std::optional<ModelFile>();
  const Result<FileHandle> file = folder.open_file_to_read(served.remote.name);
  // Anything else of that name, a link above all, is replaced at the end.
  if (!file.ok() || !file->is_open()) return std::optional<ModelFile>();
  RECKON_ASSIGN(const std::string sha256, hash(file->get(), path, served, options));
  if (sha256 != served.remote.sha256) return std::optional<ModelFile>();
  RECKON_ASSIGN(ModelFile found, describe(path, sha256));
  return std::optional<ModelFile>(std::move(found));
}

}  // namespace

uint64_t missing_bytes(const ModelFolder& folder, const ServedFile& served) {
  struct stat info{};
  const std::string& name = served.remote.name;
  if (::fstatat(folder.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 ||
      ::fstatat(folder.fd(), (name + ".part").c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    const uint64_t there = static_cast<uint64_t>(info.st_blocks) * 512;
    return served.remote.bytes - std::min(served.remote.bytes, there);
  }
  return served.remote.bytes;
}

Result<ModelFile> download_file(const ModelFolder& folder, const ServedFile& served,
                                const DownloadOptions& options) {
  const std::string path = folder.path() + "/" + served.remote.name;
  RECKON_ASSIGN(std::optional<ModelFile> whole, find_whole(folder, served, options));
  if (whole) return std::move(*whole);
  RECKON_ASSIGN(PartFile part, PartFile::open(folder, served));
  bool changed = false;
  const Status fetched = Download(served, part, options).run(changed);
  if (changed) part.remove();
  if (!fetched.ok()) return fetched.error();
  RECKON_RETURN_IF_ERROR(part.checkpoint());
  RECKON_ASSIGN(const std::string sha256, hash(part.fd(), path, served, options));
  if (!served.remote.sha256.empty() && sha256 != served.remote.sha256) {
    part.remove();
    return bad_file(fmt::format("{}: expected SHA-256 {}, found {}; nothing of it is kept",
                                served.remote.url.public_text(), served.remote.sha256, sha256));
  }
  RECKON_RETURN_IF_ERROR(part.put_in_place());
  return describe(path, sha256);
}

}  // namespace reckon
