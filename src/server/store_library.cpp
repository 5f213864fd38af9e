// Names go to the files given at the start first, then to the store.
#include "server/store_library.h"

#include <sys/stat.h>

#include <filesystem>
#include <utility>

#include "store/reference.h"

namespace reckon::server {
namespace {

LibraryModel of_store(const StoredModel& model) {
  return {.name = model.name,
          .path = model.path(),
          .bytes = model.bytes(),
          .sha256 = model.files.size() == 1 ? model.files.front().sha256 : "",
          .changed_at_s = model.changed_at_s};
}

// What Ollama's clients put behind a name without a tag.
std::string_view without_latest(std::string_view name) {
  static constexpr std::string_view kLatest = ":latest";
  return name.ends_with(kLatest) ? name.substr(0, name.size() - kLatest.size()) : name;
}

}  // namespace

Result<std::string> StoreLibrary::add(const std::string& name_or_path) {
  struct stat status{};
  if (::stat(name_or_path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    RECKON_ASSIGN(const StoredModel model, store_.find(name_or_path));
    return model.name;
  }
  const std::string name = std::filesystem::path(name_or_path).stem().string();
  if (find_file(name) != nullptr) {
    return usage_error(name_or_path + ": expected files of different names, found two called " +
                       name);
  }
  files_.push_back({.name = name,
                    .path = name_or_path,
                    .bytes = static_cast<uint64_t>(status.st_size),
                    .sha256 = "",
                    .changed_at_s = status.st_mtime});
  return name;
}

const LibraryModel* StoreLibrary::find_file(std::string_view name) const {
  for (const std::string_view wanted : {name, without_latest(name)}) {
    for (const LibraryModel& file : files_) {
      if (file.name == wanted) return &file;
    }
  }
  return nullptr;
}

// By the store's own name first, then by those that Ollama's clients know. Never a path.
Result<StoredModel> StoreLibrary::find_stored(std::string_view name) const {
  RECKON_ASSIGN(const ModelStore::Listing listing, store_.list());
  std::vector<std::string> others = {std::string(without_latest(name)),
                                     "ollama:" + std::string(name)};
  const Result<Reference> reference = parse_ollama_name(name);
  if (reference.ok()) others.push_back(reference->text());
  Result<StoredModel> model = listing.find(name);
  for (size_t i = 0; !model.ok() && i < others.size(); ++i) {
    if (Result<StoredModel> other = listing.find(others[i]); other.ok()) model = std::move(other);
  }
  return model;
}

Result<std::vector<LibraryModel>> StoreLibrary::list() const {
  std::vector<LibraryModel> models = files_;
  RECKON_ASSIGN(const ModelStore::Listing listing, store_.list());
  for (const StoredModel& model : listing.models) {
    if (find_file(model.name) == nullptr) models.push_back(of_store(model));
  }
  return models;
}

Result<LibraryModel> StoreLibrary::find(std::string_view name) const {
  if (const LibraryModel* file = find_file(name)) return *file;
  RECKON_ASSIGN(const StoredModel model, find_stored(name));
  return of_store(model);
}

Result<std::string> StoreLibrary::resolve(std::string_view name, const JobControl& control) const {
  if (const LibraryModel* file = find_file(name)) return file->path;
  RECKON_ASSIGN(const StoredModel model, find_stored(name));
  return store_.resolve_stored(model, control);
}

Status StoreLibrary::pull(std::string_view text, const JobControl& control) {
  if (find_file(text) != nullptr) return {};
  // What is no longer as it was stored is fetched again.
  const Result<StoredModel> held = find_stored(text);
  if (held.ok() && is_as_stored(*held)) return {};
  RECKON_ASSIGN(const Reference reference, parse_ollama_name(text));
  // A client may not have this machine's files looked at, nor its network.
  if (reference.kind == Reference::Kind::kFile || reference.kind == Reference::Kind::kUrl) {
    return usage_error("model: expected a name such as r1:7b or hf:owner/repo, found a " +
                       std::string(reference.kind == Reference::Kind::kUrl ? "URL" : "file"));
  }
  RECKON_ASSIGN(const StoredModel model, store_.pull(reference, control));
  return {};
}

Status StoreLibrary::remove(std::string_view name) {
  if (find_file(name) != nullptr) {
    return usage_error("model: expected one of the store, found a file named at the start");
  }
  return store_.remove(name);
}

Status StoreLibrary::copy(std::string_view from, std::string_view to) {
  if (find_file(from) != nullptr) {
    return usage_error("source: expected one of the store, found a file named at the start");
  }
  return store_.copy(from, to);
}

}  // namespace reckon::server
