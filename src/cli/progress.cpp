// Drawing and pacing of progress bars.
#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/output.h"

namespace reckon::cli {
namespace {

constexpr std::chrono::milliseconds kPatience{2000};    // before anything is shown
constexpr std::chrono::milliseconds kRedraw{100};       // on a terminal
constexpr std::chrono::milliseconds kLineEvery{10000};  // elsewhere
constexpr int kBarCells = 24;
constexpr std::string_view kClearLine = "\r\x1b[K";

size_t terminal_columns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string what, bool json)
    : what_(std::move(what)), silent_(json && !err().is_terminal()) {}

Progress::~Progress() {
  if (!on_screen_ || !err().is_terminal()) return;
  err().write(kClearLine);
  err().flush();
}

void Progress::update(double done, double total, std::string_view detail,
                      std::optional<double> seconds_left) {
  if (silent_) return;
  const Clock::time_point now = Clock::now();
  if (!first_) first_ = {now, done};
  const auto pace = err().is_terminal() ? kRedraw : kLineEvery;
  if (now - started_ < kPatience || (on_screen_ && now - drawn_ < pace) || !(total > 0)) return;
  drawn_ = now;
  on_screen_ = true;
  const double share = std::clamp(done / total, 0.0, 1.0);
  if (!seconds_left && done > first_->done) {
    const double elapsed = std::chrono::duration<double>(now - first_->at).count();
    seconds_left = (total - done) * elapsed / (done - first_->done);
  }
  const std::string left =
      seconds_left ? fmt::format(", {} left", format_duration(*seconds_left)) : "";
  std::string line;
  if (err().is_terminal()) {
    const int cells = static_cast<int>(share * kBarCells);
    line = fmt::format("{} [{:#<{}}{:.<{}}] {:.0f} %{}  {}", what_, "", cells, "",
                       kBarCells - cells, share * 100, left, detail);
    line = visible(line).substr(0, terminal_columns() - 1);
    err().write(kClearLine);
    err().write(line);
  } else {
    err().write(fmt::format("{}: {:.0f} %{}  {}\n", what_, share * 100, left, detail));
  }
  err().flush();
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<long>(std::lround(std::max(0.0, seconds)));
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace reckon::cli
