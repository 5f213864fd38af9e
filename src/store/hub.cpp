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

struct ListedFile {
  std::string path;
  std::string sha256 = {};  // empty: not said
  uint64_t bytes = 0;       // 0: not said
};

// {"rfilename": PATH, "lfs": {"sha256": …, "size": …}}; some say oid for the hash.
void read_lfs(const boost::json::object& entry, ListedFile& file) {
  const auto* lfs = entry.if_contains("lfs");
  if (lfs == nullptr || !lfs->is_object()) return;
  for (const char* key : {"sha256", "oid"}) {
    const auto* value = lfs->get_object().if_contains(key);
    if (value == nullptr || !value->is_string() || !is_sha256(value->get_string())) continue;
    file.sha256 = ascii_lower(std::string_view(value->get_string()));
  }
  const auto* size = lfs->get_object().if_contains("size");
  if (size != nullptr && size->is_int64() && size->get_int64() > 0) {
    file.bytes = static_cast<uint64_t>(size->get_int64());
  }
}

// Every GGUF file of the repository.
Result<std::vector<ListedFile>> list_files(HttpClient& client, const Url& url) {
  RECKON_ASSIGN(const std::string text, http_get_text(client, url, kMaxListBytes));
  RECKON_ASSIGN(const boost::json::value tree, parse_json(text, url.text()));
  const auto* object = tree.if_object();
  const auto* siblings = object == nullptr ? nullptr : object->if_contains("siblings");
  if (siblings == nullptr || !siblings->is_array()) {
    return failed(url.text() + ": expected a list of files under siblings, found none");
  }
  std::vector<ListedFile> files;
  for (const boost::json::value& value : siblings->as_array()) {
    const auto* entry = value.if_object();
    const auto* name = entry == nullptr ? nullptr : entry->if_contains("rfilename");
    if (name == nullptr || !name->is_string()) {
      return failed(url.text() + ": expected each file to have its name under rfilename");
    }
    const std::string_view path(name->as_string().data(), name->as_string().size());
    if (!path.ends_with(kEnding)) continue;
    ListedFile file{.path = std::string(path)};
    read_lfs(*entry, file);
    files.push_back(std::move(file));
  }
  return files;
}

void adopt(const std::vector<ListedFile>& listed, RemoteFile& file) {
  const auto found = std::find_if(listed.begin(), listed.end(),
                                  [&](const ListedFile& one) { return one.path == file.path; });
  if (found == listed.end() || !file.sha256.empty()) return;
  file.sha256 = found->sha256;
  if (file.bytes == 0) file.bytes = found->bytes;
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
  RemoteModel model;
  // With blobs the list says the hash of every file.
  RECKON_ASSIGN(model.list,
                parse_url(fmt::format("{}/api/models/{}/{}/revision/{}?blobs=true", endpoint,
                                      wanted.owner, wanted.repo, wanted.revision)));
  std::vector<ListedFile> listed;
  if (wanted.file.empty()) {
    RECKON_ASSIGN(listed, list_files(client, *model.list));
    std::vector<std::string> paths;  // of each model the only or the first file
    for (const auto& [path, sha256, bytes] : listed) {
      const bool is_first = shard_mark(without_ending(path)).first <= 1;
      if (is_first && !base_name(path).starts_with("mmproj")) paths.push_back(path);
    }
    RECKON_ASSIGN(wanted.file, choose_file(paths, wanted.type, what));
  }
  RECKON_RETURN_IF_ERROR(check_path(wanted.file, what));
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
                           .bytes = known != nullptr ? static_cast<uint64_t>(known->bytes) : 0,
                           .path = path});
    adopt(listed, model.files.back());
  }
  return model;
}

Status add_listed_hashes(HttpClient& client, RemoteModel& model) {
  RECKON_ASSIGN(const std::vector<ListedFile> listed, list_files(client, *model.list));
  for (RemoteFile& file : model.files) {
    adopt(listed, file);
    if (!file.sha256.empty()) continue;
    return failed(fmt::format(
        "{0}: neither the server's answer nor {1} says its SHA-256, so that it can't be checked; "
        "`reckon pull {0}` fetches it all the same",
        file.url.public_text(), model.list->public_text()));
  }
  return {};
}

}  // namespace reckon
