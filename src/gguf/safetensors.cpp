// Checks of the directory against the data, shards by their index, and the writer.
#include "gguf/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <new>
#include <set>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/json.h"
#include "gguf/gguf_parser.h"
#include "gguf/safetensors_header.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;
constexpr size_t kLengthBytes = 8;

struct Dtype {
  std::string_view name;
  TensorType type;
};
constexpr Dtype kDtypes[] = {
    {"F32", TensorType::kF32}, {"F16", TensorType::kF16}, {"BF16", TensorType::kBF16}};

Error wrong(const std::string& path, std::string_view object, std::string_view expected,
            std::string_view found) {
  return bad_file(fmt::format("{}: {}: expected {}, found {}", path, object, expected, found));
}

// The header's text: {length [8], text [length], data}.
Result<std::string_view> header_text(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kLengthBytes) {
    return wrong(path, "header length", "8 bytes", fmt::format("{} in the file", bytes.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length < 2 || length > kMaxSafetensorsHeaderBytes) {
    return wrong(path, "header length", fmt::format("2 to {}", kMaxSafetensorsHeaderBytes),
                 fmt::format("{}", length));
  }
  if (length > bytes.size() - kLengthBytes) {
    return wrong(path, "header", fmt::format("{} bytes", length),
                 fmt::format("only {} more in the file", bytes.size() - kLengthBytes));
  }
  return std::string_view(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
}

// The entry as a tensor; its range is not yet checked against its neighbours.
Result<SafetensorsTensor> check_entry(SafetensorsEntry& entry, std::span<const std::byte> data,
                                      const std::string& path) {
  SafetensorsTensor tensor;
  const std::string object = excerpt(entry.name);
  const auto* dtype = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const Dtype& d) { return d.name == entry.dtype; });
  if (dtype == std::end(kDtypes)) {
    return wrong(path, object, "dtype F32, F16 or BF16", excerpt(entry.dtype));
  }
  tensor.type = dtype->type;
  auto bytes = std::optional(static_cast<uint64_t>(tensor_type_info(tensor.type).block_bytes));
  for (const uint64_t dim : entry.shape) {
    if (dim > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return wrong(path, object, "dimensions below 2^63", fmt::format("{}", dim));
    }
    if (bytes) bytes = checked_mul(*bytes, dim);
    tensor.shape.push_back(static_cast<int64_t>(dim));
  }
  if (!bytes) return wrong(path, object, "a size below 2^64 bytes", tensor.shape_text());
  if (entry.begin > entry.end || entry.end > data.size()) {
    return wrong(path, object, fmt::format("data_offsets within the {} bytes of data", data.size()),
                 fmt::format("[{}, {}]", entry.begin, entry.end));
  }
  if (entry.end - entry.begin != *bytes) {
    return wrong(path, object,
                 fmt::format("{} bytes for {} {}", *bytes, entry.dtype, tensor.shape_text()),
                 fmt::format("data_offsets [{}, {}]", entry.begin, entry.end));
  }
  tensor.data = data.subspan(entry.begin, *bytes);
  tensor.name = std::move(entry.name);
  return tensor;
}

// Sorted by data, covering it without hole or overlap, as the format demands.
Result<std::vector<SafetensorsTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                         const std::string& path, int shard) {
  RECKON_ASSIGN(const std::string_view text, header_text(bytes, path));
  RECKON_ASSIGN(std::vector<SafetensorsEntry> entries, parse_safetensors_header(text, path));
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + text.size());
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  std::vector<SafetensorsTensor> tensors;
  tensors.reserve(entries.size());
  uint64_t data_end = 0;
  for (SafetensorsEntry& entry : entries) {
    if (entry.begin != data_end) {
      return wrong(path, excerpt(entry.name),
                   fmt::format("data from byte {} on, after the tensor before it", data_end),
                   fmt::format("data_offsets [{}, {}]: {}", entry.begin, entry.end,
                               entry.begin < data_end ? "an overlap" : "a hole"));
    }
    const uint64_t end = entry.end;
    RECKON_ASSIGN(SafetensorsTensor tensor, check_entry(entry, data, path));
    tensor.shard = shard;
    tensors.push_back(std::move(tensor));
    data_end = end;
  }
  if (data_end != data.size()) {
    return wrong(path, "data", fmt::format("{} bytes, the end of the last tensor", data_end),
                 fmt::format("{}", data.size()));
  }
  return tensors;
}

// An index may come from anywhere, so its file names must not lead out of the folder.
bool is_plain_file_name(std::string_view name) {
  constexpr std::string_view kExtension = ".safetensors";
  return name.size() > kExtension.size() && name.size() <= 255 && name.ends_with(kExtension) &&
         name.front() != '.' && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

template <class Make>
auto guarded(const std::string& path, const Make& make) -> decltype(make()) {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return failed(path + ": not enough memory to read its directory");
  }
}

}  // namespace

std::string SafetensorsTensor::shape_text() const {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Result<std::shared_ptr<const Safetensors>> Safetensors::open(const std::string& path) {
  using Opened = Result<std::shared_ptr<const Safetensors>>;
  return guarded(path, [&]() -> Opened {
    std::shared_ptr<Safetensors> file(new Safetensors);
    RECKON_RETURN_IF_ERROR(file->add_shard(path));
    RECKON_RETURN_IF_ERROR(file->index_tensors(path));
    return std::shared_ptr<const Safetensors>(std::move(file));
  });
}

Result<std::shared_ptr<const Safetensors>> Safetensors::from_bytes(std::span<const std::byte> bytes,
                                                                   const std::string& name) {
  using Opened = Result<std::shared_ptr<const Safetensors>>;
  return guarded(name, [&]() -> Opened {
    std::shared_ptr<Safetensors> file(new Safetensors);
    RECKON_ASSIGN(file->tensors_, parse_safetensors(bytes, name, 0));
    RECKON_RETURN_IF_ERROR(file->index_tensors(name));
    return std::shared_ptr<const Safetensors>(std::move(file));
  });
}

Result<std::shared_ptr<const Safetensors>> Safetensors::open_folder(const std::string& folder) {
  using Opened = Result<std::shared_ptr<const Safetensors>>;
  return guarded(folder, [&]() -> Opened {
    const std::string single = folder + "/model.safetensors";
    const std::string index = folder + "/model.safetensors.index.json";
    std::error_code ignored;
    if (std::filesystem::exists(single, ignored)) return open(single);
    if (!std::filesystem::exists(index, ignored)) {
      return wrong(folder, "weights", "model.safetensors or model.safetensors.index.json",
                   "neither (other formats, such as pytorch_model.bin, are not read)");
    }
    std::shared_ptr<Safetensors> file(new Safetensors);
    RECKON_RETURN_IF_ERROR(file->open_shards(folder, index));
    return std::shared_ptr<const Safetensors>(std::move(file));
  });
}

Status Safetensors::add_shard(const std::string& path) {
  RECKON_ASSIGN(MappedFile mapped, MappedFile::open(path));
  RECKON_ASSIGN(std::vector<SafetensorsTensor> tensors,
                parse_safetensors(mapped.bytes(), path, static_cast<int>(shards_.size())));
  shards_.push_back(std::move(mapped));
  std::move(tensors.begin(), tensors.end(), std::back_inserter(tensors_));
  return {};
}

Status Safetensors::open_shards(const std::string& folder, const std::string& index_path) {
  RECKON_ASSIGN(const std::string text, read_file(index_path, kMaxIndexBytes));
  RECKON_ASSIGN(const boost::json::value index, parse_json(text, index_path));
  const boost::json::value* weight_map =
      index.is_object() ? index.get_object().if_contains("weight_map") : nullptr;
  if (weight_map == nullptr || !weight_map->is_object()) {
    return wrong(index_path, "weight_map", "an object of tensor names and files", "none");
  }
  std::map<std::string, std::string, std::less<>> file_of;  // tensor -> file
  std::set<std::string> files;
  for (const auto& [name, file] : weight_map->get_object()) {
    const std::string tensor(name.data(), name.size());
    const std::string file_name = file.is_string() ? std::string(file.get_string()) : "";
    if (!is_plain_file_name(file_name)) {
      return wrong(index_path, excerpt(tensor), "the name of a .safetensors file beside the index",
                   file.is_string() ? excerpt(file_name) : "no string");
    }
    file_of.emplace(tensor, file_name);
    files.insert(file_name);
  }
  std::vector<std::string> names(files.begin(), files.end());  // by shard
  for (const std::string& name : names) {
    RECKON_RETURN_IF_ERROR(add_shard(fmt::format("{}/{}", folder, name)));
  }
  for (const SafetensorsTensor& tensor : tensors_) {
    const std::string& held_in = names[static_cast<size_t>(tensor.shard)];
    const auto found = file_of.find(tensor.name);
    if (found == file_of.end() || found->second != held_in) {
      return wrong(index_path, excerpt(tensor.name),
                   fmt::format("it in {}, which holds it", held_in),
                   found == file_of.end() ? "no such name" : excerpt(found->second));
    }
  }
  RECKON_RETURN_IF_ERROR(index_tensors(index_path));
  for (const auto& [name, file] : file_of) {
    if (find(name) == nullptr) {
      return wrong(fmt::format("{}/{}", folder, file), excerpt(name),
                   "the tensor, as the index says", "none");
    }
  }
  return {};
}

Status Safetensors::index_tensors(const std::string& path) {
  const auto name_of = [&](uint32_t i) -> const std::string& { return tensors_[i].name; };
  tensors_by_name_ = indices_by_name(tensors_.size(), name_of);
  for (size_t i = 1; i < tensors_by_name_.size(); ++i) {
    const std::string& name = name_of(tensors_by_name_[i]);
    if (name == name_of(tensors_by_name_[i - 1])) {
      return wrong(path, excerpt(name), "the tensor once", "it twice");
    }
  }
  return {};
}

const SafetensorsTensor* Safetensors::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_by_name_.begin(), tensors_by_name_.end(), name,
                       [&](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  if (found == tensors_by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

void SafetensorsWriter::add_tensor(std::string_view name, TensorType type,
                                   std::span<const int64_t> shape) {
  tensors_.push_back({std::string(name), type, {shape.begin(), shape.end()}});
}

Result<std::string> SafetensorsWriter::header(const std::string& path) {
  boost::json::object directory;
  directory["__metadata__"] = {{"format", "pt"}};  // the mark transformers looks for
  uint64_t offset = 0;
  for (PendingTensor& tensor : tensors_) {
    const auto* dtype = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                     [&](const Dtype& d) { return d.type == tensor.type; });
    auto bytes = std::optional(static_cast<uint64_t>(tensor_type_info(tensor.type).block_bytes));
    for (const int64_t dim : tensor.shape) {
      bytes = bytes && dim >= 0 ? checked_mul(*bytes, static_cast<uint64_t>(dim)) : std::nullopt;
    }
    const std::optional<uint64_t> end = bytes ? checked_add(offset, *bytes) : bytes;
    if (dtype == std::end(kDtypes) || !end || directory.contains(tensor.name)) {
      return failed(
          fmt::format("{}: {} [{}] {}: can't be written: expected each tensor once, f32, "
                      "f16 or bf16, below 2^64 bytes in all",
                      path, excerpt(tensor.name), fmt::join(tensor.shape, ", "),
                      tensor_type_info(tensor.type).name));
    }
    boost::json::object entry;
    entry["dtype"] = boost::json::string_view(dtype->name.data(), dtype->name.size());
    entry["shape"] = boost::json::array(tensor.shape.begin(), tensor.shape.end());
    entry["data_offsets"] = {offset, *end};
    directory[tensor.name] = std::move(entry);
    tensor.bytes = *bytes;
    offset = *end;
  }
  std::string text = boost::json::serialize(directory);
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts aligned
  if (text.size() > kMaxSafetensorsHeaderBytes) {
    return failed(fmt::format("{}: header: expected at most {} bytes, found {}", path,
                              kMaxSafetensorsHeaderBytes, text.size()));
  }
  return text;
}

Status SafetensorsWriter::begin(const std::string& path) {
  RECKON_CHECK(!file_.has_value());
  RECKON_ASSIGN(const std::string text, header(path));
  RECKON_ASSIGN(AtomicFileWriter file, AtomicFileWriter::create(path));
  const uint64_t length = text.size();
  RECKON_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&length, 1))));
  RECKON_RETURN_IF_ERROR(file.write(text));
  file_.emplace(std::move(file));
  return {};
}

Status SafetensorsWriter::write_tensor_data(std::span<const std::byte> data) {
  RECKON_CHECK(file_.has_value());
  RECKON_CHECK(next_tensor_ < tensors_.size());
  const PendingTensor& tensor = tensors_[next_tensor_];
  RECKON_CHECK(data.size() <= tensor.bytes - tensor_bytes_written_);
  RECKON_RETURN_IF_ERROR(file_->write(data));
  tensor_bytes_written_ += data.size();
  if (tensor_bytes_written_ < tensor.bytes) return {};
  ++next_tensor_;
  tensor_bytes_written_ = 0;
  return {};
}

Status SafetensorsWriter::commit() {
  RECKON_CHECK(file_.has_value());
  RECKON_CHECK(next_tensor_ == tensors_.size());
  return file_->commit();
}

}  // namespace reckon
