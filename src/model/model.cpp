// Tensor directory -> weights with proven shapes.
#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "base/content_hash.h"
#include "kernels/packed.h"
#include "kernels/scalar_math.h"
#include "model/packed_file.h"
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

// In the order of kLoraTargets.
std::array<Matrix*, kLoraTargetCount> adapter_targets(LayerWeights& layer) {
  return {&layer.attn_q,   &layer.attn_k, &layer.attn_v,  &layer.attn_output,
          &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down};
}

Matrix f32_matrix(const std::vector<float>& values, int64_t rows, int64_t cols) {
  return {.type = TensorType::kF32,
          .data = reinterpret_cast<const std::byte*>(values.data()),
          .rows = rows,
          .cols = cols,
          .row_bytes = row_bytes(TensorType::kF32, cols)};
}

// All adapters' parts for one matrix: A under A, B beside B times its scale. Moving it leaves the
// values where they are.
LowRank side_by_side(const std::vector<Adapter>& adapters, int64_t layer, int target,
                     const Matrix& matrix) {
  std::vector<std::pair<const AdapterMatrix*, double>> parts;  // and the scale
  int64_t rank = 0;
  for (const Adapter& adapter : adapters) {
    for (const AdapterMatrix& part : adapter.matrices) {
      if (part.layer != layer || part.target != target) continue;
      parts.emplace_back(&part, adapter.alpha / static_cast<double>(part.rank));
      rank += part.rank;
    }
  }
  LowRank low;
  for (const auto& [part, scale] : parts) {
    low.a_values.insert(low.a_values.end(), part->a.begin(), part->a.end());
  }
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (const auto& [part, scale] : parts) {
      for (int64_t k = 0; k < part->rank; ++k) {
        const float b = part->b[static_cast<size_t>(row * part->rank + k)];
        low.b_values.push_back(static_cast<float>(scale * static_cast<double>(b)));
      }
    }
  }
  low.a = f32_matrix(low.a_values, rank, matrix.cols);
  low.b = f32_matrix(low.b_values, matrix.rows, rank);
  return low;
}

// The file that a matrix stands in, and where; none when it was given as bytes.
struct FilePlace {
  const MappedFile* file = nullptr;
  size_t offset = 0;
};

FilePlace find_place(const GgufFile& file, const std::byte* data) {
  for (const MappedFile& shard : file.shards()) {
    const std::span<const std::byte> bytes = shard.bytes();
    if (std::less_equal<>()(bytes.data(), data) &&
        std::less<>()(data, bytes.data() + bytes.size())) {
      return {&shard, static_cast<size_t>(data - bytes.data())};
    }
  }
  return {};
}

// Each matrix begins with a cache line.
int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// What is read, packed and given back at a time.
constexpr int64_t kSliceBytes = int64_t{8} << 20;

void set_packed(Matrix& matrix, const std::byte* data) {
  matrix.data = data;
  matrix.n_packed_rows = matrix.rows / kernels::kPackedRows * kernels::kPackedRows;
}

// Matrices that stand packed one after the other from data on.
void place_packed(const std::vector<Matrix*>& matrices, const std::byte* data) {
  for (Matrix* matrix : matrices) {
    set_packed(*matrix, data);
    data += aligned(matrix->bytes());
  }
}

// Of what stands where when they are packed one after the other.
uint64_t layout_hash(const std::vector<Matrix*>& matrices) {
  std::vector<int64_t> layout;
  for (const Matrix* matrix : matrices) {
    layout.insert(layout.end(), {static_cast<int64_t>(matrix->type), matrix->rows, matrix->cols});
  }
  return content_hash(std::as_bytes(std::span(layout)));
}

// Reads a matrix and moves it to target, its rows packed as far as they fill groups. releases: the
// file's pages are given back.
Status pack(Matrix& matrix, std::byte* target, const FilePlace& place, bool releases,
            ThreadPool& pool) {
  const int64_t n_groups = matrix.rows / kernels::kPackedRows;
  const int64_t group_bytes = kernels::kPackedRows * matrix.row_bytes;
  const int64_t slice = std::max<int64_t>(1, kSliceBytes / group_bytes);
  for (int64_t first = 0; first < n_groups; first += slice) {
    const int64_t n = std::min(slice, n_groups - first);
    const size_t offset = place.offset + static_cast<size_t>(first * group_bytes);
    const auto length = static_cast<size_t>(n * group_bytes);
    if (place.file != nullptr) RECKON_RETURN_IF_ERROR(place.file->populate(offset, length));
    pool.parallel_for(n, [&](int64_t i, int) {
      const int64_t at = (first + i) * group_bytes;
      kernels::pack_rows(matrix.type, matrix.data + at, matrix.row_bytes, target + at);
    });
    if (place.file != nullptr && releases) place.file->release(offset, length);
  }
  const int64_t n_packed = n_groups * group_bytes;
  std::memcpy(target + n_packed, matrix.data + n_packed,
              static_cast<size_t>(matrix.bytes() - n_packed));
  set_packed(matrix, target);
  return place.file != nullptr ? place.file->check_unchanged() : Status();
}

}  // namespace

Result<std::shared_ptr<Model>> Model::load(std::shared_ptr<const GgufFile> file) try {
  auto model = std::make_shared<Model>();
  RECKON_ASSIGN(model->config_, read_config(*file));
  const ModelConfig& config = model->config_;
  TensorReader reader(*file);
  RECKON_RETURN_IF_ERROR(reader.matrix("token_embd.weight", config.vocab_size, config.d_model,
                                       model->token_embedding_));
  RECKON_RETURN_IF_ERROR(reader.vector("output_norm.weight", config.d_model, model->output_norm_));
  model->output_ = model->token_embedding_;
  model->tied_embedding_ = !reader.has("output.weight");
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
  return model;
} catch (const std::bad_alloc&) {
  return failed("out of memory while reading the model's directory");
}

void Model::set_adapters(const std::vector<Adapter>& adapters) {
  RECKON_CHECK(low_ranks_.empty());
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const auto targets = adapter_targets(layers_[layer]);
    for (int target = 0; target < kLoraTargetCount; ++target) {
      Matrix& matrix = *targets[static_cast<size_t>(target)];
      LowRank low = side_by_side(adapters, static_cast<int64_t>(layer), target, matrix);
      if (low.a.rows == 0) continue;
      adapter_rank_ = std::max(adapter_rank_, low.a.rows);
      matrix.low_rank = &low_ranks_.emplace_back(std::move(low));
    }
  }
}

int64_t Model::adapter_bytes() const {
  int64_t bytes = 0;
  for (const LowRank& low : low_ranks_) bytes += low.a.bytes() + low.b.bytes();
  return bytes;
}

std::vector<Matrix*> Model::product_matrices() {
  std::vector<Matrix*> matrices;
  for (LayerWeights& layer : layers_) {
    for (Matrix* matrix : adapter_targets(layer)) matrices.push_back(matrix);
  }
  matrices.push_back(&output_);
  return matrices;
}

Status Model::pack_matrices(const std::vector<Matrix*>& matrices, ThreadPool& pool,
                            const std::function<void(int64_t)>& progress) {
  std::byte* next = packed_.data();
  for (Matrix* matrix : matrices) {
    const FilePlace place = find_place(*file_, matrix->data);
    // The embedding stays the file's, also where it is the output's matrix too.
    const bool releases = matrix->data != token_embedding_.data;
    RECKON_RETURN_IF_ERROR(pack(*matrix, next, place, releases, pool));
    next += aligned(matrix->bytes());
    progress(next - packed_.data());
  }
  return {};
}

Result<KeptWeights> Model::read_weights(bool packed, ThreadPool& pool, const Progress& progress,
                                        const std::string& keep_in) {
  RECKON_CHECK(packed_.size() == 0);
  std::vector<Matrix*> to_pack;
  std::vector<const Matrix*> as_they_are = {&token_embedding_};
  for (Matrix* matrix : product_matrices()) {
    if (packed && kernels::can_pack(matrix->type)) {
      to_pack.push_back(matrix);
    } else {
      as_they_are.push_back(matrix);
    }
  }
  int64_t bytes = 0;
  for (const Matrix* matrix : to_pack) bytes += aligned(matrix->bytes());
  int64_t unpacked_bytes = 0;
  for (const Matrix* matrix : as_they_are) unpacked_bytes += matrix->bytes();
  int64_t done_before = 0;
  const auto told = [&](int64_t done) {
    if (progress) progress(done_before + done, unpacked_bytes + bytes);
  };
  for (const Matrix* matrix : as_they_are) {
    const FilePlace place = find_place(*file_, matrix->data);
    if (place.file != nullptr) {
      RECKON_RETURN_IF_ERROR(
          place.file->populate(place.offset, static_cast<size_t>(matrix->bytes())));
    }
    done_before += matrix->bytes();
    told(0);
  }
  RECKON_ASSIGN(packed_, HugeBuffer::create(static_cast<uint64_t>(bytes), "weights"));
  if (keep_in.empty() || to_pack.empty() || file_->shards().empty()) {
    RECKON_RETURN_IF_ERROR(pack_matrices(to_pack, pool, told));
    return KeptWeights{};
  }
  const PackedFile kept(keep_in, *file_, layout_hash(to_pack));
  const std::span<std::byte> memory(packed_.data(), packed_.size());
  if (kept.read(memory, pool, told)) {
    place_packed(to_pack, packed_.data());
    return KeptWeights{.state = KeptWeights::State::kRead, .problem = {}};
  }
  RECKON_RETURN_IF_ERROR(pack_matrices(to_pack, pool, told));
  const Status written = kept.write(memory, pool);
  if (written.ok()) return KeptWeights{.state = KeptWeights::State::kMade, .problem = {}};
  return KeptWeights{.state = KeptWeights::State::kFailed, .problem = written.error().message};
}

int64_t Model::resident_bytes(bool packed) const {
  const bool twice = packed && tied_embedding_ && kernels::can_pack(output_.type);
  return static_cast<int64_t>(file_->file_bytes()) + (twice ? output_.bytes() : 0);
}

}  // namespace reckon
