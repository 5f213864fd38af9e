// The model that is part of the program: the one that answers where none is named.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace reckon {

// Its name, and the path under which GgufFile::open() finds it.
inline constexpr std::string_view kBundledModel = "reckon-small";
inline constexpr std::string_view kBundledModelPath = "bundled:reckon-small";

// The GGUF file's bytes, aligned to 64; empty in a build without models/.
std::span<const std::byte> bundled_model();

}  // namespace reckon
