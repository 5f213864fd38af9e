// JSON Schema -> grammar: every text that the grammar allows is JSON that the schema accepts.
// docs/structured-output.md lists what is understood. What isn't is an error that names the
// keyword and where it stands; only annotations (title, description, …) are passed over.
#pragma once

#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sampling/grammar.h"

namespace reckon {

// GBNF for the JSON values that `schema` accepts, members in the order in which `properties` names
// them. Errors: kUsage with the schema's place ("schema/properties/age: …").
Result<std::string> json_schema_to_gbnf(const boost::json::value& schema);

// The same as a grammar. Errors: kBadFile for text that isn't JSON, kUsage as above.
Result<std::shared_ptr<const Grammar>> json_schema_grammar(std::string_view schema_json);
Result<std::shared_ptr<const Grammar>> json_schema_grammar(const boost::json::value& schema);

// Any JSON object: response_format json_object.
std::shared_ptr<const Grammar> json_object_grammar();

}  // namespace reckon
