// config.json and GGUF keys, both ways. Fields that transformers' Qwen2 and Llama code reads are
// either translated or must hold the one value that changes nothing; others can't matter.
#include "model/convert_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <numbers>

#include "base/json.h"
#include "kernels/scalar_math.h"

namespace reckon {
namespace {

namespace json = boost::json;

json::string_view as_json(std::string_view text) { return {text.data(), text.size()}; }

Status check_architecture(const JsonFields& fields, HfConfig& config) {
  const json::value* list = fields.find("architectures");
  const bool one = list != nullptr && list->is_array() && list->get_array().size() == 1 &&
                   list->get_array()[0].is_string();
  const std::string_view name =
      one ? std::string_view(list->get_array()[0].get_string()) : std::string_view();
  if (name == "LlamaForCausalLM") {
    config.architecture = Architecture::kLlama;
  } else if (name == "Qwen2ForCausalLM") {
    config.architecture = Architecture::kQwen2;
  } else {
    return fields.wrong("architectures", "one of Qwen2ForCausalLM and LlamaForCausalLM");
  }
  // transformers chooses its code by it.
  const char* model_type = config.architecture == Architecture::kLlama ? "llama" : "qwen2";
  RECKON_ASSIGN(const std::optional<std::string> named, fields.text("model_type"));
  if (named.value_or(model_type) != model_type) {
    return fields.wrong("model_type", fmt::format("\"{}\" beside {}", model_type, name));
  }
  // Weights that are stored quantised, and models that bring their own code.
  for (const char* key : {"quantization_config", "auto_map"}) {
    if (fields.has(key)) return fields.wrong(key, "no such field");
  }
  return {};
}

// Fields that change the arithmetic unless they are absent or as here.
Status check_neutral(const JsonFields& fields) {
  RECKON_ASSIGN(const std::optional<std::string> activation, fields.text("hidden_act"));
  if (activation.value_or("silu") != "silu") return fields.wrong("hidden_act", "\"silu\"");
  for (const char* key : {"attention_bias", "mlp_bias", "use_sliding_window", "use_mrope",
                          "is_encoder_decoder", "add_cross_attention"}) {
    RECKON_ASSIGN(const bool value, fields.flag(key, false));
    if (value) return fields.wrong(key, "false");
  }
  for (const char* key : {"partial_rotary_factor", "logit_scale", "logits_scaling",
                          "residual_multiplier", "embedding_multiplier", "attention_multiplier"}) {
    RECKON_ASSIGN(const std::optional<double> factor, fields.number(key));
    if (factor.value_or(1.0) != 1.0) return fields.wrong(key, "1");
  }
  // What other architectures have.
  for (const char* key : {"final_logit_softcapping", "attn_logit_softcapping", "clip_qkv",
                          "num_experts", "num_local_experts"}) {
    RECKON_ASSIGN(const std::optional<double> value, fields.number(key));
    if (value.value_or(0.0) != 0.0) return fields.wrong(key, "0");
  }
  if (const json::value* types = fields.find("layer_types")) {
    const auto full = [](const json::value& v) { return v == "full_attention"; };
    if (!types->is_array() || !std::ranges::all_of(types->get_array(), full)) {
      return fields.wrong("layer_types", "\"full_attention\" for every layer");
    }
  }
  return {};
}

// rope_parameters (transformers 5) or rope_theta and rope_scaling (before).
Status read_rope(const JsonFields& fields, std::string_view what, HfConfig& config) {
  const char* key = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (fields.has("rope_parameters") && fields.has("rope_scaling") &&
      *fields.find("rope_parameters") != *fields.find("rope_scaling")) {
    return fields.wrong("rope_scaling", "none beside rope_parameters, or the same");
  }
  RECKON_ASSIGN(std::optional<double> theta, fields.number("rope_theta"));
  if (const json::value* value = fields.find(key)) {
    if (!value->is_object()) return fields.wrong(key, "an object");
    const std::string inner_what = fmt::format("{}: {}", what, key);
    const JsonFields rope(value->get_object(), inner_what);
    RECKON_ASSIGN(const std::optional<double> inner_theta, rope.number("rope_theta"));
    if (theta && inner_theta && theta != inner_theta) {
      return rope.wrong("rope_theta", fmt::format("{}, as outside of it", *theta));
    }
    if (inner_theta) theta = inner_theta;
    RECKON_ASSIGN(const std::optional<double> rotary, rope.number("partial_rotary_factor"));
    if (rotary.value_or(1.0) != 1.0) return rope.wrong("partial_rotary_factor", "1");
    const char* type_key = rope.has("rope_type") ? "rope_type" : "type";
    RECKON_ASSIGN(const std::optional<std::string> type, rope.text(type_key));
    RECKON_ASSIGN(const std::optional<std::string> old_type, rope.text("type"));
    if (old_type && old_type != type) {
      return rope.wrong("type", fmt::format("\"{}\", as rope_type", *type));
    }
    // By kind of layer.
    for (const json::key_value_pair& inner : value->get_object()) {
      if (inner.value().is_object()) return rope.wrong(inner.key(), "no object");
    }
    if (type.value_or("default") == "llama3" && config.architecture == Architecture::kLlama) {
      Llama3Rope scaling;
      RECKON_ASSIGN(scaling.factor, rope.required_number("factor"));
      RECKON_ASSIGN(scaling.low_freq_factor, rope.required_number("low_freq_factor"));
      RECKON_ASSIGN(scaling.high_freq_factor, rope.required_number("high_freq_factor"));
      RECKON_ASSIGN(scaling.original_context,
                    rope.required_integer("original_max_position_embeddings", 1, kMaxContext));
      if (!(scaling.factor >= 1)) return rope.wrong("factor", "1 and more");
      if (!(scaling.low_freq_factor > 0)) return rope.wrong("low_freq_factor", "more than 0");
      if (!(scaling.high_freq_factor > scaling.low_freq_factor)) {
        return rope.wrong("high_freq_factor", "more than low_freq_factor");
      }
      config.llama3_rope = scaling;
    } else if (type.value_or("default") != "default") {
      return rope.wrong(type_key, config.architecture == Architecture::kLlama
                                      ? "\"default\" or \"llama3\""
                                      : "\"default\"");
    } else {
      RECKON_ASSIGN(const std::optional<double> factor, rope.number("factor"));
      if (factor.value_or(1.0) != 1.0) return rope.wrong("factor", "1, or a rope_type beside it");
    }
  }
  config.rope_theta = theta.value_or(10000.0);
  if (!(config.rope_theta > 1 && config.rope_theta <= kMaxRopeTheta)) {
    return fields.wrong("rope_theta", "more than 1 and at most 1e12");
  }
  return {};
}

// An id, or the first of several.
Result<std::optional<int64_t>> read_id(const JsonFields& fields, std::string_view key) {
  const json::value* value = fields.find(key);
  if (value == nullptr) return std::optional<int64_t>();
  if (value->is_array() && !value->get_array().empty()) value = &value->get_array()[0];
  if (!value->is_int64()) return fields.wrong(key, "a token's id or a list of them");
  // transformers 4 wrote -1 for none.
  const int64_t id = value->get_int64();
  return id < 0 ? std::optional<int64_t>() : std::optional(id);
}

// The formula behind rope_freqs.weight. A GGUF holds only the divisors, so the factors that every
// Llama 3 has are tried and must give the same ones.
Result<Llama3Rope> find_llama3_rope(const GgufFile& file, const GgufTensor& tensor,
                                    HfConfig config) {
  std::vector<float> found(static_cast<size_t>(tensor.n_elements));
  if (tensor.type == TensorType::kF32) {
    std::copy_n(reinterpret_cast<const float*>(tensor.data), found.size(), found.data());
  }
  Llama3Rope rope;
  rope.factor = static_cast<double>(*std::ranges::max_element(found));
  RECKON_ASSIGN(const std::optional<uint64_t> context,
                file.get_uint("llama.rope.scaling.original_context_length"));
  if (context && *context >= 1 && *context <= static_cast<uint64_t>(kMaxContext)) {
    rope.original_context = static_cast<int64_t>(*context);
  }
  config.llama3_rope = rope;
  const std::vector<float> expected = llama3_divisors(config);
  // Other writers compute them in single precision.
  const auto close = [](float a, float b) { return std::fabs(a - b) <= 1e-4f * std::fabs(b); };
  if (!std::ranges::equal(found, expected, close)) {
    return bad_file(
        fmt::format("{}: rope_freqs.weight: expected the scaling of Llama 3 with factors "
                    "{}, 1 and 4 and an original context of {}, found another, which "
                    "config.json can't be written for",
                    file.path(), rope.factor, rope.original_context));
  }
  return rope;
}

}  // namespace

const json::value* JsonFields::find(std::string_view key) const {
  const json::value* value = object_.if_contains(as_json(key));
  return value == nullptr || value->is_null() ? nullptr : value;
}

Error JsonFields::wrong(std::string_view key, std::string_view expected) const {
  const json::value* value = find(key);
  return bad_file(fmt::format("{}: {}: expected {}, found {}", what_, key, expected,
                              value == nullptr ? "none" : excerpt(json::serialize(*value))));
}

Result<std::optional<int64_t>> JsonFields::integer(std::string_view key, int64_t min,
                                                   int64_t max) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::optional<int64_t>();
  if (!value->is_int64() || value->get_int64() < min || value->get_int64() > max) {
    return wrong(key, fmt::format("a whole number from {} to {}", min, max));
  }
  return std::optional(value->get_int64());
}

Result<int64_t> JsonFields::required_integer(std::string_view key, int64_t min, int64_t max) const {
  RECKON_ASSIGN(const std::optional<int64_t> value, integer(key, min, max));
  if (!value) return wrong(key, fmt::format("a whole number from {} to {}", min, max));
  return *value;
}

Result<std::optional<double>> JsonFields::number(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number()) return wrong(key, "a number");
  return std::optional(value->to_number<double>());
}

Result<double> JsonFields::required_number(std::string_view key) const {
  RECKON_ASSIGN(const std::optional<double> value, number(key));
  if (!value) return wrong(key, "a number");
  return *value;
}

Result<bool> JsonFields::flag(std::string_view key, bool otherwise) const {
  const json::value* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_bool()) return wrong(key, "true or false");
  return value->get_bool();
}

Result<std::optional<std::string>> JsonFields::text(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return wrong(key, "a string");
  return std::optional<std::string>(std::string(value->get_string()));
}

Result<HfConfig> read_hf_config(std::string_view text, std::string_view what) {
  RECKON_ASSIGN(const json::value root, parse_json(text, what));
  if (!root.is_object()) return bad_file(fmt::format("{}: expected a JSON object", what));
  const JsonFields fields(root.get_object(), what);
  HfConfig config;
  RECKON_RETURN_IF_ERROR(check_architecture(fields, config));
  RECKON_RETURN_IF_ERROR(check_neutral(fields));
  const auto dim = [&](std::string_view key, int64_t max, int64_t& out) -> Status {
    RECKON_ASSIGN(out, fields.required_integer(key, 1, max));
    return {};
  };
  RECKON_RETURN_IF_ERROR(dim("num_hidden_layers", kMaxLayers, config.n_layers));
  RECKON_RETURN_IF_ERROR(dim("hidden_size", kMaxDim, config.d_model));
  RECKON_RETURN_IF_ERROR(dim("intermediate_size", kMaxDim, config.ffn_dim));
  RECKON_RETURN_IF_ERROR(dim("num_attention_heads", kMaxHeads, config.n_heads));
  RECKON_RETURN_IF_ERROR(dim("vocab_size", kMaxVocab, config.vocab_size));
  RECKON_RETURN_IF_ERROR(dim("max_position_embeddings", kMaxContext, config.context_length));
  RECKON_ASSIGN(const std::optional<int64_t> kv_heads,
                fields.integer("num_key_value_heads", 1, config.n_heads));
  config.n_kv_heads = kv_heads.value_or(config.n_heads);
  if (config.n_heads % config.n_kv_heads != 0 ||
      (!kv_heads && config.architecture == Architecture::kQwen2)) {
    return fields.wrong("num_key_value_heads", fmt::format("a divisor of {}", config.n_heads));
  }
  RECKON_ASSIGN(const std::optional<int64_t> head_dim, fields.integer("head_dim", 1, kMaxDim));
  config.head_dim = head_dim.value_or(config.d_model / config.n_heads);
  if (config.head_dim < 2 || config.head_dim % 2 != 0 ||
      (!head_dim && config.d_model % config.n_heads != 0)) {
    return fields.wrong(head_dim ? "head_dim" : "hidden_size", "heads of an even size");
  }
  RECKON_ASSIGN(config.rms_epsilon, fields.required_number("rms_norm_eps"));
  if (!(config.rms_epsilon > 0 && config.rms_epsilon < 1)) {
    return fields.wrong("rms_norm_eps", "more than 0 and less than 1");
  }
  RECKON_ASSIGN(config.tied_embedding, fields.flag("tie_word_embeddings", false));
  RECKON_RETURN_IF_ERROR(read_rope(fields, what, config));
  RECKON_ASSIGN(config.bos, read_id(fields, "bos_token_id"));
  RECKON_ASSIGN(config.eos, read_id(fields, "eos_token_id"));
  RECKON_ASSIGN(config.padding, read_id(fields, "pad_token_id"));
  return config;
}

void add_config(const HfConfig& config, GgufWriter& writer) {
  const bool llama = config.architecture == Architecture::kLlama;
  const std::string prefix = llama ? "llama." : "qwen2.";
  const auto number = [&](const char* key, int64_t value) {
    writer.add_uint32(prefix + key, static_cast<uint32_t>(value));
  };
  number("block_count", config.n_layers);
  number("context_length", config.context_length);
  number("embedding_length", config.d_model);
  number("feed_forward_length", config.ffn_dim);
  number("attention.head_count", config.n_heads);
  number("attention.head_count_kv", config.n_kv_heads);
  writer.add_float32(prefix + "rope.freq_base", static_cast<float>(config.rope_theta));
  writer.add_float32(prefix + "attention.layer_norm_rms_epsilon",
                     static_cast<float>(config.rms_epsilon));
  if (config.head_dim * config.n_heads != config.d_model) {
    number("attention.key_length", config.head_dim);
    number("attention.value_length", config.head_dim);
  }
  if (llama) {
    number("vocab_size", config.vocab_size);
    number("rope.dimension_count", config.head_dim);
  }
  // The scaling itself is the tensor rope_freqs.weight; this lets the way back find its formula.
  if (config.llama3_rope) {
    number("rope.scaling.original_context_length", config.llama3_rope->original_context);
  }
}

std::vector<float> llama3_divisors(const HfConfig& config) {
  const Llama3Rope& rope = *config.llama3_rope;
  const auto context = static_cast<double>(rope.original_context);
  const double log_theta = exact_log(config.rope_theta);
  std::vector<float> divisors(static_cast<size_t>(config.head_dim / 2));
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim);
    const double wavelength = 2.0 * std::numbers::pi * exact_exp(exponent * log_theta);
    double divisor = 1.0;
    if (wavelength > context / rope.low_freq_factor) {
      divisor = rope.factor;
    } else if (wavelength >= context / rope.high_freq_factor) {
      const double smooth = (context / wavelength - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
      divisor = 1.0 / ((1.0 - smooth) / rope.factor + smooth);
    }
    divisors[i] = static_cast<float>(divisor);
  }
  return divisors;
}

Result<HfConfig> hf_config_of(const GgufFile& file) {
  RECKON_ASSIGN(const ModelConfig model, read_config(file));
  const auto unfit = [&](const char* key) {
    return bad_file(fmt::format("{}: {}.{}: config.json can't express it", file.path(),
                                model.architecture_name, key));
  };
  if (model.n_rotated != model.head_dim) return unfit("rope.dimension_count");
  if (model.rope_linear_factor != 1.0) return unfit("rope.scaling.factor");
  HfConfig config;
  config.architecture = model.architecture;
  config.n_layers = model.n_layers;
  config.d_model = model.d_model;
  config.ffn_dim = model.ffn_dim;
  config.n_heads = model.n_heads;
  config.n_kv_heads = model.n_kv_heads;
  config.head_dim = model.head_dim;
  config.vocab_size = model.vocab_size;
  config.context_length = model.context_length;
  config.rope_theta = model.rope_theta;
  config.rms_epsilon = static_cast<double>(model.rms_epsilon);
  config.tied_embedding = file.find_tensor("output.weight") == nullptr;
  if (const GgufTensor* tensor = file.find_tensor("rope_freqs.weight")) {
    RECKON_ASSIGN(config.llama3_rope, find_llama3_rope(file, *tensor, config));
  }
  return config;
}

double shortest_double(double value) {
  const std::string text = fmt::format("{}", static_cast<float>(value));
  double nearest = value;
  std::from_chars(text.data(), text.data() + text.size(), nearest);
  return nearest;
}

std::string hf_config_json(const HfConfig& config, TensorType dtype) {
  const bool llama = config.architecture == Architecture::kLlama;
  json::object out;
  out["architectures"] = json::array(1, llama ? "LlamaForCausalLM" : "Qwen2ForCausalLM");
  out["model_type"] = llama ? "llama" : "qwen2";
  out["hidden_act"] = "silu";
  out["hidden_size"] = config.d_model;
  out["intermediate_size"] = config.ffn_dim;
  out["num_hidden_layers"] = config.n_layers;
  out["num_attention_heads"] = config.n_heads;
  out["num_key_value_heads"] = config.n_kv_heads;
  out["head_dim"] = config.head_dim;
  out["vocab_size"] = config.vocab_size;
  out["max_position_embeddings"] = config.context_length;
  out["rms_norm_eps"] = shortest_double(config.rms_epsilon);
  out["rope_theta"] = shortest_double(config.rope_theta);
  if (config.llama3_rope) {
    const Llama3Rope& rope = *config.llama3_rope;
    out["rope_scaling"] = {{"rope_type", "llama3"},
                           {"factor", rope.factor},
                           {"low_freq_factor", rope.low_freq_factor},
                           {"high_freq_factor", rope.high_freq_factor},
                           {"original_max_position_embeddings", rope.original_context}};
  }
  out["tie_word_embeddings"] = config.tied_embedding;
  if (llama) {
    out["attention_bias"] = false;
    out["mlp_bias"] = false;
  } else {
    out["use_sliding_window"] = false;
  }
  if (config.bos) out["bos_token_id"] = *config.bos;
  if (config.eos) out["eos_token_id"] = *config.eos;
  if (config.padding) out["pad_token_id"] = *config.padding;
  out["torch_dtype"] = dtype == TensorType::kF32   ? "float32"
                       : dtype == TensorType::kF16 ? "float16"
                                                   : "bfloat16";
  return json::serialize(out) + "\n";
}

}  // namespace reckon
