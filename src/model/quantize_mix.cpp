// The mixes: target, tensor and model facts -> tensor type. The rules are those of llama.cpp's
// quantiser for the llama and qwen2 architectures without an importance matrix;
// tests/model/fixtures/mix_types.txt holds its own answers.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"
#include "base/check.h"
#include "model/quantize.h"

namespace reckon {
namespace {

constexpr std::array kTargets = {
    QuantizeTargetInfo{QuantizeTarget::kF16, "F16", TensorType::kF16, 1, "half precision"},
    QuantizeTargetInfo{QuantizeTarget::kBF16, "BF16", TensorType::kBF16, 32, "bfloat16"},
    QuantizeTargetInfo{QuantizeTarget::kQ8_0, "Q8_0", TensorType::kQ8_0, 7,
                       "8.5 bits a weight, next to lossless"},
    QuantizeTargetInfo{QuantizeTarget::kQ6_K, "Q6_K", TensorType::kQ6_K, 18,
                       "6.6 bits a weight, hardly any loss"},
    QuantizeTargetInfo{QuantizeTarget::kQ5_K_M, "Q5_K_M", TensorType::kQ5_K, 17,
                       "5.7 bits a weight"},
    QuantizeTargetInfo{QuantizeTarget::kQ4_K_M, "Q4_K_M", TensorType::kQ4_K, 15,
                       "4.9 bits a weight, the usual choice"},
    QuantizeTargetInfo{QuantizeTarget::kQ4_0, "Q4_0", TensorType::kQ4_0, 2,
                       "4.5 bits a weight, plainest and fastest"},
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The number in "blk.12.…", or -1.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return -1;
  int64_t layer = -1;
  const char* first = name.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(first, name.data() + name.size(), layer);
  return error == std::errc{} && layer >= 0 ? layer : -1;
}

// The first and last eighth of the layers, and every third between, are the ones whose loss hurts
// most.
bool is_sensitive_layer(int64_t layer, int64_t n_layers) {
  if (layer < 0) return false;
  const int64_t eighth = n_layers / 8;
  return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
}

bool is_quantised_matrix(std::string_view name, std::span<const int64_t> dims) {
  const bool is_matrix = std::any_of(dims.begin() + std::min<size_t>(1, dims.size()), dims.end(),
                                     [](int64_t dim) { return dim > 1; });
  return is_matrix && name.ends_with("weight") && !contains(name, "_norm.weight");
}

// Llama and Qwen models of 80 layers whose heads share keys and values: attn_v is so small then
// that another bit costs next to nothing.
bool is_70b(const MixFacts& facts) {
  if (facts.n_layers != 80) return false;
  return facts.architecture == Architecture::kQwen2 || facts.n_heads != facts.n_kv_heads;
}

TensorType mixed_type(QuantizeTarget target, std::string_view name, int64_t row_length,
                      const MixFacts& facts) {
  const TensorType base = quantize_target_info(target).base_type;
  const bool makes_logits =
      name == "output.weight" || (name == "token_embd.weight" && facts.tied_embedding);
  if (makes_logits) {
    if (base == TensorType::kQ8_0) return base;
    const bool fits = row_length % tensor_type_info(base).block_elements == 0;
    return fits ? TensorType::kQ6_K : TensorType::kQ8_0;
  }
  if (target != QuantizeTarget::kQ4_K_M && target != QuantizeTarget::kQ5_K_M) return base;
  const bool sensitive = is_sensitive_layer(layer_of(name), facts.n_layers);
  if (contains(name, "attn_v.weight")) {
    if (sensitive) return TensorType::kQ6_K;
    return is_70b(facts) ? TensorType::kQ5_K : base;
  }
  if (contains(name, "ffn_down") && sensitive) return TensorType::kQ6_K;
  return base;
}

// The nearest type whose blocks divide the row.
TensorType fitting_type(TensorType type, int64_t row_length) {
  const auto fits = [&](TensorType t) {
    return row_length % tensor_type_info(t).block_elements == 0;
  };
  if (fits(type)) return type;
  TensorType smaller = TensorType::kF16;
  if (type == TensorType::kQ4_K) smaller = TensorType::kQ5_0;
  if (type == TensorType::kQ5_K) smaller = TensorType::kQ5_1;
  if (type == TensorType::kQ6_K) smaller = TensorType::kQ8_0;
  return fits(smaller) ? smaller : TensorType::kF16;
}

}  // namespace

std::span<const QuantizeTargetInfo> all_quantize_targets() { return kTargets; }

const QuantizeTargetInfo& quantize_target_info(QuantizeTarget target) {
  const auto* found = std::ranges::find(kTargets, target, &QuantizeTargetInfo::target);
  RECKON_CHECK(found != kTargets.end());
  return *found;
}

std::optional<QuantizeTarget> quantize_target_from_name(std::string_view name) {
  for (const QuantizeTargetInfo& info : kTargets) {
    if (equal_ignoring_case(info.name, name)) return info.target;
  }
  return std::nullopt;
}

TensorType choose_tensor_type(QuantizeTarget target, std::string_view name,
                              std::span<const int64_t> dims, const MixFacts& facts,
                              TensorType kept) {
  if (!is_quantised_matrix(name, dims)) return kept;
  const TensorType base = quantize_target_info(target).base_type;
  if (tensor_type_info(base).block_elements == 1) return base;
  return fitting_type(mixed_type(target, name, dims[0], facts), dims[0]);
}

}  // namespace reckon
