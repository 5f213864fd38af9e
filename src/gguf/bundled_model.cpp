// Finds the bytes that cmake/embed.cmake put in.
#include "gguf/bundled_model.h"

#include "base/embedded_files.h"

std::span<const reckon::EmbeddedFile> reckon_embedded_model();

namespace reckon {

std::span<const std::byte> bundled_model() {
  const std::span<const EmbeddedFile> files = reckon_embedded_model();
  if (files.empty()) return {};
  return std::as_bytes(std::span<const char>(files.front().bytes));
}

}  // namespace reckon
