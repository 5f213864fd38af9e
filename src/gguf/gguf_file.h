// A GGUF file (version 2 or 3, one file or shards) as a checked directory: metadata in the file's
// order and tensors whose every dimension, size and offset has been proven to lie in the mapping.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "quants/tensor_type.h"

namespace reckon {

enum class GgufValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// An array as it stands in the file; strings are views into the mapping.
struct GgufArray {
  GgufValueType element_type = GgufValueType::kUint8;
  uint64_t count = 0;
  std::vector<std::string_view> strings;  // count of them when element_type is kString
  std::span<const std::byte> raw;         // little-endian elements otherwise; may be unaligned

  // Element i of a numeric or bool array. An uint64 above int64's range wraps, a float is cut
  // towards zero where int64 holds it (else 0).
  int64_t int_at(uint64_t i) const;
  double float_at(uint64_t i) const;
};

struct GgufValue {
  GgufValueType type = GgufValueType::kUint8;
  // All unsigned integers and bool as uint64_t, signed as int64_t, floats as double. The array is
  // held apart (never null) to keep a file of a million keys small.
  std::variant<uint64_t, int64_t, double, std::string_view, std::unique_ptr<const GgufArray>> data;

  // The array, or null when the value is none.
  const GgufArray* array() const {
    const auto* held = std::get_if<std::unique_ptr<const GgufArray>>(&data);
    return held == nullptr ? nullptr : held->get();
  }
};

struct GgufKeyValue {
  std::string_view key;
  GgufValue value;
};

struct GgufTensor {
  std::string_view name;
  TensorType type = TensorType::kF32;
  int n_dims = 1;
  std::array<int64_t, 4> dims = {1, 1, 1, 1};  // dims[0] is the row length, as in the file
  int64_t n_elements = 0;
  const std::byte* data = nullptr;  // null only where GgufData::kMayBeMissing let it be
  uint64_t bytes = 0;
  int shard = 0;
  uint64_t file_offset = 0;  // of the data, from the start of its shard

  // "[3584, 18944]", in the file's order.
  std::string shape_text() const;
};

// Whether a file must hold its tensors' data. What only looks at metadata and directory can do with
// the head of a file: tensors whose data isn't wholly there then have null for it.
enum class GgufData { kRequired, kMayBeMissing };

// Immutable after open(), so safe to share between threads.
class GgufFile {
 public:
  // Opens path; a name like x-00001-of-00005.gguf opens all shards, which must agree, and
  // kBundledModelPath the model that is part of the program.
  // Errors: kBadFile naming the object, what was expected and what was found; kFailed when there is
  // not enough memory for the directory.
  static Result<std::shared_ptr<const GgufFile>> open(const std::string& path,
                                                      GgufData data = GgufData::kRequired);
  // One file's bytes, already in memory and aligned to 64; they must outlive what is returned.
  static Result<std::shared_ptr<const GgufFile>> from_bytes(std::span<const std::byte> bytes,
                                                            const std::string& name);

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  // Metadata of the first shard, keys unique, in the file's order.
  std::span<const GgufKeyValue> metadata() const { return metadata_; }
  std::span<const GgufTensor> tensors() const { return tensors_; }
  // Files mapped, in shard order (none of bytes that are in memory anyway).
  std::span<const MappedFile> shards() const { return shards_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t tensor_bytes() const;

  const GgufValue* find(std::string_view key) const;
  const GgufTensor* find_tensor(std::string_view name) const;

  // Typed look-ups. Missing keys are errors in require_*, empty in get_* (null in get_array); a key
  // of a wrong type or out of the wanted range is an error in both. An unsigned number may be
  // stored in any integer type, a float in either float type and must be finite.
  Result<std::optional<uint64_t>> get_uint(std::string_view key) const;
  Result<std::optional<double>> get_float(std::string_view key) const;
  Result<std::optional<bool>> get_bool(std::string_view key) const;
  Result<std::optional<std::string_view>> get_string(std::string_view key) const;
  Result<uint64_t> require_uint(std::string_view key) const;
  Result<double> require_float(std::string_view key) const;
  Result<std::string_view> require_string(std::string_view key) const;
  // An array of the given element type (kInt32 accepts kUint32 and the other way round).
  Result<const GgufArray*> get_array(std::string_view key, GgufValueType element_type) const;

 private:
  GgufFile() = default;
  static Result<std::shared_ptr<const GgufFile>> open_unguarded(const std::string& path,
                                                                GgufData data);
  Status add_shard(std::span<const std::byte> bytes, const std::string& path, int shard,
                   int n_shards, GgufData data);
  Status index_tensors();
  Error wrong_type(std::string_view key, std::string_view expected, const GgufValue& value) const;
  Error missing(std::string_view key, std::string_view expected) const;

  std::string path_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  uint64_t file_bytes_ = 0;
  std::optional<uint64_t> n_tensors_stated_;  // by the first shard's split.tensors.count
  std::vector<MappedFile> shards_;
  std::vector<GgufKeyValue> metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint32_t> metadata_by_key_;  // indices, sorted by key
  std::vector<uint32_t> tensors_by_name_;
};

}  // namespace reckon
