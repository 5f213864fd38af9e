// What the server counts, and Prometheus' text of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "engine/request.h"
#include "server/model_pool.h"

namespace reckon::server {

struct Metrics {
  std::atomic<int64_t> requests{0};         // to any route
  std::atomic<int64_t> refused_foreign{0};  // Host or Origin
  std::atomic<int64_t> refused_key{0};
  std::atomic<int64_t> refused_limit{0};  // 429
  std::atomic<int64_t> answers_started{0};
  std::atomic<int64_t> answers_finished{0};
  std::atomic<int64_t> answers_cancelled{0};
  std::atomic<int64_t> answers_failed{0};
  std::atomic<int64_t> prompt_tokens{0};
  std::atomic<int64_t> cached_tokens{0};
  std::atomic<int64_t> completion_tokens{0};
  std::atomic<int64_t> reasoning_tokens{0};
  std::atomic<int64_t> prefill_us{0};
  std::atomic<int64_t> decode_us{0};

  void count(FinishReason reason, const Usage& usage, const Timings& timings);
  // The exposition format, version 0.0.4.
  std::string text(const ModelPool& pool) const;
};

}  // namespace reckon::server
