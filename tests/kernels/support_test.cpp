// What tests/kernels/support.h declares.
#include "tests/kernels/support.h"

#include "kernels/packed.h"
#include "kernels/tables.h"

namespace reckon::kernels {
// src/kernels/avx512 compiled over avx512_emulation.h (CMakeLists.txt).
extern const KernelTable kEmulatedAvx512Table;
}  // namespace reckon::kernels

namespace reckon::kernels::test {

const KernelTable& scalar_table() { return kScalarTable; }

std::vector<const KernelTable*> vector_tables() {
  std::vector<const KernelTable*> tables = {&kEmulatedAvx512Table};
  for (const char* name : {"avx2", "avx512", "neon"}) {
    if (table_available(name)) tables.push_back(*find_table(name));
  }
  return tables;
}

std::vector<TensorType> all_types() {
  std::vector<TensorType> types;
  for (const TensorTypeInfo& info : all_tensor_types()) types.push_back(info.type);
  return types;
}

std::string type_name(TensorType type) { return std::string(tensor_type_info(type).name); }

std::vector<float> random_floats(Random& random, int64_t n) {
  std::vector<float> x(n);
  for (float& value : x) value = random.activation();
  return x;
}

namespace {

// Where a block's half-precision fields lie.
std::vector<int64_t> half_offsets(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
    case TensorType::kQ5_0:
    case TensorType::kQ8_0:
    case TensorType::kIQ4_NL:
    case TensorType::kIQ4_XS: return {0};
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K: return {0, 2};
    case TensorType::kQ2_K: return {80, 82};
    case TensorType::kQ3_K: return {108};
    case TensorType::kQ6_K: return {208};
    default: return {};
  }
}

void put_half(std::byte* at, float value) {
  const uint16_t half = f32_to_f16(value);
  std::memcpy(at, &half, 2);
}

void fill_float_weights(Random& random, TensorType type, std::byte* data, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float value = random.uniform();
    const uint16_t bf16 = f32_to_bf16(value);
    if (type == TensorType::kF32) std::memcpy(data + 4 * i, &value, 4);
    if (type == TensorType::kF16) put_half(data + 2 * i, value);
    if (type == TensorType::kBF16) std::memcpy(data + 2 * i, &bf16, 2);
  }
}

}  // namespace

Buffer make_weights(Random& random, TensorType type, int64_t n_rows, int64_t depth,
                    WeightKind kind) {
  const TensorTypeInfo& info = tensor_type_info(type);
  Buffer weights(static_cast<size_t>(n_rows * row_bytes(type, depth)));
  if (info.block_elements == 1) {
    fill_float_weights(random, type, weights.data(), n_rows * depth);
    return weights;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    uint8_t byte = static_cast<uint8_t>(random.bits() >> 20);
    if (kind == WeightKind::kLargest) byte = 0xff;
    if (kind == WeightKind::kSmallest) byte = 0;
    if (kind == WeightKind::kSignBits) byte = 0x80;
    weights.data()[i] = static_cast<std::byte>(byte);
  }
  for (int64_t b = 0; b < static_cast<int64_t>(weights.size()) / info.block_bytes; ++b) {
    for (const int64_t offset : half_offsets(type)) {
      put_half(weights.data() + b * info.block_bytes + offset, 0.02f * random.uniform());
    }
  }
  return weights;
}

Buffer make_activations(const KernelTable& table, TensorType type, const std::vector<float>& x,
                        int64_t n_columns, int64_t depth) {
  const ActivationFormat format = activation_format(type);
  const size_t stride = activation_row_bytes(format, depth);
  Buffer out(stride * static_cast<size_t>(n_columns));
  for (int64_t c = 0; c < n_columns; ++c) {
    const float* row = x.data() + c * depth;
    std::byte* to = out.data() + static_cast<size_t>(c) * stride;
    if (format == ActivationFormat::kF32) std::memcpy(to, row, stride);
    if (format == ActivationFormat::kQ8_32) table.quantize_q8_32(row, depth, to);
    if (format == ActivationFormat::kQ8_256) table.quantize_q8_256(row, depth, to);
  }
  return out;
}

std::vector<float> multiply(const KernelTable& table, TensorType type, const Buffer& weights,
                            const Buffer& activations, int64_t n_rows, int64_t n_columns,
                            int64_t depth, int64_t row_begin, int64_t row_end,
                            int64_t n_packed_rows) {
  std::vector<float> out(n_rows * n_columns, std::numeric_limits<float>::quiet_NaN());
  table.gemm(type)({.weights = weights.data(),
                    .weight_row_bytes = row_bytes(type, depth),
                    .activations = activations.data(),
                    .out = out.data(),
                    .out_stride = n_rows,
                    .depth = depth,
                    .row_begin = row_begin,
                    .row_end = row_end,
                    .n_columns = n_columns,
                    .n_packed_rows = n_packed_rows});
  return out;
}

Buffer pack(TensorType type, const Buffer& weights, int64_t n_rows, int64_t depth) {
  const int64_t bytes = row_bytes(type, depth);
  Buffer packed(weights.size());
  int64_t r = 0;
  for (; r + kPackedRows <= n_rows; r += kPackedRows) {
    pack_rows(type, weights.data() + r * bytes, bytes, packed.data() + r * bytes);
  }
  std::memcpy(packed.data() + r * bytes, weights.data() + r * bytes,
              static_cast<size_t>((n_rows - r) * bytes));
  return packed;
}

::testing::AssertionResult same_bits(const void* expected, const void* found, size_t bytes) {
  const auto* a = static_cast<const unsigned char*>(expected);
  const auto* b = static_cast<const unsigned char*>(found);
  for (size_t i = 0; i < bytes; ++i) {
    if (a[i] != b[i]) {
      return ::testing::AssertionFailure() << "byte " << i << " of " << bytes
                                           << " differs: " << int{a[i]} << " and " << int{b[i]};
    }
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult same_floats(const std::vector<float>& expected,
                                       const std::vector<float>& found) {
  if (expected.size() != found.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(found[i])) continue;
    if (std::memcmp(&expected[i], &found[i], 4) != 0) {
      return ::testing::AssertionFailure() << "value " << i << " of " << expected.size() << ": "
                                           << expected[i] << " and " << found[i];
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace reckon::kernels::test
