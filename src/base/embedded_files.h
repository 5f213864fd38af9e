// Files that are part of the program: cmake/embed.cmake's reckon_embed(target name path) puts them
// in and declares `std::span<const reckon::EmbeddedFile> reckon_embedded_<name>();`.
#pragma once

#include <span>
#include <string_view>

namespace reckon {

struct EmbeddedFile {
  std::string_view path;   // in its folder, with '/'
  std::string_view bytes;  // for the program's life
};

}  // namespace reckon
