// The table of tensor types: ids, names, sizes.
#include "quants/tensor_type.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace reckon {
namespace {

TEST(TensorType, TableIsInOrderAndConsistent) {
  uint32_t previous = 0;
  std::set<std::string_view> names;
  for (const TensorTypeInfo& info : all_tensor_types()) {
    const auto id = static_cast<uint32_t>(info.type);
    EXPECT_TRUE(id == 0 || id > previous) << info.name;
    previous = id;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(&tensor_type_info(info.type), &info);
    EXPECT_EQ(tensor_type_from_id(id), info.type);
    EXPECT_EQ(tensor_type_from_name(info.name), info.type);
    EXPECT_EQ(foreign_tensor_type_name(id), "unknown");
  }
  EXPECT_EQ(names.size(), 15u);
}

TEST(TensorType, RowBytes) {
  // ggml's type sizes.
  EXPECT_EQ(row_bytes(TensorType::kF32, 3), 12);
  EXPECT_EQ(row_bytes(TensorType::kF16, 3), 6);
  EXPECT_EQ(row_bytes(TensorType::kBF16, 3), 6);
  EXPECT_EQ(row_bytes(TensorType::kQ4_0, 64), 2 * 18);
  EXPECT_EQ(row_bytes(TensorType::kQ4_1, 64), 2 * 20);
  EXPECT_EQ(row_bytes(TensorType::kQ5_0, 64), 2 * 22);
  EXPECT_EQ(row_bytes(TensorType::kQ5_1, 64), 2 * 24);
  EXPECT_EQ(row_bytes(TensorType::kQ8_0, 64), 2 * 34);
  EXPECT_EQ(row_bytes(TensorType::kIQ4_NL, 64), 2 * 18);
  EXPECT_EQ(row_bytes(TensorType::kQ2_K, 512), 2 * 84);
  EXPECT_EQ(row_bytes(TensorType::kQ3_K, 512), 2 * 110);
  EXPECT_EQ(row_bytes(TensorType::kQ4_K, 512), 2 * 144);
  EXPECT_EQ(row_bytes(TensorType::kQ5_K, 512), 2 * 176);
  EXPECT_EQ(row_bytes(TensorType::kQ6_K, 512), 2 * 210);
  EXPECT_EQ(row_bytes(TensorType::kIQ4_XS, 512), 2 * 136);
}

TEST(TensorType, LooksUp) {
  EXPECT_EQ(tensor_type_from_name("Q4_K"), TensorType::kQ4_K);
  EXPECT_EQ(tensor_type_from_name("q4_k"), TensorType::kQ4_K);
  EXPECT_EQ(tensor_type_from_name("BF16"), TensorType::kBF16);
  EXPECT_EQ(tensor_type_from_name("q4_k_m"), std::nullopt);
  EXPECT_EQ(tensor_type_from_name(""), std::nullopt);
  for (const uint32_t id : {4u, 5u, 9u, 15u, 16u, 19u, 24u, 29u, 31u, 39u, 43u, 0xffffffffu}) {
    EXPECT_EQ(tensor_type_from_id(id), std::nullopt) << id;
  }
  EXPECT_EQ(foreign_tensor_type_name(16), "iq2_xxs");
  EXPECT_EQ(foreign_tensor_type_name(39), "mxfp4");
  EXPECT_EQ(foreign_tensor_type_name(43), "unknown");
}

}  // namespace
}  // namespace reckon
