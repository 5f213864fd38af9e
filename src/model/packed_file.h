// A model's packed matrices in a file of reckon's own, beside which the model's file is the source:
// what a load read and packed, the next one only reads. The file stands in a cache folder and may
// go at any time. It is named by the source's size, time of writing and header, holds the same in
// full, and ends in a hash of its contents that every load checks: what is stale, damaged, cut off
// or of another model or version of reckon is never used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf_file.h"

namespace reckon {

class PackedFile {
 public:
  // folder: the cache. layout: a hash of what stands where in the packed matrices. The source must
  // be mapped from files.
  PackedFile(std::string folder, const GgufFile& source, uint64_t layout);

  // Whether target, as large as the packed matrices, now holds them. It holds anything after false.
  using Progress = std::function<void(int64_t done_bytes)>;
  bool read(std::span<std::byte> target, ThreadPool& pool, const Progress& progress = {}) const;

  // Keeps them, in place of a file that read() didn't take. Also removes what a kill left in the
  // folder, and files whose source is gone or was written to. Errors: kFailed when it can't be
  // written, or another process is writing one.
  Status write(std::span<const std::byte> packed, ThreadPool& pool) const;

  const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
  std::string key_;     // what the file must say of its source
  std::string source_;  // its path
};

}  // namespace reckon
