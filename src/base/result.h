// Result<T>: the value of an operation that a file, the network or a user can make fail, or the
// Error that says what went wrong. Errors name the object, what was expected and what was found.
// Programmers' mistakes are not errors: they are CHECKs (base/check.h).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace reckon {

enum class ErrorKind {
  kFailed,       // the job could not be done (I/O, resources): exit code 1
  kUsage,        // the caller asked for something that makes no sense: exit code 2
  kBadFile,      // an input file is malformed, truncated or unsupported: exit code 3
  kInterrupted,  // the user stopped it: exit code 130
};

struct Error {
  ErrorKind kind = ErrorKind::kFailed;
  std::string message;
};

inline Error failed(std::string message) { return {ErrorKind::kFailed, std::move(message)}; }
inline Error usage_error(std::string message) { return {ErrorKind::kUsage, std::move(message)}; }
inline Error bad_file(std::string message) { return {ErrorKind::kBadFile, std::move(message)}; }

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    RECKON_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    RECKON_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    RECKON_CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    RECKON_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    RECKON_CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace reckon

#define RECKON_CONCAT_INNER(a, b) a##b
#define RECKON_CONCAT(a, b) RECKON_CONCAT_INNER(a, b)

// RECKON_RETURN_IF_ERROR(expr): leaves the function with expr's error, if it has one.
#define RECKON_RETURN_IF_ERROR(expr)                        \
  do {                                                      \
    if (auto reckon_status = (expr); !reckon_status.ok()) { \
      return reckon_status.error();                         \
    }                                                       \
  } while (false)

// RECKON_ASSIGN(auto x, expr): x = expr's value, or leaves the function with its error.
#define RECKON_ASSIGN(lhs, expr) \
  RECKON_ASSIGN_INNER(RECKON_CONCAT(reckon_result_, __LINE__), lhs, expr)
#define RECKON_ASSIGN_INNER(result, lhs, expr) \
  auto result = (expr);                        \
  if (!result.ok()) {                          \
    return result.error();                     \
  }                                            \
  lhs = std::move(result).value()
