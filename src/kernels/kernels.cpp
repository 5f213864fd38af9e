// Sizes of the activation and cache formats, and the choice of a table: detected once, overridden
// by RECKON_ISA.
#include "kernels/kernels.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "kernels/activations.h"
#include "kernels/cpu_features.h"
#include "kernels/tables.h"

namespace reckon::kernels {
namespace {

// Tables this machine can run, best last.
const std::vector<const KernelTable*>& runnable_tables() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> list = {&kScalarTable};
    [[maybe_unused]] const CpuFeatures features = detect_cpu_features();
#if defined(__x86_64__)
    if (features.avx2) list.push_back(&kAvx2Table);
    if (features.avx512) list.push_back(&kAvx512Table);
#elif defined(__aarch64__)
    if (features.neon) list.push_back(&kNeonTable);
#endif
    return list;
  }();
  return tables;
}

const KernelTable* find_runnable(std::string_view name) {
  for (const KernelTable* table : runnable_tables()) {
    if (name == table->name) return table;
  }
  return nullptr;
}

std::string runnable_names() {
  std::string names;
  for (const KernelTable* table : runnable_tables()) {
    if (!names.empty()) names += ", ";
    names += table->name;
  }
  return names;
}

}  // namespace

ActivationFormat activation_format(TensorType weight) {
  switch (weight) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16: return ActivationFormat::kF32;
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
    case TensorType::kQ5_0:
    case TensorType::kQ5_1:
    case TensorType::kQ8_0:
    case TensorType::kIQ4_NL: return ActivationFormat::kQ8_32;
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
    case TensorType::kQ6_K:
    case TensorType::kIQ4_XS: return ActivationFormat::kQ8_256;
  }
  RECKON_CHECK(false);
}

size_t activation_row_bytes(ActivationFormat format, int64_t n) {
  switch (format) {
    case ActivationFormat::kF32: return static_cast<size_t>(n) * sizeof(float);
    case ActivationFormat::kQ8_32:
      RECKON_CHECK(n % 32 == 0);
      return static_cast<size_t>(activation_stride_32(n));
    case ActivationFormat::kQ8_256:
      RECKON_CHECK(n % 256 == 0);
      return static_cast<size_t>(activation_stride_256(n));
  }
  RECKON_CHECK(false);
}

size_t k_tile_bytes(KvType type, int64_t head_dim) {
  RECKON_CHECK(type == KvType::kF16 || head_dim % 32 == 0);
  const int64_t row = type == KvType::kF16 ? 2 * head_dim : head_dim + head_dim / 32 * 2;
  return static_cast<size_t>(kAttentionTile * row);
}

size_t v_tile_bytes(KvType type, int64_t head_dim) {
  RECKON_CHECK(type == KvType::kF16 || head_dim % 32 == 0);
  return static_cast<size_t>(kAttentionTile * (type == KvType::kF16 ? 2 * head_dim : head_dim + 2));
}

size_t attention_state_floats(int64_t n_queries, int64_t head_dim) {
  return static_cast<size_t>(attention_state(n_queries, head_dim).total);
}

size_t attention_scratch_floats(int64_t n_queries, int64_t head_dim) {
  return static_cast<size_t>(attention_scratch(n_queries, head_dim).total);
}

bool table_available(const char* name) { return find_runnable(name) != nullptr; }

Result<const KernelTable*> find_table(const char* name) {
  if (const KernelTable* table = find_runnable(name)) return table;
  return usage_error(fmt::format("kernels \"{}\": expected one that runs on this machine ({})",
                                 name, runnable_names()));
}

Result<const KernelTable*> default_table() {
  const char* wanted = std::getenv("RECKON_ISA");
  if (wanted == nullptr || *wanted == '\0') return runnable_tables().back();
  if (const KernelTable* table = find_runnable(wanted)) return table;
  return usage_error(fmt::format("RECKON_ISA={}: expected one that runs on this machine ({})",
                                 wanted, runnable_names()));
}

}  // namespace reckon::kernels
