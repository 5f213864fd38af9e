// Looking models up by name, and what is done with those that are there. pull.cpp fetches them.
#include "store/model_store.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "gguf/bundled_model.h"
#include "gguf/gguf_file.h"
#include "store/catalog.h"
#include "store/folder.h"
#include "store/found_models.h"
#include "store/hub.h"
#include "store/record.h"
#include "store/sha256.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

struct HeldRecord {
  std::string folder_name;
  ModelRecord record;
};

// Every record of the store; what can't be used goes into problems.
std::vector<HeldRecord> read_records(const std::string& store, std::vector<std::string>& problems) {
  std::vector<HeldRecord> held;
  std::error_code error;
  fs::directory_iterator it(store, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    const fs::path folder = it->path();
    if (!it->is_directory(ignored) || it->is_symlink(ignored) ||
        !fs::exists(folder / kRecordName, ignored)) {
      continue;
    }
    if (fs::is_symlink(folder / kRecordName, ignored)) {
      problems.push_back((folder / kRecordName).string() + ": left out: a link");
      continue;
    }
    Result<ModelRecord> record = read_record(folder.string());
    if (record.ok()) {
      held.push_back({folder.filename().string(), std::move(*record)});
    } else {
      problems.push_back("left out: " + record.error().message);
    }
  }
  std::sort(held.begin(), held.end(), [](const HeldRecord& a, const HeldRecord& b) {
    return a.record.names < b.record.names;
  });
  return held;
}

const HeldRecord* find_record(const std::vector<HeldRecord>& records, std::string_view name) {
  for (const HeldRecord& held : records) {
    const std::vector<std::string>& names = held.record.names;
    if (std::find(names.begin(), names.end(), name) != names.end()) return &held;
  }
  return nullptr;
}

template <class Fits>
const StoredModel* first_that(const std::vector<StoredModel>& models, const Fits& fits) {
  const auto found = std::find_if(models.begin(), models.end(), fits);
  return found == models.end() ? nullptr : &*found;
}

// The same weights under another program's name.
bool holds(const StoredModel& model, const CatalogModel& known) {
  if (model.files.size() != 1) return false;
  const ModelFile& file = model.files.front();
  if (!file.sha256.empty() && file.sha256 == known.sha256) return true;
  if (model.origin == ModelOrigin::kOllama) {
    return std::any_of(known.ollama_names.begin(), known.ollama_names.end(),
                       [&](const std::string& name) { return model.name == "ollama:" + name; });
  }
  return file.bytes == static_cast<uint64_t>(known.bytes) && file.path.ends_with("/" + known.file);
}

// "r1:7b" or "r1:7b:q4_k_m" -> what is there of it.
const StoredModel* find_known(const std::vector<StoredModel>& models, std::string_view name) {
  const size_t second = name.find(':', name.find(':') + 1);
  const CatalogModel* known = find_in_catalog(name.substr(0, second));
  if (known == nullptr) return nullptr;
  const std::string default_name = known->full_name();
  const bool wants_default = second == std::string_view::npos || name == default_name;
  for (const StoredModel& model : models) {
    if (wants_default && model.name == default_name) return &model;
  }
  for (const StoredModel& model : models) {
    if (wants_default && holds(model, *known)) return &model;
  }
  for (const StoredModel& model : models) {
    // Without a type any will do.
    if (second == std::string_view::npos && model.name.starts_with(known->name + ":")) {
      return &model;
    }
  }
  return nullptr;
}

// "hf:owner/repo" or "hf:owner/repo:q8_0" -> the file of it that is there.
const StoredModel* find_of_repository(const std::vector<StoredModel>& models,
                                      std::string_view name) {
  const Result<Reference> reference = parse_reference(name);
  if (!reference.ok() || reference->kind != Reference::Kind::kHub || !reference->file.empty()) {
    return nullptr;
  }
  const std::string prefix = std::string(name.substr(0, name.find(':', 3))) + "/";
  std::vector<std::string> paths;
  for (const StoredModel& model : models) {
    if (model.name.starts_with(prefix)) paths.push_back(model.name);
  }
  const Result<std::string> chosen = choose_file(paths, reference->type, name);
  if (!chosen.ok()) return nullptr;
  return first_that(models, [&](const StoredModel& model) { return model.name == *chosen; });
}

Error none_of(std::string_view name) {
  const size_t second = name.find(':', name.find(':') + 1);
  const CatalogModel* known = find_in_catalog(name.substr(0, second));
  if (known != nullptr) {
    return usage_error(
        fmt::format("{} is not on this machine; `reckon pull {}` fetches it", name, name));
  }
  return usage_error(
      fmt::format("{}: no file and no model of that name; `reckon list` shows the models there are",
                  excerpt(name)));
}

// Whether text can only be a path.
bool looks_like_path(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
         !check_model_name(text).ok();
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) && !fs::is_directory(path, ignored);
}

Result<std::string> hash_file(const ModelFile& file, Links links, const JobControl& control,
                              uint64_t before, uint64_t total) {
  RECKON_ASSIGN(const FileStat stat, stat_file(file.path, links));
  const FileHandle handle(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!handle.is_open()) return bad_file(file.path + ": can't be opened");
  if (stat.bytes != file.bytes) {
    return bad_file(
        fmt::format("{}: expected {} bytes, found {}", file.path, file.bytes, stat.bytes));
  }
  return sha256_of_file(handle.get(), file.path, [&](uint64_t done_bytes) {
    if (control.progress) {
      control.progress({.stage = StoreProgress::Stage::kVerifying,
                        .file = file.path.substr(file.path.rfind('/') + 1),
                        .sha256 = file.sha256,
                        .done_bytes = before + done_bytes,
                        .total_bytes = total,
                        .bytes_per_s = 0});
    }
    return !control.cancelled || !control.cancelled();
  });
}

Error is_bundled(const StoredModel& model) {
  return usage_error(model.name + " is part of the program: it has no other name and stays");
}

Status check_hashes(const StoredModel& model, const JobControl& control) {
  uint64_t before = 0;
  for (const ModelFile& file : model.files) {
    RECKON_ASSIGN(const std::string sha256,
                  hash_file(file, links_of(model.origin), control, before, model.bytes()));
    if (!file.sha256.empty() && sha256 != file.sha256) {
      return bad_file(
          fmt::format("{}: expected SHA-256 {}, found {}: it changed since it was "
                      "stored",
                      file.path, file.sha256, sha256));
    }
    before += file.bytes;
  }
  return {};
}

}  // namespace

std::string_view model_origin_name(ModelOrigin origin) {
  switch (origin) {
    case ModelOrigin::kPulled: return "pulled";
    case ModelOrigin::kLocalFile: return "file";
    case ModelOrigin::kOllama: return "ollama";
    case ModelOrigin::kLmStudio: return "lm studio";
    case ModelOrigin::kHubCache: return "hub cache";
    case ModelOrigin::kBundled: return "reckon";
  }
  return "";
}

uint64_t StoredModel::bytes() const {
  uint64_t total = 0;
  for (const ModelFile& file : files) total += file.bytes;
  return total;
}

bool is_as_stored(const StoredModel& model) {
  return std::all_of(model.files.begin(), model.files.end(), [&](const ModelFile& file) {
    if (file.written_at_ns == 0) return true;
    const Result<FileStat> stat = stat_file(file.path, links_of(model.origin));
    return stat.ok() && stat->bytes == file.bytes && stat->written_at_ns == file.written_at_ns;
  });
}

Result<ModelStore::Listing> ModelStore::list() const try {
  Listing listing;
  for (const HeldRecord& held : read_records(options_.folder, listing.problems)) {
    for (const std::string& name : held.record.names) {
      listing.models.push_back(held.record.under(name));
    }
  }
  for (const std::string& folder : options_.ollama) find_ollama_models(folder, listing);
  for (const std::string& folder : options_.lm_studio) find_lm_studio_models(folder, listing);
  find_hub_cache_models(options_.hub_cache, listing);
  if (const std::span<const std::byte> bytes = bundled_model(); !bytes.empty()) {
    static const std::string sha256 =
        sha256_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    listing.models.push_back(
        {.name = std::string(kBundledModel),
         .origin = ModelOrigin::kBundled,
         .source = std::string(kBundledModelPath),
         .files = {
             {.path = std::string(kBundledModelPath), .bytes = bytes.size(), .sha256 = sha256}}});
  }
  std::stable_sort(listing.models.begin(), listing.models.end(),
                   [](const StoredModel& a, const StoredModel& b) { return a.name < b.name; });
  // A name means the first that has it.
  const auto rest =
      std::unique(listing.models.begin(), listing.models.end(),
                  [](const StoredModel& a, const StoredModel& b) { return a.name == b.name; });
  listing.models.erase(rest, listing.models.end());
  return listing;
} catch (const fs::filesystem_error& error) {
  return failed(error.what());
}

Result<StoredModel> ModelStore::Listing::find(std::string_view name) const {
  const auto called = [&](std::string_view wanted) {
    return first_that(models, [&](const StoredModel& model) { return model.name == wanted; });
  };
  const StoredModel* best = called(name);
  if (best == nullptr) {
    best = first_that(models, [&](const StoredModel& model) { return model.source == name; });
  }
  if (best == nullptr && name.starts_with("ollama:")) {
    best = called(std::string(name) + ":latest");
  }
  if (best == nullptr) best = find_known(models, name);
  if (best == nullptr) best = find_of_repository(models, name);
  if (best == nullptr) return none_of(name);
  return *best;
}

Result<StoredModel> ModelStore::find(std::string_view name) const {
  RECKON_ASSIGN(const Listing listing, list());
  return listing.find(name);
}

std::optional<std::string> path_without_store(std::string_view name_or_path) {
  const std::string text(name_or_path);
  const bool has_scheme = text.find(':') != std::string::npos;
  if (looks_like_path(text) || (!has_scheme && is_file(text))) return text;
  if (text == kBundledModel) return std::string(kBundledModelPath);
  return std::nullopt;
}

Result<std::string> ModelStore::resolve(std::string_view name_or_path,
                                        const JobControl& control) const {
  const std::string text(name_or_path);
  if (const std::optional<std::string> path = path_without_store(text)) return *path;
  Result<StoredModel> model = find(text);
  if (!model.ok()) {
    const bool is_there = is_file(text);
    // Of a path with a colon in it, or a missing file, the reader of files has the better message.
    const bool is_stored_kind = text.starts_with("hf:") || text.starts_with("lmstudio:");
    if (!is_stored_kind && (is_there || text.ends_with(".gguf"))) return text;
    return model.error();
  }
  return resolve_stored(*model, control);
}

Result<std::string> ModelStore::resolve_stored(const StoredModel& model,
                                               const JobControl& control) const {
  if (is_as_stored(model)) return model.path();
  RECKON_RETURN_IF_ERROR(check_hashes(model, control));
  std::vector<std::string> problems;
  for (const HeldRecord& held : read_records(options_.folder, problems)) {
    if (held.record.source != model.source) continue;
    // The content is right: note the new times, so that the next load needs no hashing. Where that
    // can't be written, it hashes again.
    ModelRecord record = held.record;
    for (ModelFile& file : record.files) {
      RECKON_ASSIGN(const FileStat stat, stat_file(file.path, links_of(model.origin)));
      file.written_at_ns = stat.written_at_ns;
    }
    Result<ModelFolder> folder = ModelFolder::create(options_.folder, held.folder_name);
    if (folder.ok() && folder->lock().ok()) {
      static_cast<void>(write_record(folder->path(), record).ok());
    }
  }
  return model.path();
}

Status ModelStore::verify(std::string_view name, const JobControl& control) const {
  RECKON_ASSIGN(const StoredModel model, find(name));
  if (model.origin != ModelOrigin::kBundled) {
    RECKON_RETURN_IF_ERROR(check_hashes(model, control));
  }
  const auto opened = GgufFile::open(model.path());
  return opened.ok() ? Status() : opened.error();
}

Status ModelStore::remove(std::string_view name) {
  std::vector<std::string> problems;
  const std::vector<HeldRecord> records = read_records(options_.folder, problems);
  const HeldRecord* held = find_record(records, name);
  std::string stored_name(name);
  if (held == nullptr) {
    RECKON_ASSIGN(const StoredModel model, find(name));
    stored_name = model.name;
    held = find_record(records, stored_name);
    if (held == nullptr) {
      if (model.origin == ModelOrigin::kBundled) return is_bundled(model);
      return usage_error(fmt::format("{} belongs to another program ({}): remove it there",
                                     model.name, model_origin_name(model.origin)));
    }
  }
  RECKON_ASSIGN(ModelFolder folder, ModelFolder::create(options_.folder, held->folder_name));
  RECKON_RETURN_IF_ERROR(folder.lock());
  RECKON_ASSIGN(ModelRecord record, read_record(folder.path()));
  std::erase(record.names, stored_name);
  return record.names.empty() ? folder.remove_all() : write_record(folder.path(), record);
}

Status ModelStore::copy(std::string_view from, std::string_view to) {
  RECKON_RETURN_IF_ERROR(check_model_name(to));
  if (find_in_catalog(to.substr(0, to.find(':', to.find(':') + 1))) != nullptr) {
    return usage_error(fmt::format("{}: expected a name that no model of the catalog has", to));
  }
  RECKON_ASSIGN(const StoredModel model, find(from));
  if (model.origin == ModelOrigin::kBundled) return is_bundled(model);
  RECKON_ASSIGN(const Listing listing, list());
  for (const StoredModel& other : listing.models) {
    if (other.name != to) continue;
    if (other.path() == model.path()) return {};
    return usage_error(fmt::format("{} is taken: `reckon rm {}` frees the name", to, to));
  }
  std::vector<std::string> problems;
  const std::vector<HeldRecord> records = read_records(options_.folder, problems);
  const HeldRecord* held = find_record(records, model.name);
  const std::string folder_name =
      held != nullptr ? held->folder_name : folder_name_of(model.files.front().path);
  RECKON_ASSIGN(ModelFolder folder, ModelFolder::create(options_.folder, folder_name));
  RECKON_RETURN_IF_ERROR(folder.lock());
  ModelRecord record;
  if (held != nullptr) {
    RECKON_ASSIGN(record, read_record(folder.path()));
  } else {
    return usage_error(
        fmt::format("{} belongs to another program ({}): `reckon pull FILE` gives "
                    "it a name here",
                    model.name, model_origin_name(model.origin)));
  }
  record.names.emplace_back(to);
  return write_record(folder.path(), record);
}

}  // namespace reckon
