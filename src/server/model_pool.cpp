// A watching thread lets go of what is over; loading threads let go of what is in their way.
#include "server/model_pool.h"

#include <algorithm>
#include <utility>

#include "engine/memory.h"
#include "forward/kv_cache.h"
#include "gguf/gguf_file.h"
#include "model/config.h"

namespace reckon::server {

using Clock = std::chrono::steady_clock;

ModelPool::ModelPool(PoolOptions options,
                     std::function<Result<std::string>(const std::string&)> resolve)
    : options_(std::move(options)), resolve_(std::move(resolve)) {
  watch_ = std::thread([this] { keep_watch(); });
}

ModelPool::~ModelPool() {
  stop();
  watch_.join();
  std::map<std::string, Entry> entries;
  {
    const std::lock_guard lock(mutex_);
    entries.swap(entries_);
  }
}

void ModelPool::stop() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  for (const auto& [name, entry] : entries_) entry.host->stop();
  wake_.notify_all();
}

ApiResult<HostLease> ModelPool::acquire(const std::string& name,
                                        std::optional<double> keep_alive_s) {
  std::unique_ptr<ModelHost> failed_host;  // its thread is joined without the lock
  const std::lock_guard lock(mutex_);
  if (stop_) return ApiError{.status = 503, .message = "the server is shutting down"};
  Entry& entry = entries_[name];
  // A load that failed is tried again: memory may be free by now.
  if (entry.host != nullptr && entry.host->state() == ModelHost::State::kFailed &&
      entry.host->n_users == 0) {
    failed_host = std::move(entry.host);
  }
  if (entry.host == nullptr) {
    entry.host =
        std::make_unique<ModelHost>(name, options_.n_slots, [this, name] { return load(name); });
  }
  entry.keep_alive_s =
      pinned_.contains(name) ? kForever : keep_alive_s.value_or(options_.keep_alive_s);
  entry.used = Clock::now();
  return HostLease(entry.host.get());
}

void ModelPool::pin(const std::string& name) {
  const std::lock_guard lock(mutex_);
  pinned_.insert(name);
}

void ModelPool::release_soon(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return;
  entry->second.keep_alive_s = 0;
  wake_.notify_all();
}

std::vector<LoadedModel> ModelPool::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<LoadedModel> models;
  for (const auto& [name, entry] : entries_) {
    LoadedModel model;
    model.name = name;
    model.stats = entry.host->stats();
    if (entry.keep_alive_s >= 0) {
      const std::chrono::duration<double> past = Clock::now() - entry.used;
      model.expires_in_s = std::max(0.0, entry.keep_alive_s - past.count());
    }
    const ModelHost::State state = entry.host->state();
    if (state == ModelHost::State::kFailed) continue;
    model.ready = state == ModelHost::State::kReady;
    if (model.ready) {
      model.report = entry.host->loaded().report;
      model.context_length = entry.host->engine().context_length();
    }
    models.push_back(std::move(model));
  }
  return models;
}

// On the model's own thread. Where memory is short, idle models go first, then the context becomes
// smaller.
Result<LoadedEngine> ModelPool::load(const std::string& name) {
  RECKON_ASSIGN(const std::string path, resolve_(name));
  const std::lock_guard one_at_a_time(load_mutex_);
  LoadOptions load = options_.load;
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(path));
  RECKON_ASSIGN(const ModelConfig config, read_config(*file));
  RECKON_RETURN_IF_ERROR(check_kv_type(config, load.kv_type));
  if (!load.context_length) {
    load.context_length = std::min<int64_t>(config.context_length, kDefaultContext);
  }
  // Room for every slot's whole context where that is at most half of the memory there is; what is
  // not used takes none. With less, answers share the pages and may have to wait for some.
  RECKON_ASSIGN(const int64_t available, available_memory());
  const int64_t sequence_bytes =
      kv_page_bytes(config, load.kv_type) / kPagePositions * *load.context_length;
  load.n_sequences = std::clamp<int64_t>(available / 2 / std::max<int64_t>(1, sequence_bytes), 1,
                                         options_.n_slots);
  for (;;) {
    Result<LoadedEngine> loaded = load_engine(path, load);
    if (loaded.ok() || loaded.error().kind != ErrorKind::kFailed) return loaded;
    if (let_go_of_oldest(name)) continue;
    if (load.n_sequences == 1) {
      if (options_.load.context_length || !load.context_length) return loaded;
      load.context_length.reset();  // the largest that fits
      continue;
    }
    load.n_sequences = 1;
  }
}

bool ModelPool::let_go_of_oldest(const std::string& except) {
  std::unique_ptr<ModelHost> gone;
  const std::lock_guard lock(mutex_);
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->first == except || !entry->second.host->is_idle()) continue;
    if (entry->second.host->state() == ModelHost::State::kLoading) continue;
    if (oldest == entries_.end() || entry->second.used < oldest->second.used) oldest = entry;
  }
  if (oldest == entries_.end()) return false;
  gone = std::move(oldest->second.host);
  entries_.erase(oldest);
  gone.reset();  // before the next try: its memory is what is wanted
  return true;
}

void ModelPool::keep_watch() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wake_.wait_for(lock, std::chrono::milliseconds(250));
    const Clock::time_point now = Clock::now();
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      if (!entry->second.host->is_idle()) {
        entry->second.used = now;
      } else if (entry->second.host->state() != ModelHost::State::kLoading &&
                 entry->second.keep_alive_s >= 0 &&
                 std::chrono::duration<double>(now - entry->second.used).count() >=
                     entry->second.keep_alive_s) {
        const std::unique_ptr<ModelHost> gone = std::move(entry->second.host);
        entry = entries_.erase(entry);
        continue;
      }
      ++entry;
    }
  }
}

}  // namespace reckon::server
