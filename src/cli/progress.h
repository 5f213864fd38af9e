// A progress bar on standard error: redrawn in place on a terminal, plain lines elsewhere, and
// nothing at all for what is done within two seconds.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace reckon::cli {

class Progress {
 public:
  // what: "writing model.gguf". json: the caller prints JSON, so that only a terminal sees
  // anything.
  explicit Progress(std::string what, bool json = false);
  // Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // done of total units; detail stands at the end ("blk.3.attn_q.weight"). seconds_left: where the
  // caller knows better than what was done since the first update, which may be that of a job that
  // goes on from where it was stopped.
  void update(double done, double total, std::string_view detail = {},
              std::optional<double> seconds_left = {});

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  const bool silent_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point drawn_ = started_;
  struct First {
    Clock::time_point at;
    double done;
  };
  std::optional<First> first_;
  bool on_screen_ = false;
};

// "1:02:03", "4:05".
std::string format_duration(double seconds);

}  // namespace reckon::cli
