// The models in memory, by name: loaded when first asked for, let go when their keep_alive is over
// or another one needs the room, never while somebody uses them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/load.h"
#include "server/api_error.h"
#include "server/model_host.h"

namespace reckon::server {

// Since when never: keep_alive of models that stay.
inline constexpr double kForever = -1;

struct PoolOptions {
  LoadOptions load;  // context_length empty: kDefaultContext or the model's own, whatever is less
  int64_t n_slots = 16;
  double keep_alive_s = 300;  // of models that a request doesn't say otherwise for
};

// 32,768 tokens: the most that R1's own evaluation lets a model say.
inline constexpr int64_t kDefaultContext = 32768;

struct LoadedModel {
  std::string name;
  bool ready = false;
  std::optional<double> expires_in_s;  // empty: stays
  HostStats stats;
  LoadReport report;  // of a ready one
  int64_t context_length = 0;
};

class ModelPool {
 public:
  // resolve: a model's name -> its file; called on the model's own thread, may take long.
  ModelPool(PoolOptions options, std::function<Result<std::string>(const std::string&)> resolve);
  ~ModelPool();

  // The model under this name (which must exist), loading it if it isn't there. keep_alive_s: after
  // this use, as the request says; kForever: until another use; empty: PoolOptions'. One that is
  // pinned stays whatever requests say. Errors: 503 while the server stops.
  ApiResult<HostLease> acquire(const std::string& name, std::optional<double> keep_alive_s = {});
  // From now on this one stays.
  void pin(const std::string& name);
  // Lets it go as soon as it is idle, a pinned one too; it is loaded again by its next use.
  void release_soon(const std::string& name);

  std::vector<LoadedModel> list() const;
  // Cancels everything and takes nothing more.
  void stop();

 private:
  struct Entry {
    std::unique_ptr<ModelHost> host;
    double keep_alive_s = 0;
    std::chrono::steady_clock::time_point used;
  };

  Result<LoadedEngine> load(const std::string& name);
  bool let_go_of_oldest(const std::string& except);
  void keep_watch();

  const PoolOptions options_;
  const std::function<Result<std::string>(const std::string&)> resolve_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> pinned_;
  std::mutex load_mutex_;  // two loads at once would both count on the same free memory
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread watch_;
};

}  // namespace reckon::server
