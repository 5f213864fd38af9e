// A fixed team of threads that share one loop at a time. Each begins with a part of its own, so
// that what it reads lies together, and then helps the others with theirs, so that slow cores do
// less; what a piece computes never depends on who takes it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace reckon {

// Physical cores this process may run on (hyperthreads counted once, the affinity mask obeyed); at
// least 1.
int physical_core_count();

class ThreadPool {
 public:
  // n_threads counts the caller, who works too: ThreadPool(1) starts no thread. When the system
  // gives fewer threads than asked for, the team is smaller: n_threads() tells.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(piece, thread) for every piece in [0, n_pieces), each once, on any thread;
  // thread is in [0, n_threads) and no two calls run at once with the same one. Returns when all
  // are done. One round at a time: neither a body nor another thread may start a second one (a
  // CHECK); body must not throw.
  template <class Body>
  void parallel_for(int64_t n_pieces, const Body& body) {
    run(
        n_pieces,
        [](const void* context, int64_t piece, int thread) {
          (*static_cast<const Body*>(context))(piece, thread);
        },
        &body);
  }

 private:
  using Call = void (*)(const void* context, int64_t piece, int thread);
  static constexpr uint64_t kOpen = uint64_t{1} << 31;

  void run(int64_t n_pieces, Call call, const void* context);
  void work(int thread);
  void take_pieces(int thread);

  // The pieces that are a thread's own to begin with, and the next of them that nobody has taken.
  struct alignas(64) Part {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  // One round. run() writes these while no worker is inside and publishes them by round_; it
  // closes the round when all pieces are done and every worker that came has left. Workers that are
  // asleep or kept from running by other programs are not waited for.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  std::unique_ptr<Part[]> parts_;  // [n_threads]
  // The round's number << 32, kOpen while workers may enter, and how many are inside.
  alignas(64) std::atomic<uint64_t> round_{0};
  std::atomic<bool> is_running_{false};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace reckon
