// The models on this machine by name: those that reckon pulled, those that Ollama, LM Studio and
// the Hugging Face cache already hold, which are used where they lie, and the one in the program.
// Pulling, checking, removing and naming them. What a folder of the store looks like stands in
// docs/store.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/reference.h"

namespace reckon {

enum class ModelOrigin { kPulled, kLocalFile, kOllama, kLmStudio, kHubCache, kBundled };
// "pulled", "file", "ollama", "lm studio", "hub cache", "reckon".
std::string_view model_origin_name(ModelOrigin origin);

struct ModelFile {
  std::string path;  // absolute
  uint64_t bytes = 0;
  // Of the content when it was pulled or registered, hexadecimal; of found models what their
  // program says, or empty where it says nothing.
  std::string sha256;
  int64_t written_at_ns = 0;  // the file's time then; 0 for found models
};

struct StoredModel {
  std::string name;
  ModelOrigin origin = ModelOrigin::kPulled;
  std::string source;  // what it was pulled from: "hf:owner/repo/file.gguf", a URL, a path
  std::vector<ModelFile> files;  // one, or the shards in their order; never empty
  int64_t changed_at_s = 0;      // when it was pulled or last written, seconds since 1970

  uint64_t bytes() const;
  // What load_engine() takes.
  const std::string& path() const { return files.front().path; }
};

// Whether the files still have the size and the time that were noted; of found models none were.
bool is_as_stored(const StoredModel& model);

struct StoreProgress {
  enum class Stage { kLookingUp, kDownloading, kVerifying };

  Stage stage = Stage::kLookingUp;
  std::string file;         // the name of the file at hand
  std::string sha256;       // as expected; empty when not known yet
  uint64_t done_bytes = 0;  // of all files of the model
  uint64_t total_bytes = 0;
  double bytes_per_s = 0;  // over the last seconds; 0 when not known yet
};

// What a long job tells and asks. Both may be empty; both are called from the caller's thread or
// one that works for it, never two at once.
struct JobControl {
  std::function<void(const StoreProgress&)> progress = {};
  std::function<bool()> cancelled = {};
};

struct StoreOptions {
  std::string folder;               // where pulled models lie
  std::vector<std::string> ollama;  // folders of others, the first goes first; may be missing
  std::vector<std::string> lm_studio;
  std::string hub_cache;
  std::string hub_endpoint;    // "https://huggingface.co"; no slash at the end
  std::string hub_token;       // empty: what hub_token_file holds, if it is there
  std::string hub_token_file;  // read when something is pulled; may be empty
  int n_connections = 4;

  // RECKON_MODELS or XDG_DATA_HOME/reckon/models; OLLAMA_MODELS; HF_HUB_CACHE, HF_HOME;
  // HF_ENDPOINT; HF_TOKEN, HF_TOKEN_PATH; HOME where they are not set. Errors: kUsage for a bad
  // HF_ENDPOINT.
  static Result<StoreOptions> from_environment();
};

// The file that is meant where no store is needed to say so: a path, or the model that is part of
// the program.
std::optional<std::string> path_without_store(std::string_view name_or_path);

// Every call reads the folders anew, so several processes and threads may use one store at once;
// two pulls of the same model exclude each other.
class ModelStore {
 public:
  explicit ModelStore(StoreOptions options) : options_(std::move(options)) {}

  // All models, by name: of several with one name what was pulled, else what was found first. A
  // folder or record that can't be used is left out and named in problems.
  struct Listing {
    std::vector<StoredModel> models;
    std::vector<std::string> problems;

    // As ModelStore::find().
    Result<StoredModel> find(std::string_view name) const;
  };
  Result<Listing> list() const;

  // By name: exactly, or "ollama:tiny" for "ollama:tiny:latest", or "r1:7b" for the type there is,
  // or the same model as another program holds it. Errors: kUsage when there is none, with what to
  // do about it.
  Result<StoredModel> find(std::string_view name) const;

  // What -m takes -> the path of a model file: an existing file's path as it is, a store's name
  // else. A pulled file whose size or time is no longer what it was is hashed again first. Errors:
  // those of find(), kBadFile when the content is no longer what was pulled.
  Result<std::string> resolve(std::string_view name_or_path, const JobControl& control = {}) const;
  // The same of a model that find() gave: never another file.
  Result<std::string> resolve_stored(const StoredModel& model,
                                     const JobControl& control = {}) const;

  // Fetches what reference names, goes on where an earlier try stopped, checks it, and puts it
  // under its name at once; of a local file it remembers where it lies. What is there already is
  // not fetched again. Errors: kFailed for network, disk and a pull of the same model under way,
  // kBadFile for content that is not what was promised, kInterrupted when cancelled.
  Result<StoredModel> pull(const Reference& reference, const JobControl& control = {});

  // Forgets the name; with its last name a pulled model's files go too, a local file stays.
  // Errors: kUsage for an unknown name or a model that another program holds.
  Status remove(std::string_view name);

  // Reads all files of a model and compares their SHA-256 and the GGUF directory. Errors: kBadFile
  // when they differ.
  Status verify(std::string_view name, const JobControl& control = {}) const;

  // A second name for the same files (Ollama's /api/copy). Errors: kUsage for a bad or taken name,
  // and for one of the catalog's.
  Status copy(std::string_view from, std::string_view to);

  const StoreOptions& options() const { return options_; }

 private:
  StoreOptions options_;
};

}  // namespace reckon
