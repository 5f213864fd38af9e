// Choosing a table, and the sizes of the formats.
#include <gtest/gtest.h>

#include "kernels/activations.h"
#include "tests/kernels/support.h"

namespace reckon::kernels::test {
namespace {

// Sets RECKON_ISA for a test and puts the old value back.
class IsaVariable {
 public:
  explicit IsaVariable(const char* value) {
    if (const char* old = std::getenv("RECKON_ISA")) old_ = old;
    value == nullptr ? unsetenv("RECKON_ISA") : setenv("RECKON_ISA", value, 1);
  }
  ~IsaVariable() { old_.empty() ? unsetenv("RECKON_ISA") : setenv("RECKON_ISA", old_.c_str(), 1); }

 private:
  std::string old_;
};

TEST(Tables, VariableChooses) {
  const IsaVariable scalar("scalar");
  ASSERT_TRUE(default_table().ok());
  EXPECT_STREQ((*default_table())->name, "scalar");
}

TEST(Tables, BestWithoutVariable) {
  const IsaVariable none(nullptr);
  const Result<const KernelTable*> best = default_table();
  ASSERT_TRUE(best.ok());
  const IsaVariable empty("");
  EXPECT_EQ(*default_table(), *best);
  if (table_available("avx2") || table_available("neon")) {
    EXPECT_STRNE((*best)->name, "scalar");
  }
  if (table_available("avx512")) {
    EXPECT_STREQ((*best)->name, "avx512");
  }
}

TEST(Tables, UnknownOrUnavailableIsAUsageErrorThatListsTheRest) {
#if defined(__x86_64__)
  const char* foreign = "neon";
#else
  const char* foreign = "avx2";
#endif
  for (const char* name : {"sse9", foreign, "SCALAR", "scalar "}) {
    const IsaVariable variable(name);
    const Result<const KernelTable*> table = default_table();
    ASSERT_FALSE(table.ok()) << name;
    EXPECT_EQ(table.error().kind, ErrorKind::kUsage);
    EXPECT_NE(table.error().message.find(name), std::string::npos) << table.error().message;
    EXPECT_NE(table.error().message.find("scalar"), std::string::npos) << table.error().message;
    EXPECT_FALSE(find_table(name).ok());
    EXPECT_FALSE(table_available(name));
  }
}

TEST(Tables, EveryTypeHasAProductEverywhere) {
  std::vector<const KernelTable*> tables = vector_tables();
  tables.push_back(&scalar_table());
  for (const KernelTable* table : tables) {
    for (const TensorType type : all_types()) {
      EXPECT_NE(table->gemm(type), nullptr) << table->name << " " << type_name(type);
    }
  }
}

TEST(Sizes, ColumnsLieAnOddNumberOfCacheLinesApart) {
  for (int64_t n = 256; n <= 16384; n += 256) {
    for (const ActivationFormat format : {ActivationFormat::kQ8_32, ActivationFormat::kQ8_256}) {
      const size_t bytes = activation_row_bytes(format, n);
      EXPECT_EQ(bytes % 128, 64u);
      EXPECT_GE(bytes, static_cast<size_t>(n));
    }
    EXPECT_EQ(activation_row_bytes(ActivationFormat::kF32, n), static_cast<size_t>(4 * n));
  }
}

TEST(Sizes, CachedRows) {
  EXPECT_EQ(k_tile_bytes(KvType::kF16, 80), 64 * 160u);
  EXPECT_EQ(v_tile_bytes(KvType::kF16, 80), 64 * 160u);
  EXPECT_EQ(k_tile_bytes(KvType::kQ8, 128), 64 * 136u);
  EXPECT_EQ(v_tile_bytes(KvType::kQ8, 128), 64 * 130u);
}

}  // namespace
}  // namespace reckon::kernels::test
