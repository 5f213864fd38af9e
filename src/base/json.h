// JSON text from outside -> a checked tree. Stricter than the format: a key may stand only once in
// an object, nesting has a limit, and numbers are rounded correctly.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace reckon {

// what names the text in errors ("model/config.json"). Errors: kBadFile for anything that isn't one
// JSON value in valid UTF-8, a key that stands twice in an object, nesting deeper than max_depth, a
// number that is no finite double.
Result<boost::json::value> parse_json(std::string_view text, std::string_view what,
                                      int max_depth = 32);

// text as one quoted line for error messages: control characters, quotes and invalid
// UTF-8 escaped, cut after max_bytes. Names that come from a file may hold anything.
std::string excerpt(std::string_view text, size_t max_bytes = 80);

}  // namespace reckon
