// Places, and the ways in and out.
#include "train/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "base/check.h"
#include "kernels/scalar_math.h"
#include "model/synth_weights.h"
#include "quants/codec.h"

namespace reckon::train {
namespace {

// Every tensor that isn't the rest of a joined matrix begins with a cache line.
constexpr int64_t kAlign = 16;

class LayoutMaker {
 public:
  explicit LayoutMaker(WeightLayout& layout) : layout_(layout) {}

  int64_t matrix(std::string name, int64_t rows, int64_t cols) {
    return add({std::move(name), rows, cols, 0, false});
  }
  int64_t vector(std::string name, int64_t n) { return add({std::move(name), 1, n, 0, true}); }
  void align() { layout_.n_floats = (layout_.n_floats + kAlign - 1) / kAlign * kAlign; }

 private:
  int64_t add(TensorSlot slot) {
    slot.offset = layout_.n_floats;
    layout_.n_floats += slot.size();
    layout_.tensors.push_back(std::move(slot));
    return layout_.tensors.back().offset;
  }
  WeightLayout& layout_;
};

// A pair of independent normal numbers (Box and Muller 1958), from 64 bits each.
double normal(uint64_t key, uint64_t index) {
  const uint64_t a = mix_bits(mix_bits(key + 2 * index) ^ 0x9e3779b97f4a7c15u);
  const uint64_t b = mix_bits(mix_bits(key + 2 * index + 1) ^ 0xd1b54a32d192ed03u);
  const double u = (static_cast<double>(a >> 11) + 1) * 0x1p-53;  // (0, 1]
  const double angle = 2 * std::numbers::pi * static_cast<double>(b >> 11) * 0x1p-53;
  double sine = 0;
  double cosine = 0;
  exact_sin_cos(angle, &sine, &cosine);
  return std::sqrt(-2 * exact_log(u)) * cosine;
}

// The model's tensors in the layout's order.
struct Source {
  const Matrix* matrix = nullptr;
  const Vector* vector = nullptr;
};
std::vector<Source> sources(const Model& model) {
  std::vector<Source> list = {{&model.token_embedding(), nullptr}};
  for (const LayerWeights& l : model.layers()) {
    list.push_back({nullptr, &l.attn_norm});
    for (const Matrix* m : {&l.attn_q, &l.attn_k, &l.attn_v}) list.push_back({m, nullptr});
    if (!l.attn_q_bias.empty()) {
      for (const Vector* v : {&l.attn_q_bias, &l.attn_k_bias, &l.attn_v_bias}) {
        list.push_back({nullptr, v});
      }
    }
    list.push_back({&l.attn_output, nullptr});
    list.push_back({nullptr, &l.ffn_norm});
    for (const Matrix* m : {&l.ffn_gate, &l.ffn_up, &l.ffn_down}) list.push_back({m, nullptr});
  }
  list.push_back({nullptr, &model.output_norm()});
  if (!model.tied_embedding()) list.push_back({&model.output(), nullptr});
  return list;
}

}  // namespace

Result<NetworkShape> shape_of(const Model& model) {
  NetworkShape shape{model.config(), model.tied_embedding(), false, model.rope_frequencies()};
  size_t n_biases = 0;
  for (const LayerWeights& layer : model.layers()) {
    for (const Vector* bias : {&layer.attn_q_bias, &layer.attn_k_bias, &layer.attn_v_bias}) {
      n_biases += bias->empty() ? 0 : 1;
    }
  }
  shape.has_biases = n_biases > 0;
  if (n_biases != 0 && n_biases != 3 * model.layers().size()) {
    return bad_file(
        fmt::format("{}: expected biases of q, k and v in all layers or in none, "
                    "found {} of {}",
                    model.file().path(), n_biases, 3 * model.layers().size()));
  }
  return shape;
}

int64_t WeightLayout::n_parameters() const {
  int64_t n = 0;
  for (const TensorSlot& tensor : tensors) n += tensor.size();
  return n;
}

WeightLayout layout_of(const NetworkShape& shape) {
  const ModelConfig& c = shape.config;
  WeightLayout layout;
  LayoutMaker make(layout);
  layout.token_embedding = make.matrix("token_embd.weight", c.vocab_size, c.d_model);
  for (int64_t i = 0; i < c.n_layers; ++i) {
    const std::string p = fmt::format("blk.{}.", i);
    LayerPlaces places;
    make.align();
    places.attn_norm = make.vector(p + "attn_norm.weight", c.d_model);
    make.align();
    places.qkv = make.matrix(p + "attn_q.weight", c.q_dim(), c.d_model);
    make.matrix(p + "attn_k.weight", c.kv_dim(), c.d_model);
    make.matrix(p + "attn_v.weight", c.kv_dim(), c.d_model);
    make.align();
    if (shape.has_biases) {
      places.qkv_bias = make.vector(p + "attn_q.bias", c.q_dim());
      make.vector(p + "attn_k.bias", c.kv_dim());
      make.vector(p + "attn_v.bias", c.kv_dim());
      make.align();
    }
    places.attn_output = make.matrix(p + "attn_output.weight", c.d_model, c.q_dim());
    make.align();
    places.ffn_norm = make.vector(p + "ffn_norm.weight", c.d_model);
    make.align();
    places.gate_up = make.matrix(p + "ffn_gate.weight", c.ffn_dim, c.d_model);
    make.matrix(p + "ffn_up.weight", c.ffn_dim, c.d_model);
    make.align();
    places.down = make.matrix(p + "ffn_down.weight", c.d_model, c.ffn_dim);
    layout.layers.push_back(places);
  }
  make.align();
  layout.output_norm = make.vector("output_norm.weight", c.d_model);
  make.align();
  layout.output = shape.tied_embedding ? layout.token_embedding
                                       : make.matrix("output.weight", c.vocab_size, c.d_model);
  make.align();
  return layout;
}

Result<FloatArena> FloatArena::create(int64_t n_floats, const char* what) {
  FloatArena arena;
  RECKON_ASSIGN(arena.buffer_,
                HugeBuffer::create(static_cast<uint64_t>(n_floats) * sizeof(float), what));
  arena.n_floats_ = n_floats;
  return arena;
}

Status read_weights(const Model& model, const WeightLayout& layout, ThreadPool& pool,
                    float* weights) {
  const std::vector<Source> list = sources(model);
  RECKON_CHECK(list.size() == layout.tensors.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const TensorSlot& slot = layout.tensors[i];
    float* to = weights + slot.offset;
    if (list[i].vector != nullptr) {
      std::copy(list[i].vector->begin(), list[i].vector->end(), to);
      continue;
    }
    const Matrix& from = *list[i].matrix;
    pool.parallel_for(from.rows, [&](int64_t row, int) {
      decode_row(from.type, from.data + row * from.row_bytes, to + row * from.cols, from.cols);
    });
    for (int64_t j = 0; j < slot.size(); ++j) {
      if (!std::isfinite(to[j])) {
        return bad_file(fmt::format("{}: {}[{}]: expected a finite number, found {}",
                                    model.file().path(), slot.name, j, to[j]));
      }
    }
  }
  return {};
}

void random_weights(const NetworkShape& shape, const WeightLayout& layout, uint64_t seed,
                    ThreadPool& pool, float* weights) {
  constexpr double kDeviation = 0.02;
  const double residual = kDeviation / std::sqrt(2 * static_cast<double>(shape.config.n_layers));
  uint64_t index = 0;
  for (const TensorSlot& slot : layout.tensors) {
    float* to = weights + slot.offset;
    ++index;
    if (slot.is_vector) {
      const bool norm = std::string_view(slot.name).ends_with("norm.weight");
      std::fill_n(to, slot.cols, norm ? 1.0f : 0.0f);
      continue;
    }
    const std::string_view name = slot.name;
    const double deviation = name.ends_with("attn_output.weight") || name.ends_with("down.weight")
                                 ? residual
                                 : kDeviation;
    const uint64_t key = mix_bits(mix_bits(seed) + index);
    pool.parallel_for(slot.rows, [&](int64_t row, int) {
      for (int64_t j = row * slot.cols; j < (row + 1) * slot.cols; ++j) {
        to[j] = static_cast<float>(deviation * normal(key, static_cast<uint64_t>(j)));
      }
    });
  }
}

void add_architecture(const NetworkShape& shape, GgufWriter& writer) {
  const ModelConfig& c = shape.config;
  const std::string& a = c.architecture_name;
  const auto count = [&](const char* key, int64_t value) {
    writer.add_uint32(a + key, static_cast<uint32_t>(value));
  };
  writer.add_string("general.architecture", a);
  writer.add_string("general.type", "model");
  if (!c.name.empty()) writer.add_string("general.name", c.name);
  writer.add_uint32("general.file_type", 0);
  writer.add_uint32("general.quantization_version", 2);
  count(".block_count", c.n_layers);
  count(".context_length", c.context_length);
  count(".embedding_length", c.d_model);
  count(".feed_forward_length", c.ffn_dim);
  count(".attention.head_count", c.n_heads);
  count(".attention.head_count_kv", c.n_kv_heads);
  writer.add_float32(a + ".rope.freq_base", static_cast<float>(c.rope_theta));
  writer.add_float32(a + ".attention.layer_norm_rms_epsilon", c.rms_epsilon);
}

Status write_tensors(GgufWriter& writer, const WeightLayout& layout, const float* weights,
                     const std::string& path, const GgufTensor* as_it_is) {
  if (as_it_is != nullptr) {
    writer.add_tensor(as_it_is->name, as_it_is->type,
                      std::span(as_it_is->dims).first(static_cast<size_t>(as_it_is->n_dims)));
  }
  for (const TensorSlot& slot : layout.tensors) {
    const int64_t dims[] = {slot.cols, slot.rows};
    writer.add_tensor(slot.name, TensorType::kF32, std::span(dims).first(slot.is_vector ? 1 : 2));
  }
  RECKON_RETURN_IF_ERROR(writer.begin(path));
  if (as_it_is != nullptr) {
    RECKON_RETURN_IF_ERROR(
        writer.write_tensor_data({as_it_is->data, static_cast<size_t>(as_it_is->bytes)}));
  }
  for (const TensorSlot& slot : layout.tensors) {
    const std::span values(weights + slot.offset, static_cast<size_t>(slot.size()));
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(values)));
  }
  return writer.commit();
}

Status write_model(const GgufFile& base, const WeightLayout& layout, const float* weights,
                   const std::string& path) {
  GgufWriter writer;
  for (const GgufKeyValue& entry : base.metadata()) {
    const std::string_view key = entry.key;
    if (key == "general.file_type" || key.starts_with("split.") || key == "general.alignment") {
      continue;
    }
    writer.add_value(key, entry.value);
  }
  writer.add_uint32("general.file_type", 0);
  // The divisors of rotary pairs, where there are some, are no parameters.
  return write_tensors(writer, layout, weights, path, base.find_tensor("rope_freqs.weight"));
}

}  // namespace reckon::train
