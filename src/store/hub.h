// What a reference means on the hub (the Hugging Face protocol, which its mirrors speak too): which
// files, where they are fetched from, and what their content must be as far as it is known before.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/http_client.h"
#include "store/reference.h"
#include "store/url.h"

namespace reckon {

struct RemoteFile {
  std::string name;  // without folders, checked
  Url url;
  std::string sha256;     // empty: not known before the server is asked
  uint64_t bytes = 0;     // 0: not known either
  std::string path = {};  // in its repository; empty where there is none
};

struct RemoteModel {
  std::string source;             // "hf:owner/repo/file.gguf": what tells models apart
  std::vector<RemoteFile> files;  // the shards in their order
  std::optional<Url> list;        // of the repository's files; empty where there is none
};

// reference: kCatalog or kHub. Asks the hub for the list of a repository's files where no file is
// named. Errors: those of the network, kUsage when no file or more than one fits.
Result<RemoteModel> look_up_on_hub(HttpClient& client, const std::string& endpoint,
                                   const Reference& reference);

// Fills in what the list of the repository's files says of their SHA-256 and sizes: for servers
// whose answers don't. Errors: those of the network, kFailed for a file of which the list doesn't
// say it.
Status add_listed_hashes(HttpClient& client, RemoteModel& model);

// "q8_0" among paths ("a/Model-Q8_0.gguf", "Model-Q8_0-00001-of-00003.gguf"). Empty type: q4_k_m,
// or the only file there is. Errors: kUsage, naming what is on offer; what names the repository.
Result<std::string> choose_file(const std::vector<std::string>& paths, std::string_view type,
                                std::string_view what);

// All shards when path is that of one ("x-00002-of-00003.gguf"), else path alone.
std::vector<std::string> shards_of(const std::string& path);

}  // namespace reckon
