// One loaded model: the thread that loads it and then steps its engine, and the bounded queue in
// front of it, which takes turns among clients.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/load.h"
#include "server/api_error.h"

namespace reckon::server {

class ModelHost;

// One client's request as a model sees it: as many sequences as it wants answers. Events and
// failure come on the stepping thread (failure also on the thread that stops the queue).
class Work : public std::enable_shared_from_this<Work> {
 public:
  virtual ~Work() = default;
  // It has a place in the queue; called before anything else is.
  virtual void on_queued() = 0;
  virtual void on_event(size_t choice, const Event& event) = 0;
  // None of it ever started. Nothing else comes.
  virtual void on_refused(const ApiError& error) = 0;

  std::string client;             // who takes turns with whom
  std::vector<Request> requests;  // each moved from when it starts

 private:
  friend class ModelHost;
  size_t n_begun_ = 0;          // of requests; under the host's mutex, like the rest
  std::vector<RequestId> ids_;  // of those
  bool cancelled_ = false;
  bool answer_now_ = false;
};

struct HostStats {
  int64_t n_queued = 0;   // requests
  int64_t n_running = 0;  // sequences
  EngineStats engine;
};

class ModelHost {
 public:
  static constexpr size_t kMaxQueued = 256;

  using Loader = std::function<Result<LoadedEngine>()>;
  enum class State : uint8_t { kLoading, kReady, kFailed };

  // Starts the thread, which calls loader and then steps. n_slots: sequences at once.
  ModelHost(std::string name, int64_t n_slots, Loader loader);
  // stop() and joins the thread.
  ~ModelHost();

  const std::string& name() const { return name_; }
  State state() const;
  // Calls back with nothing, or with why it can't be loaded; on the model's thread, or at once.
  void when_loaded(std::function<void(const Status&)> callback);
  // Only after the load: never null then, the same for the host's life.
  const LoadedEngine& loaded() const { return *loaded_; }
  const Engine& engine() const { return *loaded_->engine; }

  // Queues work. Errors: 429 when the queue is full and this client has no less in it than others;
  // else the newest of the client with the most gives way, of what hasn't begun.
  ApiResult<bool> enqueue(std::shared_ptr<Work> work);
  // Takes effect before the next step.
  void cancel(const std::shared_ptr<Work>& work);
  void answer_now(const std::shared_ptr<Work>& work);
  // Cancels what runs, refuses what waits, takes nothing more.
  void stop();

  HostStats stats() const;
  // Nothing queued, nothing running, nobody waiting for the load.
  bool is_idle() const;

  // Who uses the host keeps it from being unloaded.
  std::atomic<int> n_users{0};

 private:
  struct Turn {
    std::shared_ptr<Work> work;
    size_t choice = 0;
  };

  void run(const Loader& loader);
  void admit_locked(std::unique_lock<std::mutex>& lock);
  std::optional<Turn> take_next_locked();
  void start(const Turn& turn);
  static void end_rest_of(const std::shared_ptr<Work>& work);
  ApiResult<bool> make_room_locked(const std::string& client, std::shared_ptr<Work>& loser);

  const std::string name_;
  const int64_t n_slots_;
  std::unique_ptr<LoadedEngine> loaded_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  State state_ = State::kLoading;
  Status load_status_;
  std::vector<std::function<void(const Status&)>> waiting_;
  std::map<std::string, std::deque<std::shared_ptr<Work>>> queues_;  // by client, none empty
  std::string last_client_;                                          // whose turn it was
  size_t n_queued_ = 0;
  std::vector<std::shared_ptr<Work>> broken_off_;  // cancelled between two of their sequences
  std::set<RequestId> running_ids_;
  int64_t n_running_ = 0;
  HostStats stats_;
  bool stop_ = false;
  std::thread thread_;
};

// Keeps a host in memory while somebody uses it: ModelPool lets go of none that has users.
class HostLease {
 public:
  HostLease() = default;
  explicit HostLease(ModelHost* host) : host_(host) { ++host_->n_users; }
  HostLease(HostLease&& other) noexcept : host_(std::exchange(other.host_, nullptr)) {}
  HostLease& operator=(HostLease&& other) noexcept {
    std::swap(host_, other.host_);
    return *this;
  }
  ~HostLease() {
    if (host_ != nullptr) --host_->n_users;
  }
  ModelHost* operator->() const { return host_; }
  ModelHost& operator*() const { return *host_; }

 private:
  ModelHost* host_ = nullptr;
};

}  // namespace reckon::server
