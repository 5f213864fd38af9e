// Shared by the kernels' tests: the tables under test, random and extreme inputs, comparison bit by
// bit.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "quants/half.h"
#include "quants/tensor_type.h"

namespace reckon::kernels::test {

// xorshift64*: the same inputs everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x1234567u) {}
  uint64_t bits() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }
  int64_t below(int64_t n) {
    return static_cast<int64_t>((bits() >> 16) % static_cast<uint64_t>(n));
  }
  // In [-1, 1).
  float uniform() { return static_cast<float>(static_cast<int64_t>(bits()) >> 40) * 0x1p-23f; }
  // Roughly normal, with now and then a large outlier, as activations are.
  float activation() {
    const float sum = uniform() + uniform() + uniform();
    return below(64) == 0 ? 40.0f * sum : sum;
  }

 private:
  uint64_t state_;
};

// Memory aligned for the widest vectors, exactly as long as asked, so that sanitizers see a byte
// read too far.
class Buffer {
 public:
  explicit Buffer(size_t bytes)
      : bytes_(bytes), data_(static_cast<std::byte*>(::operator new(bytes, std::align_val_t(64)))) {
    std::memset(data_.get(), 0xa5, bytes);
  }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  size_t bytes_;
  std::unique_ptr<std::byte, Free> data_;
};

const KernelTable& scalar_table();
// Every vector table that runs here: the machine's own, and AVX-512's sources over plain C++.
std::vector<const KernelTable*> vector_tables();

std::vector<TensorType> all_types();
std::string type_name(TensorType type);

std::vector<float> random_floats(Random& random, int64_t n);

enum class WeightKind {
  kRandom,    // random quants and scales of both signs
  kLargest,   // every bit of quants and sub-scales set
  kSmallest,  // every bit clear
  kSignBits,  // bytes of 0x80: -128 in Q8_0 and in Q6_K's scales
};
// n_rows rows of depth elements each, as they lie in a file.
Buffer make_weights(Random& random, TensorType type, int64_t n_rows, int64_t depth,
                    WeightKind kind = WeightKind::kRandom);

// x [n_columns, depth] -> activations as gemm takes them for this weight type.
Buffer make_activations(const KernelTable& table, TensorType type, const std::vector<float>& x,
                        int64_t n_columns, int64_t depth);

// [n_columns, n_rows]; rows outside [row_begin, row_end) keep a NaN.
std::vector<float> multiply(const KernelTable& table, TensorType type, const Buffer& weights,
                            const Buffer& activations, int64_t n_rows, int64_t n_columns,
                            int64_t depth, int64_t row_begin, int64_t row_end,
                            int64_t n_packed_rows = 0);
// The same rows, packed as far as they fill groups.
Buffer pack(TensorType type, const Buffer& weights, int64_t n_rows, int64_t depth);

::testing::AssertionResult same_bits(const void* expected, const void* found, size_t bytes);
// Float results: same bits, or NaN in both (a NaN's sign and payload are no part of the contract).
::testing::AssertionResult same_floats(const std::vector<float>& expected,
                                       const std::vector<float>& found);

}  // namespace reckon::kernels::test
