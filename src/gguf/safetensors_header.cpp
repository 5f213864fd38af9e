// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …, "__metadata__": {…}} as a
// machine of few states, driven by Boost.JSON's event parser.
#include "gguf/safetensors_header.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <utility>

#include "base/json.h"
#include "gguf/safetensors.h"

namespace reckon {
namespace {

namespace json = boost::json;

// The calls basic_parser makes, in Boost's interface: each returns whether to go on.
class HeaderReader {
 public:
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
  bool on_number_part(json::string_view, json::error_code&) { return true; }

  bool on_object_begin(json::error_code& error) {
    if (state_ == State::kStart) return go(State::kTop);
    if (state_ != State::kTop) return unexpected("an object", error);
    if (entry_.name == "__metadata__") return go(State::kMetadata);
    if (entries_.size() == kMaxSafetensors) {
      return fail(fmt::format("more than {} tensors", kMaxSafetensors), error);
    }
    has_dtype_ = has_shape_ = has_offsets_ = false;
    return go(State::kTensor);
  }

  bool on_object_end(size_t, json::error_code& error) {
    if (state_ == State::kTop) return go(State::kEnd);
    if (state_ == State::kTensor) {
      if (!has_dtype_ || !has_shape_ || !has_offsets_) {
        return fail(fmt::format("{} lacks its {}", excerpt(entry_.name),
                                !has_dtype_   ? "dtype"
                                : !has_shape_ ? "shape"
                                              : "data_offsets"),
                    error);
      }
      entries_.push_back(std::exchange(entry_, {}));
    }
    return go(State::kTop);
  }

  bool on_array_begin(json::error_code& error) {
    if (state_ != State::kTensor) return unexpected("an array", error);
    numbers_.clear();
    if (field_ == "shape") return once(has_shape_, error) && go(State::kShape);
    if (field_ == "data_offsets") return once(has_offsets_, error) && go(State::kOffsets);
    return unexpected("an array", error);
  }

  bool on_array_end(size_t, json::error_code& error) {
    if (state_ == State::kShape) {
      entry_.shape = numbers_;
    } else if (numbers_.size() != 2) {
      return fail(
          fmt::format("{} has {} data_offsets, not 2", excerpt(entry_.name), numbers_.size()),
          error);
    } else {
      entry_.begin = numbers_[0];
      entry_.end = numbers_[1];
    }
    return go(State::kTensor);
  }

  bool on_key_part(json::string_view part, size_t n, json::error_code& error) {
    if (n > kMaxSafetensorsNameBytes && state_ != State::kMetadata) {
      return fail(fmt::format("a name of over {} bytes", kMaxSafetensorsNameBytes), error);
    }
    if (state_ != State::kMetadata) text_.append(part.data(), part.size());
    return true;
  }

  bool on_key(json::string_view part, size_t n, json::error_code& error) {
    if (!on_key_part(part, n, error)) return false;
    std::string& key = state_ == State::kTop ? entry_.name : field_;
    key = std::exchange(text_, {});
    const bool known = field_ == "dtype" || field_ == "shape" || field_ == "data_offsets";
    if (state_ == State::kTensor && !known) {
      return fail(fmt::format("{} has an unknown field {}", excerpt(entry_.name), excerpt(field_)),
                  error);
    }
    return true;
  }

  bool on_string_part(json::string_view part, size_t n, json::error_code& error) {
    if (state_ == State::kMetadata) return true;
    if (state_ != State::kTensor || field_ != "dtype" || n > kMaxSafetensorsNameBytes) {
      return unexpected("a string", error);
    }
    text_.append(part.data(), part.size());
    return true;
  }

  bool on_string(json::string_view part, size_t n, json::error_code& error) {
    if (!on_string_part(part, n, error)) return false;
    if (state_ == State::kMetadata) return true;
    entry_.dtype = std::exchange(text_, {});
    return once(has_dtype_, error);
  }

  bool on_int64(int64_t value, json::string_view, json::error_code& error) {
    if (value < 0) return unexpected("a negative number", error);
    return on_uint64(static_cast<uint64_t>(value), {}, error);
  }

  bool on_uint64(uint64_t value, json::string_view, json::error_code& error) {
    if (state_ != State::kShape && state_ != State::kOffsets) return unexpected("a number", error);
    if (numbers_.size() == kMaxSafetensorsDims) {
      return fail(fmt::format("{} has over {} numbers in its {}", excerpt(entry_.name),
                              kMaxSafetensorsDims, field_),
                  error);
    }
    numbers_.push_back(value);
    return true;
  }

  bool on_double(double, json::string_view, json::error_code& error) {
    return unexpected("a number that is no unsigned 64-bit integer", error);
  }
  bool on_bool(bool, json::error_code& error) { return unexpected("a bool", error); }
  bool on_null(json::error_code& error) { return unexpected("null", error); }

  std::vector<SafetensorsEntry> release() { return std::move(entries_); }
  const std::string& problem() const { return problem_; }

 private:
  enum class State { kStart, kTop, kTensor, kShape, kOffsets, kMetadata, kEnd };

  bool go(State state) {
    state_ = state;
    return true;
  }
  bool fail(std::string problem, json::error_code& error) {
    problem_ = std::move(problem);
    error = json::error::syntax;
    return false;
  }
  bool unexpected(std::string_view what, json::error_code& error) {
    const std::string_view place = state_ == State::kStart      ? "the whole header"
                                   : state_ == State::kMetadata ? "__metadata__"
                                                                : std::string_view(entry_.name);
    return fail(fmt::format("{} is {} where the format has none", excerpt(place), what), error);
  }
  bool once(bool& seen, json::error_code& error) {
    if (seen) return fail(fmt::format("{} has its {} twice", excerpt(entry_.name), field_), error);
    return seen = true;
  }

  State state_ = State::kStart;
  SafetensorsEntry entry_;  // the tensor being read
  std::string field_;       // its field being read
  std::string text_;        // the key or string being read
  std::vector<uint64_t> numbers_;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
  std::vector<SafetensorsEntry> entries_;
  std::string problem_;
};

}  // namespace

Result<std::vector<SafetensorsEntry>> parse_safetensors_header(std::string_view text,
                                                               const std::string& path) {
  json::basic_parser<HeaderReader> parser{json::parse_options()};
  json::error_code error;
  const size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (!error && used < text.size()) error = json::error::extra_data;
  if (error) {
    const std::string& problem = parser.handler().problem();
    return bad_file(
        fmt::format("{}: header: expected a safetensors directory in JSON, found: {} at "
                    "byte {} of it",
                    path, problem.empty() ? error.message() : problem, used));
  }
  return parser.handler().release();
}

}  // namespace reckon
