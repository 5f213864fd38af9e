// Writes a GGUF version 3 file, atomically: metadata and the tensor directory first, then the
// tensors' data streamed in the directory's order, so that a 40 GB file needs no 40 GB of memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "gguf/gguf_file.h"

namespace reckon {

// Calls come in this order: add_* in any order, begin, write_tensor_data, commit. Wrong amounts of
// data are programmers' mistakes and stop the program.
class GgufWriter {
 public:
  GgufWriter() = default;

  void add_uint32(std::string_view key, uint32_t value);
  void add_int32(std::string_view key, int32_t value);
  void add_uint64(std::string_view key, uint64_t value);
  void add_float32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::span<const std::string_view> values);
  void add_int32s(std::string_view key, std::span<const int32_t> values);
  void add_float32s(std::string_view key, std::span<const float> values);
  // Copies a value read from another file, type and all.
  void add_value(std::string_view key, const GgufValue& value);
  bool has(std::string_view key) const;

  // Declares a tensor; dims in the file's order (dims[0] is the row length).
  void add_tensor(std::string_view name, TensorType type, std::span<const int64_t> dims);

  // Writes header and directory to a temporary file beside path. Data is aligned to
  // general.alignment where that key was added, else to 32. Errors: kFailed for a key or tensor
  // that stands twice or that the format can't hold, and when the file can't be written.
  Status begin(const std::string& path);
  // The next declared tensor's data, in one call or several; their sum must be its exact size.
  Status write_tensor_data(std::span<const std::byte> data);
  // Puts the file in place; all data must have come.
  Status commit();

 private:
  struct PendingTensor {
    std::string name;
    TensorType type;
    std::vector<int64_t> dims;
    uint64_t bytes = 0;
    uint64_t offset = 0;  // in the data section
  };

  void add_key(std::string_view key, GgufValueType type);
  void add_array_header(std::string_view key, GgufValueType element_type, uint64_t count);
  Status check_names(const std::string& path) const;
  Status place_tensors(const std::string& path);
  Status pad_to(uint64_t offset);

  std::string metadata_;  // encoded key-value pairs
  std::vector<std::string> keys_;
  uint64_t alignment_ = 32;
  std::vector<PendingTensor> tensors_;
  std::optional<AtomicFileWriter> file_;  // from begin() on
  uint64_t data_start_ = 0;
  size_t next_tensor_ = 0;
  uint64_t tensor_bytes_written_ = 0;  // of the next tensor
};

}  // namespace reckon
