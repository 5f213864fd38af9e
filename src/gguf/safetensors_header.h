// The JSON header of a safetensors file as a list, read event by event: no tree of it is ever held,
// and what the format does not have ends the read at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace reckon {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // "BF16"
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  // in the data section
  uint64_t end = 0;
};

// In the header's order; names may repeat and numbers are not yet checked against anything. Errors:
// kBadFile naming path and the byte.
Result<std::vector<SafetensorsEntry>> parse_safetensors_header(std::string_view json,
                                                               const std::string& path);

}  // namespace reckon
