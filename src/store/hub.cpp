// The hub's addresses and its list of files.
#include "store/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <charconv>

#include "base/ascii.h"
#include "base/json.h"
#include "store/catalog.h"
#include "store/sha256.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxListBytes = uint64_t{16} << 20;
constexpr int kMaxShards = 1000;
constexpr std::string_view kDefaultType = "q4_k_m";
constexpr std::string_view kEnding = ".gguf";
// "-00001-of-00003"
constexpr size_t kShardMarkBytes = 15;

int number(std::string_view digits) {
  int value = -1;
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, value);
  return parsed.ec == std::errc() && parsed.ptr == end ? value : -1;
}

// Which shard of how many a path without its ending is; {0, 0}: none.
std::pair<int, int> shard_mark(std::string_view stem) {
  if (stem.size() <= kShardMarkBytes) return {0, 0};
  const std::string_view mark = stem.substr(stem.size() - kShardMarkBytes);
  if (mark[0] != '-' || mark.substr(6, 4) != "-of-") return {0, 0};
  const int shard = number(mark.substr(1, 5));
  const int n_shards = number(mark.substr(10));
  if (shard < 1 || n_shards < shard || n_shards > kMaxShards) return {0, 0};
  return {shard, n_shards};
}

std::string_view without_ending(std::string_view path) {
  return path.substr(0, path.size() - kEnding.size());
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The part of a file's name that stands for its type: behind the last hyphen or dot, in front of
// the mark of a shard. "Model-Q4_K_M.gguf" -> "q4_k_m".
std::string type_of(std::string_view path) {
  std::string_view stem = without_ending(base_name(path));
  if (shard_mark(stem).second > 0) stem.remove_suffix(kShardMarkBytes);
  return ascii_lower(stem.substr(stem.find_last_of("-.") + 1));
}

// Every path of the repository that is the only or the first file of a model.
Result<std::vector<std::string>> list_files(HttpClient& client, const std::string& endpoint,
                                            const Reference& reference) {
  RECKON_ASSIGN(const Url url,
                parse_url(fmt::format("{}/api/models/{}/{}/revision/{}", endpoint, reference.owner,
                                      reference.repo, reference.revision)));
  RECKON_ASSIGN(const std::string text, http_get_text(client, url, kMaxListBytes));
  RECKON_ASSIGN(const boost::json::value tree, parse_json(text, url.text()));
  const auto* object = tree.if_object();
  const auto* siblings = object == nullptr ? nullptr : object->if_contains("siblings");
  if (siblings == nullptr || !siblings->is_array()) {
    return failed(url.text() + ": expected a list of files under siblings, found none");
  }
  std::vector<std::string> paths;
  for (const boost::json::value& value : siblings->as_array()) {
    const auto* entry = value.if_object();
    const auto* name = entry == nullptr ? nullptr : entry->if_contains("rfilename");
    if (name == nullptr || !name->is_string()) {
      return failed(url.text() + ": expected each file to have its name under rfilename");
    }
    const std::string_view path(name->as_string().data(), name->as_string().size());
    const bool is_model = path.ends_with(kEnding) && !base_name(path).starts_with("mmproj");
    if (is_model && shard_mark(without_ending(path)).first <= 1) paths.emplace_back(path);
  }
  return paths;
}

// A path in a repository: parts that may be files' names, at most 8 of them.
Status check_path(std::string_view path, std::string_view what) {
  size_t n_parts = 0;
  while (true) {
    const size_t end = std::min(path.find('/'), path.size());
    RECKON_RETURN_IF_ERROR(check_file_name(path.substr(0, end), what));
    if (++n_parts > 8) return bad_file(fmt::format("{}: expected at most 8 folders deep", what));
    if (end == path.size()) return {};
    path.remove_prefix(end + 1);
  }
}

}  // namespace

std::vector<std::string> shards_of(const std::string& path) {
  if (!path.ends_with(kEnding)) return {path};
  const std::string_view stem = without_ending(path);
  const int n_shards = shard_mark(stem).second;
  if (n_shards == 0) return {path};
  std::vector<std::string> paths;
  for (int shard = 1; shard <= n_shards; ++shard) {
    paths.push_back(fmt::format("{}-{:05}-of-{:05}{}",
                                stem.substr(0, stem.size() - kShardMarkBytes), shard, n_shards,
                                kEnding));
  }
  return paths;
}

Result<std::string> choose_file(const std::vector<std::string>& paths, std::string_view type,
                                std::string_view what) {
  const std::string wanted = type.empty() ? std::string(kDefaultType) : ascii_lower(type);
  std::vector<std::string> fitting;
  std::vector<std::string> types;
  for (const std::string& path : paths) {
    types.push_back(type_of(path));
    if (types.back() == wanted) fitting.push_back(path);
  }
  if (fitting.empty() && type.empty() && paths.size() == 1) return paths.front();
  if (fitting.size() == 1) return fitting.front();
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  std::string offer;
  for (const std::string& found : types) offer += (offer.empty() ? "" : ", ") + found;
  return usage_error(fmt::format("{}: expected one GGUF file of type {}, found {}; on offer: {}",
                                 what, wanted, fitting.size(),
                                 offer.empty() ? "none" : excerpt(offer, 400)));
}

Result<RemoteModel> look_up_on_hub(HttpClient& client, const std::string& endpoint,
                                   const Reference& reference) {
  Reference wanted = reference;
  const CatalogModel* known = nullptr;
  if (reference.kind == Reference::Kind::kCatalog) {
    known = find_in_catalog(reference.model);
    wanted.kind = Reference::Kind::kHub;
    wanted.owner = known->owner;
    wanted.repo = known->repo;
    wanted.revision = "main";
    if (reference.type.empty() || ascii_lower(reference.type) == known->type) {
      wanted.file = known->file;
    } else {
      known = nullptr;
    }
  }
  const std::string what = fmt::format("hf:{}/{}", wanted.owner, wanted.repo);
  if (wanted.file.empty()) {
    RECKON_ASSIGN(const std::vector<std::string> paths, list_files(client, endpoint, wanted));
    RECKON_ASSIGN(wanted.file, choose_file(paths, wanted.type, what));
  }
  RECKON_RETURN_IF_ERROR(check_path(wanted.file, what));
  RemoteModel model;
  const std::vector<std::string> paths = shards_of(wanted.file);
  wanted.file = paths.front();
  model.source = wanted.text();
  for (const std::string& path : paths) {
    RECKON_ASSIGN(const Url url,
                  parse_url(fmt::format("{}/{}/{}/resolve/{}/{}", endpoint, wanted.owner,
                                        wanted.repo, wanted.revision, percent_encode_path(path))));
    model.files.push_back({.name = std::string(base_name(path)),
                           .url = url,
                           .sha256 = known != nullptr ? known->sha256 : "",
                           .bytes = known != nullptr ? static_cast<uint64_t>(known->bytes) : 0});
  }
  return model;
}

}  // namespace reckon
