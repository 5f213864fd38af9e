// Memory: what the system says, and what is planned and advised.
#include "engine/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kGiB = int64_t{1} << 30;
constexpr int64_t kMiB = int64_t{1} << 20;

// A file system root that only says what a test puts there.
class FakeRoot {
 public:
  FakeRoot() {
    path_ = ::testing::TempDir() + "reckon_memory_" + std::to_string(::getpid()) + "_" +
            std::to_string(counter_++);
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  FakeRoot& put(const std::string& name, const std::string& text) {
    const std::filesystem::path file = path_ + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return *this;
  }
  const std::string& path() const { return path_; }

 private:
  static inline int counter_ = 0;
  std::string path_;
};

const char kMeminfo[] =
    "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n";

TEST(AvailableMemory, IsTheMachinesWithoutGroups) {
  FakeRoot root;
  root.put("/proc/meminfo", kMeminfo);
  EXPECT_EQ(*available_memory(root.path()), 8000000ll * 1024);
}

TEST(AvailableMemory, ObeysVersion2GroupsAllTheWayUp) {
  FakeRoot root;
  root.put("/proc/meminfo", kMeminfo).put("/proc/self/cgroup", "0::/user/job\n");
  root.put("/sys/fs/cgroup/user/job/memory.max", "max\n")
      .put("/sys/fs/cgroup/user/job/memory.current", "5\n");
  EXPECT_EQ(*available_memory(root.path()), 8000000ll * 1024);
  root.put("/sys/fs/cgroup/user/memory.max", "4000000000\n")
      .put("/sys/fs/cgroup/user/memory.current", "3000000000\n")
      .put("/sys/fs/cgroup/user/memory.stat",
           "anon 900000000\nfile 2100000000\ninactive_file 1500000000\nactive_file 500000000\n");
  EXPECT_EQ(*available_memory(root.path()), 3000000000ll);
}

TEST(AvailableMemory, ObeysTheRootGroupOfAContainer) {
  FakeRoot root;
  root.put("/proc/meminfo", kMeminfo).put("/proc/self/cgroup", "0::/\n");
  root.put("/sys/fs/cgroup/memory.max", "2000000000\n")
      .put("/sys/fs/cgroup/memory.current", "500000000\n");
  EXPECT_EQ(*available_memory(root.path()), 1500000000ll);
}

TEST(AvailableMemory, ObeysVersion1Groups) {
  FakeRoot root;
  root.put("/proc/meminfo", kMeminfo).put("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\n");
  root.put("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000000000\n")
      .put("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "700000000\n")
      .put("/sys/fs/cgroup/memory/job/memory.stat",
           "inactive_file 1\ntotal_inactive_file 300000000\ntotal_active_file 100000000\n");
  EXPECT_EQ(*available_memory(root.path()), 700000000ll);
  root.put("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(*available_memory(root.path()), 8000000ll * 1024);
}

TEST(AvailableMemory, SaysWhatIsMissing) {
  FakeRoot root;
  EXPECT_FALSE(available_memory(root.path()).ok());
  root.put("/proc/meminfo", "MemTotal: 5 kB\n");
  EXPECT_THAT(available_memory(root.path()).error().message, HasSubstr("MemAvailable"));
}

TEST(AvailableMemory, ReadsThisMachine) {
  const Result<int64_t> bytes = available_memory();
  ASSERT_TRUE(bytes.ok());
  EXPECT_GT(*bytes, kMiB);
}

// R1-Distill-Qwen-7B in Q5: 57,344 bytes of cache a token.
MemoryNeeds seven_billion() {
  return {.weights_bytes = 5 * kGiB + kGiB / 10,
          .kv_bytes_per_token = 57344,
          .working_bytes = 50 * kMiB,
          .model_context = 131072};
}

TEST(PlanMemory, TakesWhatIsAskedForIfItFits) {
  const Result<MemoryPlan> plan = plan_memory(seven_billion(), 16 * kGiB, 16384, false);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->context_length, 16384);
  EXPECT_EQ(plan->kv_bytes, 16384ll * 57344);
  EXPECT_EQ(plan->total_bytes(), plan->weights_bytes + plan->kv_bytes + plan->working_bytes);
}

TEST(PlanMemory, ChoosesTheLargestContextThatFits) {
  const Result<MemoryPlan> all = plan_memory(seven_billion(), 64 * kGiB, std::nullopt, false);
  EXPECT_EQ(all->context_length, 131072);
  int64_t last = 0;
  for (int64_t gib = 6; gib < 12; ++gib) {
    const Result<MemoryPlan> plan = plan_memory(seven_billion(), gib * kGiB, std::nullopt, false);
    ASSERT_TRUE(plan.ok()) << gib;
    EXPECT_EQ(plan->context_length % kContextStep, 0);
    EXPECT_GT(plan->context_length, last);
    EXPECT_LE(plan->total_bytes(), gib * kGiB);
    EXPECT_FALSE(
        plan_memory(seven_billion(), gib * kGiB, plan->context_length + kContextStep, false).ok());
    last = plan->context_length;
  }
}

TEST(PlanMemory, SaysWhatIsNeededAndWhatToDo) {
  const Result<MemoryPlan> too_long = plan_memory(seven_billion(), 6 * kGiB, 16384, false);
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.error().kind, ErrorKind::kFailed);
  EXPECT_EQ(too_long.error().message,
            "needs 5.1 GiB weights + 0.9 GiB cache at 16k; 6.0 GiB free: try --ctx 8192 or r1:8b");
  const Result<MemoryPlan> too_big =
      plan_memory(seven_billion(), 3 * kGiB + kGiB / 5, 16384, false);
  EXPECT_EQ(too_big.error().message,
            "needs 5.1 GiB weights + 0.9 GiB cache at 16k; 3.2 GiB free: try r1:1.5b or --paged "
            "(slow)");
  const Result<MemoryPlan> hopeless = plan_memory(seven_billion(), kGiB / 2, std::nullopt, false);
  EXPECT_THAT(hopeless.error().message, HasSubstr("0.5 GiB free"));
  EXPECT_THAT(hopeless.error().message, Not(HasSubstr("r1:")));
}

TEST(PlanMemory, AdvisesNeitherTheSameModelNorAContextThatFollowsFromTheJob) {
  MemoryNeeds needs{.weights_bytes = 4'683'073'248,  // the real r1:7b in Q4_K_M
                    .kv_bytes_per_token = 57344,
                    .working_bytes = 0,
                    .model_context = 1 << 20};
  const auto message = [&] {
    return plan_memory(needs, 20 * kGiB, 1 << 20, false).error().message;
  };
  EXPECT_THAT(message(), testing::EndsWith("try --ctx 262144 or r1:1.5b"));
  needs.context_is_given = false;
  EXPECT_THAT(message(), testing::EndsWith("try r1:1.5b or --paged (slow)"));
}

TEST(PlanMemory, PagedWeightsNeedNotFit) {
  EXPECT_TRUE(plan_memory(seven_billion(), 3 * kGiB, 16384, true).ok());
  EXPECT_FALSE(plan_memory(seven_billion(), kGiB / 2, 16384, true).ok());
}

TEST(PlanMemory, RefusesAContextBeyondTheModels) {
  const Result<MemoryPlan> plan = plan_memory(seven_billion(), 64 * kGiB, 131073, false);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().kind, ErrorKind::kUsage);
  EXPECT_FALSE(plan_memory(seven_billion(), 64 * kGiB, 0, false).ok());
}

TEST(PlanMemory, SmallModelsKeepTheirOwnContext) {
  const MemoryNeeds tiny{.weights_bytes = kMiB,
                         .kv_bytes_per_token = 128,
                         .working_bytes = kMiB,
                         .model_context = 100};
  EXPECT_EQ(plan_memory(tiny, kGiB, std::nullopt, false)->context_length, 100);
}

TEST(PlanMemory, SeveralSequencesNeedSeveralCaches) {
  MemoryNeeds needs = seven_billion();
  needs.n_sequences = 4;
  EXPECT_EQ(plan_memory(needs, 16 * kGiB, 4096, false)->kv_bytes, 4 * 4096ll * 57344);
}

TEST(Format, BytesAndContexts) {
  EXPECT_EQ(format_bytes(kGiB), "1.0 GiB");
  EXPECT_EQ(format_bytes(640 * kMiB), "0.6 GiB");
  EXPECT_EQ(format_bytes(100 * kMiB), "100 MiB");
  EXPECT_EQ(format_context(16384), "16k");
  EXPECT_EQ(format_context(1000), "1000");
}

}  // namespace
}  // namespace reckon
