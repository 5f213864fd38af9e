// The byte-level alphabet (GPT-2's): every byte has a printable character, so that vocabularies can
// spell any bytes as text. "Ġhello" spells " hello".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reckon {

// Appends the bytes that a spelling stands for; false, with out as it was, where a character isn't
// of the alphabet.
bool append_spelled_bytes(std::string_view spelling, std::string& out);
// Appends the spelling of bytes.
void append_spelling(std::string_view bytes, std::string& out);

}  // namespace reckon
