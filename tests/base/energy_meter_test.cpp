// Counters as files: sums, the counter's start from 0 again, and machines without any.
#include "base/energy_meter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace reckon {
namespace {

class EnergyMeterTest : public ::testing::Test {
 protected:
  EnergyMeterTest() {
    std::string name = ::testing::TempDir() + "/energyXXXXXX";
    root_ = mkdtemp(name.data());
  }
  ~EnergyMeterTest() override { std::filesystem::remove_all(root_); }
  void set(int zone, const std::string& microjoules, const std::string& name = "package-0") {
    const std::string folder = root_ + "/intel-rapl:" + std::to_string(zone);
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/name") << name << '\n';
    std::ofstream(folder + "/max_energy_range_uj") << 1'000'000 << '\n';
    std::ofstream(folder + "/energy_uj") << microjoules << '\n';
  }
  std::string root_;
};

TEST_F(EnergyMeterTest, AddsUpPackages) {
  set(0, "100");
  set(1, "500000");
  EnergyMeter meter(root_);
  EXPECT_TRUE(meter.readable());
  EXPECT_EQ(meter.take(), 0);
  set(0, "250100");
  set(1, "750000");
  EXPECT_DOUBLE_EQ(meter.take(), 0.5);
  EXPECT_EQ(meter.take(), 0);
}

TEST_F(EnergyMeterTest, ACounterThatStartedAgain) {
  set(0, "900000");
  EnergyMeter meter(root_);
  meter.take();
  set(0, "100000");
  EXPECT_DOUBLE_EQ(meter.take(), 0.2);
}

TEST_F(EnergyMeterTest, OnlyPackagesCount) {
  set(0, "100", "psys");
  set(1, "100", "package-0-die-1");
  set(2, "100", "pack");
  EnergyMeter meter(root_);
  meter.take();
  set(0, "900000", "psys");
  set(1, "250100", "package-0-die-1");
  set(2, "900000", "pack");
  EXPECT_DOUBLE_EQ(meter.take(), 0.25);
}

TEST_F(EnergyMeterTest, NothingToRead) {
  EnergyMeter none(root_ + "/absent");
  EXPECT_FALSE(none.readable());
  EXPECT_EQ(none.take(), 0);
  set(0, "100", "psys");
  EXPECT_FALSE(EnergyMeter(root_).readable());
  set(0, "no number");
  EXPECT_FALSE(EnergyMeter(root_).readable());
}

TEST_F(EnergyMeterTest, ACounterThatFailsLater) {
  set(0, "100");
  EnergyMeter meter(root_);
  meter.take();
  set(0, "");
  EXPECT_EQ(meter.take(), 0);
  set(0, "1000100");
  EXPECT_DOUBLE_EQ(meter.take(), 1);
}

}  // namespace
}  // namespace reckon
