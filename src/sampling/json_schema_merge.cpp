// Keyword by keyword: bounds become the narrower one, lists of names are united, lists of values
// cut.
#include "sampling/json_schema_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "base/json.h"

namespace reckon {
namespace {

namespace json = boost::json;

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

json::array as_list(const json::value& value) {
  return value.is_array() ? value.get_array() : json::array{value};
}

json::array common(const json::array& a, const json::array& b) {
  json::array result;
  for (const json::value& value : a) {
    if (std::find(b.begin(), b.end(), value) != b.end()) result.push_back(value);
  }
  return result;
}

// "integer" is a kind of "number".
json::array common_types(const json::array& a, const json::array& b) {
  json::array result = common(a, b);
  const auto has = [](const json::array& list, std::string_view type) {
    return std::find(list.begin(), list.end(), json::value(json::string_view(type))) != list.end();
  };
  const bool narrows =
      (has(a, "integer") && has(b, "number")) || (has(b, "integer") && has(a, "number"));
  if (narrows && !has(result, "integer") && !has(result, "number")) result.emplace_back("integer");
  return result;
}

json::value both(const json::value& a, const json::value& b) {
  return json::object{{"allOf", json::array{a, b}}};
}

}  // namespace

bool is_annotation(std::string_view keyword) {
  return keyword.starts_with("x-") ||
         is_one_of(keyword, {"title", "description", "default", "examples", "example", "deprecated",
                             "readOnly", "writeOnly", "$comment", "$schema", "$id", "$anchor",
                             "$defs", "definitions", "contentEncoding", "contentMediaType",
                             "discriminator", "externalDocs"});
}

Result<json::object> merge_schemas(const json::object& a, const json::object& b,
                                   std::string_view place) {
  json::object result = a;
  // Members that one side names and the other leaves to its additionalProperties.
  const bool closed = (a.contains("additionalProperties") && b.contains("properties")) ||
                      (b.contains("additionalProperties") && a.contains("properties"));
  if (closed && a.if_contains("additionalProperties") != nullptr &&
      b.if_contains("additionalProperties") == nullptr) {
    return merge_schemas(b, a, place);
  }
  for (const auto& [key, theirs] : b) {
    const std::string_view name(key.data(), key.size());
    json::value* ours = result.if_contains(key);
    if (ours == nullptr) {
      result[key] = theirs;
    } else if (is_annotation(name) || *ours == theirs) {
      continue;
    } else if (name == "type") {
      *ours = common_types(as_list(*ours), as_list(theirs));
    } else if (name == "enum" && ours->is_array() && theirs.is_array()) {
      *ours = common(ours->get_array(), theirs.get_array());
    } else if (name == "required" && ours->is_array() && theirs.is_array()) {
      for (const json::value& member : theirs.get_array()) ours->get_array().push_back(member);
    } else if (name == "properties" && ours->is_object() && theirs.is_object()) {
      for (const auto& [property, schema] : theirs.get_object()) {
        json::value* known = ours->get_object().if_contains(property);
        if (known == nullptr) {
          ours->get_object()[property] = schema;
        } else {
          *known = both(*known, schema);
        }
      }
    } else if (is_one_of(name, {"items", "additionalProperties"})) {
      *ours = both(*ours, theirs);
    } else if (name == "allOf" && ours->is_array() && theirs.is_array()) {
      for (const json::value& schema : theirs.get_array()) ours->get_array().push_back(schema);
    } else if (is_one_of(name, {"anyOf", "oneOf", "$ref"})) {
      // Kept apart and joined when each is looked at.
      json::object apart{{key, theirs}};
      if (json::value* all = result.if_contains("allOf"); all != nullptr && all->is_array()) {
        all->get_array().push_back(std::move(apart));
      } else {
        result["allOf"] = json::array{std::move(apart)};
      }
    } else if (ours->is_number() && theirs.is_number() &&
               is_one_of(name, {"minimum", "exclusiveMinimum", "minLength", "minItems"})) {
      if (theirs.to_number<double>() > ours->to_number<double>()) *ours = theirs;
    } else if (ours->is_number() && theirs.is_number() &&
               is_one_of(name, {"maximum", "exclusiveMaximum", "maxLength", "maxItems"})) {
      if (theirs.to_number<double>() < ours->to_number<double>()) *ours = theirs;
    } else {
      return usage_error(
          fmt::format("{}: allOf with two different {}: not supported", place, excerpt(name)));
    }
  }
  // Properties of a schema that leaves others open may be closed by the other one.
  if (!closed) return result;
  const json::value* additional = b.if_contains("additionalProperties");
  const json::value* own = b.if_contains("properties");
  if (additional == nullptr || !result["properties"].is_object()) return result;
  if (additional->is_bool() && additional->get_bool()) return result;
  for (auto& [property, schema] : result["properties"].get_object()) {
    if (own != nullptr && own->is_object() && own->get_object().contains(property)) continue;
    schema = both(schema, *additional);
  }
  const json::value* first = a.if_contains("additionalProperties");
  if (first != nullptr && !(first->is_bool() && first->get_bool())) {
    return usage_error(
        fmt::format("{}: allOf with two different \"additionalProperties\" beside "
                    "\"properties\": not supported",
                    place));
  }
  return result;
}

}  // namespace reckon
