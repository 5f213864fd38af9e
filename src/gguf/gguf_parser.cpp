// Bytes -> GgufParts, in the file's own order: header, metadata, tensor directory, data. Nothing is
// read before it is known to lie in the file and nothing is reserved for a count that the bytes
// left can't hold. Errors end the parse; the first one met is the one reported.
#include "gguf/gguf_parser.h"

#include <fmt/format.h>

#include <bit>
#include <concepts>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include "base/checked_math.h"
#include "base/json.h"

namespace reckon {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

// Bytes of the shortest entry there can be: a key of one letter with a bool; a tensor with a name
// of one letter and one dimension.
constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr uint64_t kMinStringBytes = 8;

// What an error is about; spelled out only when there is one, as there may be a million of these.
class Subject {
 public:
  Subject(const char* text) : text_(text) {}
  Subject(const char* text, uint64_t index) : text_(text), index_(index) {}
  // A name that may hold anything.
  static Subject from_file(std::string_view name) {
    Subject subject("");
    subject.text_ = name;
    subject.from_file_ = true;
    return subject;
  }

  std::string str() const {
    if (from_file_) return excerpt(text_);
    return index_ ? fmt::format("{} {}", text_, *index_) : std::string(text_);
  }

 private:
  std::string_view text_;
  bool from_file_ = false;
  std::optional<uint64_t> index_;
};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& path, int shard, GgufData data)
      : bytes_(bytes), path_(path), shard_(shard), data_required_(data == GgufData::kRequired) {}

  Result<GgufParts> parse() {
    RECKON_RETURN_IF_ERROR(read_header());
    RECKON_RETURN_IF_ERROR(read_metadata());
    RECKON_RETURN_IF_ERROR(read_alignment());
    RECKON_RETURN_IF_ERROR(read_directory());
    RECKON_RETURN_IF_ERROR(place_data());
    return std::move(parts_);
  }

 private:
  Error error(const Subject& object, std::string_view expected, std::string_view found) const {
    return bad_file(
        fmt::format("{}: {}: expected {}, found {}", path_, object.str(), expected, found));
  }
  uint64_t left() const { return bytes_.size() - position_; }

  // The next n bytes, of the object named.
  Result<std::span<const std::byte>> take(uint64_t n, const Subject& object) {
    if (n > left()) {
      return error(object, fmt::format("{} bytes at byte {}", n, position_),
                   fmt::format("only {} more in the file", left()));
    }
    const auto taken = bytes_.subspan(position_, n);
    position_ += n;
    return taken;
  }

  template <class T>
  Result<T> read(const Subject& object) {
    RECKON_ASSIGN(const auto raw, take(sizeof(T), object));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  Result<std::string_view> read_string(const Subject& object) {
    RECKON_ASSIGN(const uint64_t length, read<uint64_t>(object));
    RECKON_ASSIGN(const auto raw, take(length, object));
    return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
  }

  // A count of things that take at least min_bytes each and of which there may be at most max.
  Result<uint64_t> read_count(const Subject& object, uint64_t min_bytes, uint64_t max) {
    RECKON_ASSIGN(const uint64_t count, read<uint64_t>(object));
    if (count > max) return error(object, fmt::format("at most {}", max), fmt::format("{}", count));
    RECKON_RETURN_IF_ERROR(check_count(object, count, min_bytes));
    return count;
  }

  Status check_count(const Subject& object, uint64_t count, uint64_t min_bytes) const {
    if (count <= left() / min_bytes) return {};
    return error(
        object, fmt::format("at most {} (what {} more bytes can hold)", left() / min_bytes, left()),
        fmt::format("{}", count));
  }

  Status read_header();
  Status read_metadata();
  Result<GgufValue> read_value(const Subject& object, GgufValueType type);
  Result<std::unique_ptr<GgufArray>> read_array(const Subject& object);
  Status read_alignment();
  Status read_directory();
  Result<GgufTensor> read_tensor(uint64_t index);
  Status read_shape(const Subject& object, GgufTensor& tensor);
  Status size_tensor(const Subject& object, GgufTensor& tensor) const;
  Status place_data();
  Status check_overlaps() const;

  std::span<const std::byte> bytes_;
  const std::string& path_;
  int shard_;
  bool data_required_;
  uint64_t position_ = 0;
  uint64_t n_tensors_ = 0;
  uint64_t n_keys_ = 0;
  uint64_t n_strings_ = 0;  // in arrays so far
  GgufParts parts_;
};

Status Parser::read_header() {
  RECKON_ASSIGN(const auto magic, take(std::min<uint64_t>(4, left()), "magic"));
  const std::string_view found(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (found != "GGUF")
    return error("magic", "\"GGUF\"", found.empty() ? "an empty file" : excerpt(found));
  RECKON_ASSIGN(parts_.version, read<uint32_t>("version"));
  if (parts_.version == 1) {
    return error("version", "2 or 3", "1, a form of 2023 with 32-bit counts that is not read");
  }
  const uint32_t swapped = __builtin_bswap32(parts_.version);
  if (swapped >= 1 && swapped <= 3) {
    return error("version", "2 or 3 in little-endian order",
                 fmt::format("{} in big-endian order: convert the file to little-endian", swapped));
  }
  if (parts_.version != 2 && parts_.version != 3) {
    return error("version", "2 or 3", fmt::format("{}", parts_.version));
  }
  // The tensors' directory follows the metadata, so both counts are bounded by what is left now.
  RECKON_ASSIGN(n_tensors_, read_count("tensor_count", kMinTensorBytes, kMaxGgufTensors));
  RECKON_ASSIGN(n_keys_, read_count("metadata_kv_count", kMinKeyBytes, kMaxGgufKeys));
  return {};
}

Status Parser::read_metadata() {
  parts_.metadata.reserve(n_keys_);
  for (uint64_t i = 0; i < n_keys_; ++i) {
    const Subject position("metadata key", i);
    RECKON_ASSIGN(const std::string_view key, read_string(position));
    if (key.empty()) return error(position, "a name", "an empty one");
    if (key.size() > kMaxGgufKeyBytes) {
      return error(position, fmt::format("at most {} bytes", kMaxGgufKeyBytes),
                   fmt::format("{}", key.size()));
    }
    const Subject object = Subject::from_file(key);
    RECKON_ASSIGN(const uint32_t type, read<uint32_t>(object));
    RECKON_ASSIGN(GgufValue value, read_value(object, static_cast<GgufValueType>(type)));
    parts_.metadata.push_back({key, std::move(value)});
  }
  const auto key_of = [&](uint32_t i) { return parts_.metadata[i].key; };
  parts_.metadata_by_key = indices_by_name(parts_.metadata.size(), key_of);
  for (size_t i = 1; i < parts_.metadata_by_key.size(); ++i) {
    const std::string_view key = key_of(parts_.metadata_by_key[i]);
    if (key == key_of(parts_.metadata_by_key[i - 1])) {
      return error(Subject::from_file(key), "the key once", "it twice");
    }
  }
  return {};
}

template <class Number>
GgufValue number_value(GgufValueType type, Number number) {
  GgufValue value;
  value.type = type;
  if constexpr (std::floating_point<Number>) {
    value.data = static_cast<double>(number);
  } else if constexpr (std::signed_integral<Number>) {
    value.data = static_cast<int64_t>(number);
  } else {
    value.data = static_cast<uint64_t>(number);
  }
  return value;
}

Result<GgufValue> Parser::read_value(const Subject& object, GgufValueType type) {
  const auto number = [&]<class Number>(Number) -> Result<GgufValue> {
    RECKON_ASSIGN(const Number read_number, this->read<Number>(object));
    return number_value(type, read_number);
  };
  switch (type) {
    case GgufValueType::kUint8: return number(uint8_t{});
    case GgufValueType::kInt8: return number(int8_t{});
    case GgufValueType::kUint16: return number(uint16_t{});
    case GgufValueType::kInt16: return number(int16_t{});
    case GgufValueType::kUint32: return number(uint32_t{});
    case GgufValueType::kInt32: return number(int32_t{});
    case GgufValueType::kFloat32: return number(float{});
    case GgufValueType::kUint64: return number(uint64_t{});
    case GgufValueType::kInt64: return number(int64_t{});
    case GgufValueType::kFloat64: return number(double{});
    case GgufValueType::kBool: {
      RECKON_ASSIGN(const uint8_t flag, read<uint8_t>(object));
      if (flag > 1) return error(object, "a bool of 0 or 1", fmt::format("{}", flag));
      return number_value(type, flag);
    }
    case GgufValueType::kString: {
      GgufValue value{type, {}};
      RECKON_ASSIGN(value.data, read_string(object));
      return value;
    }
    case GgufValueType::kArray: {
      GgufValue value{type, {}};
      RECKON_ASSIGN(value.data, read_array(object));
      return value;
    }
  }
  return error(object, "a value type from 0 to 12", gguf_type_name(type));
}

Result<std::unique_ptr<GgufArray>> Parser::read_array(const Subject& object) {
  auto array = std::make_unique<GgufArray>();
  RECKON_ASSIGN(const uint32_t type, read<uint32_t>(object));
  RECKON_ASSIGN(array->count, read<uint64_t>(object));
  array->element_type = static_cast<GgufValueType>(type);
  if (array->element_type == GgufValueType::kString) {
    const uint64_t room = kMaxGgufStrings - n_strings_;
    if (array->count > room) {
      return error(object, fmt::format("at most {} strings in all arrays", kMaxGgufStrings),
                   fmt::format("{} here", array->count));
    }
    RECKON_RETURN_IF_ERROR(check_count(object, array->count, kMinStringBytes));
    n_strings_ += array->count;
    array->strings.reserve(array->count);
    for (uint64_t i = 0; i < array->count; ++i) {
      RECKON_ASSIGN(const std::string_view text, read_string(object));
      array->strings.push_back(text);
    }
    return array;
  }
  const uint64_t element_bytes = gguf_scalar_bytes(array->element_type);
  if (element_bytes == 0) {
    return error(object, "an array of numbers, bools or strings",
                 array->element_type == GgufValueType::kArray
                     ? "an array of arrays"
                     : fmt::format("an array of {}", gguf_type_name(array->element_type)));
  }
  RECKON_RETURN_IF_ERROR(check_count(object, array->count, element_bytes));
  RECKON_ASSIGN(array->raw, take(array->count * element_bytes, object));
  return array;
}

Status Parser::read_alignment() {
  const char* const key = "general.alignment";
  const GgufValue* value = find_gguf_value(parts_.metadata, parts_.metadata_by_key, key);
  if (value == nullptr) return {};
  if (value->type != GgufValueType::kUint32) {
    return error(key, "an uint32", gguf_type_name(value->type));
  }
  const uint64_t alignment = *std::get_if<uint64_t>(&value->data);
  if (!std::has_single_bit(alignment) || alignment < kMinGgufAlignment ||
      alignment > kMaxGgufAlignment) {
    return error(key,
                 fmt::format("a power of two from {} to {}", kMinGgufAlignment, kMaxGgufAlignment),
                 fmt::format("{}", alignment));
  }
  parts_.alignment = alignment;
  return {};
}

Status Parser::read_directory() {
  RECKON_RETURN_IF_ERROR(check_count("tensor_count", n_tensors_, kMinTensorBytes));
  parts_.tensors.reserve(n_tensors_);
  for (uint64_t i = 0; i < n_tensors_; ++i) {
    RECKON_ASSIGN(GgufTensor tensor, read_tensor(i));
    parts_.tensors.push_back(tensor);
  }
  return {};
}

Result<GgufTensor> Parser::read_tensor(uint64_t index) {
  GgufTensor tensor;
  tensor.shard = shard_;
  const Subject position("tensor", index);
  RECKON_ASSIGN(tensor.name, read_string(position));
  if (tensor.name.empty()) return error(position, "a name", "an empty one");
  if (tensor.name.size() > kMaxGgufNameBytes) {
    return error(position, fmt::format("a name of at most {} bytes", kMaxGgufNameBytes),
                 fmt::format("{} bytes", tensor.name.size()));
  }
  const Subject object = Subject::from_file(tensor.name);
  RECKON_RETURN_IF_ERROR(read_shape(object, tensor));
  RECKON_ASSIGN(const uint32_t id, read<uint32_t>(object));
  const std::optional<TensorType> type = tensor_type_from_id(id);
  if (!type) {
    return error(object, "a tensor type that reckon reads",
                 fmt::format("type {} ({})", id, foreign_tensor_type_name(id)));
  }
  tensor.type = *type;
  RECKON_RETURN_IF_ERROR(size_tensor(object, tensor));
  // Until the data section's start is known: the offset in it.
  RECKON_ASSIGN(tensor.file_offset, read<uint64_t>(object));
  if (tensor.file_offset % parts_.alignment != 0) {
    return error(object, fmt::format("an offset that is a multiple of {}", parts_.alignment),
                 fmt::format("{}", tensor.file_offset));
  }
  return tensor;
}

Status Parser::read_shape(const Subject& object, GgufTensor& tensor) {
  RECKON_ASSIGN(const uint32_t n_dims, read<uint32_t>(object));
  if (n_dims < 1 || n_dims > tensor.dims.size()) {
    return error(object, "1 to 4 dimensions", fmt::format("{}", n_dims));
  }
  tensor.n_dims = static_cast<int>(n_dims);
  uint64_t n_elements = 1;
  for (uint32_t d = 0; d < n_dims; ++d) {
    RECKON_ASSIGN(const uint64_t dim, read<uint64_t>(object));
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    if (dim < 1 || dim > kMax) {
      return error(object, fmt::format("dimension {} from 1 to {}", d, kMax),
                   fmt::format("{}", dim));
    }
    const std::optional<uint64_t> product = checked_mul(n_elements, dim);
    if (!product || *product > kMax) {
      return error(object, fmt::format("at most {} elements", kMax),
                   fmt::format("{} x {} after {} dimensions", n_elements, dim, d));
    }
    n_elements = *product;
    tensor.dims[d] = static_cast<int64_t>(dim);
  }
  tensor.n_elements = static_cast<int64_t>(n_elements);
  return {};
}

Status Parser::size_tensor(const Subject& object, GgufTensor& tensor) const {
  const TensorTypeInfo& info = tensor_type_info(tensor.type);
  if (tensor.dims[0] % info.block_elements != 0) {
    return error(object,
                 fmt::format("rows of a multiple of {} elements, the block of {}",
                             info.block_elements, info.name),
                 fmt::format("rows of {}", tensor.dims[0]));
  }
  const std::optional<uint64_t> bytes =
      checked_mul(static_cast<uint64_t>(tensor.n_elements / info.block_elements),
                  static_cast<uint64_t>(info.block_bytes));
  if (!bytes || *bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return error(object, "a size below 2^63 bytes",
                 fmt::format("{} elements of {}", tensor.n_elements, info.name));
  }
  tensor.bytes = *bytes;
  return {};
}

Status Parser::place_data() {
  if (parts_.tensors.empty()) return {};
  // position_ is at most the file's size, which fits in 63 bits: rounding up can't overflow.
  const uint64_t data_start =
      (position_ + parts_.alignment - 1) / parts_.alignment * parts_.alignment;
  uint64_t data_end = data_start;
  const GgufTensor* last = nullptr;
  for (GgufTensor& tensor : parts_.tensors) {
    const std::optional<uint64_t> start = checked_add(data_start, tensor.file_offset);
    const std::optional<uint64_t> end =
        start ? checked_add(*start, tensor.bytes) : std::optional<uint64_t>();
    if (!end) {
      return error(Subject::from_file(tensor.name), "an offset inside the file",
                   fmt::format("{}", tensor.file_offset));
    }
    tensor.file_offset = *start;
    if (*end > data_end) {
      data_end = *end;
      last = &tensor;
    }
  }
  if (data_end > bytes_.size() && data_required_) {
    return bad_file(fmt::format(
        "{}: the file is cut short or its directory is wrong: expected {} bytes (the end of {}), "
        "found {}",
        path_, data_end, excerpt(last->name), bytes_.size()));
  }
  for (GgufTensor& tensor : parts_.tensors) {
    const bool here =
        tensor.file_offset <= bytes_.size() && tensor.bytes <= bytes_.size() - tensor.file_offset;
    if (here) tensor.data = bytes_.data() + tensor.file_offset;
  }
  return check_overlaps();
}

Status Parser::check_overlaps() const {
  const auto offset_of = [&](uint32_t i) { return parts_.tensors[i].file_offset; };
  const std::vector<uint32_t> order = indices_by_name(parts_.tensors.size(), offset_of);
  for (size_t i = 1; i < order.size(); ++i) {
    const GgufTensor& before = parts_.tensors[order[i - 1]];
    const GgufTensor& tensor = parts_.tensors[order[i]];
    if (tensor.file_offset - before.file_offset < before.bytes) {
      return error(Subject::from_file(tensor.name),
                   fmt::format("data after the end of {} at byte {}", excerpt(before.name),
                               before.file_offset + before.bytes),
                   fmt::format("data at byte {}, overlapping it", tensor.file_offset));
    }
  }
  return {};
}

}  // namespace

Result<GgufParts> parse_gguf(std::span<const std::byte> bytes, const std::string& path, int shard,
                             GgufData data) {
  return Parser(bytes, path, shard, data).parse();
}

const GgufValue* find_gguf_value(std::span<const GgufKeyValue> metadata,
                                 std::span<const uint32_t> metadata_by_key, std::string_view key) {
  const auto found =
      std::lower_bound(metadata_by_key.begin(), metadata_by_key.end(), key,
                       [&](uint32_t i, std::string_view k) { return metadata[i].key < k; });
  if (found == metadata_by_key.end() || metadata[*found].key != key) return nullptr;
  return &metadata[*found].value;
}

Result<uint64_t> gguf_value_as_uint(const std::string& path, std::string_view key,
                                    const GgufValue& value) {
  const auto* number = std::get_if<uint64_t>(&value.data);
  if (number != nullptr && value.type != GgufValueType::kBool) return *number;
  const auto* signed_number = std::get_if<int64_t>(&value.data);
  if (signed_number != nullptr && *signed_number >= 0) {
    return static_cast<uint64_t>(*signed_number);
  }
  return bad_file(fmt::format("{}: {}: expected an unsigned number, found {}", path, key,
                              signed_number != nullptr ? fmt::format("{}", *signed_number)
                                                       : "a " + gguf_type_name(value.type)));
}

uint64_t gguf_scalar_bytes(GgufValueType type) {
  switch (type) {
    case GgufValueType::kUint8:
    case GgufValueType::kInt8:
    case GgufValueType::kBool: return 1;
    case GgufValueType::kUint16:
    case GgufValueType::kInt16: return 2;
    case GgufValueType::kUint32:
    case GgufValueType::kInt32:
    case GgufValueType::kFloat32: return 4;
    case GgufValueType::kUint64:
    case GgufValueType::kInt64:
    case GgufValueType::kFloat64: return 8;
    case GgufValueType::kString:
    case GgufValueType::kArray: return 0;
  }
  return 0;
}

std::string gguf_type_name(GgufValueType type) {
  constexpr std::string_view kNames[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                         "int32",  "float32", "bool",   "string", "array",
                                         "uint64", "int64",   "float64"};
  const auto index = static_cast<uint32_t>(type);
  return index < std::size(kNames) ? std::string(kNames[index]) : fmt::format("type {}", index);
}

}  // namespace reckon
