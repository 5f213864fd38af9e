// The tensors of a model under both of their names, and rows on their way from one file to another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/convert_config.h"
#include "quants/tensor_type.h"

namespace reckon {

struct TensorPlan {
  std::string hf_name;
  std::string gguf_name;
  std::vector<int64_t> shape;  // outermost first, as safetensors has it; 1 or 2 dimensions
  // Heads whose rows stand in another order in GGUF (Llama's q and k), 0 where none do.
  int64_t permuted_heads = 0;

  bool is_vector() const { return shape.size() == 1; }
  int64_t n_rows() const { return is_vector() ? 1 : shape[0]; }
  int64_t row_length() const { return shape.back(); }
};

// Every tensor of such a model and no other, in the order they are written.
std::vector<TensorPlan> plan_tensors(const HfConfig& config);

// Which row of the source each row of the target is. Hugging Face's Llama rotates elements i and
// i + d / 2 of a head, GGUF's 2 i and 2 i + 1: the pairs' rows stand side by side there.
enum class RowOrder { kSame, kToInterleaved, kFromInterleaved };
int64_t source_row(RowOrder order, int64_t row, int64_t rows_per_head);

// A tensor's rows from one place and type to another.
struct RowCopy {
  std::string_view name;              // for errors
  const std::byte* source = nullptr;  // may be unaligned
  TensorType from = TensorType::kF32;
  TensorType to = TensorType::kF32;
  int64_t n_rows = 0;
  int64_t row_length = 0;
  RowOrder order = RowOrder::kSame;
  int64_t rows_per_head = 0;  // where order isn't kSame
};

// Takes the bytes of some whole rows, in order.
using RowSink = std::function<Status(std::span<const std::byte> rows)>;

// Hands the target's rows to sink, about a megabyte at a time. Errors: sink's, and kBadFile for a
// number that isn't finite or that the narrower type can't hold.
Status copy_rows(const RowCopy& copy, const RowSink& sink);

// Whether every one of n float32 values survives the way through a narrower type.
bool survives(TensorType type, std::span<const float> values);

}  // namespace reckon
