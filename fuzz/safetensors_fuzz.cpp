// Bytes as a safetensors file: the directory and every byte it points to.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "gguf/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of exactly this size, so that a sanitizer sees a read past it.
  const std::unique_ptr<std::byte[]> bytes(new std::byte[size]);
  if (size > 0) std::memcpy(bytes.get(), data, size);
  const auto file = reckon::Safetensors::from_bytes({bytes.get(), size}, "fuzz.safetensors");
  if (!file.ok()) return 0;
  volatile uint8_t sum = 0;
  size_t total = 0;
  for (const reckon::SafetensorsTensor& tensor : (*file)->tensors()) {
    RECKON_CHECK((*file)->find(tensor.name) == &tensor);
    for (const std::byte b : tensor.data) sum = sum ^ static_cast<uint8_t>(b);
    total += tensor.data.size();
  }
  RECKON_CHECK(total <= size);
  return 0;
}
