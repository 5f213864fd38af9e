// A JSON object of a request, read field by field. What is absent or null leaves the value as it
// is; what is there and can't be honoured is remembered as the error, which names the field. Fields
// that nobody asks for are ignored.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/http.h"

namespace reckon::server {

class Fields {
 public:
  // path: what stands before the fields' names in errors ("options").
  explicit Fields(const boost::json::object& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  // Null when absent or null.
  const boost::json::value* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }

  std::optional<int64_t> integer(std::string_view name, int64_t least, int64_t most);
  // Any 64-bit integer, negative ones as their two's complement (seeds).
  std::optional<uint64_t> seed(std::string_view name);
  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> text(std::string_view name);
  // A text that must be one of these.
  std::optional<std::string> one_of(std::string_view name,
                                    std::initializer_list<std::string_view> words);
  // A text or a list of texts.
  std::vector<std::string> texts(std::string_view name);
  const boost::json::object* object(std::string_view name);
  const boost::json::array* array(std::string_view name);

  void fail(std::string_view name, std::string message);
  std::string full_name(std::string_view name) const;
  const std::optional<ApiError>& error() const { return error_; }
  // Takes over what a Fields of an inner object met.
  void take_error(const Fields& inner) {
    if (!error_ && inner.error_) error_ = inner.error_;
  }

 private:
  const boost::json::object& object_;
  std::string path_;
  std::optional<ApiError> error_;
};

// The body as an object; the text is let go of. Errors: 400.
ApiResult<boost::json::object> parse_body(HttpRequest& request);

// "a string", "null", "3": what was found, for messages.
std::string found(const boost::json::value& value);

}  // namespace reckon::server
