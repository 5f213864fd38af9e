// Running a reader on bytes that are wrong on purpose: the expected verdict, in bounded time and
// memory, and everything that a successful read offers really readable.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "gguf/safetensors.h"
#include "tests/gguf/heap_meter.h"

namespace reckon::test {

struct HostileCase {
  std::string name;
  std::string bytes;
  std::string expected;  // a part of the error's message; empty: it loads
};

// A copy of exactly that size on the heap, so that a sanitizer sees a read past its end; aligned as
// a mapping is.
class ExactBytes {
 public:
  explicit ExactBytes(std::string_view bytes) : size_(bytes.size()) {
    void* p = nullptr;
    if (::posix_memalign(&p, 64, bytes.empty() ? 1 : bytes.size()) != 0) std::abort();
    data_.reset(static_cast<std::byte*>(p));
    if (!bytes.empty()) std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  std::span<const std::byte> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  size_t size_;
  std::unique_ptr<std::byte, Free> data_;
};

// Reads all that the object offers; the sum keeps the reads from being removed.
inline uint64_t walk(std::span<const std::byte> bytes) {
  uint64_t sum = bytes.size();
  for (const std::byte b : bytes) sum = sum * 31 + static_cast<uint64_t>(b);
  return sum;
}
inline uint64_t walk(std::string_view text) {
  return walk(std::as_bytes(std::span(text.data(), text.size())));
}

inline uint64_t walk(const GgufFile& file) {
  uint64_t sum = 0;
  for (const GgufKeyValue& kv : file.metadata()) {
    sum += walk(kv.key);
    if (const auto* text = std::get_if<std::string_view>(&kv.value.data)) sum += walk(*text);
    EXPECT_EQ(file.find(kv.key), &kv.value);
    const GgufArray* array = kv.value.array();
    if (array == nullptr) continue;
    for (const std::string_view text : array->strings) sum += walk(text);
    if (array->element_type == GgufValueType::kString) continue;
    for (uint64_t i = 0; i < array->count; ++i) {
      sum += static_cast<uint64_t>(array->int_at(i)) + (array->float_at(i) > 0);
    }
  }
  for (const GgufTensor& tensor : file.tensors()) {
    sum += walk(tensor.name) + walk(std::span(tensor.data, tensor.bytes));
    EXPECT_EQ(file.find_tensor(tensor.name), &tensor);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 8, 0u);
  }
  return sum;
}

inline uint64_t walk(const Safetensors& file) {
  uint64_t sum = 0;
  for (const SafetensorsTensor& tensor : file.tensors()) {
    sum += walk(std::string_view(tensor.name)) + walk(tensor.data);
    EXPECT_EQ(file.find(tensor.name), &tensor);
  }
  return sum;
}

// Seconds that a case may take (of this process, as others may keep the machine busy; not measured
// under a sanitizer) and heap bytes on top of the file's size.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kMaxSeconds = 1e9;
#else
constexpr double kMaxSeconds = 2.0;
#endif
constexpr size_t kMaxHeapBytes = size_t{64} << 20;

// open(bytes) -> Result<shared_ptr<File>>.
template <class Open>
void expect_verdict(const HostileCase& c, const Open& open) {
  SCOPED_TRACE(c.name);
  const ExactBytes bytes(c.bytes);
  reset_heap_peak();
  const std::clock_t start = std::clock();
  {
    const auto opened = open(bytes.span());
    EXPECT_LE(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, kMaxSeconds);
    EXPECT_LE(heap_peak_bytes(), c.bytes.size() + kMaxHeapBytes);
    if (opened.ok()) {
      EXPECT_EQ(c.expected, "") << "it loaded";
      EXPECT_NE(walk(**opened), 1u);
    } else if (c.expected.empty()) {
      ADD_FAILURE() << "expected it to load: " << opened.error().message;
    } else {
      EXPECT_EQ(opened.error().kind, ErrorKind::kBadFile);
      EXPECT_THAT(opened.error().message, testing::HasSubstr(c.expected));
      // One line that a terminal can show.
      for (const char byte : opened.error().message)
        EXPECT_GE(static_cast<unsigned char>(byte), 32);
      EXPECT_LT(opened.error().message.size(), 1000u);
    }
  }
}

// Every cut and every bit flip of a good file: a clean error, or a load that can be walked.
template <class Open>
void expect_survives_damage(const std::string& good, const Open& open) {
  ASSERT_TRUE(open(ExactBytes(good).span()).ok());
  uint64_t sum = 0;
  size_t loaded = 0;
  const auto try_one = [&](std::string_view damaged) {
    const ExactBytes bytes(damaged);
    const auto opened = open(bytes.span());
    if (opened.ok()) {
      sum += walk(**opened);
      ++loaded;
    } else {
      ASSERT_EQ(opened.error().kind, ErrorKind::kBadFile) << opened.error().message;
      ASSERT_FALSE(opened.error().message.empty());
    }
  };
  for (size_t length = 0; length < good.size(); ++length) {
    try_one(std::string_view(good).substr(0, length));
    ASSERT_EQ(loaded, 0u) << "a file cut to " << length << " bytes loaded";
  }
  std::string flipped = good;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    const auto mask = static_cast<char>(1 << (bit % 8));
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ mask);
    try_one(flipped);
    flipped[bit / 8] = good[bit / 8];
  }
  EXPECT_NE(sum, 1u);
  EXPECT_GT(loaded, 0u);  // a flip in tensor data is no error
}

}  // namespace reckon::test
