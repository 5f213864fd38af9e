// Names, shapes and row order of the two architectures' tensors.
#include "model/convert_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "quants/codec.h"
#include "quants/half.h"

namespace reckon {
namespace {

constexpr int64_t kChunkBytes = int64_t{1} << 20;

void plan_layer(const HfConfig& config, int64_t layer, std::vector<TensorPlan>& plan) {
  const std::string hf = fmt::format("model.layers.{}.", layer);
  const std::string gguf = fmt::format("blk.{}.", layer);
  const int64_t d = config.d_model;
  const int64_t q = config.n_heads * config.head_dim;
  const int64_t kv = config.n_kv_heads * config.head_dim;
  const bool llama = config.architecture == Architecture::kLlama;
  const auto add = [&](const char* hf_name, const char* gguf_name, std::vector<int64_t> shape,
                       int64_t permuted_heads = 0) {
    plan.push_back({hf + hf_name, gguf + gguf_name, std::move(shape), permuted_heads});
  };
  add("input_layernorm.weight", "attn_norm.weight", {d});
  add("self_attn.q_proj.weight", "attn_q.weight", {q, d}, llama ? config.n_heads : 0);
  add("self_attn.k_proj.weight", "attn_k.weight", {kv, d}, llama ? config.n_kv_heads : 0);
  add("self_attn.v_proj.weight", "attn_v.weight", {kv, d});
  if (!llama) {
    add("self_attn.q_proj.bias", "attn_q.bias", {q});
    add("self_attn.k_proj.bias", "attn_k.bias", {kv});
    add("self_attn.v_proj.bias", "attn_v.bias", {kv});
  }
  add("self_attn.o_proj.weight", "attn_output.weight", {d, q});
  add("post_attention_layernorm.weight", "ffn_norm.weight", {d});
  add("mlp.gate_proj.weight", "ffn_gate.weight", {config.ffn_dim, d});
  add("mlp.up_proj.weight", "ffn_up.weight", {config.ffn_dim, d});
  add("mlp.down_proj.weight", "ffn_down.weight", {d, config.ffn_dim});
}

}  // namespace

std::vector<TensorPlan> plan_tensors(const HfConfig& config) {
  std::vector<TensorPlan> plan;
  plan.push_back(
      {"model.embed_tokens.weight", "token_embd.weight", {config.vocab_size, config.d_model}});
  for (int64_t layer = 0; layer < config.n_layers; ++layer) plan_layer(config, layer, plan);
  plan.push_back({"model.norm.weight", "output_norm.weight", {config.d_model}});
  if (!config.tied_embedding) {
    plan.push_back({"lm_head.weight", "output.weight", {config.vocab_size, config.d_model}});
  }
  return plan;
}

int64_t source_row(RowOrder order, int64_t row, int64_t rows_per_head) {
  if (order == RowOrder::kSame) return row;
  const int64_t half = rows_per_head / 2;
  const int64_t in_head = row % rows_per_head;
  const int64_t first = row - in_head;
  return order == RowOrder::kToInterleaved ? first + in_head % 2 * half + in_head / 2
                                           : first + in_head % half * 2 + in_head / half;
}

Status copy_rows(const RowCopy& copy, const RowSink& sink) {
  const auto from_bytes = static_cast<size_t>(row_bytes(copy.from, copy.row_length));
  const auto to_bytes = static_cast<size_t>(row_bytes(copy.to, copy.row_length));
  const int64_t chunk_rows =
      std::clamp<int64_t>(kChunkBytes / static_cast<int64_t>(to_bytes), 1, copy.n_rows);
  std::vector<std::byte> chunk(static_cast<size_t>(chunk_rows) * to_bytes);
  std::vector<std::byte> row_bytes_in(from_bytes);  // aligned, as the source may not be
  std::vector<float> values(copy.from == copy.to ? 0 : static_cast<size_t>(copy.row_length));
  for (int64_t first = 0; first < copy.n_rows; first += chunk_rows) {
    const int64_t rows = std::min(chunk_rows, copy.n_rows - first);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t from_row = source_row(copy.order, first + r, copy.rows_per_head);
      const std::byte* in = copy.source + static_cast<size_t>(from_row) * from_bytes;
      std::byte* out = chunk.data() + static_cast<size_t>(r) * to_bytes;
      if (copy.from == copy.to) {
        std::memcpy(out, in, to_bytes);
        continue;
      }
      std::memcpy(row_bytes_in.data(), in, from_bytes);
      decode_row(copy.from, row_bytes_in.data(), values.data(), copy.row_length);
      // The largest float32 that rounds to a finite half lies below 65520.
      const float limit = copy.to == TensorType::kF16 ? 65520.0f : INFINITY;
      const auto fits = [&](float value) { return std::fabs(value) < limit; };
      const auto bad = std::ranges::find_if_not(values, fits);
      if (bad != values.end()) {
        return bad_file(fmt::format("{}: row {}: expected numbers that {} can hold, found {}",
                                    copy.name, from_row, tensor_type_info(copy.to).name, *bad));
      }
      encode_row(copy.to, values.data(), out, copy.row_length);
    }
    RECKON_RETURN_IF_ERROR(sink(std::span(chunk).first(static_cast<size_t>(rows) * to_bytes)));
  }
  return {};
}

bool survives(TensorType type, std::span<const float> values) {
  return std::ranges::all_of(values, [&](float value) {
    float back = value;
    if (type == TensorType::kF16) back = f16_to_f32(f32_to_f16(value));
    if (type == TensorType::kBF16) back = bf16_to_f32(f32_to_bf16(value));
    return std::bit_cast<uint32_t>(back) == std::bit_cast<uint32_t>(value);
  });
}

}  // namespace reckon
