// The parser of one GGUF file's bytes: header, metadata and tensor directory, every count, size,
// offset and product checked before it is used. GgufFile joins what it returns for each shard.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"

namespace reckon {

// Limits far above any real file, so that what the parser keeps stays within the file's own size
// plus 64 MiB: a key costs 52 bytes here and at least 14 in the file, a tensor 108 and 33, a string
// of an array 16 and 8.
constexpr uint64_t kMaxGgufKeys = uint64_t{1} << 20;
constexpr uint64_t kMaxGgufTensors = uint64_t{1} << 18;
constexpr uint64_t kMaxGgufStrings = uint64_t{1} << 22;  // in all arrays together
constexpr uint64_t kMaxGgufKeyBytes = 65535;             // as the format says
constexpr uint64_t kMaxGgufNameBytes = 64;               // as the format says
// From the smallest at which every block type's fields are aligned in the mapping.
constexpr uint64_t kMinGgufAlignment = 8;
constexpr uint64_t kMaxGgufAlignment = uint64_t{1} << 20;

// What one file holds. Strings, arrays and data point into the bytes given.
struct GgufParts {
  uint32_t version = 0;
  uint64_t alignment = 32;
  std::vector<GgufKeyValue> metadata;     // keys unique
  std::vector<uint32_t> metadata_by_key;  // its indices, sorted by key
  std::vector<GgufTensor> tensors;        // none overlapping
};

// bytes must be aligned as a mapping is; shard goes into the tensors. Errors: kBadFile naming path,
// the object, what was expected and what was found.
Result<GgufParts> parse_gguf(std::span<const std::byte> bytes, const std::string& path, int shard,
                             GgufData data);

// The metadata value of a key, or null.
const GgufValue* find_gguf_value(std::span<const GgufKeyValue> metadata,
                                 std::span<const uint32_t> metadata_by_key, std::string_view key);

// An unsigned number from a value of any integer type, or what is wrong with it.
Result<uint64_t> gguf_value_as_uint(const std::string& path, std::string_view key,
                                    const GgufValue& value);

// 0 … n - 1 in the order of name(i).
template <class Name>
std::vector<uint32_t> indices_by_name(size_t n, const Name& name) {
  std::vector<uint32_t> indices(n);
  std::iota(indices.begin(), indices.end(), 0u);
  std::sort(indices.begin(), indices.end(),
            [&](uint32_t a, uint32_t b) { return name(a) < name(b); });
  return indices;
}

// Bytes an element takes; 0 for strings and arrays, and for a type GGUF does not know.
uint64_t gguf_scalar_bytes(GgufValueType type);
// "uint32", as error messages name it; "type 77" for one GGUF does not know.
std::string gguf_type_name(GgufValueType type);

}  // namespace reckon
