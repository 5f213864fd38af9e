// One file a package stays open and is read anew from its beginning.
#include "base/energy_meter.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <string_view>

namespace reckon {
namespace {

// A zone named "psys" counts the packages once more, with the board around them.
bool is_package(const std::string& folder) {
  constexpr std::string_view kPrefix = "package";
  const int fd = open((folder + "/name").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, kPrefix.size()> text{};
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  close(fd);
  return n == std::ssize(kPrefix) && std::string_view(text.data(), text.size()) == kPrefix;
}

std::optional<double> read_number(int fd) {
  std::array<char, 32> text{};
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  if (n <= 0) return std::nullopt;
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + n, value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return static_cast<double>(value);
}

constexpr int kMaxZones = 16;

}  // namespace

EnergyMeter::EnergyMeter(const std::string& root) {
  for (int i = 0; i < kMaxZones; ++i) {
    const std::string folder = root + "/intel-rapl:" + std::to_string(i);
    const int range = open((folder + "/max_energy_range_uj").c_str(), O_RDONLY | O_CLOEXEC);
    if (range < 0) break;
    const std::optional<double> range_uj = read_number(range);
    close(range);
    if (!is_package(folder)) continue;
    const int fd = open((folder + "/energy_uj").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    if (range_uj && read_number(fd)) {
      packages_.push_back({.fd = fd, .range_uj = *range_uj});
    } else {
      close(fd);
    }
  }
}

EnergyMeter::~EnergyMeter() {
  for (const Package& package : packages_) close(package.fd);
}

double EnergyMeter::take() {
  double total_uj = 0;
  for (Package& package : packages_) {
    const std::optional<double> now = read_number(package.fd);
    if (!now) continue;
    if (package.last_uj >= 0) {
      total_uj += *now - package.last_uj;
      if (*now < package.last_uj) total_uj += package.range_uj;
    }
    package.last_uj = *now;
  }
  return total_uj * 1e-6;
}

}  // namespace reckon
