// A small JSON Schema validator written from the specification alone, to judge what the grammar
// compiler makes. Only keywords that the tests' schemas use.
#pragma once

#include <algorithm>
#include <boost/json/value.hpp>
#include <cmath>
#include <string>
#include <string_view>

namespace reckon::testing {

namespace json = boost::json;

inline bool is_integer(const json::value& v) {
  return v.is_int64() || v.is_uint64() ||
         (v.is_double() && v.get_double() == std::floor(v.get_double()));
}

inline bool has_type(const json::value& v, std::string_view type) {
  if (type == "integer") return is_integer(v);
  if (type == "number") return v.is_number();
  if (type == "string") return v.is_string();
  if (type == "boolean") return v.is_bool();
  if (type == "null") return v.is_null();
  return type == "array" ? v.is_array() : v.is_object();
}

inline size_t code_points(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

class Validator {
 public:
  explicit Validator(const json::value& root) : root_(root) {}

  bool valid(const json::value& schema, const json::value& v) const {
    if (schema.is_bool()) return schema.get_bool();
    const json::object& s = schema.as_object();
    const auto get = [&](std::string_view key) { return s.if_contains(key); };
    if (const auto* ref = get("$ref")) {
      std::string_view name = ref->as_string();
      const json::value& target =
          name == "#" ? root_ : root_.at("$defs").at(name.substr(name.rfind('/') + 1));
      if (!valid(target, v)) return false;
    }
    if (const auto* all = get("allOf")) {
      for (const auto& part : all->as_array()) {
        if (!valid(part, v)) return false;
      }
    }
    for (const char* key : {"anyOf", "oneOf"}) {  // oneOf: as the compiler takes it
      const auto* list = get(key);
      if (list == nullptr) continue;
      const auto& parts = list->as_array();
      if (std::none_of(parts.begin(), parts.end(),
                       [&](const json::value& part) { return valid(part, v); })) {
        return false;
      }
    }
    if (const auto* type = get("type")) {
      if (type->is_string() && !has_type(v, type->as_string())) return false;
      if (type->is_array() &&
          std::none_of(type->as_array().begin(), type->as_array().end(),
                       [&](const json::value& t) { return has_type(v, t.as_string()); })) {
        return false;
      }
    }
    if (const auto* values = get("enum")) {
      const auto& list = values->as_array();
      if (std::find(list.begin(), list.end(), v) == list.end()) return false;
    }
    if (const auto* only = get("const"); only != nullptr && !(*only == v)) return false;
    return number(s, v) && string(s, v) && array(s, v) && object(s, v);
  }

 private:
  static bool number(const json::object& s, const json::value& v) {
    if (!v.is_number()) return true;
    const double x = v.to_number<double>();
    const auto ok = [&](const char* key, auto compare) {
      const auto* bound = s.if_contains(key);
      return bound == nullptr || compare(x, bound->to_number<double>());
    };
    return ok("minimum", std::greater_equal<>()) && ok("maximum", std::less_equal<>()) &&
           ok("exclusiveMinimum", std::greater<>()) && ok("exclusiveMaximum", std::less<>());
  }

  static bool in_range(const json::object& s, const char* min, const char* max, size_t n) {
    const auto* low = s.if_contains(min);
    const auto* high = s.if_contains(max);
    return (low == nullptr || static_cast<double>(n) >= low->to_number<double>()) &&
           (high == nullptr || static_cast<double>(n) <= high->to_number<double>());
  }

  static bool string(const json::object& s, const json::value& v) {
    return !v.is_string() || in_range(s, "minLength", "maxLength", code_points(v.get_string()));
  }

  bool array(const json::object& s, const json::value& v) const {
    if (!v.is_array()) return true;
    const json::array& list = v.get_array();
    if (!in_range(s, "minItems", "maxItems", list.size())) return false;
    const auto* prefix = s.if_contains("prefixItems");
    const auto* items = s.if_contains("items");
    for (size_t i = 0; i < list.size(); ++i) {
      if (prefix != nullptr && i < prefix->as_array().size()) {
        if (!valid(prefix->as_array()[i], list[i])) return false;
      } else if (items != nullptr && !valid(*items, list[i])) {
        return false;
      }
    }
    return true;
  }

  bool object(const json::object& s, const json::value& v) const {
    if (!v.is_object()) return true;
    const json::object& members = v.get_object();
    if (const auto* required = s.if_contains("required")) {
      for (const auto& name : required->as_array()) {
        if (!members.contains(name.as_string())) return false;
      }
    }
    const auto* properties = s.if_contains("properties");
    const auto* additional = s.if_contains("additionalProperties");
    for (const auto& member : members) {
      const json::value* known =
          properties == nullptr ? nullptr : properties->as_object().if_contains(member.key());
      if (known == nullptr) known = additional;
      if (known != nullptr && !valid(*known, member.value())) return false;
    }
    return true;
  }

  const json::value& root_;
};

}  // namespace reckon::testing
