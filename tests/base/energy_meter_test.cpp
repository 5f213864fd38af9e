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
  void set(int package, const std::string& microjoules, const std::string& range = "1000000") {
    const std::string folder = root_ + "/intel-rapl:" + std::to_string(package);
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/max_energy_range_uj") << range << '\n';
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

TEST_F(EnergyMeterTest, NothingToRead) {
  EnergyMeter none(root_ + "/absent");
  EXPECT_FALSE(none.readable());
  EXPECT_EQ(none.take(), 0);
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
