// The layouts of other programs' stores.
#include "store/found_models.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "store/folder.h"
#include "store/hub.h"
#include "store/reference.h"
#include "store/sha256.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxManifestBytes = uint64_t{1} << 20;
constexpr int kMaxDepth = 8;
constexpr size_t kMaxEntries = 100'000;

// The real path of a file inside root; empty when it is none or lies outside, whatever link led
// there.
std::string inside(const fs::path& root, const fs::path& path) {
  std::error_code error;
  const fs::path real_root = fs::canonical(root, error);
  if (error) return "";
  const fs::path real = fs::canonical(path, error);
  if (error || !fs::is_regular_file(real, error) || error) return "";
  const auto [end, rest] =
      std::mismatch(real_root.begin(), real_root.end(), real.begin(), real.end());
  return end == real_root.end() ? real.string() : "";
}

// Files below a folder, as paths relative to it, sorted; links to folders are not followed.
std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
  for (size_t n = 0; !error && it != fs::recursive_directory_iterator() && n < kMaxEntries; ++n) {
    if (it.depth() >= kMaxDepth) it.disable_recursion_pending();
    std::error_code ignored;
    if (it->is_regular_file(ignored)) {
      paths.push_back(it->path().lexically_relative(folder).string());
    }
    it.increment(error);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) {
      names.push_back(it->path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Of a shard's name its number in the set is 1 or it is no shard.
bool is_first_file(const std::string& path) { return shards_of(path).front() == path; }

bool is_model_file(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.ends_with(".gguf") && !name.starts_with("mmproj");
}

void add(StoredModel model, ModelStore::Listing& found) {
  const Status named = check_model_name(model.name);
  if (!named.ok()) {
    found.problems.push_back(model.files.front().path + ": left out: " + named.error().message);
    return;
  }
  struct stat info{};
  if (::stat(model.path().c_str(), &info) == 0) model.changed_at_s = info.st_mtim.tv_sec;
  found.models.push_back(std::move(model));
}

// All shards of relative path below folder, each proven to lie in root.
std::optional<std::vector<ModelFile>> files_of(const fs::path& root, const fs::path& folder,
                                               const std::string& path,
                                               ModelStore::Listing& found) {
  std::vector<ModelFile> files;
  for (const std::string& shard : shards_of(path)) {
    ModelFile file;
    const std::string real = inside(root, folder / shard);
    const Result<FileStat> stat = stat_file(real, Links::kFollow);
    if (real.empty() || !stat.ok()) {
      found.problems.push_back(fmt::format("{}: left out: expected a file inside {}",
                                           (folder / shard).string(), root.string()));
      return std::nullopt;
    }
    // The name it is known by, so that shards still stand side by side.
    file.path = (folder / shard).string();
    file.bytes = stat->bytes;
    // The cache calls a blob by its SHA-256.
    const std::string blob = fs::path(real).filename().string();
    if (is_sha256(blob)) file.sha256 = blob;
    files.push_back(std::move(file));
  }
  return files;
}

// The one layer of a manifest that is a model; empty with a problem.
std::string ollama_digest(const std::string& path, std::string& problem) {
  const Result<std::string> text = read_file(path, kMaxManifestBytes);
  if (!text.ok()) {
    problem = text.error().message;
    return "";
  }
  const Result<boost::json::value> tree = parse_json(*text, path, 16);
  if (!tree.ok()) {
    problem = tree.error().message;
    return "";
  }
  const auto* object = tree->if_object();
  const auto* layers = object == nullptr ? nullptr : object->if_contains("layers");
  std::string digest;
  int n_models = 0;
  if (layers != nullptr && layers->is_array()) {
    for (const boost::json::value& value : layers->as_array()) {
      const auto* layer = value.if_object();
      const auto* type = layer == nullptr ? nullptr : layer->if_contains("mediaType");
      const auto* named = layer == nullptr ? nullptr : layer->if_contains("digest");
      if (type == nullptr || named == nullptr || !type->is_string() || !named->is_string())
        continue;
      if (type->as_string() == "application/vnd.ollama.image.adapter") n_models += 2;
      if (type->as_string() != "application/vnd.ollama.image.model") continue;
      digest.assign(named->as_string().data(), named->as_string().size());
      ++n_models;
    }
  }
  constexpr std::string_view kScheme = "sha256:";
  if (n_models != 1 || !digest.starts_with(kScheme) ||
      !is_sha256(std::string_view(digest).substr(kScheme.size()))) {
    problem = path + ": expected one model with its SHA-256 and no adapter";
    return "";
  }
  return digest.substr(kScheme.size());
}

// "registry.ollama.ai/library/deepseek-r1/7b" -> "deepseek-r1:7b".
std::string ollama_name(std::string path) {
  constexpr std::string_view kHost = "registry.ollama.ai/";
  constexpr std::string_view kLibrary = "library/";
  if (path.starts_with(kHost)) path.erase(0, kHost.size());
  if (path.starts_with(kLibrary)) path.erase(0, kLibrary.size());
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) path[slash] = ':';
  return path;
}

}  // namespace

void find_ollama_models(const std::string& folder, ModelStore::Listing& found) {
  if (folder.empty()) return;
  const fs::path manifests = fs::path(folder) / "manifests";
  for (const std::string& path : files_below(manifests)) {
    const std::string manifest = inside(folder, manifests / path);
    std::string problem;
    const std::string digest =
        manifest.empty() ? "" : ollama_digest((manifests / path).string(), problem);
    const fs::path blob = fs::path(folder) / "blobs" / ("sha256-" + digest);
    const std::string real = digest.empty() ? "" : inside(folder, blob);
    const Result<FileStat> stat = stat_file(real, Links::kFollow);
    if (real.empty() || !stat.ok()) {
      found.problems.push_back(
          "left out: " +
          (problem.empty() ? (manifests / path).string() + ": its model is not there" : problem));
      continue;
    }
    add({.name = "ollama:" + ollama_name(path),
         .origin = ModelOrigin::kOllama,
         .source = (manifests / path).string(),
         .files = {{.path = real, .bytes = stat->bytes, .sha256 = digest, .written_at_ns = 0}},
         .changed_at_s = 0},
        found);
  }
}

void find_lm_studio_models(const std::string& folder, ModelStore::Listing& found) {
  if (folder.empty()) return;
  for (const std::string& path : files_below(folder)) {
    if (!is_model_file(path) || !is_first_file(path)) continue;
    auto files = files_of(folder, folder, path, found);
    if (!files) continue;
    for (ModelFile& file : *files) file.sha256.clear();
    add({.name = "lmstudio:" + path,
         .origin = ModelOrigin::kLmStudio,
         .source = folder + "/" + path,
         .files = std::move(*files),
         .changed_at_s = 0},
        found);
  }
}

void find_hub_cache_models(const std::string& folder, ModelStore::Listing& found) {
  constexpr std::string_view kPrefix = "models--";
  if (folder.empty()) return;
  for (const std::string& name : folders_in(folder)) {
    const size_t middle = name.find("--", kPrefix.size());
    if (!name.starts_with(kPrefix) || middle == std::string::npos) continue;
    const std::string repository =
        name.substr(kPrefix.size(), middle - kPrefix.size()) + "/" + name.substr(middle + 2);
    const fs::path root = fs::path(folder) / name;
    std::vector<std::string> commits = folders_in(root / "snapshots");
    const Result<std::string> main = read_file((root / "refs" / "main").string(), 200);
    if (main.ok()) {
      const auto first = std::find(commits.begin(), commits.end(), *main);
      if (first != commits.end()) std::iter_swap(commits.begin(), first);
    }
    std::vector<std::string> seen;
    for (const std::string& commit : commits) {
      const fs::path snapshot = root / "snapshots" / commit;
      for (const std::string& path : files_below(snapshot)) {
        const bool is_known = std::find(seen.begin(), seen.end(), path) != seen.end();
        if (is_known || !is_model_file(path) || !is_first_file(path)) continue;
        auto files = files_of(root, snapshot, path, found);
        if (!files) continue;
        seen.push_back(path);
        add({.name = "hf:" + repository + "/" + path,
             .origin = ModelOrigin::kHubCache,
             .source = snapshot.string() + "/" + path,
             .files = std::move(*files),
             .changed_at_s = 0},
            found);
      }
    }
  }
}

}  // namespace reckon
