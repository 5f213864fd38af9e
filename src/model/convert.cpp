// The two conversions: read the description, plan the tensors, write the new directory, stream.
#include "model/convert.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <new>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "gguf/safetensors.h"
#include "model/convert_config.h"
#include "model/convert_tensors.h"
#include "model/convert_tokenizer.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

bool is_float_type(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

// A planned tensor with where its rows come from and what they become.
struct PlannedCopy {
  TensorPlan plan;
  RowCopy copy;
  uint64_t bytes() const {
    return static_cast<uint64_t>(copy.n_rows * row_bytes(copy.to, copy.row_length));
  }
};

// Streams all tensors into writer, which has been given them in this order.
template <class Writer>
Status stream(std::vector<PlannedCopy>& tensors, std::string TensorPlan::* output_name,
              Writer& writer, const ConvertProgressCallback& callback) {
  ConvertProgress progress;
  progress.n_tensors = static_cast<int64_t>(tensors.size());
  for (const PlannedCopy& tensor : tensors) progress.bytes += tensor.bytes();
  for (PlannedCopy& tensor : tensors) {
    progress.tensor = tensor.plan.*output_name;
    tensor.copy.name = progress.tensor;
    const RowSink sink = [&](std::span<const std::byte> rows) -> Status {
      if (callback && !callback(progress)) {
        return Error{ErrorKind::kInterrupted, "the conversion was stopped"};
      }
      progress.bytes_done += rows.size();
      return writer.write_tensor_data(rows);
    };
    RECKON_RETURN_IF_ERROR(copy_rows(tensor.copy, sink));
    ++progress.tensors_done;
  }
  if (callback && !callback(progress)) {
    return Error{ErrorKind::kInterrupted, "the conversion was stopped"};
  }
  return {};
}

// Whether what was read through the mappings was the files all along.
Status check_unchanged(std::span<const MappedFile> files) {
  for (const MappedFile& file : files) RECKON_RETURN_IF_ERROR(file.check_unchanged());
  return {};
}

// Old checkpoints carry what transformers computes or shares: it doesn't load these either.
bool is_ignored(const HfConfig& config, std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq") ||
         (config.tied_embedding && name == "lm_head.weight");
}

Result<std::vector<PlannedCopy>> plan_from_hf(const Safetensors& weights, const HfConfig& config,
                                              const std::string& folder,
                                              std::optional<TensorType> type) {
  std::vector<PlannedCopy> tensors;
  std::unordered_set<std::string_view> taken;
  for (TensorPlan& plan : plan_tensors(config)) {
    const SafetensorsTensor* source = weights.find(plan.hf_name);
    if (source == nullptr) {
      return bad_file(
          fmt::format("{}: {}: expected this tensor, found none", folder, plan.hf_name));
    }
    taken.insert(source->name);
    if (source->shape != plan.shape) {
      return bad_file(fmt::format("{}: {}: expected [{}], found {}", folder, plan.hf_name,
                                  fmt::join(plan.shape, ", "), source->shape_text()));
    }
    PlannedCopy tensor;
    tensor.copy = {.name = {},
                   .source = source->data.data(),
                   .from = source->type,
                   .to = plan.is_vector() ? TensorType::kF32 : type.value_or(source->type),
                   .n_rows = plan.n_rows(),
                   .row_length = plan.row_length(),
                   .order = plan.permuted_heads ? RowOrder::kToInterleaved : RowOrder::kSame,
                   .rows_per_head = config.head_dim};
    tensor.plan = std::move(plan);
    tensors.push_back(std::move(tensor));
  }
  for (const SafetensorsTensor& tensor : weights.tensors()) {
    if (!taken.contains(tensor.name) && !is_ignored(config, tensor.name)) {
      return bad_file(
          fmt::format("{}: {}: this tensor is not part of the architecture as reckon "
                      "knows it",
                      folder, excerpt(tensor.name)));
    }
  }
  return tensors;
}

// general.file_type, llama.cpp's number for "most matrices are of this type".
uint32_t file_type_of(TensorType type) {
  return type == TensorType::kF32 ? 0 : type == TensorType::kF16 ? 1 : 32;
}

void add_general(const HfConfig& config, const std::string& folder, TensorType matrices,
                 GgufWriter& writer) {
  writer.add_string("general.architecture",
                    config.architecture == Architecture::kLlama ? "llama" : "qwen2");
  writer.add_string("general.type", "model");
  std::filesystem::path path(folder);
  if (!path.has_filename()) path = path.parent_path();  // "folder/"
  const std::string name = path.filename().string();
  if (!name.empty()) writer.add_string("general.name", name);
  writer.add_uint32("general.file_type", file_type_of(matrices));
  writer.add_uint32("general.quantization_version", 2);
}

Status hf_to_gguf(const std::string& folder, const std::string& gguf_path,
                  std::optional<TensorType> type, const ConvertProgressCallback& callback) {
  const std::string config_path = folder + "/config.json";
  RECKON_ASSIGN(const std::string config_text, read_file(config_path, kMaxConfigBytes));
  RECKON_ASSIGN(const HfConfig config, read_hf_config(config_text, config_path));
  RECKON_ASSIGN(const std::shared_ptr<const Safetensors> weights, Safetensors::open_folder(folder));
  RECKON_ASSIGN(std::vector<PlannedCopy> tensors, plan_from_hf(*weights, config, folder, type));
  GgufWriter writer;
  add_general(config, folder, tensors[0].copy.to, writer);
  add_config(config, writer);
  RECKON_RETURN_IF_ERROR(add_tokenizer(folder, config, writer));
  std::vector<float> divisors;
  if (config.llama3_rope) {
    divisors = llama3_divisors(config);
    const int64_t dims[] = {static_cast<int64_t>(divisors.size())};
    writer.add_tensor("rope_freqs.weight", TensorType::kF32, dims);
  }
  for (const PlannedCopy& tensor : tensors) {
    const std::vector<int64_t> dims(tensor.plan.shape.rbegin(), tensor.plan.shape.rend());
    writer.add_tensor(tensor.plan.gguf_name, tensor.copy.to, dims);
  }
  RECKON_RETURN_IF_ERROR(writer.begin(gguf_path));
  if (!divisors.empty()) {
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(std::span(divisors))));
  }
  RECKON_RETURN_IF_ERROR(stream(tensors, &TensorPlan::gguf_name, writer, callback));
  RECKON_RETURN_IF_ERROR(check_unchanged(weights->shards()));
  return writer.commit();
}

// The type of a tensor in safetensors: quantised ones become dequantised, a vector takes the
// matrices' type if its values survive that.
TensorType hf_type_of(const GgufTensor& tensor, TensorType matrices, TensorType dequantised) {
  if (!is_float_type(tensor.type)) return dequantised;
  if (tensor.n_dims != 1 || tensor.type != TensorType::kF32) return tensor.type;
  const std::span values(reinterpret_cast<const float*>(tensor.data),
                         static_cast<size_t>(tensor.n_elements));
  return survives(matrices, values) ? matrices : TensorType::kF32;
}

Result<std::vector<PlannedCopy>> plan_from_gguf(const GgufFile& file, const HfConfig& config,
                                                TensorType dequantised) {
  std::vector<PlannedCopy> tensors;
  std::unordered_set<std::string_view> taken = {"rope_freqs.weight"};
  TensorType matrices = dequantised;
  for (TensorPlan& plan : plan_tensors(config)) {
    const GgufTensor* source = file.find_tensor(plan.gguf_name);
    const std::vector<int64_t> dims(plan.shape.rbegin(), plan.shape.rend());
    const std::string expected = fmt::format("[{}]", fmt::join(dims, ", "));
    if (source == nullptr || source->shape_text() != expected) {
      return bad_file(fmt::format("{}: {}: expected {}, found {}", file.path(), plan.gguf_name,
                                  expected, source == nullptr ? "none" : source->shape_text()));
    }
    taken.insert(source->name);
    // The embedding comes first, so its type is known before any vector's.
    if (tensors.empty()) matrices = hf_type_of(*source, dequantised, dequantised);
    PlannedCopy tensor;
    tensor.copy = {.name = {},
                   .source = source->data,
                   .from = source->type,
                   .to = hf_type_of(*source, matrices, dequantised),
                   .n_rows = plan.n_rows(),
                   .row_length = plan.row_length(),
                   .order = plan.permuted_heads ? RowOrder::kFromInterleaved : RowOrder::kSame,
                   .rows_per_head = config.head_dim};
    tensor.plan = std::move(plan);
    tensors.push_back(std::move(tensor));
  }
  for (const GgufTensor& tensor : file.tensors()) {
    if (!taken.contains(tensor.name)) {
      return bad_file(
          fmt::format("{}: {}: this tensor is not part of the architecture as reckon "
                      "knows it",
                      file.path(), excerpt(tensor.name)));
    }
  }
  return tensors;
}

// What transformers should load all weights as without rounding any.
TensorType common_type(const std::vector<PlannedCopy>& tensors) {
  TensorType common = tensors[0].copy.to;
  for (const PlannedCopy& tensor : tensors) {
    if (tensor.copy.to != common) common = TensorType::kF32;
  }
  return common;
}

Status gguf_to_hf(const std::string& gguf_path, const std::string& folder, TensorType dequantised,
                  const ConvertProgressCallback& callback) {
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(gguf_path));
  RECKON_ASSIGN(HfConfig config, hf_config_of(*file));
  RECKON_ASSIGN(std::vector<PlannedCopy> tensors, plan_from_gguf(*file, config, dequantised));
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return failed(folder + ": can't be made: " + error.message());
  RECKON_RETURN_IF_ERROR(write_tokenizer(*file, folder, config));
  SafetensorsWriter writer;
  for (const PlannedCopy& tensor : tensors) {
    writer.add_tensor(tensor.plan.hf_name, tensor.copy.to, tensor.plan.shape);
  }
  RECKON_RETURN_IF_ERROR(writer.begin(folder + "/model.safetensors"));
  RECKON_RETURN_IF_ERROR(stream(tensors, &TensorPlan::hf_name, writer, callback));
  RECKON_RETURN_IF_ERROR(check_unchanged(file->shards()));
  RECKON_RETURN_IF_ERROR(writer.commit());
  return write_file(folder + "/config.json", hf_config_json(config, common_type(tensors)));
}

}  // namespace

Status convert_hf_to_gguf(const std::string& folder, const std::string& gguf_path,
                          std::optional<TensorType> type,
                          const ConvertProgressCallback& progress) try {
  if (type && !is_float_type(*type)) {
    return usage_error(
        fmt::format("convert: expected f32, f16 or bf16, found {} (quantize makes "
                    "the others)",
                    tensor_type_info(*type).name));
  }
  return hf_to_gguf(folder, gguf_path, type, progress);
} catch (const std::bad_alloc&) {
  return failed(folder + ": not enough memory to convert it");
}

Status convert_gguf_to_hf(const std::string& gguf_path, const std::string& folder,
                          TensorType dequantised, const ConvertProgressCallback& progress) try {
  if (dequantised != TensorType::kBF16 && dequantised != TensorType::kF32) {
    return usage_error(fmt::format("convert: expected bf16 or f32 for quantised matrices, found {}",
                                   tensor_type_info(dequantised).name));
  }
  return gguf_to_hf(gguf_path, folder, dequantised, progress);
} catch (const std::bad_alloc&) {
  return failed(gguf_path + ": not enough memory to convert it");
}

}  // namespace reckon
