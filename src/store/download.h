// One file over the network into a model's folder: in pieces over several connections, going on
// where an earlier try stopped, checked by SHA-256, and under its name only when it is whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "store/folder.h"
#include "store/http_client.h"
#include "store/hub.h"
#include "store/model_store.h"

namespace reckon {

// What the server says of a file before it is fetched.
struct ServedFile {
  RemoteFile remote;  // its SHA-256 and size filled in as far as they are known, its URL pinned to
                      // the commit that the hub named
  // Must stay the same over all pieces: the hub's own X-Linked-Etag where it says one (the servers
  // it redirects to may differ among each other), else the ETag of what is fetched; may be empty.
  std::string etag;
  bool etag_is_linked = false;
  bool has_ranges = false;
};

// Errors: kFailed for the network, kBadFile when it isn't what the catalog or reference promised.
Result<ServedFile> ask_about(HttpClient& client, const RemoteFile& remote);

struct DownloadOptions {
  HttpOptions http;  // its cancelled() is asked from one thread at a time
  int n_connections = 4;
  // Told about this file alone; one thread at a time. May be empty.
  std::function<void(const StoreProgress&)> progress;
  // How often a piece that fails is tried again without having come further, and how long it waits
  // before the first time: twice that before the next, and so on.
  int n_retries = 5;
  std::chrono::milliseconds first_wait{500};
};

// While it is incomplete, a file is NAME.part, and NAME.part.json says which pieces of it are on
// the disk. Errors: kFailed for network and disk, kBadFile when the content isn't what was promised
// (nothing of it is kept then), kInterrupted.
Result<ModelFile> download_file(const ModelFolder& folder, const ServedFile& served,
                                const DownloadOptions& options);

// What is still to be written for this file to be whole: less than its size where a part lies
// there.
uint64_t missing_bytes(const ModelFolder& folder, const ServedFile& served);

}  // namespace reckon
