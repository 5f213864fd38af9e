// Opening one file or all shards of one, joining their directories, and the look-ups.
#include "gguf/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/json.h"
#include "gguf/bundled_model.h"
#include "gguf/gguf_parser.h"

namespace reckon {
namespace {

template <class T>
T element_at(std::span<const std::byte> raw, uint64_t i) {
  T value;
  std::memcpy(&value, raw.data() + i * sizeof(T), sizeof(T));
  return value;
}

// Calls visit with element i in its own type.
template <class Visit>
auto visit_element(const GgufArray& array, uint64_t i, const Visit& visit) {
  RECKON_CHECK(i < array.count && gguf_scalar_bytes(array.element_type) > 0);
  switch (array.element_type) {
    case GgufValueType::kUint8:
    case GgufValueType::kBool: return visit(element_at<uint8_t>(array.raw, i));
    case GgufValueType::kInt8: return visit(element_at<int8_t>(array.raw, i));
    case GgufValueType::kUint16: return visit(element_at<uint16_t>(array.raw, i));
    case GgufValueType::kInt16: return visit(element_at<int16_t>(array.raw, i));
    case GgufValueType::kUint32: return visit(element_at<uint32_t>(array.raw, i));
    case GgufValueType::kInt32: return visit(element_at<int32_t>(array.raw, i));
    case GgufValueType::kFloat32: return visit(element_at<float>(array.raw, i));
    case GgufValueType::kUint64: return visit(element_at<uint64_t>(array.raw, i));
    case GgufValueType::kInt64: return visit(element_at<int64_t>(array.raw, i));
    case GgufValueType::kFloat64: return visit(element_at<double>(array.raw, i));
    case GgufValueType::kString:
    case GgufValueType::kArray: break;
  }
  return visit(uint8_t{0});  // not reached: strings were checked for
}

// What a shard's name says: "model-00002-of-00005.gguf" is shard 1 of 5 after "model-".
struct ShardName {
  std::string prefix;
  int n_shards = 1;

  std::string path_of(int shard) const {
    return fmt::format("{}{:05}-of-{:05}.gguf", prefix, shard + 1, n_shards);
  }
};

// Empty when the name isn't a shard's.
std::optional<ShardName> parse_shard_name(const std::string& path) {
  constexpr std::string_view kTail = "-00001-of-00005.gguf";
  if (path.size() < kTail.size()) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kTail.size());
  int numbers[2] = {0, 0};
  for (size_t i = 0; i < kTail.size(); ++i) {
    const bool digit = (i >= 1 && i <= 5) || (i >= 10 && i <= 14);
    if (!digit && tail[i] != kTail[i]) return std::nullopt;
    if (!digit) continue;
    if (tail[i] < '0' || tail[i] > '9') return std::nullopt;
    int& number = numbers[i < 6 ? 0 : 1];
    number = number * 10 + (tail[i] - '0');
  }
  if (numbers[0] < 1 || numbers[0] > numbers[1]) return std::nullopt;
  return ShardName{path.substr(0, path.size() - kTail.size() + 1), numbers[1]};
}

// The shard's own account of the split: split.no and split.count as expected, and the number of
// tensors in all shards, if it states one.
Result<std::optional<uint64_t>> check_split(const GgufParts& parts, const std::string& path,
                                            int shard, int n_shards) {
  const auto number = [&](std::string_view key) -> Result<std::optional<uint64_t>> {
    const GgufValue* value = find_gguf_value(parts.metadata, parts.metadata_by_key, key);
    if (value == nullptr) return std::optional<uint64_t>();
    RECKON_ASSIGN(const uint64_t found, gguf_value_as_uint(path, key, *value));
    return std::optional(found);
  };
  RECKON_ASSIGN(const std::optional<uint64_t> count, number("split.count"));
  RECKON_ASSIGN(const std::optional<uint64_t> no, number("split.no"));
  RECKON_ASSIGN(const std::optional<uint64_t> n_tensors, number("split.tensors.count"));
  // Files that were never split have none of these keys, or a count of 0 or 1.
  const uint64_t found_count = std::max<uint64_t>(count.value_or(1), 1);
  if (found_count != static_cast<uint64_t>(n_shards)) {
    return bad_file(fmt::format(
        "{}: split.count: expected {}, as the file's name says, found {}{}", path, n_shards,
        found_count,
        n_shards == 1 ? " (the shards of a model are named …-00001-of-00005.gguf)" : ""));
  }
  if (no.value_or(n_shards == 1 ? 0 : UINT64_MAX) != static_cast<uint64_t>(shard)) {
    return bad_file(fmt::format("{}: split.no: expected {}, found {}", path, shard,
                                no ? fmt::format("{}", *no) : "none"));
  }
  return n_tensors;
}

}  // namespace

int64_t GgufArray::int_at(uint64_t i) const {
  return visit_element(*this, i, [](auto value) -> int64_t {
    if constexpr (std::is_floating_point_v<decltype(value)>) {
      const auto number = static_cast<double>(value);
      return number >= -0x1p63 && number < 0x1p63 ? static_cast<int64_t>(number) : 0;
    } else {
      return static_cast<int64_t>(value);
    }
  });
}

double GgufArray::float_at(uint64_t i) const {
  return visit_element(*this, i, [](auto value) { return static_cast<double>(value); });
}

std::string GgufTensor::shape_text() const {
  std::string text = "[";
  for (int d = 0; d < n_dims; ++d) {
    text += fmt::format("{}{}", d == 0 ? "" : ", ", dims[static_cast<size_t>(d)]);
  }
  return text + "]";
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path, GgufData data) {
  try {
    return open_unguarded(path, data);
  } catch (const std::bad_alloc&) {
    return failed(path + ": not enough memory to read its directory");
  }
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open_unguarded(const std::string& path,
                                                                 GgufData data) {
  if (path == kBundledModelPath) return from_bytes(bundled_model(), path);
  std::shared_ptr<GgufFile> file(new GgufFile);
  const std::optional<ShardName> name = parse_shard_name(path);
  const int n_shards = name ? name->n_shards : 1;
  file->path_ = path;
  for (int shard = 0; shard < n_shards; ++shard) {
    const std::string shard_path = name ? name->path_of(shard) : path;
    RECKON_ASSIGN(MappedFile mapped, MappedFile::open(shard_path));
    const std::span<const std::byte> bytes = mapped.bytes();
    file->shards_.push_back(std::move(mapped));
    RECKON_RETURN_IF_ERROR(file->add_shard(bytes, shard_path, shard, n_shards, data));
  }
  RECKON_RETURN_IF_ERROR(file->index_tensors());
  return std::shared_ptr<const GgufFile>(std::move(file));
}

Result<std::shared_ptr<const GgufFile>> GgufFile::from_bytes(std::span<const std::byte> bytes,
                                                             const std::string& name) {
  try {
    std::shared_ptr<GgufFile> file(new GgufFile);
    file->path_ = name;
    RECKON_RETURN_IF_ERROR(file->add_shard(bytes, name, 0, 1, GgufData::kRequired));
    RECKON_RETURN_IF_ERROR(file->index_tensors());
    return std::shared_ptr<const GgufFile>(std::move(file));
  } catch (const std::bad_alloc&) {
    return failed(name + ": not enough memory to read its directory");
  }
}

Status GgufFile::add_shard(std::span<const std::byte> bytes, const std::string& path, int shard,
                           int n_shards, GgufData data) {
  RECKON_ASSIGN(GgufParts parts, parse_gguf(bytes, path, shard, data));
  RECKON_ASSIGN(const std::optional<uint64_t> n_tensors, check_split(parts, path, shard, n_shards));
  if (shard == 0) {
    version_ = parts.version;
    alignment_ = parts.alignment;
    metadata_ = std::move(parts.metadata);
    metadata_by_key_ = std::move(parts.metadata_by_key);
    tensors_ = std::move(parts.tensors);
    n_tensors_stated_ = n_tensors;
  } else {
    if (n_tensors && n_tensors != n_tensors_stated_) {
      return bad_file(fmt::format(
          "{}: split.tensors.count: expected {}, as in the first shard, found {}", path,
          n_tensors_stated_ ? fmt::format("{}", *n_tensors_stated_) : "none", *n_tensors));
    }
    tensors_.insert(tensors_.end(), parts.tensors.begin(), parts.tensors.end());
  }
  file_bytes_ += bytes.size();
  return {};
}

Status GgufFile::index_tensors() {
  if (n_tensors_stated_ && *n_tensors_stated_ != tensors_.size()) {
    return bad_file(fmt::format("{}: split.tensors.count: expected {} tensors, found {}", path_,
                                *n_tensors_stated_, tensors_.size()));
  }
  const auto name_of = [&](uint32_t i) { return tensors_[i].name; };
  tensors_by_name_ = indices_by_name(tensors_.size(), name_of);
  for (size_t i = 1; i < tensors_by_name_.size(); ++i) {
    const std::string_view name = name_of(tensors_by_name_[i]);
    if (name == name_of(tensors_by_name_[i - 1])) {
      return bad_file(
          fmt::format("{}: {}: expected the tensor once, found it twice", path_, excerpt(name)));
    }
  }
  return {};
}

uint64_t GgufFile::tensor_bytes() const {
  uint64_t total = 0;  // within 2^64, as no two tensors of a shard overlap
  for (const GgufTensor& tensor : tensors_) total += tensor.bytes;
  return total;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  return find_gguf_value(metadata_, metadata_by_key_, key);
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_by_name_.begin(), tensors_by_name_.end(), name,
                       [&](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  if (found == tensors_by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

Error GgufFile::wrong_type(std::string_view key, std::string_view expected,
                           const GgufValue& value) const {
  const GgufArray* array = value.array();
  return bad_file(fmt::format("{}: {}: expected {}, found {}", path_, key, expected,
                              array == nullptr
                                  ? "a " + gguf_type_name(value.type)
                                  : "an array of " + gguf_type_name(array->element_type)));
}

Result<std::optional<uint64_t>> GgufFile::get_uint(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<uint64_t>();
  RECKON_ASSIGN(const uint64_t number, gguf_value_as_uint(path_, key, *value));
  return std::optional(number);
}

Result<std::optional<double>> GgufFile::get_float(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<double>();
  const auto* number = std::get_if<double>(&value->data);
  if (number == nullptr) return wrong_type(key, "a float", *value);
  if (!std::isfinite(*number)) {
    return bad_file(fmt::format("{}: {}: expected a finite number, found {}", path_, key, *number));
  }
  return std::optional(*number);
}

Result<std::optional<bool>> GgufFile::get_bool(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<bool>();
  if (value->type != GgufValueType::kBool) return wrong_type(key, "a bool", *value);
  return std::optional(*std::get_if<uint64_t>(&value->data) != 0);
}

Result<std::optional<std::string_view>> GgufFile::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<std::string_view>();
  const auto* text = std::get_if<std::string_view>(&value->data);
  if (text == nullptr) return wrong_type(key, "a string", *value);
  return std::optional(*text);
}

Error GgufFile::missing(std::string_view key, std::string_view expected) const {
  return bad_file(fmt::format("{}: {}: expected {}, found no such key", path_, key, expected));
}

Result<uint64_t> GgufFile::require_uint(std::string_view key) const {
  RECKON_ASSIGN(const std::optional<uint64_t> value, get_uint(key));
  if (!value) return missing(key, "an unsigned number");
  return *value;
}

Result<double> GgufFile::require_float(std::string_view key) const {
  RECKON_ASSIGN(const std::optional<double> value, get_float(key));
  if (!value) return missing(key, "a float");
  return *value;
}

Result<std::string_view> GgufFile::require_string(std::string_view key) const {
  RECKON_ASSIGN(const std::optional<std::string_view> value, get_string(key));
  if (!value) return missing(key, "a string");
  return *value;
}

Result<const GgufArray*> GgufFile::get_array(std::string_view key,
                                             GgufValueType element_type) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return static_cast<const GgufArray*>(nullptr);
  const auto is_int32 = [](GgufValueType type) {
    return type == GgufValueType::kInt32 || type == GgufValueType::kUint32;
  };
  const GgufArray* array = value->array();
  if (array != nullptr && (array->element_type == element_type ||
                           (is_int32(array->element_type) && is_int32(element_type)))) {
    return array;
  }
  return wrong_type(key, "an array of " + gguf_type_name(element_type), *value);
}

}  // namespace reckon
