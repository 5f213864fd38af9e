// safetensors files as Hugging Face folders hold them: a JSON header of names, types, shapes and
// ranges, then the data. Read through a mapping with every number checked, written as a stream.
// Tensors are row-major and shapes are outermost first, the opposite order of GGUF's dims.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "quants/tensor_type.h"

namespace reckon {

// The format's own limit on the header, and reckon's on what stands in it: far above any real
// model, and low enough to keep the directory within the file's size plus 64 MiB.
constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
constexpr uint64_t kMaxSafetensors = uint64_t{1} << 18;
constexpr uint64_t kMaxSafetensorsNameBytes = 512;
constexpr size_t kMaxSafetensorsDims = 8;

struct SafetensorsTensor {
  std::string name;
  TensorType type = TensorType::kF32;  // kF32, kF16 or kBF16
  std::vector<int64_t> shape;          // outermost first; empty for a scalar
  std::span<const std::byte> data;     // may be unaligned
  int shard = 0;

  // "[18944, 3584]"
  std::string shape_text() const;
};

// Immutable after opening, so safe to share between threads.
class Safetensors {
 public:
  // One file. Errors of all three: kBadFile naming the object, what was expected and what was
  // found; kFailed when there is not enough memory for the directory.
  static Result<std::shared_ptr<const Safetensors>> open(const std::string& path);
  // A model folder: its model.safetensors, or the shards that model.safetensors.index.json names.
  static Result<std::shared_ptr<const Safetensors>> open_folder(const std::string& folder);
  // One file's bytes, already in memory; they must outlive what is returned.
  static Result<std::shared_ptr<const Safetensors>> from_bytes(std::span<const std::byte> bytes,
                                                               const std::string& name);

  // In the order of shards and, within one, of their data.
  std::span<const SafetensorsTensor> tensors() const { return tensors_; }
  const SafetensorsTensor* find(std::string_view name) const;
  // Files mapped, in shard order (none after from_bytes).
  std::span<const MappedFile> shards() const { return shards_; }

 private:
  Safetensors() = default;
  Status add_shard(const std::string& path);
  Status open_shards(const std::string& folder, const std::string& index_path);
  Status index_tensors(const std::string& path);

  std::vector<MappedFile> shards_;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<uint32_t> tensors_by_name_;
};

// Writes one file, atomically: header first, then the data in the order of the add_tensor calls.
class SafetensorsWriter {
 public:
  void add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape);
  // Errors: kFailed for a name that stands twice, a type that is not kF32, kF16 or kBF16, a size
  // out of range, and when the file can't be written.
  Status begin(const std::string& path);
  // The next tensor's data, in one call or several; their sum must be its exact size.
  Status write_tensor_data(std::span<const std::byte> data);
  // Puts the file in place; all data must have come.
  Status commit();

 private:
  struct PendingTensor {
    std::string name;
    TensorType type;
    std::vector<int64_t> shape;
    uint64_t bytes = 0;
  };
  Result<std::string> header(const std::string& path);

  std::vector<PendingTensor> tensors_;
  std::optional<AtomicFileWriter> file_;  // from begin() on
  size_t next_tensor_ = 0;
  uint64_t tensor_bytes_written_ = 0;  // of the next tensor
};

}  // namespace reckon
