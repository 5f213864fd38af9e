// GGUF bytes made by hand for tests, right or wrong in any field: the counterpart of GgufWriter,
// which refuses to write wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace reckon::test {

template <class T>
std::string le(T value) {
  static_assert(std::is_arithmetic_v<T>);
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}
inline std::string u32(uint32_t value) { return le(value); }
inline std::string u64(uint64_t value) { return le(value); }
inline std::string text(std::string_view value) { return u64(value.size()) + std::string(value); }
// A key with a value of the type's id; payload is the encoded value.
inline std::string pair(std::string_view key, uint32_t type, std::string_view payload) {
  return text(key) + u32(type) + std::string(payload);
}
inline std::string string_pair(std::string_view key, std::string_view value) {
  return pair(key, 8, text(value));
}
inline std::string array_pair(std::string_view key, uint32_t element_type, uint64_t count,
                              std::string_view elements) {
  return pair(key, 9, u32(element_type) + u64(count) + std::string(elements));
}

struct TensorBytes {
  std::string name = "a";
  std::vector<uint64_t> dims = {8};
  uint32_t type = 0;  // f32
  uint64_t offset = 0;
  std::optional<uint32_t> n_dims;       // what the file says, if not dims.size()
  std::optional<uint64_t> name_length;  // likewise

  std::string encode() const {
    std::string out = u64(name_length.value_or(name.size())) + name;
    out += u32(n_dims.value_or(static_cast<uint32_t>(dims.size())));
    for (const uint64_t dim : dims) out += u64(dim);
    return out + u32(type) + u64(offset);
  }
};

struct GgufBytes {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> n_tensors;  // what the file says, if not what it holds
  std::optional<uint64_t> n_keys;
  std::vector<std::string> pairs;
  std::vector<TensorBytes> tensors;
  uint64_t alignment = 32;  // of the data section
  std::string data;

  std::string encode() const {
    std::string out = magic + u32(version) + u64(n_tensors.value_or(tensors.size())) +
                      u64(n_keys.value_or(pairs.size()));
    for (const std::string& p : pairs) out += p;
    for (const TensorBytes& tensor : tensors) out += tensor.encode();
    if (!tensors.empty() || !data.empty()) {
      out.append((alignment - out.size() % alignment) % alignment, '\0');
    }
    return out + data;
  }
};

// One f32 tensor "a" of 8 elements, its data included.
inline GgufBytes small_gguf() {
  GgufBytes file;
  file.tensors.push_back({});
  file.data.assign(32, '\x3f');
  return file;
}

}  // namespace reckon::test
