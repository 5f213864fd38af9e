// The team of threads: every piece exactly once, thread numbers that are never used twice at once,
// and rounds that follow each other at once or after the team has gone to sleep.
#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace reckon {
namespace {

TEST(ThreadPool, RunsEveryPieceOnce) {
  for (const int n_threads : {1, 2, 3, 4, 8}) {
    ThreadPool pool(n_threads);
    EXPECT_EQ(pool.n_threads(), n_threads);
    for (const int64_t n_pieces : {0, 1, 2, 3, 7, 8, 9, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(n_pieces));
      pool.parallel_for(n_pieces, [&](int64_t piece, int thread) {
        EXPECT_GE(thread, 0);
        EXPECT_LT(thread, n_threads);
        runs[static_cast<size_t>(piece)].fetch_add(1);
      });
      for (const auto& count : runs) EXPECT_EQ(count.load(), 1);
    }
  }
}

// Plain memory, without atomics: what one round writes, the next one reads on other threads, and
// each thread's own slot is used by one call at a time. The thread sanitizer watches both.
TEST(ThreadPool, RoundsSeeWhatEarlierRoundsWrote) {
  constexpr int kThreads = 4;
  constexpr int64_t kPieces = 33;
  constexpr int kRounds = 3000;
  ThreadPool pool(kThreads);
  std::vector<int64_t> values(kPieces, 0);
  std::vector<int64_t> work_of_thread(kThreads, 0);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<int64_t> next(kPieces);
    pool.parallel_for(kPieces, [&](int64_t piece, int thread) {
      const int64_t from = (piece + 1) % kPieces;
      next[static_cast<size_t>(piece)] = values[static_cast<size_t>(from)] + 1;
      ++work_of_thread[static_cast<size_t>(thread)];
    });
    values = next;
  }
  for (const int64_t value : values) EXPECT_EQ(value, kRounds);
  int64_t total = 0;
  for (const int64_t work : work_of_thread) total += work;
  EXPECT_EQ(total, kPieces * kRounds);
}

TEST(ThreadPool, RoundsOfDifferentLoopsDoNotMix) {
  ThreadPool pool(3);
  for (int round = 0; round < 5000; ++round) {
    // Alternating bodies and counts: a worker that came late into a new round with the old body or
    // count would write outside, or leave a piece out.
    const int64_t n_pieces = 2 + round % 5;
    std::vector<int> seen(static_cast<size_t>(n_pieces), 0);
    if (round % 2 == 0) {
      pool.parallel_for(n_pieces,
                        [&](int64_t piece, int) { seen[static_cast<size_t>(piece)] += 1; });
      for (const int count : seen) ASSERT_EQ(count, 1);
    } else {
      pool.parallel_for(n_pieces,
                        [&](int64_t piece, int) { seen[static_cast<size_t>(piece)] += 10; });
      for (const int count : seen) ASSERT_EQ(count, 10);
    }
  }
}

TEST(ThreadPool, WakesASleepingTeam) {
  ThreadPool pool(4);
  for (int round = 0; round < 20; ++round) {
    // Far longer than the spin, so that the workers sleep.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> runs{0};
    pool.parallel_for(8, [&](int64_t, int) { runs.fetch_add(1); });
    EXPECT_EQ(runs.load(), 8);
  }
}

// One piece that takes long: the others go to the threads that are free.
TEST(ThreadPool, HandsPiecesOutDynamically) {
  ThreadPool pool(2);
  std::atomic<int> others{0};
  std::atomic<bool> all_others_done_meanwhile{false};
  pool.parallel_for(9, [&](int64_t piece, int) {
    if (piece != 0) {
      others.fetch_add(1);
      return;
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (others.load() < 8 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    all_others_done_meanwhile = others.load() == 8;
  });
  EXPECT_TRUE(all_others_done_meanwhile.load());
}

TEST(ThreadPool, StartsAndStopsQuickly) {
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool(4);
    if (i % 2 == 0) pool.parallel_for(3, [](int64_t, int) {});
  }
}

TEST(ThreadPool, TwoTeamsWorkSideBySide) {
  std::atomic<int64_t> total{0};
  const auto drive = [&total] {
    ThreadPool pool(3);
    for (int round = 0; round < 300; ++round) {
      pool.parallel_for(10, [&](int64_t piece, int) { total.fetch_add(piece); });
    }
  };
  std::thread other(drive);
  drive();
  other.join();
  EXPECT_EQ(total.load(), 2 * 300 * 45);
}

TEST(ThreadPoolDeathTest, ARoundInsideARoundIsAProgrammersMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto nested = [] {
    ThreadPool pool(2);
    pool.parallel_for(2, [&](int64_t, int) { pool.parallel_for(2, [](int64_t, int) {}); });
  };
  EXPECT_DEATH(nested(), "internal error");
}

TEST(PhysicalCoreCount, IsBetweenOneAndTheProcessorCount) {
  EXPECT_GE(physical_core_count(), 1);
  EXPECT_LE(physical_core_count(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace reckon
