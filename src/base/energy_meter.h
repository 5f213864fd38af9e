// The processor's own energy counters (Intel's RAPL, which AMD has too), as Linux shows them under
// /sys/class/powercap. Many systems show them to root alone, virtual machines not at all.
#pragma once

#include <string>
#include <vector>

namespace reckon {

class EnergyMeter {
 public:
  // root: where the counters' folders are.
  explicit EnergyMeter(const std::string& root = "/sys/class/powercap");
  EnergyMeter(const EnergyMeter&) = delete;
  EnergyMeter& operator=(const EnergyMeter&) = delete;
  ~EnergyMeter();

  // Whether there is a counter that may be read.
  bool readable() const { return !packages_.empty(); }
  // Joules of all packages since the last call, 0 at the first or where none can be read.
  double take();

 private:
  struct Package {
    int fd = -1;
    double range_uj = 0;  // where the counter starts again
    double last_uj = -1;
  };
  std::vector<Package> packages_;
};

}  // namespace reckon
