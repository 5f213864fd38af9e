// Metadata -> ModelConfig.
#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/checked_math.h"

namespace reckon {
namespace {

class ConfigReader {
 public:
  ConfigReader(const GgufFile& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}

  std::string key(std::string_view suffix) const { return prefix_ + std::string(suffix); }

  Result<int64_t> required(std::string_view suffix, int64_t max) const {
    RECKON_ASSIGN(const uint64_t value, file_.require_uint(key(suffix)));
    return in_range(suffix, value, max);
  }

  Result<int64_t> optional(std::string_view suffix, int64_t max, int64_t fallback) const {
    RECKON_ASSIGN(const std::optional<uint64_t> value, file_.get_uint(key(suffix)));
    if (!value) return fallback;
    return in_range(suffix, *value, max);
  }

  Result<double> optional_float(std::string_view suffix, double fallback) const {
    RECKON_ASSIGN(const std::optional<double> value, file_.get_float(key(suffix)));
    return value.value_or(fallback);
  }

  // A key that would change the arithmetic unless it holds the one value that changes nothing.
  Status require_neutral(std::string_view suffix, double neutral) const {
    const GgufValue* value = file_.find(key(suffix));
    if (value == nullptr) return {};
    double number = std::nan("");
    if (const auto* u = std::get_if<uint64_t>(&value->data)) number = static_cast<double>(*u);
    if (const auto* i = std::get_if<int64_t>(&value->data)) number = static_cast<double>(*i);
    if (const auto* f = std::get_if<double>(&value->data)) number = *f;
    if (number == neutral) return {};
    return bad_file(
        fmt::format("{}: {}: expected {} (reckon knows no other arithmetic here), "
                    "found {}",
                    file_.path(), key(suffix), neutral,
                    std::isnan(number) ? "something else" : fmt::format("{}", number)));
  }

 private:
  Result<int64_t> in_range(std::string_view suffix, uint64_t value, int64_t max) const {
    if (value >= 1 && std::cmp_less_equal(value, max)) return static_cast<int64_t>(value);
    return bad_file(
        fmt::format("{}: {}: expected 1 to {}, found {}", file_.path(), key(suffix), max, value));
  }

  const GgufFile& file_;
  std::string prefix_;
};

// Keys of an architecture whose meaning is implemented.
constexpr std::array<std::string_view, 16> kUnderstoodKeys = {
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
    "attention.key_length",
    "attention.value_length",
    "rope.freq_base",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",  // llama3's own scaling comes as a tensor
    "rope.scaling.finetuned",                // tells how it was trained, changes nothing
};

struct NeutralKey {
  std::string_view suffix;
  double value;
};

// Keys that change nothing as long as they hold this value.
constexpr std::array<NeutralKey, 12> kNeutralKeys = {{
    {"attention.causal", 1},
    {"attention.sliding_window", 0},
    {"attention.max_alibi_bias", 0},
    {"attention.clamp_kqv", 0},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"expert_count", 0},
    {"expert_used_count", 0},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"embedding_scale", 1},
    {"rope.scaling.attn_factor", 1},
}};

// A window as wide as the context hides nothing, and of these layouts the tensors' order in the
// file is the only difference.
Result<bool> is_harmless(const GgufFile& file, std::string_view suffix, const GgufKeyValue& pair,
                         const ConfigReader& reader) {
  if (suffix == "attention.sliding_window") {
    RECKON_ASSIGN(const std::optional<uint64_t> window, file.get_uint(pair.key));
    RECKON_ASSIGN(const std::optional<uint64_t> context,
                  file.get_uint(reader.key("context_length")));
    return window && context && *window >= *context;
  }
  if (suffix == "tensor_data_layout") {
    RECKON_ASSIGN(const std::optional<std::string_view> layout, file.get_string(pair.key));
    return layout == "reference" || layout == "Meta AI original pth";
  }
  return false;
}

Status check_keys(const GgufFile& file, const std::string& architecture,
                  const ConfigReader& reader) {
  const std::string prefix = architecture + ".";
  for (const GgufKeyValue& pair : file.metadata()) {
    if (!pair.key.starts_with(prefix)) continue;
    const std::string_view suffix = pair.key.substr(prefix.size());
    if (std::find(kUnderstoodKeys.begin(), kUnderstoodKeys.end(), suffix) !=
        kUnderstoodKeys.end()) {
      continue;
    }
    RECKON_ASSIGN(const bool harmless, is_harmless(file, suffix, pair, reader));
    if (harmless) continue;
    const auto neutral = std::find_if(kNeutralKeys.begin(), kNeutralKeys.end(),
                                      [&](const NeutralKey& k) { return k.suffix == suffix; });
    if (neutral == kNeutralKeys.end()) {
      return bad_file(fmt::format(
          "{}: {}: this key can change the model's arithmetic and reckon does not understand it",
          file.path(), pair.key));
    }
    RECKON_RETURN_IF_ERROR(reader.require_neutral(neutral->suffix, neutral->value));
  }
  return {};
}

Status read_rope(const GgufFile& file, const ConfigReader& reader, ModelConfig& config) {
  RECKON_ASSIGN(config.n_rotated,
                reader.optional("rope.dimension_count", kMaxDim, config.head_dim));
  if (config.n_rotated % 2 != 0 || config.n_rotated > config.head_dim) {
    return bad_file(fmt::format(
        "{}: {}: expected an even number up to the head's {} elements, "
        "found {}",
        file.path(), reader.key("rope.dimension_count"), config.head_dim, config.n_rotated));
  }
  RECKON_ASSIGN(config.rope_theta, reader.optional_float("rope.freq_base", 10000.0));
  if (!(config.rope_theta >= 1.0 && config.rope_theta <= kMaxRopeTheta)) {
    return bad_file(fmt::format("{}: {}: expected 1 to 1e12, found {}", file.path(),
                                reader.key("rope.freq_base"), config.rope_theta));
  }
  RECKON_ASSIGN(const std::optional<std::string_view> type,
                file.get_string(reader.key("rope.scaling.type")));
  RECKON_ASSIGN(const double factor, reader.optional_float("rope.scaling.factor", 1.0));
  if (!type || *type == "none") {
    // Without a type, older files mean linear scaling by the factor; reckon asks for the type.
    if (!type && factor != 1.0) {
      return bad_file(
          fmt::format("{}: {}: expected beside rope.scaling.factor {}, found no such "
                      "key",
                      file.path(), reader.key("rope.scaling.type"), factor));
    }
    return {};
  }
  if (*type != "linear") {
    return bad_file(
        fmt::format("{}: {}: expected \"none\" or \"linear\" (llama3 scaling comes as "
                    "the tensor rope_freqs.weight), found \"{}\"",
                    file.path(), reader.key("rope.scaling.type"), *type));
  }
  if (!(factor >= 1.0 && factor <= 1e6)) {
    return bad_file(fmt::format("{}: {}: expected 1 to 1e6, found {}", file.path(),
                                reader.key("rope.scaling.factor"), factor));
  }
  config.rope_linear_factor = factor;
  return {};
}

Status read_attention(const GgufFile& file, const ConfigReader& reader, ModelConfig& config) {
  RECKON_ASSIGN(config.n_heads, reader.required("attention.head_count", kMaxHeads));
  RECKON_ASSIGN(config.n_kv_heads,
                reader.optional("attention.head_count_kv", kMaxHeads, config.n_heads));
  if (config.n_heads % config.n_kv_heads != 0) {
    return bad_file(fmt::format("{}: {}: expected a divisor of the {} heads, found {}", file.path(),
                                reader.key("attention.head_count_kv"), config.n_heads,
                                config.n_kv_heads));
  }
  if (file.find(reader.key("attention.key_length")) == nullptr &&
      config.d_model % config.n_heads != 0) {
    return bad_file(fmt::format("{}: {}: expected a divisor of the model's width {}, found {}",
                                file.path(), reader.key("attention.head_count"), config.d_model,
                                config.n_heads));
  }
  RECKON_ASSIGN(config.head_dim,
                reader.optional("attention.key_length", kMaxDim, config.d_model / config.n_heads));
  RECKON_ASSIGN(const int64_t value_dim,
                reader.optional("attention.value_length", kMaxDim, config.head_dim));
  if (value_dim != config.head_dim) {
    return bad_file(fmt::format("{}: {}: expected the key length {}, found {}", file.path(),
                                reader.key("attention.value_length"), config.head_dim, value_dim));
  }
  RECKON_ASSIGN(const double epsilon,
                file.require_float(reader.key("attention.layer_norm_rms_epsilon")));
  if (!(epsilon >= 0.0 && epsilon <= 1.0)) {
    return bad_file(fmt::format("{}: {}: expected 0 to 1, found {}", file.path(),
                                reader.key("attention.layer_norm_rms_epsilon"), epsilon));
  }
  config.rms_epsilon = static_cast<float>(epsilon);
  return {};
}

}  // namespace

Result<ModelConfig> read_config(const GgufFile& file) {
  ModelConfig config;
  RECKON_ASSIGN(const std::string_view architecture, file.require_string("general.architecture"));
  if (architecture == "llama") {
    config.architecture = Architecture::kLlama;
    config.rope_layout = RopeLayout::kInterleaved;
  } else if (architecture == "qwen2") {
    config.architecture = Architecture::kQwen2;
    config.rope_layout = RopeLayout::kHalfSplit;
  } else {
    return bad_file(
        fmt::format("{}: general.architecture: expected \"llama\" or \"qwen2\", found "
                    "\"{}\"",
                    file.path(), architecture));
  }
  config.architecture_name = std::string(architecture);
  RECKON_ASSIGN(const std::optional<std::string_view> name, file.get_string("general.name"));
  config.name = std::string(name.value_or(""));

  const ConfigReader reader(file, config.architecture_name);
  RECKON_RETURN_IF_ERROR(check_keys(file, config.architecture_name, reader));
  RECKON_ASSIGN(config.n_layers, reader.required("block_count", kMaxLayers));
  RECKON_ASSIGN(config.d_model, reader.required("embedding_length", kMaxDim));
  RECKON_ASSIGN(config.ffn_dim, reader.required("feed_forward_length", kMaxDim));
  RECKON_ASSIGN(config.context_length, reader.required("context_length", kMaxContext));
  RECKON_RETURN_IF_ERROR(read_attention(file, reader, config));
  if (config.q_dim() > kMaxDim) {
    return bad_file(fmt::format("{}: {} heads of {} elements: expected a width up to {}",
                                file.path(), config.n_heads, config.head_dim, kMaxDim));
  }
  RECKON_RETURN_IF_ERROR(read_rope(file, reader, config));

  // The embedding's own shape says how many tokens there are; vocab_size must agree if it stands.
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return bad_file(file.path() + ": token_embd.weight: expected this tensor, found none");
  }
  config.vocab_size = embedding->dims[1];
  if (config.vocab_size < 1 || config.vocab_size > kMaxVocab) {
    return bad_file(fmt::format("{}: token_embd.weight: expected 1 to {} rows, found {}",
                                file.path(), kMaxVocab, config.vocab_size));
  }
  RECKON_ASSIGN(const int64_t vocab_size,
                reader.optional("vocab_size", kMaxVocab, config.vocab_size));
  if (vocab_size != config.vocab_size) {
    return bad_file(fmt::format("{}: {}: expected {} (token_embd.weight's rows), found {}",
                                file.path(), reader.key("vocab_size"), config.vocab_size,
                                vocab_size));
  }
  const GgufValue* tokens = file.find("tokenizer.ggml.tokens");
  const GgufArray* list = tokens == nullptr ? nullptr : tokens->array();
  if (list != nullptr && list->count > static_cast<uint64_t>(config.vocab_size)) {
    return bad_file(fmt::format(
        "{}: tokenizer.ggml.tokens: expected at most {} (token_embd.weight's rows), found {}",
        file.path(), config.vocab_size, list->count));
  }
  return config;
}

}  // namespace reckon
