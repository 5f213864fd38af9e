// What Jinja templates do to text with Python's own functions: str.strip and json.dumps, byte for
// byte, so that a native template writes exactly what the published one does. Inside tokenizer/
// only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace reckon {

// Bytes of the character at position if str.isspace() holds for it, else 0.
size_t python_space_bytes(std::string_view text, size_t position);
// str.strip(): without the white space around. Bytes that aren't UTF-8 are no white space.
std::string_view python_strip(std::string_view text);

// json.dumps(text, ensure_ascii=False).
std::string python_json_string(std::string_view text);
// json.dumps(json.loads(json), ensure_ascii=False, indent=indent): keys keep their order, integers
// their digits, other numbers become what repr(float) writes. indent 0 means none. nullopt when
// json is not one JSON value that parse_json takes.
std::optional<std::string> python_json(std::string_view json, int indent = 0);
// The elements of a JSON array, each as json.dumps writes it. Errors: kUsage naming `what`.
Result<std::vector<std::string>> python_json_elements(std::string_view json, int indent,
                                                      std::string_view what);

}  // namespace reckon
