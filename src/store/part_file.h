// A file that is being fetched: NAME.part with room for all of it, and NAME.part.json, the journal
// of what is on the disk already. A journal is written only after the data it speaks of was synced.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "store/download.h"
#include "store/folder.h"

namespace reckon {

class PartFile {
 public:
  // Goes on with the part there is when its journal speaks of the same file, else begins anew.
  // Errors: kFailed, also when the disk has no room.
  static Result<PartFile> open(const ModelFolder& folder, const ServedFile& served);

  uint64_t bytes() const { return bytes_; }
  int fd() const { return file_.get(); }
  size_t n_pieces() const { return n_pieces_; }
  uint64_t piece_begin(size_t piece) const { return piece * piece_bytes_; }
  uint64_t piece_end(size_t piece) const;
  // How much of a piece, from its beginning, was written. Any thread may look; only the one that
  // fetches the piece writes.
  uint64_t done(size_t piece) const { return done_[piece].load(std::memory_order_acquire); }
  uint64_t total_done() const;

  // The next bytes of a piece. Errors: kFailed when the disk is full or fails.
  Status append(size_t piece, std::span<const char> data);
  // Forgets what was written.
  void start_over();
  // Syncs what was written and notes it in the journal. Errors: kFailed; what the disk failed to
  // keep can't be trusted after that, so the part is removed.
  Status checkpoint();
  // Syncs, puts the file under its name, and removes the journal.
  Status put_in_place();
  void remove() const;

 private:
  PartFile(const ModelFolder& folder, const ServedFile& served);
  Status reserve(uint64_t allocated_bytes);
  bool read_journal();
  std::string journal() const;
  Error sync_failed(int error) const;

  const ModelFolder* folder_;
  std::string name_;
  std::string etag_;
  std::string sha256_;
  uint64_t bytes_;
  uint64_t piece_bytes_;
  size_t n_pieces_;
  std::unique_ptr<std::atomic<uint64_t>[]> done_;  // [n_pieces]
  FileHandle file_;
};

}  // namespace reckon
