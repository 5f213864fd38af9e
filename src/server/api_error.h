// What an API call fails with, before each API dresses it in its own shape.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/result.h"

namespace reckon::server {

struct ApiError {
  int status = 400;
  std::string message;
  std::string param = {};  // the field at fault
  std::string code = {};   // a short word for programs: "model_not_found"
  int retry_after_s = 0;   // with 429 and 503
};

inline ApiError bad_field(std::string field, std::string message) {
  return {.status = 400, .message = field + ": " + std::move(message), .param = std::move(field)};
}

// kUsage is the client's mistake, all else the server's.
inline ApiError from_error(const Error& error) {
  if (error.kind == ErrorKind::kUsage) {
    const size_t colon = error.message.find(':');
    std::string param;
    if (colon != std::string::npos && error.message.find(' ') > colon) {
      param = error.message.substr(0, colon);
    }
    return {.status = 400, .message = error.message, .param = std::move(param)};
  }
  return {.status = 503, .message = error.message, .code = "unavailable", .retry_after_s = 5};
}

// A value or the ApiError in its place.
template <class T>
class [[nodiscard]] ApiResult {
 public:
  ApiResult(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  ApiResult(ApiError error) : state_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return state_.index() == 0; }
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const ApiError& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, ApiError> state_;
};

}  // namespace reckon::server
