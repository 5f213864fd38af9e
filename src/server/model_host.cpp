// The stepping thread holds the mutex only between steps; the engine's own submit, cancel and
// answer_now may be called beside it.
#include "server/model_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace reckon::server {

namespace {

// Paths run beside each other, as many as their window holds.
int64_t n_sequences(const Request& request) {
  return std::min(request.paths.n, request.paths.window);
}

Status shutting_down() { return failed("the server is shutting down"); }

}  // namespace

ModelHost::ModelHost(std::string name, int64_t n_slots, Loader loader)
    : name_(std::move(name)), n_slots_(n_slots) {
  thread_ = std::thread([this, loader = std::move(loader)] { run(loader); });
}

ModelHost::~ModelHost() {
  stop();
  thread_.join();
}

ModelHost::State ModelHost::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void ModelHost::when_loaded(std::function<void(const Status&)> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kLoading && !stop_) {
      waiting_.push_back(std::move(callback));
      return;
    }
  }
  callback(state() == State::kLoading ? shutting_down() : load_status_);
}

ApiResult<bool> ModelHost::make_room_locked(const std::string& client,
                                            std::shared_ptr<Work>& loser) {
  if (n_queued_ < kMaxQueued) return true;
  const auto longest = std::max_element(
      queues_.begin(), queues_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  const auto own = queues_.find(client);
  const size_t n_own = own == queues_.end() ? 0 : own->second.size();
  const ApiError refusal{.status = 429,
                         .message = fmt::format("too many requests wait already: {}", n_queued_),
                         .code = "queue_full",
                         .retry_after_s = 5};
  if (n_own + 1 >= longest->second.size()) return refusal;
  std::deque<std::shared_ptr<Work>>& works = longest->second;
  const auto newest = std::find_if(works.rbegin(), works.rend(),
                                   [](const auto& work) { return work->n_begun_ == 0; });
  if (newest == works.rend()) return refusal;
  loser = std::move(*newest);
  works.erase(std::next(newest).base());
  if (works.empty()) queues_.erase(longest);
  --n_queued_;
  return true;
}

ApiResult<bool> ModelHost::enqueue(std::shared_ptr<Work> work) {
  std::shared_ptr<Work> loser;
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return ApiError{.status = 503, .message = "the model is being unloaded"};
    ApiResult<bool> room = make_room_locked(work->client, loser);
    if (!room.ok()) return room;
    work->on_queued();
    queues_[work->client].push_back(std::move(work));
    ++n_queued_;
  }
  wake_.notify_all();
  if (loser != nullptr) {
    loser->on_refused({.status = 429,
                       .message = "another client's turn came: too many requests wait",
                       .code = "queue_full",
                       .retry_after_s = 5});
  }
  return true;
}

void ModelHost::cancel(const std::shared_ptr<Work>& work) {
  bool was_queued = false;
  {
    const std::lock_guard lock(mutex_);
    work->cancelled_ = true;
    for (const RequestId id : work->ids_) loaded_->engine->cancel(id);
    const auto queue = queues_.find(work->client);
    if (queue != queues_.end()) was_queued = std::erase(queue->second, work) > 0;
    if (was_queued) {
      --n_queued_;
      if (queue->second.empty()) queues_.erase(queue);
    }
    if (was_queued && work->n_begun_ > 0) {
      broken_off_.push_back(work);  // its events are the stepping thread's
      was_queued = false;
    }
  }
  wake_.notify_all();
  if (was_queued) work->on_refused({.status = 503, .message = "the request was cancelled"});
}

void ModelHost::answer_now(const std::shared_ptr<Work>& work) {
  const std::lock_guard lock(mutex_);
  work->answer_now_ = true;
  for (const RequestId id : work->ids_) loaded_->engine->answer_now(id);
}

void ModelHost::stop() {
  std::vector<std::function<void(const Status&)>> waiting;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    for (const RequestId id : running_ids_) loaded_->engine->cancel(id);
    waiting.swap(waiting_);
  }
  wake_.notify_all();
  // The load may take a while yet.
  for (const auto& callback : waiting) callback(shutting_down());
}

HostStats ModelHost::stats() const {
  const std::lock_guard lock(mutex_);
  HostStats stats = stats_;
  stats.n_queued = static_cast<int64_t>(n_queued_);
  stats.n_running = n_running_;
  return stats;
}

bool ModelHost::is_idle() const {
  const std::lock_guard lock(mutex_);
  return n_users == 0 && n_queued_ == 0 && n_running_ == 0 && waiting_.empty();
}

// One sequence of the next client after the one that had its turn; works of one client take turns
// by sequences too.
std::optional<ModelHost::Turn> ModelHost::take_next_locked() {
  if (queues_.empty()) return std::nullopt;
  auto entry = queues_.upper_bound(last_client_);
  if (entry == queues_.end()) entry = queues_.begin();
  last_client_ = entry->first;
  Turn turn{.work = std::move(entry->second.front())};
  entry->second.pop_front();
  turn.choice = turn.work->n_begun_++;
  n_running_ += n_sequences(turn.work->requests[turn.choice]);
  if (turn.work->n_begun_ < turn.work->requests.size()) {
    entry->second.push_back(turn.work);
  } else {
    --n_queued_;
  }
  if (entry->second.empty()) queues_.erase(entry);
  return turn;
}

void ModelHost::start(const Turn& turn) {
  const auto& [work, choice] = turn;
  Request request = std::move(work->requests[choice]);
  const auto sink = [this, turn, n = n_sequences(request)](RequestId id, const Event& event) {
    if (std::holds_alternative<FinishedEvent>(event)) {
      const std::lock_guard lock(mutex_);
      n_running_ -= n;
      running_ids_.erase(id);
    }
    turn.work->on_event(turn.choice, event);
  };
  Result<RequestId> id = loaded_->engine->submit(std::move(request), sink);
  if (!id.ok()) {
    FinishedEvent event;
    event.reason = FinishReason::kError;
    event.error = id.error().message;
    sink(0, event);
    return;
  }
  const std::lock_guard lock(mutex_);
  work->ids_.push_back(*id);
  running_ids_.insert(*id);
  if (work->cancelled_ || stop_) loaded_->engine->cancel(*id);
  if (work->answer_now_) loaded_->engine->answer_now(*id);
}

// Of a work that was ended between two of its sequences.
void ModelHost::end_rest_of(const std::shared_ptr<Work>& work) {
  FinishedEvent event;
  event.reason = FinishReason::kCancelled;
  for (size_t choice = work->n_begun_; choice < work->requests.size(); ++choice) {
    work->on_event(choice, event);
  }
}

// Fills free slots.
void ModelHost::admit_locked(std::unique_lock<std::mutex>& lock) {
  while (n_running_ < n_slots_) {
    const std::optional<Turn> turn = take_next_locked();
    if (!turn) return;
    lock.unlock();
    start(*turn);
    lock.lock();
  }
}

void ModelHost::run(const Loader& loader) {
  Result<LoadedEngine> loaded = loader();
  std::vector<std::function<void(const Status&)>> waiting;
  Status status;
  {
    const std::lock_guard lock(mutex_);
    if (loaded.ok()) {
      loaded_ = std::make_unique<LoadedEngine>(std::move(*loaded));
      state_ = State::kReady;
    } else {
      load_status_ = loaded.error();
      state_ = State::kFailed;
    }
    status = load_status_;
    waiting.swap(waiting_);
  }
  for (const auto& callback : waiting) callback(status);
  waiting.clear();  // they hold leases
  if (!status.ok()) return;

  Engine& engine = *loaded_->engine;
  for (;;) {
    std::vector<std::shared_ptr<Work>> broken_off;
    {
      std::unique_lock lock(mutex_);
      stats_.engine = engine.stats();
      if (!stop_) admit_locked(lock);
      broken_off.swap(broken_off_);
      if (n_running_ == 0 && broken_off.empty()) {
        if (stop_) break;
        wake_.wait(lock, [this] { return stop_ || n_queued_ > 0 || !broken_off_.empty(); });
        continue;
      }
    }
    for (const auto& work : broken_off) end_rest_of(work);
    engine.step();
  }
  std::map<std::string, std::deque<std::shared_ptr<Work>>> left;
  {
    const std::lock_guard lock(mutex_);
    left.swap(queues_);
    n_queued_ = 0;
  }
  for (const auto& [client, works] : left) {
    for (const auto& work : works) {
      if (work->n_begun_ > 0) {
        end_rest_of(work);
      } else {
        work->on_refused({.status = 503, .message = "the server is shutting down"});
      }
    }
  }
}

}  // namespace reckon::server
