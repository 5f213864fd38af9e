// The tokenizer first, as it fixes the vocabulary; the file is then read back for its checks.
#include "train/init_model.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "kernels/scalar_math.h"
#include "model/convert_tokenizer.h"
#include "model/synth_vocabulary.h"
#include "tokenizer/tokenizer_json.h"
#include "train/weights.h"

namespace reckon::train {
namespace {

constexpr uint64_t kMaxTokenizerBytes = uint64_t{256} << 20;
// Rows of the embedding come in whole blocks of every quantised type.
constexpr int64_t kVocabularyStep = 32;

Status check(const InitOptions& o) {
  const auto positive = [](const char* name, int64_t value, int64_t max) -> Status {
    if (value >= 1 && value <= max) return {};
    return usage_error(fmt::format("{}: expected 1 to {}, found {}", name, max, value));
  };
  RECKON_RETURN_IF_ERROR(positive("--d", o.d_model, 8192));
  RECKON_RETURN_IF_ERROR(positive("--layers", o.n_layers, 256));
  RECKON_RETURN_IF_ERROR(positive("--heads", o.n_heads, 256));
  RECKON_RETURN_IF_ERROR(positive("--kv-heads", o.n_kv_heads, 256));
  RECKON_RETURN_IF_ERROR(positive("--ffn", o.ffn_dim, 65536));
  RECKON_RETURN_IF_ERROR(positive("--ctx", o.context_length, 1 << 20));
  if (o.architecture != "qwen2" && o.architecture != "llama") {
    return usage_error("--arch: expected qwen2 or llama, found " + excerpt(o.architecture));
  }
  if (o.d_model % o.n_heads != 0 || o.d_model / o.n_heads % 2 != 0) {
    return usage_error(
        fmt::format("--heads: expected a number that cuts --d {} into even parts, "
                    "found {}",
                    o.d_model, o.n_heads));
  }
  if (o.n_heads % o.n_kv_heads != 0) {
    return usage_error(fmt::format("--kv-heads: expected a divisor of --heads {}, found {}",
                                   o.n_heads, o.n_kv_heads));
  }
  if (!(o.rope_theta > 0)) return usage_error("--rope-theta: expected a positive number");
  return {};
}

// The number of tokens of a folder's tokenizer.json, rounded up.
Result<int64_t> folder_vocabulary(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxTokenizerBytes));
  std::string config_text;
  const std::string config_path = folder + "/tokenizer_config.json";
  if (std::filesystem::exists(config_path)) {
    RECKON_ASSIGN(config_text, read_file(config_path, kMaxTokenizerBytes));
  }
  RECKON_ASSIGN(const TokenizerSpec spec, parse_tokenizer_json(text, config_text, 0));
  return std::ssize(spec.tokens);
}

}  // namespace

Status write_initial_model(const InitOptions& o, const std::string& out, ThreadPool& pool,
                           int64_t& n_parameters) {
  RECKON_RETURN_IF_ERROR(check(o));
  NetworkShape shape;
  ModelConfig& c = shape.config;
  c.architecture = o.architecture == "qwen2" ? Architecture::kQwen2 : Architecture::kLlama;
  c.architecture_name = o.architecture;
  c.name = o.name;
  c.n_layers = o.n_layers;
  c.d_model = o.d_model;
  c.n_heads = o.n_heads;
  c.n_kv_heads = o.n_kv_heads;
  c.head_dim = o.d_model / o.n_heads;
  c.ffn_dim = o.ffn_dim;
  c.context_length = o.context_length;
  c.n_rotated = c.head_dim;
  c.rope_theta = o.rope_theta;
  c.rms_epsilon = 1e-6f;
  shape.tied_embedding = o.tied_embedding;
  shape.has_biases = c.architecture == Architecture::kQwen2;

  const bool is_folder = std::filesystem::is_directory(o.tokenizer);
  int64_t n_tokens = 0;
  std::shared_ptr<const GgufFile> from;
  if (is_folder) {
    RECKON_ASSIGN(n_tokens, folder_vocabulary(o.tokenizer));
  } else {
    RECKON_ASSIGN(from, GgufFile::open(o.tokenizer, GgufData::kMayBeMissing));
    RECKON_ASSIGN(n_tokens, count_tokens(*from));
  }
  c.vocab_size = (n_tokens + kVocabularyStep - 1) / kVocabularyStep * kVocabularyStep;

  GgufWriter writer;
  add_architecture(shape, writer);
  if (is_folder) {
    HfConfig config;
    config.architecture = c.architecture;
    config.vocab_size = c.vocab_size;
    RECKON_RETURN_IF_ERROR(add_tokenizer(o.tokenizer, config, writer));
  } else {
    RECKON_RETURN_IF_ERROR(copy_tokenizer(*from, c.vocab_size, writer));
  }
  const WeightLayout layout = layout_of(shape);
  n_parameters = layout.n_parameters();
  RECKON_ASSIGN(const FloatArena weights, FloatArena::create(layout.n_floats, "the weights"));
  random_weights(shape, layout, o.seed, pool, weights.data());
  return write_tensors(writer, layout, weights.data(), out);
}

}  // namespace reckon::train
