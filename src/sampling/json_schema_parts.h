// Parts of the JSON Schema compiler that need no schema: numbers within bounds, patterns, formats.
// Each returns the right side of a GBNF rule.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace reckon {

// `text` as a GBNF literal that stands for itself.
std::string gbnf_literal(std::string_view text);
// `text` inside a JSON string, quotes not included.
std::string json_escaped(std::string_view text);

// One character of a JSON string, escaped where it has to be: the rule named `char`.
extern const std::string_view kJsonCharRule;

// The whole numbers from min to max, in JSON; min <= max.
std::string gbnf_integers(int64_t min, int64_t max);

// Numbers between whole bounds with up to 15 decimals; the bounds themselves unless open.
struct NumberBounds {
  int64_t min = 0;
  int64_t max = 0;
  bool min_open = false;
  bool max_open = false;
};
std::string gbnf_numbers(const NumberBounds& bounds);

// The inside of JSON strings that an ECMA-262 regular expression finds something in. Errors: kUsage
// for what isn't regular or isn't understood (look-around, references, anchors inside).
Result<std::string> gbnf_pattern(std::string_view pattern);

// The inside of JSON strings of a format ("date", "uuid", …); empty if it isn't known.
std::optional<std::string> gbnf_format(std::string_view format);

}  // namespace reckon
