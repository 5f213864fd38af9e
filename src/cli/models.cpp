// Progress bars around the store's jobs.
#include "cli/models.h"

#include <fmt/format.h>

#include <functional>
#include <optional>

#include "cli/interrupts.h"
#include "cli/progress.h"

namespace reckon::cli {
namespace {

// One bar for the download and one for each reading back: their shares would not fit into one.
class StoreBars {
 public:
  StoreBars(std::string what, bool json) : what_(std::move(what)), json_(json) {}

  JobControl control() {
    return {.progress = [this](const StoreProgress& progress) { show(progress); },
            .cancelled = [this] { return interrupts_.interrupted(); }};
  }

 private:
  void show(const StoreProgress& progress) {
    if (!bar_ || stage_ != progress.stage) {
      stage_ = progress.stage;
      const bool is_check = progress.stage == StoreProgress::Stage::kVerifying;
      bar_.emplace(fmt::format("{} {}", is_check ? "checking" : "fetching", what_), json_);
    }
    if (progress.stage == StoreProgress::Stage::kLookingUp) return;
    const auto done = static_cast<double>(progress.done_bytes);
    const auto total = static_cast<double>(progress.total_bytes);
    if (progress.bytes_per_s > 0) {
      bar_->update(done, total, fmt::format("{:.1f} MB/s", progress.bytes_per_s / 1e6),
                   (total - done) / progress.bytes_per_s);
    } else {
      bar_->update(done, total);
    }
  }

  std::string what_;
  bool json_;
  PollsForInterrupts interrupts_;
  StoreProgress::Stage stage_ = StoreProgress::Stage::kLookingUp;
  std::optional<Progress> bar_;
};

}  // namespace

Result<ModelStore> open_store() {
  RECKON_ASSIGN(StoreOptions options, StoreOptions::from_environment());
  return ModelStore(std::move(options));
}

Result<std::string> resolve_model(std::string_view name_or_path, bool json) {
  if (name_or_path.empty()) {
    return usage_error("--model: expected a model's name or a file, found an empty text");
  }
  // Without a home there is no store, but a file is a file.
  if (const std::optional<std::string> path = path_without_store(name_or_path)) return *path;
  RECKON_ASSIGN(const ModelStore store, open_store());
  StoreBars bars(std::string(name_or_path), json);
  return store.resolve(name_or_path, bars.control());
}

Result<StoredModel> pull_with_progress(ModelStore& store, std::string_view text, bool json) {
  RECKON_ASSIGN(const Reference reference, parse_reference(text));
  StoreBars bars(reference.text(), json);
  return store.pull(reference, bars.control());
}

Status verify_with_progress(const ModelStore& store, const std::string& name, bool json) {
  StoreBars bars(name, json);
  return store.verify(name, bars.control());
}

}  // namespace reckon::cli
