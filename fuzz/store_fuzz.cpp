// What the store reads from people, servers, its own disk and other programs' folders: references,
// URLs, redirects, ranges, addresses, a repository's list of paths, a hub's answers, records,
// journals, manifests. What is let through must hold what its header promises. The first byte picks
// what the rest is.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ascii.h"
#include "base/check.h"
#include "base/file.h"
#include "fuzz/scratch_folder.h"
#include "store/byte_range.h"
#include "store/found_models.h"
#include "store/hub.h"
#include "store/part_file.h"
#include "store/record.h"
#include "store/reference.h"
#include "store/sha256.h"
#include "store/url.h"
#include "tests/store/scripted_server.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

const fs::path& scratch() {
  static const fuzz::ScratchFolder folder;
  return folder.path();
}

void write(const fs::path& path, std::string_view text) {
  RECKON_CHECK(write_file(path.string(), text).ok());
}

// What stands before the line's end, which is dropped with it.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

void try_reference(std::string_view text) {
  if (const Result<Reference> other = parse_ollama_name(text); other.ok()) {
    RECKON_CHECK(parse_reference(other->text()).ok());
  }
  const Result<Reference> reference = parse_reference(text);
  if (!reference.ok()) return;
  for (const std::string& spelling : {reference->text(), reference->full_text()}) {
    const Result<Reference> again = parse_reference(spelling);
    RECKON_CHECK(again.ok() && again->text() == spelling);
  }
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
    RECKON_CHECK(url->text().starts_with(url->public_text()));
  }
  const Url base = *parse_url("https://hub.example/a/b");
  const Result<Url> redirect = parse_redirect(base, text);
  RECKON_CHECK(!redirect.ok() || redirect->is_https);
  const std::string_view path = text.substr(0, 1000);
  RECKON_CHECK(parse_url(base.origin() + "/" + percent_encode_path(path)).ok());
}

// An address of IPv4 is as public as what stands for it in IPv6.
void try_address(std::string_view text) {
  const std::vector<uint8_t> address(text.begin(), text.end());
  const bool is_public = is_public_address(address);
  RECKON_CHECK(!is_public || address.size() == 4 || address.size() == 16);
  if (address.size() != 4) return;
  std::vector<uint8_t> wide = {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};
  wide.insert(wide.end(), address.begin(), address.end());
  RECKON_CHECK(is_public_address(wide) == is_public);
}

void try_paths(std::string_view text) {
  std::vector<std::string> paths;
  const std::string type(take_line(text));
  while (!text.empty()) {
    const std::string path = std::string(take_line(text)) + ".gguf";
    const std::vector<std::string> shards = shards_of(path);
    RECKON_CHECK(!shards.empty() && shards.size() <= 1000);
    paths.push_back(path);
  }
  static_cast<void>(choose_file(paths, type, "a repository").ok());
}

void try_record(std::string_view text) {
  const std::string folder = scratch().string();
  RECKON_CHECK(folder_name_of(text).find('/') == std::string::npos);
  const Result<ModelRecord> record = parse_record(text, folder);
  if (!record.ok()) return;
  RECKON_CHECK(!record->names.empty() && !record->files.empty());
  for (const ModelFile& file : record->files) {
    RECKON_CHECK(file.path.starts_with("/"));
    RECKON_CHECK(record->origin != ModelOrigin::kPulled || file.path.rfind('/') == folder.size());
  }
  RECKON_CHECK(record->under(record->names[0]).path() == record->files[0].path);
  RECKON_CHECK(write_record(folder, *record).ok());
  const Result<ModelRecord> again = read_record(folder);
  RECKON_CHECK(again.ok() && again->names == record->names && again->source == record->source);
  RECKON_CHECK(again->files.size() == record->files.size());
}

// A journal beside a part of two pieces: what it says to be there is never more than there is room
// for, and stays so when it is written again.
void try_journal(std::string_view text) {
  constexpr uint64_t kBytes = 100'000;
  const Result<ModelFolder> folder = ModelFolder::create(scratch().string(), "model");
  RECKON_CHECK(folder.ok());
  const fs::path part_path = scratch() / "model" / "f.gguf.part";
  write(part_path, "");
  fs::resize_file(part_path, kBytes);
  write(scratch() / "model" / "f.gguf.part.json", text);
  ServedFile served;
  served.remote.name = "f.gguf";
  served.remote.bytes = kBytes;
  served.etag = "\"e\"";
  const Result<PartFile> part = PartFile::open(*folder, served);
  RECKON_CHECK(part.ok() || part.error().kind == ErrorKind::kFailed);  // a full disk
  if (!part.ok()) return;
  for (size_t piece = 0; piece < part->n_pieces(); ++piece) {
    RECKON_CHECK(part->done(piece) <= part->piece_end(piece) - part->piece_begin(piece));
  }
}

// The manifest of one model in a store of Ollama's that holds one blob.
void try_manifest(std::string_view text) {
  const fs::path store = scratch() / "ollama";
  const fs::path manifests = store / "manifests" / "registry.ollama.ai" / "library" / "m";
  static const std::string blob = [&] {
    fs::create_directories(manifests);
    fs::create_directories(store / "blobs");
    const fs::path path = store / "blobs" / ("sha256-" + std::string(64, 'a'));
    write(path, "GGUF");
    return fs::canonical(path).string();
  }();
  write(manifests / "7b", text);
  ModelStore::Listing found;
  find_ollama_models(store.string(), found);
  RECKON_CHECK(found.models.size() + found.problems.size() == 1);
  for (const StoredModel& model : found.models) RECKON_CHECK(model.path() == blob);
}

// A hub on this machine that answers every request with the same bytes.
class Hub {
 public:
  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  void answer_with(std::string bytes) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(bytes);
  }

 private:
  std::mutex mutex_;
  std::string answer_;
  ScriptedServer server_{"127.0.0.1", [this](const std::string&) {
                           const std::lock_guard lock(mutex_);
                           return answer_;
                         }};
};

// A reference on the first line, then the hub's answer: from its status line, or a body alone.
void try_hub(std::string_view text) {
  static Hub hub;
  const Result<Reference> reference = parse_reference(take_line(text));
  if (!reference.ok() ||
      (reference->kind != Reference::Kind::kCatalog && reference->kind != Reference::Kind::kHub)) {
    return;
  }
  std::string answer(text);
  if (!answer.starts_with("HTTP/")) {
    answer = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" +
             std::string(text);
  }
  // Redirects are try_url's: from here nothing goes to another machine.
  if (ascii_lower(answer).find("location") != std::string::npos) return;
  hub.answer_with(answer);
  HttpOptions options;
  options.timeout = std::chrono::seconds(5);
  HttpClient client(options);
  Result<RemoteModel> model = look_up_on_hub(client, hub.endpoint(), *reference);
  if (!model.ok()) return;
  RECKON_CHECK(!model->files.empty() && model->list.has_value());
  for (const RemoteFile& file : model->files) {
    RECKON_CHECK(check_file_name(file.name, "a file").ok());
    RECKON_CHECK(file.sha256.empty() || is_sha256(file.sha256));
    RECKON_CHECK(file.url.text().starts_with(hub.endpoint() + "/"));
  }
  const RemoteFile& first = model->files.front();
  if (const Result<ServedFile> served = ask_about(client, first); served.ok()) {
    RECKON_CHECK(served->remote.bytes > 0);
    RECKON_CHECK(first.sha256.empty() || served->remote.sha256 == first.sha256);
  }
  if (!add_listed_hashes(client, *model).ok()) return;
  for (const RemoteFile& file : model->files) RECKON_CHECK(is_sha256(file.sha256));
}

void try_any(uint8_t what, std::string_view text) {
  switch (what % 9) {
    case 0: try_reference(text); break;
    case 1: try_url(text); break;
    case 2: try_paths(text); break;
    case 3: try_record(text); break;
    case 4: static_cast<void>(parse_content_range(text).has_value()); break;
    case 5: try_address(text); break;
    case 6: try_journal(text); break;
    case 7: try_manifest(text); break;
    default: try_hub(text);
  }
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  reckon::try_any(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
