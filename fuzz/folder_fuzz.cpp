// Files of a model, by name: a Hugging Face folder is converted to GGUF and back, a GGUF file in
// shards opened. The input is a list of files: a byte that picks the name, three for the length
// (little-endian), the contents.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "fuzz/scratch_folder.h"
#include "gguf/gguf_file.h"
#include "gguf/safetensors.h"
#include "model/convert.h"
#include "tokenizer/chat_template.h"

namespace {

namespace fs = std::filesystem;

constexpr const char* kNames[] = {"config.json",
                                  "tokenizer.json",
                                  "tokenizer_config.json",
                                  "generation_config.json",
                                  "model.safetensors",
                                  "model.safetensors.index.json",
                                  "model-00001-of-00002.safetensors",
                                  "model-00002-of-00002.safetensors",
                                  "m-00001-of-00002.gguf",
                                  "m-00002-of-00002.gguf",
                                  "template.json"};

void write_files(const fs::path& folder, std::string_view input) {
  while (input.size() > 4) {
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(input[i])); };
    const char* name = kNames[byte(0) % std::size(kNames)];
    const size_t size = std::min(byte(1) | byte(2) << 8 | byte(3) << 16, input.size() - 4);
    RECKON_CHECK(reckon::write_file((folder / name).string(), input.substr(4, size)).ok());
    input.remove_prefix(4 + size);
  }
}

void convert_there_and_back(const fs::path& folder) {
  const std::string gguf = (folder / "out.gguf").string();
  if (!reckon::convert_hf_to_gguf(folder.string(), gguf).ok()) return;
  const auto file = reckon::GgufFile::open(gguf);
  RECKON_CHECK(file.ok());
  uint64_t bytes = 0;
  for (const reckon::GgufTensor& tensor : (*file)->tensors()) bytes += tensor.bytes;
  RECKON_CHECK((*file)->tensor_bytes() == bytes);
  const fs::path back = folder / "back";
  if (!reckon::convert_gguf_to_hf(gguf, back.string()).ok()) return;
  RECKON_CHECK(reckon::Safetensors::open_folder(back.string()).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const reckon::fuzz::ScratchFolder folder;
  for (const auto& entry : fs::directory_iterator(folder.path())) fs::remove_all(entry.path());
  write_files(folder.path(), {reinterpret_cast<const char*>(data), size});
  convert_there_and_back(folder.path());
  (void)reckon::GgufFile::open((folder.path() / kNames[8]).string());
  (void)reckon::load_chat_template_file((folder.path() / "template.json").string());
  return 0;
}
