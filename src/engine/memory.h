// Memory known before the load: what the machine (or the container) has left, what a model needs at
// which context, and what to advise when it doesn't fit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace reckon {

// Bytes that can be had without swapping: the least of /proc/meminfo's MemAvailable, what the
// control groups (version 1 or 2) of this process leave, file pages counted as free, and what a
// limit on its address space leaves. root is put before every path but that one's, for tests.
// Errors: kFailed when /proc/meminfo can't be read.
Result<int64_t> available_memory(const std::string& root = "");

// The most that this process has had resident so far, in bytes; 0 where the system doesn't tell.
int64_t resident_peak();

struct MemoryNeeds {
  int64_t weights_bytes = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t working_bytes = 0;     // what doesn't grow with the context: buffers, vocabulary, program
  int64_t model_context = 0;     // the model's own limit
  int64_t n_sequences = 1;       // each with room for the whole context
  bool context_is_given = true;  // false: it follows from the job, and no smaller one is advised
};

struct MemoryPlan {
  int64_t context_length = 0;
  int64_t weights_bytes = 0;
  int64_t kv_bytes = 0;
  int64_t working_bytes = 0;
  int64_t available_bytes = 0;

  int64_t total_bytes() const { return weights_bytes + kv_bytes + working_bytes; }
};

// wanted_context: what the user asked for, or empty for the largest that fits, up to the model's
// own, in steps of kContextStep. paged: the weights stay in their file and need not fit.
// Errors: kUsage for a context beyond the model's, kFailed when it doesn't fit, with the message
// "needs 5.1 GiB weights + 0.9 GiB cache at 16k; 3.2 GiB free: try --ctx 4096 or r1:1.5b".
Result<MemoryPlan> plan_memory(const MemoryNeeds& needs, int64_t available_bytes,
                               std::optional<int64_t> wanted_context, bool paged);

inline constexpr int64_t kContextStep = 1024;
// The least context that is chosen or advised on its own.
inline constexpr int64_t kLeastContext = 1024;

// "5.1 GiB", "0.9 GiB", "100 MiB".
std::string format_bytes(int64_t bytes);
// "16k" for multiples of 1024, digits otherwise.
std::string format_context(int64_t n_tokens);

}  // namespace reckon
