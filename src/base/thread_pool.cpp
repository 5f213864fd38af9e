// The team waits for a round by spinning briefly (a decode step has hundreds of rounds,
// microseconds apart) and then sleeping.
#include "base/thread_pool.h"

#include <sched.h>

#include <exception>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"

namespace reckon {
namespace {

// About 20 microseconds of pause instructions: longer than the gap between two rounds of one step,
// far shorter than a token, so an idle team soon costs nothing.
constexpr int kSpinTurns = 2000;

void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

int read_int(const std::string& path, int fallback) {
  std::ifstream in(path);
  int value = fallback;
  if (!(in >> value)) return fallback;
  return value;
}

}  // namespace

int physical_core_count() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    const unsigned n = std::thread::hardware_concurrency();
    return n == 0 ? 1 : static_cast<int>(n);
  }
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(static_cast<size_t>(cpu), &allowed)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    // A processor that does not tell its core counts as one of its own.
    const int core = read_int(topology + "core_id", -1 - cpu);
    const int package = read_int(topology + "physical_package_id", 0);
    cores.insert({package, core});
  }
  return cores.empty() ? 1 : static_cast<int>(cores.size());
}

ThreadPool::ThreadPool(int n_threads) {
  RECKON_CHECK(n_threads >= 1);
  parts_ = std::make_unique<Part[]>(static_cast<size_t>(n_threads));
  workers_.reserve(static_cast<size_t>(n_threads - 1));
  try {
    for (int thread = 1; thread < n_threads; ++thread) {
      workers_.emplace_back([this, thread] { work(thread); });
    }
  } catch (const std::exception&) {
    // No more threads or no memory for one: the team stays as it is. Letting the exception out
    // would destroy running threads.
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true, std::memory_order_relaxed);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t n_pieces, Call call, const void* context) {
  if (n_pieces <= 0) return;
  RECKON_CHECK(!is_running_.exchange(true, std::memory_order_relaxed));
  if (workers_.empty() || n_pieces == 1) {
    for (int64_t piece = 0; piece < n_pieces; ++piece) call(context, piece, 0);
    is_running_.store(false, std::memory_order_relaxed);
    return;
  }
  call_ = call;
  context_ = context;
  for (int64_t t = 0; t < n_threads(); ++t) {
    Part& part = parts_[static_cast<size_t>(t)];
    part.next.store(n_pieces * t / n_threads(), std::memory_order_relaxed);
    part.end = n_pieces * (t + 1) / n_threads();
  }
  const uint64_t number = (round_.load(std::memory_order_relaxed) >> 32) + 1;
  const uint64_t empty_round = number << 32 | kOpen;
  {
    // Under the lock, so that a worker between its last look and its sleep can't miss the round.
    const std::lock_guard<std::mutex> lock(mutex_);
    round_.store(empty_round, std::memory_order_release);
  }
  wake_.notify_all();
  take_pieces(0);
  // All pieces are handed out. Closing the round succeeds when nobody is inside, and acquires what
  // the workers that left have written.
  for (int turn = 0;; ++turn) {
    uint64_t expected = empty_round;
    if (round_.compare_exchange_weak(expected, empty_round & ~kOpen, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      break;
    }
    if (turn < kSpinTurns) {
      spin_pause();
    } else {
      std::this_thread::yield();
    }
  }
  is_running_.store(false, std::memory_order_relaxed);
}

void ThreadPool::take_pieces(int thread) {
  for (int i = 0; i < n_threads(); ++i) {
    Part& part = parts_[static_cast<size_t>((thread + i) % n_threads())];
    for (;;) {
      const int64_t piece = part.next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= part.end) break;
      call_(context_, piece, thread);
    }
  }
}

void ThreadPool::work(int thread) {
  uint64_t seen = 0;  // the number of the round that this worker was last inside
  uint64_t round = 0;
  const auto may_enter = [&] {
    round = round_.load(std::memory_order_relaxed);
    return (round & kOpen) != 0 && round >> 32 != seen;
  };
  for (;;) {
    bool enter = may_enter();
    for (int turn = 0; !enter && turn < kSpinTurns; ++turn) {
      spin_pause();
      enter = may_enter();
    }
    if (!enter) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return may_enter() || stop_.load(std::memory_order_relaxed); });
    }
    if (stop_.load(std::memory_order_relaxed)) return;
    // Fails when the round has been closed or another worker came or left meanwhile.
    if (!round_.compare_exchange_weak(round, round + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
      continue;
    }
    seen = round >> 32;
    take_pieces(thread);
    round_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace reckon
