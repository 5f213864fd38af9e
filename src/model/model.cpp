// Tensor directory -> weights with proven shapes.
#include "model/model.h"

#include <fmt/format.h>

#include <cmath>
#include <new>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "kernels/scalar_math.h"
#include "quants/codec.h"

namespace reckon {
namespace {

// Finds tensors by name, proves their shapes and remembers which were taken.
class TensorReader {
 public:
  explicit TensorReader(const GgufFile& file) : file_(file) {}

  Status matrix(const std::string& name, int64_t rows, int64_t cols, Matrix& out) {
    RECKON_ASSIGN(const GgufTensor* tensor, take(name));
    if (tensor->n_dims != 2 || tensor->dims[0] != cols || tensor->dims[1] != rows) {
      return wrong_shape(*tensor, fmt::format("[{}, {}]", cols, rows));
    }
    out = {tensor->type, tensor->data, rows, cols, row_bytes(tensor->type, cols)};
    return {};
  }

  Status vector(const std::string& name, int64_t n, Vector& out) {
    RECKON_ASSIGN(const GgufTensor* tensor, take(name));
    if (tensor->n_dims != 1 || tensor->dims[0] != n) {
      return wrong_shape(*tensor, fmt::format("[{}]", n));
    }
    out.resize(static_cast<size_t>(n));
    decode_row(tensor->type, tensor->data, out.data(), n);
    for (size_t i = 0; i < out.size(); ++i) {
      if (!std::isfinite(out[i])) {
        return bad_file(fmt::format("{}: {}[{}]: expected a finite number, found {}", file_.path(),
                                    name, i, out[i]));
      }
    }
    return {};
  }

  // As vector(), but a tensor that isn't there leaves out empty.
  Status optional_vector(const std::string& name, int64_t n, Vector& out) {
    if (file_.find_tensor(name) == nullptr) return {};
    return vector(name, n, out);
  }

  // A tensor that no part of the model asked for would change the arithmetic if it were known.
  Status all_taken() const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!taken_.contains(tensor.name)) {
        return bad_file(
            fmt::format("{}: {}: this tensor is not part of the architecture as reckon "
                        "knows it",
                        file_.path(), tensor.name));
      }
    }
    return {};
  }

  bool has(std::string_view name) const { return file_.find_tensor(name) != nullptr; }

 private:
  Result<const GgufTensor*> take(const std::string& name) {
    const GgufTensor* tensor = file_.find_tensor(name);
    if (tensor == nullptr) {
      return bad_file(fmt::format("{}: {}: expected this tensor, found none", file_.path(), name));
    }
    taken_.insert(tensor->name);
    return tensor;
  }

  Error wrong_shape(const GgufTensor& tensor, const std::string& expected) const {
    return bad_file(fmt::format("{}: {}: expected {}, found {}", file_.path(), tensor.name,
                                expected, tensor.shape_text()));
  }

  const GgufFile& file_;
  std::unordered_set<std::string_view> taken_;
};

Status read_layer(TensorReader& reader, const ModelConfig& config, int64_t index,
                  LayerWeights& layer) {
  const std::string prefix = fmt::format("blk.{}.", index);
  const auto matrix = [&](const char* name, int64_t rows, int64_t cols, Matrix& out) {
    return reader.matrix(prefix + name + ".weight", rows, cols, out);
  };
  const int64_t d = config.d_model;
  RECKON_RETURN_IF_ERROR(reader.vector(prefix + "attn_norm.weight", d, layer.attn_norm));
  RECKON_RETURN_IF_ERROR(matrix("attn_q", config.q_dim(), d, layer.attn_q));
  RECKON_RETURN_IF_ERROR(matrix("attn_k", config.kv_dim(), d, layer.attn_k));
  RECKON_RETURN_IF_ERROR(matrix("attn_v", config.kv_dim(), d, layer.attn_v));
  RECKON_RETURN_IF_ERROR(matrix("attn_output", d, config.q_dim(), layer.attn_output));
  RECKON_RETURN_IF_ERROR(reader.vector(prefix + "ffn_norm.weight", d, layer.ffn_norm));
  RECKON_RETURN_IF_ERROR(matrix("ffn_gate", config.ffn_dim, d, layer.ffn_gate));
  RECKON_RETURN_IF_ERROR(matrix("ffn_up", config.ffn_dim, d, layer.ffn_up));
  RECKON_RETURN_IF_ERROR(matrix("ffn_down", d, config.ffn_dim, layer.ffn_down));
  const bool qwen2 = config.architecture == Architecture::kQwen2;
  const auto bias = [&](const char* name, int64_t n, Vector& out) {
    const std::string full = prefix + name + ".bias";
    return qwen2 ? reader.vector(full, n, out) : reader.optional_vector(full, n, out);
  };
  RECKON_RETURN_IF_ERROR(bias("attn_q", config.q_dim(), layer.attn_q_bias));
  RECKON_RETURN_IF_ERROR(bias("attn_k", config.kv_dim(), layer.attn_k_bias));
  return bias("attn_v", config.kv_dim(), layer.attn_v_bias);
}

// theta^(-2i / n_rotated) for pair i (Su et al. 2021, eq. 15), divided by the linear factor and by
// the file's per-pair divisor (llama3 scaling). Double precision by our own exp and log, so that
// every machine makes the same table.
Result<std::vector<double>> rope_table(const GgufFile& file, const ModelConfig& config,
                                       const Vector& divisors) {
  std::vector<double> table(static_cast<size_t>(config.n_rotated / 2));
  const double log_theta = exact_log(config.rope_theta);
  for (size_t i = 0; i < table.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.n_rotated);
    const double divisor = divisors.empty() ? 1.0 : static_cast<double>(divisors[i]);
    if (!(divisor > 0.0)) {
      return bad_file(fmt::format("{}: rope_freqs.weight[{}]: expected a positive number, found {}",
                                  file.path(), i, divisor));
    }
    table[i] = exact_exp(exponent * log_theta) / config.rope_linear_factor / divisor;
  }
  return table;
}

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(std::shared_ptr<const GgufFile> file) try {
  auto model = std::make_shared<Model>();
  RECKON_ASSIGN(model->config_, read_config(*file));
  const ModelConfig& config = model->config_;
  TensorReader reader(*file);
  RECKON_RETURN_IF_ERROR(reader.matrix("token_embd.weight", config.vocab_size, config.d_model,
                                       model->token_embedding_));
  RECKON_RETURN_IF_ERROR(reader.vector("output_norm.weight", config.d_model, model->output_norm_));
  model->output_ = model->token_embedding_;
  if (reader.has("output.weight")) {
    RECKON_RETURN_IF_ERROR(
        reader.matrix("output.weight", config.vocab_size, config.d_model, model->output_));
  }
  model->layers_.resize(static_cast<size_t>(config.n_layers));
  for (int64_t i = 0; i < config.n_layers; ++i) {
    RECKON_RETURN_IF_ERROR(read_layer(reader, config, i, model->layers_[static_cast<size_t>(i)]));
  }
  Vector divisors;
  RECKON_RETURN_IF_ERROR(
      reader.optional_vector("rope_freqs.weight", config.n_rotated / 2, divisors));
  RECKON_RETURN_IF_ERROR(reader.all_taken());
  RECKON_ASSIGN(model->rope_frequencies_, rope_table(*file, config, divisors));
  model->file_ = std::move(file);
  return std::shared_ptr<const Model>(std::move(model));
} catch (const std::bad_alloc&) {
  return failed("out of memory while reading the model's directory");
}

}  // namespace reckon
