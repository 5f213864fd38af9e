// The table of tensor types and the look-ups in it, by id, by name, and the names of those that
// reckon can't read (for messages only).
#include "quants/tensor_type.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/check.h"
#include "quants/blocks.h"

namespace reckon {
namespace {

constexpr std::array kTypes = {
    TensorTypeInfo{TensorType::kF32, "f32", 1, 4},
    TensorTypeInfo{TensorType::kF16, "f16", 1, 2},
    TensorTypeInfo{TensorType::kQ4_0, "q4_0", kSmallBlock, sizeof(BlockQ4_0)},
    TensorTypeInfo{TensorType::kQ4_1, "q4_1", kSmallBlock, sizeof(BlockQ4_1)},
    TensorTypeInfo{TensorType::kQ5_0, "q5_0", kSmallBlock, sizeof(BlockQ5_0)},
    TensorTypeInfo{TensorType::kQ5_1, "q5_1", kSmallBlock, sizeof(BlockQ5_1)},
    TensorTypeInfo{TensorType::kQ8_0, "q8_0", kSmallBlock, sizeof(BlockQ8_0)},
    TensorTypeInfo{TensorType::kQ2_K, "q2_K", kSuperBlock, sizeof(BlockQ2_K)},
    TensorTypeInfo{TensorType::kQ3_K, "q3_K", kSuperBlock, sizeof(BlockQ3_K)},
    TensorTypeInfo{TensorType::kQ4_K, "q4_K", kSuperBlock, sizeof(BlockQ4_K)},
    TensorTypeInfo{TensorType::kQ5_K, "q5_K", kSuperBlock, sizeof(BlockQ5_K)},
    TensorTypeInfo{TensorType::kQ6_K, "q6_K", kSuperBlock, sizeof(BlockQ6_K)},
    TensorTypeInfo{TensorType::kIQ4_NL, "iq4_nl", kSmallBlock, sizeof(BlockIQ4_NL)},
    TensorTypeInfo{TensorType::kIQ4_XS, "iq4_xs", kSuperBlock, sizeof(BlockIQ4_XS)},
    TensorTypeInfo{TensorType::kBF16, "bf16", 1, 2},
};

struct ForeignType {
  uint32_t id;
  std::string_view name;
};

// Ids of ggml that are no TensorType: other formats, working types and removed ones.
constexpr std::array kForeignTypes = {
    ForeignType{4, "q4_2"},        ForeignType{5, "q4_3"},        ForeignType{9, "q8_1"},
    ForeignType{15, "q8_K"},       ForeignType{16, "iq2_xxs"},    ForeignType{17, "iq2_xs"},
    ForeignType{18, "iq3_xxs"},    ForeignType{19, "iq1_s"},      ForeignType{21, "iq3_s"},
    ForeignType{22, "iq2_s"},      ForeignType{24, "i8"},         ForeignType{25, "i16"},
    ForeignType{26, "i32"},        ForeignType{27, "i64"},        ForeignType{28, "f64"},
    ForeignType{29, "iq1_m"},      ForeignType{31, "q4_0_4_4"},   ForeignType{32, "q4_0_4_8"},
    ForeignType{33, "q4_0_8_8"},   ForeignType{34, "tq1_0"},      ForeignType{35, "tq2_0"},
    ForeignType{36, "iq4_nl_4_4"}, ForeignType{37, "iq4_nl_4_8"}, ForeignType{38, "iq4_nl_8_8"},
    ForeignType{39, "mxfp4"},      ForeignType{40, "nvfp4"},      ForeignType{41, "q1_0"},
    ForeignType{42, "q2_0"},
};

}  // namespace

std::span<const TensorTypeInfo> all_tensor_types() { return kTypes; }

const TensorTypeInfo& tensor_type_info(TensorType type) {
  const auto* found = std::ranges::find(kTypes, type, &TensorTypeInfo::type);
  RECKON_CHECK(found != kTypes.end());
  return *found;
}

std::optional<TensorType> tensor_type_from_id(uint32_t id) {
  const auto type = static_cast<TensorType>(id);
  const auto* found = std::ranges::find(kTypes, type, &TensorTypeInfo::type);
  if (found == kTypes.end()) return std::nullopt;
  return found->type;
}

std::optional<TensorType> tensor_type_from_name(std::string_view name) {
  for (const TensorTypeInfo& info : kTypes) {
    if (equal_ignoring_case(info.name, name)) return info.type;
  }
  return std::nullopt;
}

std::string_view foreign_tensor_type_name(uint32_t id) {
  const auto* found = std::ranges::find(kForeignTypes, id, &ForeignType::id);
  return found == kForeignTypes.end() ? "unknown" : found->name;
}

}  // namespace reckon
