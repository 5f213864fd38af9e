// The shapes, their tensors in the published files' order, and the streaming of random data.
#include "model/synth.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <vector>

#include "base/check.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "kernels/scalar_math.h"
#include "model/synth_vocabulary.h"
#include "model/synth_weights.h"

namespace reckon {
namespace {

constexpr auto kQwen2 = Architecture::kQwen2;
constexpr auto kLlama = Architecture::kLlama;
constexpr int64_t kTrainedContext = 131072;
constexpr int64_t kQwenText = 151643;
constexpr int64_t kLlamaText = 128000;

// The distills as their config.json files state them. The tiny ones: one whose rows fit K quants,
// one whose rows don't.
constexpr std::array kShapes = {
    SynthShape{"r1:1.5b", "DeepSeek-R1-Distill-Qwen-1.5B", "1.5B", kQwen2, 28, 1536, 12, 2, 8960,
               kTrainedContext, 1e4f, 1e-6f, kQwenText, 151936},
    SynthShape{"r1:7b", "DeepSeek-R1-Distill-Qwen-7B", "7B", kQwen2, 28, 3584, 28, 4, 18944,
               kTrainedContext, 1e4f, 1e-6f, kQwenText, 152064},
    SynthShape{"r1:8b", "DeepSeek-R1-Distill-Llama-8B", "8B", kLlama, 32, 4096, 32, 8, 14336,
               kTrainedContext, 5e5f, 1e-5f, kLlamaText, 128256},
    SynthShape{"r1:14b", "DeepSeek-R1-Distill-Qwen-14B", "14B", kQwen2, 48, 5120, 40, 8, 13824,
               kTrainedContext, 1e6f, 1e-5f, kQwenText, 152064},
    SynthShape{"r1:32b", "DeepSeek-R1-Distill-Qwen-32B", "32B", kQwen2, 64, 5120, 40, 8, 27648,
               kTrainedContext, 1e6f, 1e-5f, kQwenText, 152064},
    SynthShape{"r1:70b", "DeepSeek-R1-Distill-Llama-70B", "70B", kLlama, 80, 8192, 64, 8, 28672,
               kTrainedContext, 5e5f, 1e-5f, kLlamaText, 128256},
    SynthShape{"tiny-qwen", "no published model", "1M", kQwen2, 2, 256, 4, 2, 512, 4096, 1e4f,
               1e-6f, 512, 544, true},
    SynthShape{"tiny-llama", "no published model", "1M", kLlama, 3, 128, 4, 2, 352, 4096, 5e5f,
               1e-5f, 400, 424, true},
};

enum class Fill { kMatrix, kNorm, kBias, kRopeDivisors };

struct SynthTensor {
  std::string name;
  std::vector<int64_t> dims;  // dims[0] is the row length
  Fill fill = Fill::kMatrix;
  double deviation = 0;  // of matrices and biases
  TensorType type = TensorType::kF32;

  int64_t n_elements() const {
    int64_t n = 1;
    for (const int64_t dim : dims) n *= dim;
    return n;
  }
};

// Entries of deviation 1 / sqrt(row length) give outputs of about the input's own size, so the
// stream that the layers add to grows like the square root of their number and nothing fades or
// explodes. The head is three times as sharp: some tokens are clearly likelier than others.
std::vector<SynthTensor> list_tensors(const SynthShape& shape, int64_t vocab_size) {
  const int64_t d = shape.d_model;
  const int64_t kv = shape.n_kv_heads * shape.head_dim();
  std::vector<SynthTensor> tensors;
  const auto matrix = [&](std::string name, int64_t rows, int64_t cols) -> SynthTensor& {
    tensors.push_back({std::move(name),
                       {cols, rows},
                       Fill::kMatrix,
                       1.0 / std::sqrt(static_cast<double>(cols)),
                       TensorType::kF32});
    return tensors.back();
  };
  const auto vector = [&](std::string name, int64_t n, Fill fill) {
    tensors.push_back({std::move(name), {n}, fill, 0.1, TensorType::kF32});
  };
  matrix("output.weight", vocab_size, d).deviation *= 3;
  vector("output_norm.weight", d, Fill::kNorm);
  if (shape.architecture == kLlama) {
    vector("rope_freqs.weight", shape.head_dim() / 2, Fill::kRopeDivisors);
  }
  matrix("token_embd.weight", vocab_size, d).deviation = 1;
  for (int64_t layer = 0; layer < shape.n_layers; ++layer) {
    const std::string p = fmt::format("blk.{}.", layer);
    const bool biases = shape.architecture == kQwen2;
    if (biases) vector(p + "attn_k.bias", kv, Fill::kBias);
    matrix(p + "attn_k.weight", kv, d);
    vector(p + "attn_norm.weight", d, Fill::kNorm);
    matrix(p + "attn_output.weight", d, d);
    if (biases) vector(p + "attn_q.bias", d, Fill::kBias);
    matrix(p + "attn_q.weight", d, d);
    if (biases) vector(p + "attn_v.bias", kv, Fill::kBias);
    matrix(p + "attn_v.weight", kv, d);
    matrix(p + "ffn_down.weight", d, shape.ffn_dim);
    matrix(p + "ffn_gate.weight", shape.ffn_dim, d);
    vector(p + "ffn_norm.weight", d, Fill::kNorm);
    matrix(p + "ffn_up.weight", shape.ffn_dim, d);
  }
  return tensors;
}

// A plain type that doesn't divide the rows gives way to Q8_0 and then to F16.
TensorType plain_type(TensorType type, int64_t row_length) {
  for (const TensorType candidate : {type, TensorType::kQ8_0}) {
    if (row_length % tensor_type_info(candidate).block_elements == 0) return candidate;
  }
  return TensorType::kF16;
}

void choose_types(const SynthShape& shape, const SynthType& type,
                  std::vector<SynthTensor>& tensors) {
  const MixFacts facts{.architecture = shape.architecture,
                       .n_layers = shape.n_layers,
                       .n_heads = shape.n_heads,
                       .n_kv_heads = shape.n_kv_heads,
                       .tied_embedding = false};
  for (SynthTensor& tensor : tensors) {
    if (tensor.fill != Fill::kMatrix) continue;
    tensor.type = type.mix ? choose_tensor_type(*type.mix, tensor.name, tensor.dims, facts)
                           : plain_type(type.plain, tensor.dims[0]);
  }
}

// general.file_type: llama.cpp's number of the mix that is mostly of this type.
uint32_t file_type(const SynthType& type) {
  if (type.mix) return quantize_target_info(*type.mix).file_type;
  switch (type.plain) {
    case TensorType::kF32: return 0;
    case TensorType::kF16: return 1;
    case TensorType::kQ4_0: return 2;
    case TensorType::kQ4_1: return 3;
    case TensorType::kQ8_0: return 7;
    case TensorType::kQ5_0: return 8;
    case TensorType::kQ5_1: return 9;
    case TensorType::kQ2_K: return 10;
    case TensorType::kQ3_K: return 11;
    case TensorType::kQ4_K: return 14;
    case TensorType::kQ5_K: return 16;
    case TensorType::kQ6_K: return 18;
    case TensorType::kIQ4_NL: return 25;
    case TensorType::kIQ4_XS: return 30;
    case TensorType::kBF16: return 32;
  }
  return 0;
}

void add_shape(const SynthShape& shape, GgufWriter& writer) {
  const std::string a = shape.architecture == kQwen2 ? "qwen2" : "llama";
  const auto count = [&](const char* key, int64_t value) {
    writer.add_uint32(a + key, static_cast<uint32_t>(value));
  };
  writer.add_string("general.architecture", a);
  writer.add_string("general.type", "model");
  writer.add_string("general.name",
                    fmt::format("Random weights in the shape of {}", shape.stands_for));
  writer.add_string("general.organization", "reckon synth");
  writer.add_string("general.basename", fmt::format("synth-{}", shape.name));
  writer.add_string("general.size_label", shape.size_label);
  count(".block_count", shape.n_layers);
  count(".context_length", shape.context_length);
  count(".embedding_length", shape.d_model);
  count(".feed_forward_length", shape.ffn_dim);
  count(".attention.head_count", shape.n_heads);
  count(".attention.head_count_kv", shape.n_kv_heads);
  writer.add_float32(a + ".rope.freq_base", shape.rope_theta);
  writer.add_float32(a + ".attention.layer_norm_rms_epsilon", shape.rms_epsilon);
  if (shape.architecture == kLlama) count(".rope.dimension_count", shape.head_dim());
}

// Llama 3.1's scaling (factor 8, low 1, high 4, 8192 original positions): pairs that turn fewer
// than once in the original context are slowed down by the whole factor, pairs that turn more than
// four times not at all, and between the two the frequency goes over linearly.
std::vector<float> rope_divisors(const SynthShape& shape) {
  constexpr double kFactor = 8;
  constexpr double kLow = 1;
  constexpr double kHigh = 4;
  constexpr double kOriginalContext = 8192;
  std::vector<float> divisors(static_cast<size_t>(shape.head_dim() / 2));
  const double log_theta = exact_log(static_cast<double>(shape.rope_theta));
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim());
    const double turns =
        kOriginalContext * exact_exp(exponent * log_theta) / (2 * std::numbers::pi);
    const double share = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    divisors[i] = static_cast<float>(1 / ((1 - share) / kFactor + share));
  }
  return divisors;
}

class SynthDataWriter {
 public:
  SynthDataWriter(const SynthShape& shape, ThreadPool& pool, GgufWriter& writer)
      : shape_(shape), pool_(pool), writer_(writer) {}

  // on_bytes(n) tells of n more bytes written; false stops.
  template <class OnBytes>
  Status write(const SynthTensor& tensor, uint64_t key, const OnBytes& on_bytes) {
    if (tensor.fill != Fill::kMatrix) {
      const std::vector<float> values = vector_values(tensor, key);
      RECKON_RETURN_IF_ERROR(writer_.write_tensor_data(std::as_bytes(std::span(values))));
      return on_bytes(values.size() * sizeof(float)) ? Status() : stopped();
    }
    const int64_t n = tensor.n_elements();
    const int64_t window = kPieceElements * kPiecesPerThread * pool_.n_threads();
    for (int64_t first = 0; first < n; first += window) {
      const int64_t count = std::min(window, n - first);
      data_.resize(static_cast<size_t>(row_bytes(tensor.type, count)));
      const int64_t n_pieces = (count + kPieceElements - 1) / kPieceElements;
      pool_.parallel_for(n_pieces, [&](int64_t piece, int) {
        const int64_t begin = piece * kPieceElements;
        random_weights(tensor.type, key, first + begin, std::min(kPieceElements, count - begin),
                       tensor.deviation, data_.data() + row_bytes(tensor.type, begin));
      });
      RECKON_RETURN_IF_ERROR(writer_.write_tensor_data(data_));
      if (!on_bytes(data_.size())) return stopped();
    }
    return {};
  }

 private:
  // A multiple of every block's elements.
  static constexpr int64_t kPieceElements = int64_t{1} << 18;
  static constexpr int64_t kPiecesPerThread = 8;

  static Status stopped() { return Error{ErrorKind::kInterrupted, "stopped; nothing was written"}; }

  std::vector<float> vector_values(const SynthTensor& tensor, uint64_t key) const {
    if (tensor.fill == Fill::kRopeDivisors) return rope_divisors(shape_);
    std::vector<float> values(static_cast<size_t>(tensor.n_elements()));
    random_weights(TensorType::kF32, key, 0, tensor.n_elements(), tensor.deviation, values.data());
    if (tensor.fill == Fill::kNorm) {
      for (float& value : values) value += 1;
    }
    return values;
  }

  const SynthShape& shape_;
  ThreadPool& pool_;
  GgufWriter& writer_;
  std::vector<std::byte> data_;
};

Status add_tokenizer(const SynthShape& shape, const SynthOptions& options, GgufWriter& writer,
                     int64_t& vocab_size) {
  vocab_size = shape.vocab_size;
  if (options.tokenizer_from.empty()) {
    add_made_up_tokenizer(shape, writer);
    return {};
  }
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> from,
                GgufFile::open(options.tokenizer_from, GgufData::kMayBeMissing));
  if (shape.tiny) {
    RECKON_ASSIGN(vocab_size, count_tokens(*from));
  }
  return copy_tokenizer(*from, vocab_size, writer);
}

}  // namespace

std::span<const SynthShape> all_synth_shapes() { return kShapes; }

const SynthShape* find_synth_shape(std::string_view name) {
  if (name == "tiny") name = "tiny-qwen";
  const auto* found = std::ranges::find(kShapes, name, &SynthShape::name);
  return found == kShapes.end() ? nullptr : found;
}

Result<SynthType> parse_synth_type(std::string_view name) {
  if (const auto mix = quantize_target_from_name(name)) return SynthType{.mix = *mix};
  if (const auto type = tensor_type_from_name(name)) return SynthType{.mix = {}, .plain = *type};
  std::string names;
  for (const QuantizeTargetInfo& info : all_quantize_targets()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
  }
  for (const TensorTypeInfo& info : all_tensor_types()) {
    if (!quantize_target_from_name(info.name)) names += fmt::format(", {}", info.name);
  }
  return usage_error(fmt::format("type: expected one of {}, found \"{}\"", names, name));
}

Status write_synth_model(const SynthShape& shape, const SynthOptions& options,
                         const std::string& out, ThreadPool& pool,
                         const SynthProgressCallback& progress) {
  GgufWriter writer;
  add_shape(shape, writer);
  int64_t vocab_size = 0;
  RECKON_RETURN_IF_ERROR(add_tokenizer(shape, options, writer, vocab_size));
  writer.add_uint32("general.quantization_version", 2);
  writer.add_uint32("general.file_type", file_type(options.type));

  std::vector<SynthTensor> tensors = list_tensors(shape, vocab_size);
  choose_types(shape, options.type, tensors);
  SynthProgress state;
  for (const SynthTensor& tensor : tensors) {
    writer.add_tensor(tensor.name, tensor.type, tensor.dims);
    state.bytes += static_cast<uint64_t>(row_bytes(tensor.type, tensor.n_elements()));
  }
  RECKON_RETURN_IF_ERROR(writer.begin(out));
  SynthDataWriter data(shape, pool, writer);
  uint64_t index = 0;
  for (const SynthTensor& tensor : tensors) {
    const uint64_t key = mix_bits(mix_bits(options.seed) + ++index);
    RECKON_RETURN_IF_ERROR(data.write(tensor, key, [&](uint64_t bytes) {
      state.bytes_done += bytes;
      return !progress || progress(state);
    }));
  }
  return writer.commit();
}

}  // namespace reckon
