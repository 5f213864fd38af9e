// The two formats and the merge.
#include "model/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <span>

#include "base/content_hash.h"
#include "base/file.h"
#include "base/json.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "gguf/safetensors.h"
#include "model/convert_tensors.h"
#include "quants/codec.h"

namespace reckon {
namespace {

namespace json = boost::json;
constexpr uint64_t kMaxConfigBytes = 1 << 20;
constexpr int64_t kMaxRank = 4096;
constexpr std::string_view kBaseIdKey = "reckon.adapter.base";
// In a model's file: a hash of what was merged into it.
constexpr std::string_view kMergedKey = "reckon.merged";

// In the order of kLoraTargets.
constexpr std::array<std::string_view, kLoraTargetCount> kHfModules = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

struct Target {
  int64_t layer = 0;
  int target = 0;
  std::string gguf_name() const {
    return fmt::format("blk.{}.{}.weight", layer, kLoraTargets[target]);
  }
  std::string hf_name() const {
    return fmt::format("base_model.model.model.layers.{}.{}", layer, kHfModules[target]);
  }
};

std::vector<Target> all_targets(const ModelConfig& config) {
  std::vector<Target> targets;
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    for (int t = 0; t < kLoraTargetCount; ++t) targets.push_back({layer, t});
  }
  return targets;
}

// Whether a target's rows stand in another order in Hugging Face's files.
bool is_permuted(const ModelConfig& config, int target) {
  return config.rope_layout == RopeLayout::kInterleaved && target < 2;
}

std::vector<float> reorder(const std::vector<float>& from, int64_t rows, int64_t cols,
                           RowOrder order, int64_t rows_per_head) {
  std::vector<float> to(from.size());
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t source = source_row(order, row, rows_per_head);
    std::copy_n(from.begin() + source * cols, cols, to.begin() + row * cols);
  }
  return to;
}

Status check_finite_values(const std::vector<float>& values, const std::string& what) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return bad_file(
          fmt::format("{}[{}]: expected a finite number, found {}", what, i, values[i]));
    }
  }
  return {};
}

// Both parts of one matrix, checked against the model's shape.
Result<AdapterMatrix> assemble(const Target& target, const ModelConfig& config,
                               const std::string& path, std::vector<float> a, int64_t a_rows,
                               int64_t a_cols, std::vector<float> b, int64_t b_rows,
                               int64_t b_cols) {
  const MatrixSize size = lora_target_size(config, target.target);
  const std::string name = target.gguf_name();
  if (a_cols != size.cols || b_rows != size.rows || a_rows != b_cols || a_rows < 1 ||
      a_rows > kMaxRank) {
    return bad_file(fmt::format(
        "{}: {}: expected an adapter [r, {}] and [{}, r] for this model, found [{}, {}] and "
        "[{}, {}]",
        path, name, size.cols, size.rows, a_rows, a_cols, b_rows, b_cols));
  }
  AdapterMatrix matrix{target.layer, target.target, size.rows,   size.cols,
                       a_rows,       std::move(a),  std::move(b)};
  RECKON_RETURN_IF_ERROR(check_finite_values(matrix.a, path + ": " + name + ".lora_a"));
  RECKON_RETURN_IF_ERROR(check_finite_values(matrix.b, path + ": " + name + ".lora_b"));
  return matrix;
}

uint64_t hash_of(std::string_view text) { return content_hash(std::as_bytes(std::span(text))); }

// 0 where nothing was merged into the model.
uint64_t merged_hash(const GgufFile& model) {
  const Result<std::optional<std::string_view>> merged = model.get_string(kMergedKey);
  return merged.ok() && *merged ? hash_of(**merged) : 0;
}

std::vector<float> decoded(TensorType type, const std::byte* data, int64_t rows, int64_t cols) {
  std::vector<float> values(static_cast<size_t>(rows * cols));
  std::vector<std::byte> row(static_cast<size_t>(row_bytes(type, cols)));  // aligned
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(row.data(), data + static_cast<size_t>(i) * row.size(), row.size());
    decode_row(type, row.data(), values.data() + i * cols, cols);
  }
  return values;
}

// A tensor that is left over would be ignored in silence.
Status check_all_taken(size_t n_taken, size_t n_tensors, const std::string& path) {
  if (n_taken == n_tensors) return {};
  return bad_file(
      fmt::format("{}: expected adapters of this model's matrices alone, found {} of "
                  "{} tensors to be such",
                  path, n_taken, n_tensors));
}

Result<Adapter> read_gguf(const std::string& path, const ModelConfig& config) {
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(path));
  Adapter adapter;
  RECKON_ASSIGN(const std::string_view type, file->require_string("general.type"));
  RECKON_ASSIGN(const std::string_view kind, file->require_string("adapter.type"));
  if (type != "adapter" || kind != "lora") {
    return bad_file(fmt::format("{}: expected an adapter of type lora, found {} {}", path,
                                excerpt(type), excerpt(kind)));
  }
  RECKON_ASSIGN(const std::string_view architecture, file->require_string("general.architecture"));
  adapter.architecture = architecture;
  if (architecture != config.architecture_name) {
    return bad_file(fmt::format("{}: general.architecture: expected {}, found {}", path,
                                config.architecture_name, excerpt(architecture)));
  }
  RECKON_ASSIGN(adapter.alpha, file->require_float("adapter.lora.alpha"));
  RECKON_ASSIGN(const std::optional<std::string_view> base_id, file->get_string(kBaseIdKey));
  adapter.base_id = base_id.value_or("");
  size_t n_taken = 0;
  for (const Target& target : all_targets(config)) {
    const GgufTensor* a = file->find_tensor(target.gguf_name() + ".lora_a");
    const GgufTensor* b = file->find_tensor(target.gguf_name() + ".lora_b");
    if (a == nullptr && b == nullptr) continue;
    if (a == nullptr || b == nullptr || a->n_dims != 2 || b->n_dims != 2) {
      return bad_file(fmt::format("{}: {}: expected lora_a and lora_b of two dimensions", path,
                                  target.gguf_name()));
    }
    n_taken += 2;
    RECKON_ASSIGN(
        AdapterMatrix matrix,
        assemble(target, config, path, decoded(a->type, a->data, a->dims[1], a->dims[0]),
                 a->dims[1], a->dims[0], decoded(b->type, b->data, b->dims[1], b->dims[0]),
                 b->dims[1], b->dims[0]));
    adapter.matrices.push_back(std::move(matrix));
  }
  RECKON_RETURN_IF_ERROR(check_all_taken(n_taken, file->tensors().size(), path));
  return adapter;
}

Result<double> number_of(const json::object& object, const char* key, const std::string& path) {
  const json::value* found = object.if_contains(key);
  if (found == nullptr || !found->is_number()) {
    return bad_file(fmt::format("{}: {}: expected a number", path, key));
  }
  return found->to_number<double>();
}

// What would change the arithmetic and isn't plain LoRA.
Status check_peft_config(const json::object& object, const std::string& path) {
  const auto plain = [](const json::value& value) {
    return value.is_null() || (value.is_bool() && !value.get_bool()) ||
           (value.is_string() && value.get_string() == "none") ||
           (value.is_object() && value.get_object().empty());
  };
  for (const char* key : {"use_dora", "use_rslora", "bias", "rank_pattern", "alpha_pattern",
                          "modules_to_save", "fan_in_fan_out", "lora_bias"}) {
    const json::value* value = object.if_contains(key);
    if (value != nullptr && !plain(*value)) {
      return bad_file(fmt::format("{}: {}: reckon reads plain LoRA alone, found {}", path, key,
                                  excerpt(json::serialize(*value))));
    }
  }
  return {};
}

Result<Adapter> read_peft(const std::string& folder, const ModelConfig& config) {
  const std::string config_path = folder + "/adapter_config.json";
  RECKON_ASSIGN(const std::string text, read_file(config_path, kMaxConfigBytes));
  RECKON_ASSIGN(const json::value value, parse_json(text, config_path));
  if (!value.is_object()) return bad_file(config_path + ": expected a JSON object");
  RECKON_RETURN_IF_ERROR(check_peft_config(value.get_object(), config_path));
  Adapter adapter;
  adapter.architecture = config.architecture_name;
  RECKON_ASSIGN(adapter.alpha, number_of(value.get_object(), "lora_alpha", config_path));
  const std::string path = folder + "/adapter_model.safetensors";
  RECKON_ASSIGN(const std::shared_ptr<const Safetensors> file, Safetensors::open(path));
  size_t n_taken = 0;
  for (const Target& target : all_targets(config)) {
    const SafetensorsTensor* a = file->find(target.hf_name() + ".lora_A.weight");
    const SafetensorsTensor* b = file->find(target.hf_name() + ".lora_B.weight");
    if (a == nullptr && b == nullptr) continue;
    if (a == nullptr || b == nullptr || a->shape.size() != 2 || b->shape.size() != 2) {
      return bad_file(fmt::format("{}: {}: expected lora_A and lora_B of two dimensions", path,
                                  target.hf_name()));
    }
    n_taken += 2;
    std::vector<float> b_values = decoded(b->type, b->data.data(), b->shape[0], b->shape[1]);
    RECKON_ASSIGN(
        AdapterMatrix matrix,
        assemble(target, config, path, decoded(a->type, a->data.data(), a->shape[0], a->shape[1]),
                 a->shape[0], a->shape[1], std::move(b_values), b->shape[0], b->shape[1]));
    if (is_permuted(config, target.target)) {
      matrix.b =
          reorder(matrix.b, matrix.rows, matrix.rank, RowOrder::kToInterleaved, config.head_dim);
    }
    adapter.matrices.push_back(std::move(matrix));
  }
  RECKON_RETURN_IF_ERROR(check_all_taken(n_taken, file->tensors().size(), path));
  return adapter;
}

}  // namespace

MatrixSize lora_target_size(const ModelConfig& c, int target) {
  const MatrixSize sizes[] = {{c.q_dim(), c.d_model},  {c.kv_dim(), c.d_model},
                              {c.kv_dim(), c.d_model}, {c.d_model, c.q_dim()},
                              {c.ffn_dim, c.d_model},  {c.ffn_dim, c.d_model},
                              {c.d_model, c.ffn_dim}};
  return sizes[target];
}

std::string AdapterMatrix::name() const { return Target{layer, target}.gguf_name(); }

std::string adapter_base_id(const GgufFile& model) {
  uint64_t id = 0;
  for (const GgufTensor& tensor : model.tensors()) {
    if (!tensor.name.ends_with("_norm.weight")) continue;
    const std::vector<float> values = decoded(tensor.type, tensor.data, 1, tensor.n_elements);
    // A sum: files may list their tensors in any order.
    id += hash_of(tensor.name) ^ content_hash(std::as_bytes(std::span(values)));
  }
  return fmt::format("{:016x}", id + merged_hash(model));
}

Status write_adapter_gguf(const Adapter& adapter, const std::string& path) {
  GgufWriter writer;
  writer.add_string("general.type", "adapter");
  writer.add_string("general.architecture", adapter.architecture);
  writer.add_string("adapter.type", "lora");
  writer.add_float32("adapter.lora.alpha", static_cast<float>(adapter.alpha));
  if (!adapter.base_id.empty()) writer.add_string(kBaseIdKey, adapter.base_id);
  for (const AdapterMatrix& m : adapter.matrices) {
    const int64_t a[] = {m.cols, m.rank};
    const int64_t b[] = {m.rank, m.rows};
    writer.add_tensor(m.name() + ".lora_a", TensorType::kF32, a);
    writer.add_tensor(m.name() + ".lora_b", TensorType::kF32, b);
  }
  RECKON_RETURN_IF_ERROR(writer.begin(path));
  for (const AdapterMatrix& m : adapter.matrices) {
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(std::span(m.a))));
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(std::span(m.b))));
  }
  return writer.commit();
}

Status write_adapter_peft(const Adapter& adapter, const ModelConfig& config,
                          const std::string& base_name, const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return failed(folder + ": can't be made: " + error.message());
  SafetensorsWriter writer;
  json::array modules;
  std::vector<std::pair<const AdapterMatrix*, int>> order;
  for (const Target& target : all_targets(config)) {
    const auto found = std::ranges::find_if(adapter.matrices, [&](const AdapterMatrix& m) {
      return m.layer == target.layer && m.target == target.target;
    });
    if (found == adapter.matrices.end()) continue;
    const std::string_view module = kHfModules[target.target];
    const json::value name(module.substr(module.find('.') + 1));
    if (std::ranges::find(modules, name) == modules.end()) modules.push_back(name);
    const int64_t a[] = {found->rank, found->cols};
    const int64_t b[] = {found->rows, found->rank};
    writer.add_tensor(target.hf_name() + ".lora_A.weight", TensorType::kF32, a);
    writer.add_tensor(target.hf_name() + ".lora_B.weight", TensorType::kF32, b);
    order.emplace_back(&*found, target.target);
  }
  RECKON_RETURN_IF_ERROR(writer.begin(folder + "/adapter_model.safetensors"));
  for (const auto& [matrix, target] : order) {
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(std::span(matrix->a))));
    const std::vector<float> b = is_permuted(config, target)
                                     ? reorder(matrix->b, matrix->rows, matrix->rank,
                                               RowOrder::kFromInterleaved, config.head_dim)
                                     : matrix->b;
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(std::span(b))));
  }
  RECKON_RETURN_IF_ERROR(writer.commit());
  const json::object description = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base_name},
      {"r", adapter.matrices.empty() ? 0 : adapter.matrices.front().rank},
      {"lora_alpha", adapter.alpha},
      {"lora_dropout", 0.0},
      {"bias", "none"},
      {"target_modules", modules}};
  return write_file(folder + "/adapter_config.json", json::serialize(description) + "\n");
}

Result<Adapter> read_adapter(const std::string& path, const ModelConfig& config) {
  return std::filesystem::is_directory(path) ? read_peft(path, config) : read_gguf(path, config);
}

Result<Adapter> read_adapter(const std::string& path, const GgufFile& model,
                             const ModelConfig& config) {
  RECKON_ASSIGN(Adapter adapter, read_adapter(path, config));
  if (adapter.base_id.empty()) return adapter;
  const std::string id = adapter_base_id(model);
  if (adapter.base_id == id) return adapter;
  return bad_file(
      fmt::format("{}: expected an adapter of {}, whose norms hash to {}, found one of another "
                  "model of the same shape, whose norms hash to {}",
                  path, model.path(), id, excerpt(adapter.base_id)));
}

Status merge_adapter(const std::string& base, const std::vector<std::string>& adapters,
                     const std::string& out, ThreadPool& pool) {
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(base));
  RECKON_ASSIGN(const ModelConfig config, read_config(*file));
  std::multimap<std::string, std::pair<AdapterMatrix, double>> by_name;  // and its scale
  uint64_t merged = merged_hash(*file);
  for (const std::string& path : adapters) {
    RECKON_ASSIGN(Adapter adapter, read_adapter(path, *file, config));
    for (AdapterMatrix& m : adapter.matrices) {
      merged += hash_of(m.name()) ^ content_hash(std::as_bytes(std::span(m.a))) ^
                content_hash(std::as_bytes(std::span(m.b)));
      const double scale = adapter.alpha / static_cast<double>(m.rank);
      by_name.emplace(m.name(), std::pair(std::move(m), scale));
    }
  }
  GgufWriter writer;
  for (const GgufKeyValue& entry : file->metadata()) {
    if (entry.key.starts_with("split.") || entry.key == kMergedKey) continue;
    writer.add_value(entry.key, entry.value);
  }
  writer.add_string(kMergedKey, fmt::format("{:016x}", merged));
  const auto type_of = [&](const GgufTensor& tensor) {
    const bool changes = by_name.contains(std::string(tensor.name));
    return !changes || can_encode(tensor.type) ? tensor.type : TensorType::kF16;
  };
  for (const GgufTensor& tensor : file->tensors()) {
    writer.add_tensor(tensor.name, type_of(tensor),
                      std::span(tensor.dims).first(static_cast<size_t>(tensor.n_dims)));
  }
  RECKON_RETURN_IF_ERROR(writer.begin(out));
  for (const GgufTensor& tensor : file->tensors()) {
    const auto [first, last] = by_name.equal_range(std::string(tensor.name));
    if (first == last) {
      RECKON_RETURN_IF_ERROR(
          writer.write_tensor_data({tensor.data, static_cast<size_t>(tensor.bytes)}));
      continue;
    }
    const int64_t cols = tensor.dims[0];
    const int64_t rows = tensor.dims[1];
    const TensorType type = type_of(tensor);
    const int64_t bytes = row_bytes(type, cols);
    std::vector<std::byte> merged(static_cast<size_t>(rows * bytes));
    std::vector<uint8_t> bad(static_cast<size_t>(rows), 0);
    pool.parallel_for(rows, [&](int64_t row, int) {
      std::vector<float> values(static_cast<size_t>(cols));
      decode_row(tensor.type, tensor.data + row * row_bytes(tensor.type, cols), values.data(),
                 cols);
      for (auto it = first; it != last; ++it) {
        const AdapterMatrix& m = it->second.first;
        for (int64_t k = 0; k < m.rank; ++k) {
          const auto factor = static_cast<float>(
              it->second.second * static_cast<double>(m.b[static_cast<size_t>(row * m.rank + k)]));
          const float* a = m.a.data() + k * cols;
          for (int64_t j = 0; j < cols; ++j) values[static_cast<size_t>(j)] += factor * a[j];
        }
      }
      for (const float value : values) {
        if (!std::isfinite(value)) bad[static_cast<size_t>(row)] = 1;
      }
      if (bad[static_cast<size_t>(row)] == 0) {
        encode_row(type, values.data(), merged.data() + row * bytes, cols);
      }
    });
    if (std::ranges::find(bad, 1) != bad.end()) {
      return bad_file(fmt::format("{}: {}: the merged weights are not finite", base, tensor.name));
    }
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(merged));
  }
  return writer.commit();
}

}  // namespace reckon
