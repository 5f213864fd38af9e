// Bytes as a GGUF file: the directory, every byte it points to, every look-up of every key, and the
// model it may describe.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>

#include "base/check.h"
#include "gguf/gguf_file.h"
#include "model/model.h"

namespace {

// Reads every byte, so that a sanitizer sees those that aren't there.
uint8_t touch(std::span<const std::byte> bytes) {
  uint8_t sum = 0;
  for (const std::byte b : bytes) sum = static_cast<uint8_t>(sum ^ static_cast<uint8_t>(b));
  return sum;
}
uint8_t touch(std::string_view text) { return touch(std::as_bytes(std::span(text))); }

// A look-up of a type that the value isn't of is an error, never anything else.
void look_up(const reckon::GgufFile& file, std::string_view key) {
  const int n_found = file.get_uint(key).ok() + file.get_bool(key).ok() + file.get_string(key).ok();
  RECKON_CHECK(n_found <= 1);
  (void)file.get_float(key);
  for (const auto type : {reckon::GgufValueType::kString, reckon::GgufValueType::kInt32}) {
    const auto array = file.get_array(key, type);
    RECKON_CHECK(!array.ok() || n_found == 0);
  }
}

uint8_t walk(const reckon::GgufFile& file) {
  uint8_t sum = 0;
  for (const reckon::GgufKeyValue& pair : file.metadata()) {
    RECKON_CHECK(file.find(pair.key) == &pair.value);
    look_up(file, pair.key);
    if (const auto* text = std::get_if<std::string_view>(&pair.value.data)) sum ^= touch(*text);
    const reckon::GgufArray* array = pair.value.array();
    if (array == nullptr) continue;
    sum ^= touch(array->raw);
    for (const std::string_view text : array->strings) sum ^= touch(text);
    if (array->strings.empty() && array->count > 0) {
      sum ^= static_cast<uint8_t>(array->int_at(array->count - 1));
      sum ^= static_cast<uint8_t>(array->float_at(0) > 0);
    }
  }
  uint64_t bytes = 0;
  for (const reckon::GgufTensor& tensor : file.tensors()) {
    bytes += tensor.bytes;
    RECKON_CHECK(file.find_tensor(tensor.name) == &tensor);
    sum ^= touch({tensor.data, tensor.bytes});
  }
  RECKON_CHECK(file.tensor_bytes() == bytes);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr auto kAlignment = std::align_val_t(64);
  auto* bytes = static_cast<std::byte*>(::operator new(size, kAlignment));
  if (size > 0) std::memcpy(bytes, data, size);
  {
    auto file = reckon::GgufFile::from_bytes({bytes, size}, "fuzz.gguf");
    if (file.ok()) {
      const volatile uint8_t sum = walk(**file);
      (void)sum;
      (void)reckon::Model::load(*file);
    }
  }
  ::operator delete(bytes, kAlignment);
  return 0;
}
