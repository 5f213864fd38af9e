// Typed look-ups in a request's JSON.
#include "server/fields.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <cmath>

#include "base/json.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

// JSON schemas nest; nothing else a client sends does so deeply.
constexpr int kMaxDepth = 64;

std::optional<int64_t> as_integer(const json::value& value) {
  if (const int64_t* number = value.if_int64()) return *number;
  if (const double* number = value.if_double()) {
    // Some clients write 5.0.
    if (std::floor(*number) == *number && std::fabs(*number) < 9e15) {
      return static_cast<int64_t>(*number);
    }
  }
  return std::nullopt;
}

}  // namespace

std::string found(const json::value& value) {
  switch (value.kind()) {
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
    case json::kind::null: return "null";
    default: return json::serialize(value);
  }
}

const json::value* Fields::find(std::string_view name) const {
  const json::value* const value = object_.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string Fields::full_name(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void Fields::fail(std::string_view name, std::string message) {
  if (!error_) error_ = bad_field(full_name(name), std::move(message));
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t least, int64_t most) {
  const json::value* const value = find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = as_integer(*value);
  if (!number || *number < least || *number > most) {
    fail(name,
         fmt::format("expected an integer from {} to {}, found {}", least, most, found(*value)));
    return std::nullopt;
  }
  return number;
}

std::optional<uint64_t> Fields::seed(std::string_view name) {
  const json::value* const value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const uint64_t* number = value->if_uint64()) return *number;
  if (const std::optional<int64_t> number = as_integer(*value)) {
    return static_cast<uint64_t>(*number);
  }
  fail(name, fmt::format("expected an integer, found {}", found(*value)));
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view name, double least, double most) {
  const json::value* const value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->to_number<double>();
    if (number >= least && number <= most) return number;
  }
  fail(name, fmt::format("expected a number from {} to {}, found {}", least, most, found(*value)));
  return std::nullopt;
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const json::value* const value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const bool* flag = value->if_bool()) return *flag;
  fail(name, fmt::format("expected true or false, found {}", found(*value)));
  return std::nullopt;
}

std::optional<std::string> Fields::text(std::string_view name) {
  const json::value* const value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const json::string* text = value->if_string()) return std::string(*text);
  fail(name, fmt::format("expected a string, found {}", found(*value)));
  return std::nullopt;
}

std::optional<std::string> Fields::one_of(std::string_view name,
                                          std::initializer_list<std::string_view> words) {
  std::optional<std::string> value = text(name);
  if (!value) return std::nullopt;
  for (const std::string_view word : words) {
    if (*value == word) return value;
  }
  fail(name, fmt::format("expected one of {}, found {}", fmt::join(words, ", "), excerpt(*value)));
  return std::nullopt;
}

std::vector<std::string> Fields::texts(std::string_view name) {
  const json::value* const value = find(name);
  std::vector<std::string> result;
  if (value == nullptr) return result;
  if (const json::string* text = value->if_string()) return {std::string(*text)};
  if (const json::array* list = value->if_array()) {
    for (const json::value& item : *list) {
      if (const json::string* text = item.if_string()) {
        result.emplace_back(*text);
      } else {
        fail(name, fmt::format("expected strings, found {}", found(item)));
        return {};
      }
    }
    return result;
  }
  fail(name, fmt::format("expected a string or an array of strings, found {}", found(*value)));
  return {};
}

const json::object* Fields::object(std::string_view name) {
  const json::value* const value = find(name);
  if (value == nullptr) return nullptr;
  if (const json::object* inner = value->if_object()) return inner;
  fail(name, fmt::format("expected an object, found {}", found(*value)));
  return nullptr;
}

const json::array* Fields::array(std::string_view name) {
  const json::value* const value = find(name);
  if (value == nullptr) return nullptr;
  if (const json::array* inner = value->if_array()) return inner;
  fail(name, fmt::format("expected an array, found {}", found(*value)));
  return nullptr;
}

ApiResult<json::object> parse_body(HttpRequest& request) {
  Result<json::value> value = parse_json(request.body, "body", kMaxDepth);
  request.body = {};
  request.counted.reset();
  if (!value.ok()) return ApiError{.status = 400, .message = value.error().message};
  if (json::object* object = value->if_object()) return std::move(*object);
  return ApiError{.status = 400,
                  .message = fmt::format("body: expected an object, found {}", found(*value))};
}

}  // namespace reckon::server
