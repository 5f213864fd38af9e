// Reads the embedded catalog.json; the build puts its text into catalog_json.cpp.
#include "store/catalog.h"

#include <boost/json/value.hpp>

#include "base/check.h"
#include "base/json.h"

namespace reckon {

// [NUL-terminated]
extern const char* const kCatalogJson;

namespace {

// Beside weights and cache: buffers of a step, vocabulary, program. `reckon show` of the shapes
// says 70 to 400 MiB.
constexpr int64_t kBuffersBytes = int64_t{400} << 20;

// The file is ours and a test reads it: what is wrong in it is a programmer's mistake.
std::string text(const boost::json::object& entry, const char* key) {
  const boost::json::string& found = entry.at(key).as_string();
  return {found.data(), found.size()};
}

std::vector<CatalogModel> read_catalog() {
  const Result<boost::json::value> parsed = parse_json(kCatalogJson, "the catalog of models");
  RECKON_CHECK(parsed.ok());
  std::vector<CatalogModel> models;
  for (const boost::json::value& value : parsed->as_array()) {
    const boost::json::object& entry = value.as_object();
    const std::string repository = text(entry, "repository");
    const size_t slash = repository.find('/');
    CatalogModel model;
    model.name = text(entry, "name");
    model.title = text(entry, "title");
    model.owner = repository.substr(0, slash);
    model.repo = repository.substr(slash + 1);
    model.type = text(entry, "type");
    model.file = text(entry, "file");
    model.sha256 = text(entry, "sha256");
    model.bytes = entry.at("bytes").as_int64();
    model.kv_bytes_per_token = entry.at("kv_bytes_per_token").as_int64();
    for (const boost::json::value& name : entry.at("ollama").as_array()) {
      model.ollama_names.emplace_back(name.as_string().data(), name.as_string().size());
    }
    models.push_back(std::move(model));
  }
  return models;
}

}  // namespace

int64_t CatalogModel::memory_bytes() const {
  return bytes + kv_bytes_per_token * kSuggestedContext + kBuffersBytes;
}

std::span<const CatalogModel> catalog() {
  static const std::vector<CatalogModel> models = read_catalog();
  return models;
}

const CatalogModel* find_in_catalog(std::string_view name) {
  for (const CatalogModel& model : catalog()) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

const CatalogModel* suggest_model(int64_t available_bytes) {
  const CatalogModel* best = nullptr;
  for (const CatalogModel& model : catalog()) {
    if (model.memory_bytes() <= available_bytes) best = &model;
  }
  return best;
}

}  // namespace reckon
