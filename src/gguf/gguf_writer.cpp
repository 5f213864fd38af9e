// Encoding of metadata and directory, and the order in which tensor data may come.
#include "gguf/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "base/checked_math.h"
#include "base/json.h"
#include "gguf/gguf_parser.h"

namespace reckon {
namespace {

constexpr uint32_t kVersion = 3;

template <class T>
void append(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

void append_string(std::string& out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out += text;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint64_t round_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

void GgufWriter::add_key(std::string_view key, GgufValueType type) {
  append_string(metadata_, key);
  append(metadata_, static_cast<uint32_t>(type));
  keys_.emplace_back(key);
}

void GgufWriter::add_array_header(std::string_view key, GgufValueType element_type,
                                  uint64_t count) {
  add_key(key, GgufValueType::kArray);
  append(metadata_, static_cast<uint32_t>(element_type));
  append(metadata_, count);
}

void GgufWriter::add_uint32(std::string_view key, uint32_t value) {
  add_key(key, GgufValueType::kUint32);
  append(metadata_, value);
  if (key == "general.alignment") alignment_ = value;
}

void GgufWriter::add_int32(std::string_view key, int32_t value) {
  add_key(key, GgufValueType::kInt32);
  append(metadata_, value);
}

void GgufWriter::add_uint64(std::string_view key, uint64_t value) {
  add_key(key, GgufValueType::kUint64);
  append(metadata_, value);
}

void GgufWriter::add_float32(std::string_view key, float value) {
  add_key(key, GgufValueType::kFloat32);
  append(metadata_, value);
}

void GgufWriter::add_bool(std::string_view key, bool value) {
  add_key(key, GgufValueType::kBool);
  append<uint8_t>(metadata_, value ? 1 : 0);
}

void GgufWriter::add_string(std::string_view key, std::string_view value) {
  add_key(key, GgufValueType::kString);
  append_string(metadata_, value);
}

void GgufWriter::add_strings(std::string_view key, std::span<const std::string_view> values) {
  add_array_header(key, GgufValueType::kString, values.size());
  for (const std::string_view value : values) append_string(metadata_, value);
}

void GgufWriter::add_int32s(std::string_view key, std::span<const int32_t> values) {
  add_array_header(key, GgufValueType::kInt32, values.size());
  metadata_ += as_text(std::as_bytes(values));
}

void GgufWriter::add_float32s(std::string_view key, std::span<const float> values) {
  add_array_header(key, GgufValueType::kFloat32, values.size());
  metadata_ += as_text(std::as_bytes(values));
}

void GgufWriter::add_value(std::string_view key, const GgufValue& value) {
  if (const GgufArray* array = value.array()) {
    if (array->element_type == GgufValueType::kString) return add_strings(key, array->strings);
    add_array_header(key, array->element_type, array->count);
    metadata_ += as_text(array->raw);
    return;
  }
  if (const auto* text = std::get_if<std::string_view>(&value.data)) return add_string(key, *text);
  add_key(key, value.type);
  if (const auto* number = std::get_if<double>(&value.data)) {
    if (value.type == GgufValueType::kFloat32)
      return append(metadata_, static_cast<float>(*number));
    return append(metadata_, *number);
  }
  // Integers of every width: their low bytes, little-endian.
  const auto* signed_number = std::get_if<int64_t>(&value.data);
  const uint64_t bits = signed_number != nullptr ? static_cast<uint64_t>(*signed_number)
                                                 : std::get<uint64_t>(value.data);
  char raw[sizeof(bits)];
  std::memcpy(raw, &bits, sizeof(bits));
  metadata_.append(raw, gguf_scalar_bytes(value.type));
  if (key == "general.alignment") alignment_ = bits;
}

bool GgufWriter::has(std::string_view key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

void GgufWriter::add_tensor(std::string_view name, TensorType type, std::span<const int64_t> dims) {
  tensors_.push_back({std::string(name), type, {dims.begin(), dims.end()}});
}

Status GgufWriter::place_tensors(const std::string& path) {
  uint64_t offset = 0;
  for (PendingTensor& tensor : tensors_) {
    const TensorTypeInfo& info = tensor_type_info(tensor.type);
    const auto wrong = [&](std::string_view expected) -> Status {
      return failed(fmt::format("{}: {} [{}] {}: can't be written: expected {}", path,
                                excerpt(tensor.name), fmt::join(tensor.dims, ", "), info.name,
                                expected));
    };
    if (tensor.name.empty() || tensor.name.size() > kMaxGgufNameBytes) {
      return wrong(fmt::format("a name of 1 to {} bytes", kMaxGgufNameBytes));
    }
    if (tensor.dims.empty() || tensor.dims.size() > 4) return wrong("1 to 4 dimensions");
    if (tensor.dims[0] % info.block_elements != 0) {
      return wrong(fmt::format("rows of a multiple of {}", info.block_elements));
    }
    std::optional<uint64_t> bytes = static_cast<uint64_t>(info.block_bytes);
    for (size_t d = 0; d < tensor.dims.size() && bytes; ++d) {
      if (tensor.dims[d] < 1) return wrong("dimensions of 1 and more");
      const int64_t blocks = d == 0 ? tensor.dims[0] / info.block_elements : tensor.dims[d];
      bytes = checked_mul(*bytes, static_cast<uint64_t>(blocks));
    }
    // Far below overflow, so that offsets can be summed and rounded up.
    constexpr uint64_t kMaxBytes = uint64_t{1} << 60;
    if (!bytes || *bytes > kMaxBytes || offset > kMaxBytes) return wrong("a size below 2^60 bytes");
    tensor.bytes = *bytes;
    tensor.offset = offset;
    offset = round_up(offset + tensor.bytes, alignment_);
  }
  return {};
}

Status GgufWriter::check_names(const std::string& path) const {
  std::unordered_set<std::string_view> seen;
  for (const std::string& key : keys_) {
    if (key.empty() || key.size() > kMaxGgufKeyBytes || !seen.insert(key).second) {
      return failed(
          fmt::format("{}: metadata key {}: can't be written: expected each key once, 1 "
                      "to {} bytes long",
                      path, excerpt(key), kMaxGgufKeyBytes));
    }
  }
  seen.clear();
  for (const PendingTensor& tensor : tensors_) {
    if (!seen.insert(tensor.name).second) {
      return failed(fmt::format("{}: {}: can't be written: expected each tensor once", path,
                                excerpt(tensor.name)));
    }
  }
  if (!std::has_single_bit(alignment_) || alignment_ < kMinGgufAlignment ||
      alignment_ > kMaxGgufAlignment) {
    return failed(
        fmt::format("{}: general.alignment: expected a power of two from {} to {}, found "
                    "{}",
                    path, kMinGgufAlignment, kMaxGgufAlignment, alignment_));
  }
  return {};
}

Status GgufWriter::begin(const std::string& path) {
  RECKON_CHECK(!file_.has_value());
  RECKON_RETURN_IF_ERROR(check_names(path));
  RECKON_RETURN_IF_ERROR(place_tensors(path));
  std::string header = "GGUF";
  append(header, kVersion);
  append<uint64_t>(header, tensors_.size());
  append<uint64_t>(header, keys_.size());
  std::string directory;
  for (const PendingTensor& tensor : tensors_) {
    append_string(directory, tensor.name);
    append(directory, static_cast<uint32_t>(tensor.dims.size()));
    for (const int64_t dim : tensor.dims) append(directory, dim);
    append(directory, static_cast<uint32_t>(tensor.type));
    append(directory, tensor.offset);
  }
  RECKON_ASSIGN(AtomicFileWriter file, AtomicFileWriter::create(path));
  RECKON_RETURN_IF_ERROR(file.write(header));
  RECKON_RETURN_IF_ERROR(file.write(metadata_));
  RECKON_RETURN_IF_ERROR(file.write(directory));
  file_.emplace(std::move(file));
  data_start_ = round_up(file_->offset(), alignment_);
  return pad_to(data_start_);
}

Status GgufWriter::pad_to(uint64_t offset) {
  RECKON_CHECK(offset >= file_->offset());
  return file_->write(std::string(offset - file_->offset(), '\0'));
}

Status GgufWriter::write_tensor_data(std::span<const std::byte> data) {
  RECKON_CHECK(file_.has_value());
  RECKON_CHECK(next_tensor_ < tensors_.size());
  const PendingTensor& tensor = tensors_[next_tensor_];
  RECKON_CHECK(data.size() <= tensor.bytes - tensor_bytes_written_);
  RECKON_RETURN_IF_ERROR(file_->write(data));
  tensor_bytes_written_ += data.size();
  if (tensor_bytes_written_ < tensor.bytes) return {};
  // The last one is padded too, as other writers do.
  ++next_tensor_;
  tensor_bytes_written_ = 0;
  return pad_to(data_start_ + round_up(tensor.offset + tensor.bytes, alignment_));
}

Status GgufWriter::commit() {
  RECKON_CHECK(file_.has_value());
  RECKON_CHECK(next_tensor_ == tensors_.size());
  return file_->commit();
}

}  // namespace reckon
