// Each schema becomes one GBNF rule. References are rules of their own, so recursive schemas become
// recursive rules; references beside other keywords, and allOf, are merged first.
#include "sampling/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/json.h"
#include "sampling/json_schema_merge.h"
#include "sampling/json_schema_parts.h"
#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr int kMaxSchemaDepth = 64;
constexpr int kMaxSchemas = 20'000;       // looked at, those behind allOf once for each use
constexpr int kMaxMerges = 64;            // of allOf and references into one schema
constexpr int64_t kMaxCount = 1'000'000;  // minItems and the like
// Numbers without a bound have at most so many digits: readers cut longer ones.
constexpr int64_t kLargestInteger = 999'999'999'999'999;

// Rules that any schema may use. A line break may be followed by an indentation.
constexpr std::string_view kCommonRules = R"gbnf(
ws ::= "" | " " | "\n" (" "{0,24} | "\t"{0,8})
string ::= "\"" char* "\""
integer ::= "0" | "-"? [1-9] [0-9]{0,14}
number ::= "-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?
boolean ::= "true" | "false"
null ::= "null"
value ::= object | array | string | number | boolean | null
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)* ws)? "}"
array ::= "[" ws (value ("," ws value)* ws)? "]"
)gbnf";

// What each type asks for; any other keyword but these and those in resolve() is refused.
const std::map<std::string_view, std::vector<std::string_view>>& keywords_by_type() {
  static const std::map<std::string_view, std::vector<std::string_view>> keywords = {
      {"object",
       {"properties", "required", "additionalProperties", "unevaluatedProperties",
        "minProperties"}},
      {"array",
       {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"}},
      {"string", {"minLength", "maxLength", "pattern", "format"}},
      {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
      {"integer", {}},
      {"boolean", {}},
      {"null", {}},
  };
  return keywords;
}

std::string value_text(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return value.get_bool() ? "true" : "false";
    case json::kind::int64: return std::to_string(value.get_int64());
    case json::kind::uint64: return std::to_string(value.get_uint64());
    case json::kind::double_: return fmt::format("{}", value.get_double());
    case json::kind::string: return "\"" + json_escaped(value.get_string()) + "\"";
    case json::kind::array: {
      std::string text;
      for (const json::value& item : value.get_array()) {
        text += (text.empty() ? "" : ", ") + value_text(item);
      }
      return "[" + text + "]";
    }
    case json::kind::object: {
      std::string text;
      for (const auto& [key, item] : value.get_object()) {
        text += fmt::format("{}\"{}\": {}", text.empty() ? "" : ", ", json_escaped(key),
                            value_text(item));
      }
      return "{" + text + "}";
    }
  }
  return "null";
}

bool is_whole(const json::value& value) {
  return value.is_int64() || value.is_uint64() ||
         (value.is_double() && std::floor(value.get_double()) == value.get_double());
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number() && is_whole(value);
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  return value.is_null();
}

class SchemaCompiler {
 public:
  explicit SchemaCompiler(const json::value& root) : root_(root) {}

  Result<std::string> compile() {
    RECKON_ASSIGN(const std::string name, rule_of(root_, "schema", 0));
    return fmt::format("root ::= {}\n{}char ::= {}{}", name, rules_, kJsonCharRule, kCommonRules);
  }

 private:
  using Object = json::object;

  Error error(std::string_view place, std::string_view problem) const {
    return usage_error(fmt::format("{}: {}", place, problem));
  }

  std::string define(std::string_view body) {
    std::string name = fmt::format("s{}", n_rules_++);
    rules_ += fmt::format("{} ::= {}\n", name, body);
    return name;
  }

  // The name of a rule for the values that the schema accepts.
  Result<std::string> rule_of(const json::value& schema, const std::string& place, int depth) {
    if (++n_schemas_ > kMaxSchemas || rules_.size() > kMaxGrammarBytes) {
      return error(place,
                   fmt::format("expected at most {} schemas of {} bytes of rules, found more",
                               kMaxSchemas, kMaxGrammarBytes));
    }
    if (depth > kMaxSchemaDepth) {
      return error(place,
                   fmt::format("expected at most {} schemas inside each other", kMaxSchemaDepth));
    }
    if (schema.is_bool()) {
      if (schema.get_bool()) return std::string("value");
      return error(place, "the schema false accepts nothing");
    }
    if (!schema.is_object()) return error(place, "expected a schema: an object or a boolean");
    const Object& object = schema.get_object();
    if (const json::value* ref = lone_reference(object))
      return rule_of_reference(*ref, place, depth);
    RECKON_ASSIGN(const Object resolved, resolve(object, place));
    return rule_of_resolved(resolved, place, depth);
  }

  static const json::value* lone_reference(const Object& schema) {
    const json::value* ref = schema.if_contains("$ref");
    const bool alone = std::all_of(schema.begin(), schema.end(), [](const auto& member) {
      return member.key() == "$ref" || is_annotation({member.key().data(), member.key().size()});
    });
    return alone ? ref : nullptr;
  }

  Result<std::string> rule_of_reference(const json::value& ref, const std::string& place,
                                        int depth) {
    RECKON_ASSIGN(const json::value* target, find(ref, place));
    const auto known = references_.find(target);
    if (known != references_.end()) return known->second;
    // Known before it is compiled, so that it may contain itself.
    const std::string name = fmt::format("r{}", references_.size());
    references_.emplace(target, name);
    RECKON_ASSIGN(const std::string inside,
                  rule_of(*target, std::string(ref.get_string()), depth + 1));
    rules_ += fmt::format("{} ::= {}\n", name, inside);
    return name;
  }

  // A JSON pointer into the schema (RFC 6901).
  Result<const json::value*> find(const json::value& ref, std::string_view place) const {
    const std::string_view text = ref.is_string() ? std::string_view(ref.get_string()) : "";
    if (!text.starts_with("#") || (text.size() > 1 && text[1] != '/')) {
      return error(place, fmt::format("$ref: expected a place in this schema (\"#/$defs/…\"), "
                                      "found {}",
                                      ref.is_string() ? excerpt(text) : "no string"));
    }
    const json::value* value = &root_;
    for (size_t at = 1; at < text.size() && value != nullptr;) {
      const size_t end = std::min(text.find('/', at + 1), text.size());
      std::string key;
      for (size_t i = at + 1; i < end; ++i) {
        if (text[i] == '~' && i + 1 < end && (text[i + 1] == '0' || text[i + 1] == '1')) {
          key += text[++i] == '0' ? '~' : '/';
        } else {
          key += text[i];
        }
      }
      at = end;
      const json::value* next = nullptr;
      if (value->is_object()) {
        next = value->get_object().if_contains(key);
      } else if (value->is_array()) {
        size_t index = 0;
        const auto [stop, code] = std::from_chars(key.data(), key.data() + key.size(), index);
        const bool whole = code == std::errc{} && stop == key.data() + key.size();
        if (whole) next = value->get_array().if_contains(index);
      }
      value = next;
    }
    if (value == nullptr) return error(place, fmt::format("$ref: {} is not there", excerpt(text)));
    return value;
  }

  // Without allOf, and without a $ref that stands beside other keywords.
  Result<Object> resolve(const Object& schema, const std::string& place) {
    Object result = schema;
    for (int merges = 0;; ++merges) {
      if (merges > kMaxMerges) {
        return error(place, fmt::format("expected at most {} schemas in allOf and $ref together",
                                        kMaxMerges));
      }
      json::array parts;
      if (const json::value* all = result.if_contains("allOf")) {
        if (!all->is_array() || all->get_array().empty()) {
          return error(place, "allOf: expected a list of schemas");
        }
        parts = all->get_array();
        result.erase("allOf");
      } else if (const json::value* ref = result.if_contains("$ref")) {
        RECKON_ASSIGN(const json::value* target, find(*ref, place));
        parts = {*target};
        result.erase("$ref");
      } else {
        return result;
      }
      for (const json::value& part : parts) {
        if (++n_schemas_ > kMaxSchemas) return error(place, "too many schemas in allOf");
        if (part.is_bool() && part.get_bool()) continue;
        if (!part.is_object()) {
          return error(
              place, part.is_bool() ? "allOf: a part accepts nothing" : "allOf: expected schemas");
        }
        RECKON_ASSIGN(result, merge_schemas(result, part.get_object(), place));
      }
    }
  }

  Result<std::string> rule_of_resolved(const Object& schema, const std::string& place, int depth) {
    RECKON_RETURN_IF_ERROR(check_keywords(schema, place));
    for (const std::string_view keyword : {"anyOf", "oneOf"}) {
      if (schema.contains(keyword)) return rule_of_choice(schema, keyword, place, depth);
    }
    RECKON_ASSIGN(const std::vector<std::string_view> types, types_of(schema, place));
    if (schema.contains("enum") || schema.contains("const")) {
      return rule_of_values(schema, types, place);
    }
    std::string choices;
    for (const std::string_view type : types) {
      std::string choice;
      if (type == "object") {
        RECKON_ASSIGN(choice, rule_of_object(schema, place, depth));
      } else if (type == "array") {
        RECKON_ASSIGN(choice, rule_of_array(schema, place, depth));
      } else if (type == "string") {
        RECKON_ASSIGN(choice, rule_of_string(schema, place));
      } else if (type == "integer" || type == "number") {
        RECKON_ASSIGN(choice, rule_of_number(schema, type == "integer", place));
      } else {
        choice = type;
      }
      choices += (choices.empty() ? "" : " | ") + choice;
    }
    return types.size() == 1 ? choices : define(choices);
  }

  Status check_keywords(const Object& schema, const std::string& place) const {
    for (const auto& member : schema) {
      const std::string_view name(member.key().data(), member.key().size());
      bool known = is_annotation(name) || name == "type" || name == "enum" || name == "const" ||
                   name == "anyOf" || name == "oneOf";
      for (const auto& [type, keywords] : keywords_by_type()) {
        known = known || std::find(keywords.begin(), keywords.end(), name) != keywords.end();
      }
      if (!known) {
        return error(place, fmt::format("the keyword {} is not supported", excerpt(name)));
      }
    }
    return {};
  }

  // Those named, or those that the keywords are about, or all.
  Result<std::vector<std::string_view>> types_of(const Object& schema,
                                                 const std::string& place) const {
    std::vector<std::string_view> types;
    if (const json::value* type = schema.if_contains("type")) {
      const json::array list = type->is_array() ? type->get_array() : json::array{*type};
      for (const json::value& name : list) {
        const auto known = name.is_string()
                               ? keywords_by_type().find(std::string_view(name.get_string()))
                               : keywords_by_type().end();
        if (known == keywords_by_type().end()) {
          return error(place,
                       "type: expected object, array, string, number, integer, boolean or "
                       "null");
        }
        if (std::find(types.begin(), types.end(), known->first) == types.end()) {
          types.push_back(known->first);
        }
      }
      if (types.empty()) return error(place, "type: no type is left that all of allOf accept");
      return types;
    }
    for (const auto& [type, keywords] : keywords_by_type()) {
      if (std::any_of(keywords.begin(), keywords.end(),
                      [&](std::string_view keyword) { return schema.contains(keyword); })) {
        types.push_back(type);
      }
    }
    if (types.empty()) types = {"object", "array", "string", "number", "boolean", "null"};
    return types;
  }

  // Each alternative together with what stands beside the choice.
  Result<std::string> rule_of_choice(const Object& schema, std::string_view keyword,
                                     const std::string& place, int depth) {
    const json::value& list = schema.at(keyword);
    if (!list.is_array() || list.get_array().empty()) {
      return error(place, fmt::format("{}: expected a list of schemas", keyword));
    }
    Object beside = schema;
    beside.erase(keyword);
    const bool bare = std::all_of(beside.begin(), beside.end(), [](const auto& member) {
      return is_annotation({member.key().data(), member.key().size()});
    });
    std::string choices;
    size_t n = 0;
    for (const json::value& alternative : list.get_array()) {
      const std::string inside = fmt::format("{}/{}/{}", place, keyword, n++);
      json::value joined = alternative;
      if (!bare) joined = Object{{"allOf", json::array{beside, alternative}}};
      RECKON_ASSIGN(const std::string choice, rule_of(joined, inside, depth + 1));
      choices += (choices.empty() ? "" : " | ") + choice;
    }
    return define(choices);
  }

  Result<std::string> rule_of_values(const Object& schema,
                                     const std::vector<std::string_view>& types,
                                     const std::string& place) {
    json::array values;
    if (const json::value* list = schema.if_contains("enum")) {
      if (!list->is_array()) return error(place, "enum: expected a list");
      values = list->get_array();
    }
    if (const json::value* only = schema.if_contains("const")) {
      const bool listed = std::find(values.begin(), values.end(), *only) != values.end();
      if (!schema.contains("enum") || listed)
        values = {*only};
      else
        values.clear();
    }
    for (const auto& [type, keywords] : keywords_by_type()) {
      for (const std::string_view keyword : keywords) {
        if (schema.contains(keyword)) {
          return error(place,
                       fmt::format("enum or const together with {}: not supported", keyword));
        }
      }
    }
    std::string choices;
    for (const json::value& value : values) {
      if (std::none_of(types.begin(), types.end(),
                       [&](std::string_view type) { return has_type(value, type); })) {
        continue;
      }
      choices += (choices.empty() ? "" : " | ") + gbnf_literal(value_text(value));
    }
    if (choices.empty()) return error(place, "enum: no value is left that the schema accepts");
    return define(choices);
  }

  // A count such as minItems; `fallback` where there is none.
  Result<int64_t> count(const Object& schema, std::string_view keyword, int64_t fallback,
                        const std::string& place) const {
    const json::value* value = schema.if_contains(keyword);
    if (value == nullptr) return fallback;
    const double number = value->is_number() ? value->to_number<double>() : -1;
    if (!(number >= 0 && number <= static_cast<double>(kMaxCount)) || !is_whole(*value)) {
      return error(place,
                   fmt::format("{}: expected a whole number from 0 to {}", keyword, kMaxCount));
    }
    return static_cast<int64_t>(number);
  }

  Result<std::string> rule_of_string(const Object& schema, const std::string& place) {
    const bool sized = schema.contains("minLength") || schema.contains("maxLength");
    const json::value* pattern = schema.if_contains("pattern");
    const json::value* format = schema.if_contains("format");
    if (int{sized} + int{pattern != nullptr} + int{format != nullptr} > 1) {
      return error(place, "length, pattern and format together: not supported");
    }
    if (pattern != nullptr) {
      if (!pattern->is_string()) return error(place, "pattern: expected a string");
      auto body = gbnf_pattern(pattern->get_string());
      if (!body.ok()) return error(place, body.error().message);
      return define(fmt::format("\"\\\"\" ({}) \"\\\"\"", *body));
    }
    if (format != nullptr) {
      std::optional<std::string> body;
      if (format->is_string()) body = gbnf_format(format->get_string());
      if (!body) {
        return error(place, fmt::format("format: {} is not supported", value_text(*format)));
      }
      return define(fmt::format("\"\\\"\" ({}) \"\\\"\"", *body));
    }
    if (!sized) return std::string("string");
    RECKON_ASSIGN(const int64_t min, count(schema, "minLength", 0, place));
    RECKON_ASSIGN(const int64_t max, count(schema, "maxLength", -1, place));
    RECKON_ASSIGN(const std::string range, range_text(min, max, "Length", place));
    return define(fmt::format("\"\\\"\" char{} \"\\\"\"", range));
  }

  // "{2,}" or "{2,3}".
  Result<std::string> range_text(int64_t min, int64_t max, std::string_view what,
                                 const std::string& place) const {
    if (max < 0) return fmt::format("{{{},}}", min);
    if (max < min) {
      return error(place, fmt::format("min{0} {1} is more than max{0} {2}", what, min, max));
    }
    return fmt::format("{{{},{}}}", min, max);
  }

  // Bounds as whole numbers, rounded inwards; beyond what has 15 digits there is no use for them.
  Result<std::string> rule_of_number(const Object& schema, bool integer, const std::string& place) {
    constexpr auto kLargest = static_cast<double>(kLargestInteger);
    if (const json::value* step = schema.if_contains("multipleOf")) {
      if (!step->is_number() || !integer || step->to_number<double>() != 1) {
        return error(place, "multipleOf: not supported but for 1 with integers");
      }
    }
    NumberBounds bounds{-kLargestInteger, kLargestInteger, false, false};
    bool bounded = false;
    for (const std::string_view keyword :
         {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
      const json::value* value = schema.if_contains(keyword);
      if (value == nullptr) continue;
      if (!value->is_number()) return error(place, fmt::format("{}: expected a number", keyword));
      bounded = true;
      const double number = value->to_number<double>();
      const bool lower = keyword.ends_with("inimum");
      const bool open = keyword.starts_with("exclusive");
      const double whole =
          std::clamp(lower ? std::ceil(number) : std::floor(number), -kLargest, kLargest);
      const bool cut = whole == number && open;
      auto bound = static_cast<int64_t>(whole);
      if (cut && integer) bound += lower ? 1 : -1;
      const bool is_open = cut && !integer;
      int64_t& ours = lower ? bounds.min : bounds.max;
      bool& ours_open = lower ? bounds.min_open : bounds.max_open;
      const bool narrower = lower ? bound > ours : bound < ours;
      if (narrower) {
        ours = bound;
        ours_open = is_open;
      } else if (bound == ours) {
        ours_open = ours_open || is_open;
      }
      if (std::abs(number) > kLargest && (lower ? number > 0 : number < 0)) {
        return error(place, fmt::format("{}: expected at most 15 digits", keyword));
      }
    }
    if (!bounded) return std::string(integer ? "integer" : "number");
    const bool nothing = bounds.min > bounds.max ||
                         (bounds.min == bounds.max && (bounds.min_open || bounds.max_open));
    if (nothing) {
      return error(place, "minimum and maximum: expected a whole number between them");
    }
    return define(integer ? gbnf_integers(bounds.min, bounds.max) : gbnf_numbers(bounds));
  }

  Result<std::string> rule_of_array(const Object& schema, const std::string& place, int depth) {
    if (const json::value* unique = schema.if_contains("uniqueItems")) {
      if (!unique->is_bool() || unique->get_bool()) {
        return error(place, "uniqueItems: not supported");
      }
    }
    RECKON_ASSIGN(const int64_t min, count(schema, "minItems", 0, place));
    RECKON_ASSIGN(const int64_t max, count(schema, "maxItems", -1, place));
    std::vector<std::string> first;  // the rules of prefixItems
    if (const json::value* prefix = schema.if_contains("prefixItems")) {
      if (!prefix->is_array()) return error(place, "prefixItems: expected a list of schemas");
      for (const json::value& item : prefix->get_array()) {
        const std::string inside = fmt::format("{}/prefixItems/{}", place, first.size());
        RECKON_ASSIGN(std::string rule, rule_of(item, inside, depth + 1));
        first.push_back(std::move(rule));
      }
    }
    // Without `items` a list with prefixItems ends with them; unevaluatedItems can't add any then.
    const json::value* items = schema.if_contains("items");
    const json::value* unevaluated = schema.if_contains("unevaluatedItems");
    if (unevaluated != nullptr && !(unevaluated->is_bool() && !first.empty() && items == nullptr)) {
      return error(place, "unevaluatedItems: supported as a boolean beside prefixItems alone");
    }
    std::string rest;
    const bool closed = items == nullptr ? !first.empty() : items->is_bool() && !items->get_bool();
    if (!closed) {
      static const json::value kAny = true;
      RECKON_ASSIGN(rest, rule_of(items == nullptr ? kAny : *items, place + "/items", depth + 1));
    }
    return list_rule(first, rest, min, max, place);
  }

  // min to max items (-1: no limit): `first` one after the other, then any number of `rest`, or
  // none where that is empty.
  Result<std::string> list_rule(const std::vector<std::string>& first, const std::string& rest,
                                int64_t min, int64_t max, const std::string& place) {
    const auto n_first = static_cast<int64_t>(first.size());
    if (rest.empty()) max = max < 0 ? n_first : std::min(max, n_first);
    RECKON_RETURN_IF_ERROR(range_text(min, max, "Items", place));
    if (max == 0) return define("\"[\" ws \"]\"");
    // The tail after each number of items, from the last to the first.
    std::string tail;
    const int64_t n_named = max < 0 ? n_first : std::min(n_first, max);
    if (!rest.empty() && (max < 0 || max > n_first)) {
      const int64_t n_before = std::max<int64_t>(n_first, 1);  // the first has no comma
      RECKON_ASSIGN(const std::string range,
                    range_text(std::max<int64_t>(min - n_before, 0), max < 0 ? -1 : max - n_before,
                               "Items", place));
      tail = fmt::format("(\",\" ws {}){}", rest, range);
    }
    for (int64_t i = n_named; i-- > 1;) {
      tail = define(fmt::format("\",\" ws {} {}", first[static_cast<size_t>(i)], tail));
      if (i >= min) tail += "?";
    }
    const std::string items = fmt::format("{} {} ws", n_first > 0 ? first[0] : rest, tail);
    return define(min > 0 ? fmt::format("\"[\" ws {} \"]\"", items)
                          : fmt::format("\"[\" ws ({})? \"]\"", items));
  }

  struct Member {
    std::string rule;  // "name": value
    bool required = false;
  };

  Result<std::string> rule_of_object(const Object& schema, const std::string& place, int depth) {
    std::set<std::string> required;
    if (const json::value* names = schema.if_contains("required")) {
      if (!names->is_array()) return error(place, "required: expected a list of names");
      for (const json::value& name : names->get_array()) {
        if (!name.is_string()) return error(place, "required: expected a list of names");
        required.emplace(name.get_string());
      }
    }
    std::vector<Member> members;
    std::vector<std::string> names;
    const json::value* properties = schema.if_contains("properties");
    if (properties != nullptr && !properties->is_object()) {
      return error(place, "properties: expected an object of schemas");
    }
    if (properties != nullptr) {
      for (const auto& [key, value] : properties->get_object()) {
        const std::string name(key);
        names.push_back(name);
        const bool is_required = required.erase(name) > 0;
        if (value.is_bool() && !value.get_bool() && !is_required) continue;
        const std::string inside = fmt::format("{}/properties/{}", place, name);
        RECKON_ASSIGN(const std::string rule, rule_of(value, inside, depth + 1));
        members.push_back({member_rule(name, rule), is_required});
      }
    }
    RECKON_ASSIGN(const std::string additional,
                  additional_rule(schema, properties == nullptr, place, depth));
    for (const std::string& name : required) {  // that no property describes
      const bool closed = schema.contains("additionalProperties") && additional.empty();
      if (closed) {
        return error(place, fmt::format("required: {} is not among the properties", excerpt(name)));
      }
      names.push_back(name);
      members.push_back({member_rule(name, additional.empty() ? "value" : additional), true});
    }
    RECKON_ASSIGN(const int64_t min, count(schema, "minProperties", 0, place));
    const auto n_required =
        std::count_if(members.begin(), members.end(), [](const Member& m) { return m.required; });
    if (min > n_required) {
      return error(place, "minProperties: not supported beyond the number of required properties");
    }
    if (members.empty() && additional == "value") return std::string("object");
    std::string others;
    if (!additional.empty()) {
      others = define(fmt::format("{} \":\" ws {}", other_name_rule(std::move(names)), additional));
    }
    return members_rule(members, others);
  }

  std::string member_rule(std::string_view name, std::string_view value_rule) {
    return define(
        fmt::format("{} ws {}", gbnf_literal("\"" + json_escaped(name) + "\":"), value_rule));
  }

  // What other members hold; empty: there are none. A schema that names members and says nothing
  // of others gets none.
  Result<std::string> additional_rule(const Object& schema, bool open, const std::string& place,
                                      int depth) {
    const json::value* unevaluated = schema.if_contains("unevaluatedProperties");
    const json::value* additional = schema.if_contains("additionalProperties");
    if (unevaluated != nullptr) {
      if (!unevaluated->is_bool() || additional != nullptr) {
        return error(place, "unevaluatedProperties: supported as a boolean alone");
      }
      additional = unevaluated;
    }
    if (additional == nullptr) return std::string(open ? "value" : "");
    if (additional->is_bool() && !additional->get_bool()) return std::string();
    return rule_of(*additional, place + "/additionalProperties", depth + 1);
  }

  // A name without escapes that is none of these: a tree of what they have in common, and at each
  // branch whatever leads away from them.
  std::string other_name_rule(std::vector<std::string> names) {
    constexpr std::string_view kPlain = "\"\\\\\\x00-\\x1f";  // excluded from a class
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (names.empty()) return define(fmt::format("\"\\\"\" [^{}]* \"\\\"\"", kPlain));
    struct Branch {
      std::map<uint32_t, size_t> children;
      bool ends = false;
    };
    std::vector<Branch> tree(1);
    for (const std::string& name : names) {
      size_t at = 0;
      for (size_t i = 0; i < name.size();) {
        const Utf8Char c = decode_utf8(name, i);
        i += c.bytes;
        const auto [entry, fresh] = tree[at].children.try_emplace(c.code_point, tree.size());
        at = entry->second;
        if (fresh) tree.emplace_back();
      }
      tree[at].ends = true;
    }
    // Children have larger numbers than their parents.
    std::vector<std::string> rules(tree.size());
    for (size_t i = tree.size(); i-- > 0;) {
      std::string excluded(kPlain);
      std::string choices;
      for (const auto& [c, child] : tree[i].children) {
        excluded += fmt::format("\\U{:08x}", c);
        if (c < 0x20 || c == '"' || c == '\\') continue;  // escaped, so it is another name's
        choices += fmt::format("\"\\U{:08x}\" {} | ", c, rules[child]);
      }
      choices += fmt::format("[^{}] [^{}]*", excluded, kPlain);
      if (!tree[i].ends) choices += " | \"\"";
      rules[i] = define(choices);
    }
    return define(fmt::format("\"\\\"\" {} \"\\\"\"", rules[0]));
  }

  // Members in their order, those not required left out at will, then any number of others.
  std::string members_rule(const std::vector<Member>& members, const std::string& others) {
    // after: what follows a member; begin: what follows the brace, when none has come yet.
    std::string after = others.empty() ? "\"\"" : define(fmt::format("(\",\" ws {})*", others));
    std::string begin = others.empty() ? "" : define(fmt::format("{} {} ws", others, after));
    bool may_be_empty = true;
    for (size_t i = members.size(); i-- > 0;) {
      const auto& [rule, required] = members[i];
      const std::string here = fmt::format("{} {} ws", rule, after);
      begin = define(required || begin.empty() ? here : fmt::format("{} | {}", here, begin));
      may_be_empty = may_be_empty && !required;
      const std::string with_comma = fmt::format("\",\" ws {}", rule);
      after = define(required ? fmt::format("{} {}", with_comma, after)
                              : fmt::format("({})? {}", with_comma, after));
    }
    if (begin.empty()) return define("\"{\" ws \"}\"");
    return define(fmt::format("\"{{\" ws {}{} \"}}\"", begin, may_be_empty ? "?" : ""));
  }

  const json::value& root_;
  std::string rules_;
  int n_rules_ = 0;
  int n_schemas_ = 0;
  std::map<const json::value*, std::string> references_;  // rules by what they refer to
};

}  // namespace

Result<std::string> json_schema_to_gbnf(const json::value& schema) {
  return SchemaCompiler(schema).compile();
}

Result<std::shared_ptr<const Grammar>> json_schema_grammar(const json::value& schema) {
  RECKON_ASSIGN(const std::string gbnf, json_schema_to_gbnf(schema));
  auto grammar = Grammar::parse(gbnf);
  if (!grammar.ok()) return usage_error("schema, as a " + grammar.error().message);
  return grammar;
}

Result<std::shared_ptr<const Grammar>> json_schema_grammar(std::string_view schema_json) {
  RECKON_ASSIGN(const json::value schema, parse_json(schema_json, "schema", kMaxSchemaDepth));
  return json_schema_grammar(schema);
}

std::shared_ptr<const Grammar> json_object_grammar() {
  static const std::shared_ptr<const Grammar> grammar = [] {
    const auto made = json_schema_grammar(json::value(json::object{{"type", "object"}}));
    RECKON_CHECK(made.ok());
    return *made;
  }();
  return grammar;
}

}  // namespace reckon
