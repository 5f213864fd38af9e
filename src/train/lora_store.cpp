// Decoding, adding, and the low-rank gradients.
#include "train/lora_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/json.h"
#include "model/synth_weights.h"
#include "quants/codec.h"

namespace reckon::train {
namespace {

constexpr std::array<std::string_view, kLoraTargetCount> kShortNames = {"q",    "k",  "v",   "o",
                                                                        "gate", "up", "down"};

// Parts of a joined matrix: which targets, in their order.
struct Joined {
  int first;
  int count;
};
Joined joined(LayerMatrix matrix) {
  switch (matrix) {
    case LayerMatrix::kQkv: return {0, 3};
    case LayerMatrix::kAttnOutput: return {3, 1};
    case LayerMatrix::kGateUp: return {4, 2};
    case LayerMatrix::kDown: return {6, 1};
  }
  return {0, 0};
}

const Matrix& target_of(const LayerWeights& layer, int target) {
  const Matrix* const matrices[] = {&layer.attn_q,      &layer.attn_k,   &layer.attn_v,
                                    &layer.attn_output, &layer.ffn_gate, &layer.ffn_up,
                                    &layer.ffn_down};
  return *matrices[target];
}

int64_t layer_floats(const NetworkShape& shape) {
  int64_t n = 0;
  for (int t = 0; t < kLoraTargetCount; ++t) {
    const MatrixSize size = lora_target_size(shape.config, t);
    n += size.rows * size.cols;
  }
  return n;
}

int64_t adapter_floats(const NetworkShape& shape, const LoraShape& lora) {
  int64_t n = 0;
  for (int t = 0; t < kLoraTargetCount; ++t) {
    const MatrixSize size = lora_target_size(shape.config, t);
    if (lora.targets[t]) n += lora.rank * (size.rows + size.cols) + 32;
  }
  return n * shape.config.n_layers;
}

int64_t widest(const NetworkShape& shape) {
  const ModelConfig& c = shape.config;
  return std::max({c.d_model, c.q_dim(), c.ffn_dim});
}

}  // namespace

Status parse_lora_targets(std::string_view text, LoraShape& shape) {
  std::ranges::fill(shape.targets, text == "all");
  if (text == "all") return {};
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view name = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    bool known = false;
    for (size_t t = 0; t < kLoraTargetCount; ++t) {
      if (name != kShortNames[t] && name != kLoraTargets[t]) continue;
      shape.targets[t] = known = true;
    }
    if (!known) {
      return usage_error(fmt::format("--lora-targets: expected all or some of {}, found {}",
                                     fmt::join(kShortNames, ","), excerpt(name)));
    }
  }
  return {};
}

void LoraStore::place() {
  const auto add = [&](std::string name, int64_t rows, int64_t cols) {
    n_floats_ = (n_floats_ + 15) / 16 * 16;
    const int64_t at = n_floats_;
    tensors_.push_back({std::move(name), rows, cols, at, false});
    n_floats_ += rows * cols;
    return at;
  };
  for (int64_t layer = 0; layer < shape_.config.n_layers; ++layer) {
    std::vector<LoraPlaces>& places = places_.emplace_back(kLoraTargetCount);
    for (int t = 0; t < kLoraTargetCount; ++t) {
      if (!lora_.targets[t]) continue;
      const MatrixSize size = lora_target_size(shape_.config, t);
      const std::string name = fmt::format("blk.{}.{}.weight", layer, kLoraTargets[t]);
      LoraPlaces& place = places[static_cast<size_t>(t)];
      place.a = add(name + ".lora_a", lora_.rank, size.cols);
      place.b = add(name + ".lora_b", size.rows, lora_.rank);
    }
  }
}

Result<std::unique_ptr<LoraStore>> LoraStore::create(const Model& model, const NetworkShape& shape,
                                                     const LoraShape& lora, uint64_t seed,
                                                     const FloatOps& ops, int64_t max_tokens) {
  if (lora.rank < 1 || lora.rank > 1024 || !std::isfinite(lora.alpha) ||
      std::ranges::none_of(lora.targets, [](bool t) { return t; })) {
    return usage_error(fmt::format(
        "LoRA: expected a rank of 1 to 1024, an alpha and a target, found rank {}, alpha {}",
        lora.rank, lora.alpha));
  }
  std::unique_ptr<LoraStore> store(new LoraStore(model, shape, lora, ops));
  store->place();
  RECKON_ASSIGN(store->parameters_, FloatArena::create(store->n_floats_, "the adapters"));
  RECKON_ASSIGN(store->gradients_, FloatArena::create(store->n_floats_, "their gradients"));
  RECKON_ASSIGN(store->layer_weights_, FloatArena::create(layer_floats(shape), "a layer"));
  const Matrix& embedding = model.token_embedding();
  RECKON_ASSIGN(store->embedding_,
                FloatArena::create(embedding.rows * embedding.cols, "the embedding"));
  store->decode(embedding, store->embedding_.data());
  if (!model.tied_embedding()) {
    RECKON_ASSIGN(store->head_, FloatArena::create(embedding.rows * embedding.cols, "the head"));
    store->decode(model.output(), store->head_.data());
  }
  const int64_t wide = widest(shape);
  store->scaled_.resize(static_cast<size_t>(std::max(max_tokens, wide) * lora.rank));
  store->panels_.resize(
      static_cast<size_t>(std::max(panel_floats(wide, lora.rank), panel_floats(lora.rank, wide))));
  // He et al. 2015 as PyTorch's linear layers have it: uniform in +-1 / sqrt(columns).
  for (size_t i = 0; i < store->tensors_.size(); i += 2) {
    const TensorSlot& a = store->tensors_[i];
    const double bound = 1 / std::sqrt(static_cast<double>(a.cols));
    const uint64_t key = mix_bits(mix_bits(seed) + i + 1);
    for (int64_t j = 0; j < a.size(); ++j) {
      const uint64_t bits = mix_bits(key + static_cast<uint64_t>(j));
      const double share = static_cast<double>(bits >> 11) * 0x1p-53;
      store->parameters_.data()[a.offset + j] = static_cast<float>(bound * (2 * share - 1));
    }
  }
  return store;
}

int64_t LoraStore::memory_bytes(const NetworkShape& shape, const LoraShape& lora,
                                int64_t max_tokens) {
  const int64_t embedding = shape.config.vocab_size * shape.config.d_model;
  const int64_t wide = widest(shape);
  // The adapters with gradients and two moments.
  const int64_t floats = 4 * adapter_floats(shape, lora) + layer_floats(shape) +
                         embedding * (shape.tied_embedding ? 1 : 2) +
                         lora.rank * (std::max(max_tokens, wide) + 2 * wide);
  return floats * static_cast<int64_t>(sizeof(float));
}

const float* LoraStore::output() {
  return model_.tied_embedding() ? embedding_.data() : head_.data();
}

void LoraStore::decode(const Matrix& from, float* to) const {
  RECKON_CHECK(from.n_packed_rows == 0);
  ops_.pool().parallel_for(from.rows, [&](int64_t row, int) {
    decode_row(from.type, from.data + row * from.row_bytes, to + row * from.cols, from.cols);
  });
}

void LoraStore::make(const Matrix& from, const LoraPlaces& adapter, float* to) {
  decode(from, to);
  if (adapter.a < 0) return;
  const float* b = parameters_.data() + adapter.b;
  const auto scale = static_cast<float>(lora_.scale());
  for (int64_t i = 0; i < from.rows * lora_.rank; ++i) {
    scaled_[static_cast<size_t>(i)] = scale * b[i];
  }
  ops_.gemm({.a = scaled_.data(),
             .a_row_stride = lora_.rank,
             .a_depth_stride = 1,
             .b = parameters_.data() + adapter.a,
             .b_stride = from.cols,
             .b_panel_stride = kernels::kPanelColumns,
             .out = to,
             .out_stride = from.cols,
             .rows = from.rows,
             .columns = from.cols,
             .depth = lora_.rank,
             .accumulate = true,
             .scratch = nullptr});
}

LayerPointers LoraStore::layer(int64_t layer) {
  const LayerWeights& from = model_.layers()[static_cast<size_t>(layer)];
  float* at = layer_weights_.data();
  const float* parts[kLoraTargetCount];
  for (int t = 0; t < kLoraTargetCount; ++t) {
    const Matrix& matrix = target_of(from, t);
    make(matrix, places_[static_cast<size_t>(layer)][static_cast<size_t>(t)], at);
    parts[t] = at;
    at += matrix.rows * matrix.cols;
  }
  if (shape_.has_biases) {
    bias_.clear();
    for (const Vector* part : {&from.attn_q_bias, &from.attn_k_bias, &from.attn_v_bias}) {
      bias_.insert(bias_.end(), part->begin(), part->end());
    }
  }
  return {.attn_norm = from.attn_norm.data(),
          .qkv = parts[0],
          .qkv_bias = shape_.has_biases ? bias_.data() : nullptr,
          .attn_output = parts[3],
          .ffn_norm = from.ffn_norm.data(),
          .gate_up = parts[4],
          .down = parts[6]};
}

void LoraStore::add_gradient(int64_t layer, LayerMatrix matrix, const float* dy, const float* x,
                             int64_t n) {
  const MatrixSize whole = layer_matrix_size(shape_, matrix);
  const Joined part = joined(matrix);
  const int64_t r = lora_.rank;
  const auto scale = static_cast<float>(lora_.scale());
  const auto scale_rows = [&] { ops_.training().scale(scaled_.data(), scale, n * r); };
  int64_t column = 0;  // of dy
  for (int t = part.first; t < part.first + part.count; ++t) {
    const MatrixSize size = lora_target_size(shape_.config, t);
    const LoraPlaces& place = places_[static_cast<size_t>(layer)][static_cast<size_t>(t)];
    const float* dy_part = dy + column;
    column += size.rows;
    if (place.a < 0) continue;
    const float* a = parameters_.data() + place.a;
    const float* b = parameters_.data() + place.b;
    // t = s X A^T [n, r]; dB += dY^T t.
    ops_.pack_turned(a, r, size.cols, panels_.data());
    ops_.gemm({x, size.cols, 1, panels_.data(), kernels::kPanelColumns,
               kernels::kPanelColumns * size.cols, scaled_.data(), r, n, r, size.cols, false,
               nullptr});
    scale_rows();
    ops_.gemm({dy_part, 1, whole.rows, scaled_.data(), r, kernels::kPanelColumns,
               gradients_.data() + place.b, r, size.rows, r, n, true, nullptr});
    // u = s dY B [n, r]; dA += u^T X.
    ops_.pack(b, size.rows, r, panels_.data());
    ops_.gemm({dy_part, whole.rows, 1, panels_.data(), kernels::kPanelColumns,
               kernels::kPanelColumns * size.rows, scaled_.data(), r, n, r, size.rows, false,
               nullptr});
    scale_rows();
    ops_.gemm({scaled_.data(), 1, r, x, size.cols, kernels::kPanelColumns,
               gradients_.data() + place.a, size.cols, r, size.cols, n, true, nullptr});
  }
}

Adapter adapter_of(const LoraStore& store, const ModelConfig& config) {
  Adapter adapter{config.architecture_name, store.lora().alpha, {}};
  const int64_t rank = store.lora().rank;
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    for (int target = 0; target < kLoraTargetCount; ++target) {
      const LoraPlaces& place =
          store.places()[static_cast<size_t>(layer)][static_cast<size_t>(target)];
      if (place.a < 0) continue;
      const MatrixSize size = lora_target_size(config, target);
      const float* a = store.parameters() + place.a;
      const float* b = store.parameters() + place.b;
      adapter.matrices.push_back({layer, target, size.rows, size.cols, rank,
                                  std::vector<float>(a, a + rank * size.cols),
                                  std::vector<float>(b, b + size.rows * rank)});
    }
  }
  return adapter;
}

}  // namespace reckon::train
