// A program run beside ours that may hang, crash, flood or try things: it gets one text and gives
// one, in a session of its own that ends with it, with limits on time, memory, files and output,
// without our environment and open files, and without network. docs/decisions/0020 says what that
// keeps off and what not.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace reckon {

struct ChildLimits {
  int64_t time_ms = 10'000;                 // of the clock; processor time likewise
  int64_t memory_bytes = int64_t{1} << 30;  // address space of each process
  int64_t output_bytes = int64_t{64}
                         << 10;  // of standard output; what goes to standard error is lost
};

class SandboxedChild {
 public:
  // Starts the program, without arguments. Errors: kFailed when there is no process or pipe to be
  // had. That it can't be shut in or run is told by poll().
  static Result<SandboxedChild> start(const std::string& program, std::string input,
                                      const ChildLimits& limits);

  SandboxedChild(SandboxedChild&& other) noexcept;
  SandboxedChild& operator=(SandboxedChild&& other) noexcept;
  ~SandboxedChild();  // ends it

  // Moves texts; waits for at most wait_ms for something to move. Its output when it has ended by
  // itself with exit code 0, late or not; an error (kFailed) that says what it did otherwise. Not
  // to be called again then. Needs SIGCHLD not to be ignored.
  std::optional<Result<std::string>> poll(int wait_ms);

 private:
  SandboxedChild() = default;
  void feed();
  Status drain();
  std::optional<Result<std::string>> ending();
  void kill_all() noexcept;

  pid_t pid_ = -1;    // also its session and process group
  int in_ = -1;       // to its standard input
  int out_ = -1;      // from its standard output
  int failure_ = -1;  // what keeps it from starting
  std::string input_;
  size_t n_fed_ = 0;
  std::string output_;
  ChildLimits limits_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace reckon
