// The models that a server may load, by name. What the store knows, seen through the calls that the
// APIs need; tests put something smaller in its place.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/model_store.h"

namespace reckon::server {

struct LibraryModel {
  std::string name;
  std::string path;
  uint64_t bytes = 0;
  std::string sha256;        // empty: not known
  int64_t changed_at_s = 0;  // seconds since 1970
};

// Thread-safe. Errors as the store's: kUsage for names.
class ModelLibrary {
 public:
  virtual ~ModelLibrary() = default;
  virtual Result<std::vector<LibraryModel>> list() const = 0;
  virtual Result<LibraryModel> find(std::string_view name) const = 0;
  // The file to load, checked again where it changed; may take long. Errors: kInterrupted too.
  virtual Result<std::string> resolve(std::string_view name, const JobControl& control) const = 0;
  // Success at once where find() has it already.
  virtual Status pull(std::string_view reference, const JobControl& control) = 0;
  virtual Status remove(std::string_view name) = 0;
  virtual Status copy(std::string_view from, std::string_view to) = 0;
};

}  // namespace reckon::server
