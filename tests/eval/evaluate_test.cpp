// Intervals beside published values, tasks read from files, rows of the report.
#include "eval/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"

namespace reckon::eval {
namespace {

using testing::HasSubstr;

// Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
TEST(Wilson, PublishedIntervals) {
  const auto near = [](int64_t right, int64_t n, double low, double high) {
    const Interval interval = wilson_interval(right, n);
    EXPECT_NEAR(interval.low, low, 5e-5);
    EXPECT_NEAR(interval.high, high, 5e-5);
  };
  near(81, 263, 0.2553, 0.3662);
  near(15, 148, 0.0624, 0.1605);
  near(0, 20, 0.0000, 0.1611);
  near(1, 29, 0.0061, 0.1718);
  near(0, 0, 0, 1);
}

std::string written(const std::string& text) {
  const auto path = (std::filesystem::path(testing::TempDir()) / "tasks.jsonl").string();
  EXPECT_TRUE(write_file(path, text).ok());
  return path;
}

constexpr const char* kSum = R"({"kind":"sum","rule":"number","question":"1+1","answer":"2"})";

TEST(ReadTasks, TakesSoManyOfEachKind) {
  std::string text;
  for (int i = 0; i < 5; ++i) text += std::string(kSum) + "\n\n";
  text += R"({"kind":"word","rule":"text","question":"?","answer":"Yes"})";
  const auto all = read_tasks(written(text), 0);
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_EQ(all->size(), 6u);
  EXPECT_EQ(read_tasks(written(text), 2)->size(), 3u);
}

TEST(ReadTasks, NamesFileLineAndField) {
  const auto message = [](const std::string& text) {
    const auto tasks = read_tasks(written(text), 0);
    return tasks.ok() ? std::string() : tasks.error().message;
  };
  EXPECT_THAT(message(""), HasSubstr("empty"));
  EXPECT_THAT(message(std::string(kSum) + "\n{\"kind\":1}"), HasSubstr("tasks.jsonl:2"));
  EXPECT_THAT(message("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(message("{"), HasSubstr("tasks.jsonl:1"));
  EXPECT_THAT(message(R"({"kind":"a","rule":"solver","question":"b"})"), HasSubstr("\"solver\""));
  EXPECT_THAT(message(R"({"kind":"a","rule":"number"})"), HasSubstr("\"question\""));
  EXPECT_FALSE(read_tasks("/nonexistent", 0).ok());
}

TEST(ScoreByKind, CountsRowsAndAll) {
  const std::vector<Task> tasks = {{.kind = "sum"}, {.kind = "word"}, {.kind = "sum"}};
  const std::vector<Outcome> outcomes = {{.right = true, .ended = true, .thought_tokens = 10},
                                         {.declined = true, .ended = true, .thought_tokens = 2},
                                         {.ended = false, .thought_tokens = 30}};
  const auto scores = score_by_kind(tasks, outcomes);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(scores[0].kind, "sum");
  EXPECT_EQ(scores[0].n, 2);
  EXPECT_EQ(scores[0].n_right, 1);
  EXPECT_EQ(scores[0].n_unfinished, 1);
  EXPECT_EQ(scores[0].mean_thought_tokens(), 20);
  EXPECT_EQ(scores[1].n_declined, 1);
  EXPECT_EQ(scores[2].kind, "all");
  EXPECT_EQ(scores[2].n, 3);
  EXPECT_DOUBLE_EQ(scores[2].accuracy(), 1.0 / 3);
}

}  // namespace
}  // namespace reckon::eval
