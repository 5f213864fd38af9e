// Control from other threads: no flag is lost, none hits another request.
#include "engine/control_table.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace reckon {
namespace {

TEST(ControlTable, FlagsBelongToOneRequest) {
  ControlTable table;
  const RequestId a = table.claim();
  const RequestId b = table.claim();
  ASSERT_NE(a, 0u);
  EXPECT_NE(a, b);
  EXPECT_TRUE(table.set(a, ControlTable::kCancel));
  EXPECT_TRUE(table.set(a, ControlTable::kAnswerNow));
  EXPECT_EQ(table.flags(a), ControlTable::kCancel | ControlTable::kAnswerNow);
  EXPECT_EQ(table.flags(b), 0u);
}

TEST(ControlTable, UnknownIdsAreRefused) {
  ControlTable table;
  EXPECT_FALSE(table.set(0, ControlTable::kCancel));
  EXPECT_FALSE(table.set(17, ControlTable::kCancel));
  const RequestId id = table.claim();
  EXPECT_FALSE(table.set(id + ControlTable::kSlots, ControlTable::kCancel));
  table.release(id);
  EXPECT_FALSE(table.set(id, ControlTable::kCancel));
  EXPECT_EQ(table.flags(id), 0u);
}

TEST(ControlTable, SlotsAreUsedAgainWithFreshIds) {
  ControlTable table;
  std::set<RequestId> seen;
  std::vector<RequestId> ids;
  for (uint64_t i = 0; i < ControlTable::kSlots; ++i) {
    ids.push_back(table.claim());
    EXPECT_TRUE(seen.insert(ids.back()).second);
  }
  EXPECT_EQ(table.claim(), 0u);
  table.set(ids[5], ControlTable::kCancel);
  table.release(ids[5]);
  const RequestId fresh = table.claim();
  ASSERT_NE(fresh, 0u);
  EXPECT_TRUE(seen.insert(fresh).second);
  EXPECT_EQ(table.flags(fresh), 0u);
}

TEST(ControlTable, ThreadsDontLoseFlags) {
  ControlTable table;
  for (int round = 0; round < 200; ++round) {
    const RequestId id = table.claim();
    std::thread one([&] { table.set(id, ControlTable::kCancel); });
    std::thread other([&] { table.set(id, ControlTable::kAnswerNow); });
    one.join();
    other.join();
    EXPECT_EQ(table.flags(id), ControlTable::kCancel | ControlTable::kAnswerNow);
    table.release(id);
  }
}

}  // namespace
}  // namespace reckon
