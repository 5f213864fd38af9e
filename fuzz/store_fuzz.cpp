// What the store reads from people, servers and its own disk: references, URLs, redirects, ranges,
// a repository's list of paths, records. What is let through must hold what its header promises.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "store/byte_range.h"
#include "store/hub.h"
#include "store/record.h"
#include "store/reference.h"
#include "store/url.h"

namespace reckon {
namespace {

void try_reference(std::string_view text) {
  const Result<Reference> reference = parse_reference(text);
  if (!reference.ok()) return;
  const Result<Reference> again = parse_reference(reference->text());
  RECKON_CHECK(again.ok() && again->text() == reference->text());
  for (const std::string* part : {&reference->owner, &reference->repo, &reference->revision,
                                  &reference->type, &reference->file}) {
    RECKON_CHECK(part->find('\\') == std::string::npos && part->find('%') == std::string::npos);
    RECKON_CHECK(("/" + *part + "/").find("/../") == std::string::npos);
  }
}

void try_url(std::string_view text) {
  const Result<Url> url = parse_url(text);
  if (url.ok()) {
    const Result<Url> again = parse_url(url->text());
    RECKON_CHECK(again.ok() && again->text() == url->text());
  }
  const Url base = *parse_url("https://hub.example/a/b");
  const Result<Url> redirect = parse_redirect(base, text);
  RECKON_CHECK(!redirect.ok() || redirect->is_https);
}

void try_paths(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string path = std::string(text.substr(0, end)) + ".gguf";
    const std::vector<std::string> shards = shards_of(path);
    RECKON_CHECK(!shards.empty() && shards.size() <= 1000);
    paths.push_back(path);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  static_cast<void>(choose_file(paths, "q8_0", "a repository").ok());
}

void try_record(std::string_view text) {
  const Result<ModelRecord> record = parse_record(text, "/store/model");
  if (!record.ok()) return;
  RECKON_CHECK(!record->names.empty() && !record->files.empty());
  for (const ModelFile& file : record->files) {
    RECKON_CHECK(file.path.starts_with("/"));
    RECKON_CHECK(record->origin != ModelOrigin::kPulled || file.path.rfind('/') == 12);
  }
}

void try_any(uint8_t what, std::string_view text) {
  switch (what % 5) {
    case 0: try_reference(text); break;
    case 1: try_url(text); break;
    case 2: try_paths(text); break;
    case 3: try_record(text); break;
    default: static_cast<void>(parse_content_range(text).has_value());
  }
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  reckon::try_any(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
