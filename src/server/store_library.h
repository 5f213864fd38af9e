// The store's models, and beside them files that were named when the server was started.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/library.h"
#include "store/model_store.h"

namespace reckon::server {

class StoreLibrary final : public ModelLibrary {
 public:
  explicit StoreLibrary(ModelStore store) : store_(std::move(store)) {}

  // A store's name, or a file, which is known by its name without folder and ending from now on.
  // Returns the name. Before the server starts. Errors: kBadFile, kUsage when there is no such
  // model.
  Result<std::string> add(const std::string& name_or_path);

  Result<std::vector<LibraryModel>> list() const override;
  Result<LibraryModel> find(std::string_view name) const override;
  Result<std::string> resolve(std::string_view name, const JobControl& control) const override;
  Status pull(std::string_view reference, const JobControl& control) override;
  Status remove(std::string_view name) override;
  Status copy(std::string_view from, std::string_view to) override;

 private:
  const LibraryModel* find_file(std::string_view name) const;
  Result<StoredModel> find_stored(std::string_view name) const;

  ModelStore store_;
  std::vector<LibraryModel> files_;
};

}  // namespace reckon::server
