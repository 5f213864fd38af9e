// ModelStore::pull(): from a reference to a record in the store.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/times.h"
#include "gguf/gguf_file.h"
#include "store/catalog.h"
#include "store/download.h"
#include "store/folder.h"
#include "store/hub.h"
#include "store/model_store.h"
#include "store/record.h"
#include "store/sha256.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

// The name a model gets: of a URL or a file its own, without the ending.
std::string name_for(const Reference& reference, const std::string& source) {
  switch (reference.kind) {
    case Reference::Kind::kCatalog: return reference.full_text();
    case Reference::Kind::kHub: return source;
    case Reference::Kind::kUrl:
    case Reference::Kind::kFile: break;
  }
  const std::string name = source.substr(source.rfind('/') + 1);
  return name.ends_with(".gguf") ? name.substr(0, name.size() - 5) : name;
}

bool is_loopback(const Url& url) {
  return url.host == "localhost" || url.host == "::1" || url.host.starts_with("127.");
}

// Empty: there is none. Printable ASCII and nothing that could end a header's line.
Result<std::string> read_token(const StoreOptions& options) {
  constexpr uint64_t kMaxTokenBytes = 4096;
  std::string token = options.hub_token;
  if (token.empty() && !options.hub_token_file.empty()) {
    const Result<std::string> text = read_file(options.hub_token_file, kMaxTokenBytes);
    if (text.ok()) token = *text;
  }
  const size_t end = token.find_last_not_of(" \t\r\n");
  token.resize(end == std::string::npos ? 0 : end + 1);
  const bool good =
      std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!good) return usage_error("HF_TOKEN: expected printable ASCII without blanks");
  return token;
}

Status add_token(const StoreOptions& options, HttpOptions& http) {
  RECKON_ASSIGN(const std::string token, read_token(options));
  if (token.empty()) return {};
  RECKON_ASSIGN(const Url endpoint, parse_url(options.hub_endpoint));
  if (!endpoint.is_https && !is_loopback(endpoint)) {
    return usage_error(
        fmt::format("HF_ENDPOINT: {} would carry HF_TOKEN unencrypted: expected https, or no token",
                    options.hub_endpoint));
  }
  http.token = token;
  http.token_origin = endpoint;
  return {};
}

// What needs no hub isn't kept from coming by a token that can't be sent: it goes without.
Result<HttpOptions> http_options(const StoreOptions& options, const JobControl& control,
                                 Reference::Kind kind) {
  HttpOptions http;
  http.cancelled = control.cancelled;
  if (kind == Reference::Kind::kFile) return http;
  const Status added = add_token(options, http);
  if (!added.ok() && kind != Reference::Kind::kUrl) return added.error();
  return http;
}

Result<RemoteModel> look_up_url(const std::string& text) {
  RECKON_ASSIGN(const Url url, parse_url(text));
  RemoteModel model;
  model.source = url.public_text();
  const std::string path = url.target.substr(0, url.target.find('?'));
  const std::string name = path.substr(path.rfind('/') + 1);
  RECKON_RETURN_IF_ERROR(check_file_name(name, model.source));
  if (!name.ends_with(".gguf")) {
    return usage_error(model.source + ": expected the URL of a file that ends in .gguf");
  }
  if (shards_of(name).size() > 1) {
    for (const std::string& shard : shards_of(name)) {
      RemoteFile file{.name = shard, .url = url, .sha256 = "", .bytes = 0};
      file.url.target.replace(path.size() - name.size(), name.size(), shard);
      model.files.push_back(std::move(file));
    }
  } else {
    model.files.push_back({.name = name, .url = url, .sha256 = "", .bytes = 0});
  }
  return model;
}

class Pull {
 public:
  Pull(const StoreOptions& options, const JobControl& control)
      : options_(options), control_(control) {}

  Result<ModelRecord> remote(const ModelFolder& folder, HttpClient& client, const HttpOptions& http,
                             RemoteModel model) {
    std::vector<ServedFile> served;
    uint64_t missing = 0;
    total_bytes_ = 0;
    for (const RemoteFile& file : model.files) {
      tell({.stage = StoreProgress::Stage::kLookingUp,
            .file = file.name,
            .sha256 = file.sha256,
            .done_bytes = 0,
            .total_bytes = 0,
            .bytes_per_s = 0});
      RECKON_ASSIGN(ServedFile found, ask_about(client, file));
      // Of the hub's files nothing is taken unchecked.
      if (found.remote.sha256.empty() && model.list) {
        RECKON_RETURN_IF_ERROR(add_listed_hashes(client, model));
        RECKON_ASSIGN(found, ask_about(client, file));
      }
      total_bytes_ += found.remote.bytes;
      missing += missing_bytes(folder, found);
      served.push_back(std::move(found));
    }
    RECKON_ASSIGN(const uint64_t free_bytes, folder.free_bytes());
    if (missing > free_bytes) {
      return failed(fmt::format("{}: its disk is too small: expected {} bytes free, found {}",
                                folder.path(), missing, free_bytes));
    }
    ModelRecord record;
    record.source = model.source;
    for (const ServedFile& file : served) {
      DownloadOptions download;
      download.http = http;
      download.n_connections = options_.n_connections;
      download.progress = [&](const StoreProgress& progress) { tell(progress); };
      RECKON_ASSIGN(ModelFile fetched, download_file(folder, file, download));
      before_bytes_ += fetched.bytes;
      record.files.push_back(std::move(fetched));
    }
    return record;
  }

  Result<ModelRecord> local(const std::string& path) {
    ModelRecord record;
    record.origin = ModelOrigin::kLocalFile;
    record.source = path;
    total_bytes_ = 0;
    for (const std::string& shard : shards_of(path)) {
      RECKON_ASSIGN(const FileStat stat, stat_file(shard, Links::kFollow));
      record.files.push_back({shard, stat.bytes, "", stat.written_at_ns});
      total_bytes_ += stat.bytes;
    }
    for (ModelFile& file : record.files) {
      const FileHandle handle(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
      if (!handle.is_open()) return bad_file(file.path + ": can't be opened");
      RECKON_ASSIGN(file.sha256, sha256_of_file(handle.get(), file.path, [&](uint64_t done) {
                      tell({.stage = StoreProgress::Stage::kVerifying,
                            .file = file.path.substr(file.path.rfind('/') + 1),
                            .sha256 = "",
                            .done_bytes = done,
                            .total_bytes = 0,
                            .bytes_per_s = 0});
                      return !control_.cancelled || !control_.cancelled();
                    }));
      before_bytes_ += file.bytes;
    }
    return record;
  }

 private:
  // Of one file -> of the model.
  void tell(StoreProgress progress) {
    if (!control_.progress) return;
    progress.done_bytes += before_bytes_;
    progress.total_bytes = total_bytes_;
    control_.progress(progress);
  }

  const StoreOptions& options_;
  const JobControl& control_;
  uint64_t before_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

// What stands in the store under this source already.
std::optional<ModelRecord> there_already(const ModelFolder& folder) {
  if (!folder.has(kRecordName)) return std::nullopt;
  const Result<ModelRecord> record = read_record(folder.path());
  if (!record.ok()) return std::nullopt;
  return *record;
}

// The name must not stand for something else.
Status check_free(const ModelStore& store, const std::string& name, const std::string& source) {
  RECKON_RETURN_IF_ERROR(check_model_name(name));
  RECKON_ASSIGN(const ModelStore::Listing listing, store.list());
  for (const StoredModel& model : listing.models) {
    const bool is_own =
        model.origin == ModelOrigin::kPulled || model.origin == ModelOrigin::kLocalFile;
    if (is_own && model.name == name && model.source != source) {
      return usage_error(fmt::format("{} is taken by {}: `reckon rm {}` frees the name", name,
                                     model.source, name));
    }
  }
  return {};
}

}  // namespace

Result<StoredModel> ModelStore::pull(const Reference& reference, const JobControl& control) try {
  if (reference.kind == Reference::Kind::kCatalog || reference.kind == Reference::Kind::kHub) {
    Result<StoredModel> held = find(reference.text());
    const bool is_anothers = held.ok() && held->origin != ModelOrigin::kPulled &&
                             held->origin != ModelOrigin::kLocalFile;
    if (is_anothers) return held;
  }
  RECKON_ASSIGN(const HttpOptions http, http_options(options_, control, reference.kind));
  HttpClient client(http);
  RemoteModel remote;
  if (reference.kind == Reference::Kind::kFile) {
    std::error_code error;
    const fs::path path = fs::absolute(reference.path, error);
    if (error) return bad_file(reference.path + ": " + error.message());
    remote.source = path.lexically_normal().string();
  } else if (reference.kind == Reference::Kind::kUrl) {
    RECKON_ASSIGN(remote, look_up_url(reference.url));
  } else {
    RECKON_ASSIGN(remote, look_up_on_hub(client, options_.hub_endpoint, reference));
  }
  const std::string name = name_for(reference, remote.source);
  RECKON_RETURN_IF_ERROR(check_free(*this, name, remote.source));
  if (reference.kind == Reference::Kind::kFile) {
    const auto file = GgufFile::open(remote.source);
    if (!file.ok()) return file.error();
  }
  RECKON_ASSIGN(ModelFolder folder,
                ModelFolder::create(options_.folder, folder_name_of(remote.source)));
  RECKON_RETURN_IF_ERROR(folder.lock());
  const std::optional<ModelRecord> before = there_already(folder);
  ModelRecord record;
  const bool is_whole = before && is_as_stored(before->under(name));
  if (is_whole) {
    record = *before;
  } else {
    Pull pull(options_, control);
    Result<ModelRecord> made = reference.kind == Reference::Kind::kFile
                                   ? pull.local(remote.source)
                                   : pull.remote(folder, client, http, remote);
    if (!made.ok()) {
      folder.remove_if_empty();
      return made.error();
    }
    const auto file = GgufFile::open(made->files.front().path);
    if (!file.ok()) {
      RECKON_RETURN_IF_ERROR(folder.remove_all());
      return bad_file(file.error().message + "; nothing of it is kept");
    }
    record = std::move(*made);
    record.pulled_at_s = seconds_since_1970();
    if (before) record.names = before->names;
  }
  const bool is_named =
      std::find(record.names.begin(), record.names.end(), name) != record.names.end();
  if (!is_named) record.names.push_back(name);
  if (!is_named || !is_whole) {
    const Status written = write_record(folder.path(), record);
    // One that may not last must not make the next try succeed without another look.
    if (!written.ok() && !before) folder.remove_file(kRecordName);
    if (!written.ok()) return written.error();
  }
  return record.under(name);
} catch (const std::exception& error) {
  return failed(fmt::format("{}: {}", reference.text(), error.what()));
}

}  // namespace reckon
