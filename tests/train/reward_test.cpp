// The built-in rules on outputs that are right, wrong, strange and hostile.
#include "train/reward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <set>
#include <string>

#include "train/expression.h"

namespace reckon::train {
namespace {

using testing::HasSubstr;

struct Output {
  std::string thought;
  std::string answer;
  bool thought_closed = true;
  bool ended = true;
  int64_t thought_tokens = 0;
  int64_t answer_tokens = 0;
};

Result<double> score(const char* name, const char* task, const Output& output) {
  const boost::json::value value = boost::json::parse(task);
  return find_reward(name)->function({.task = value.get_object(),
                                      .thought = output.thought,
                                      .answer = output.answer,
                                      .thought_closed = output.thought_closed,
                                      .ended = output.ended,
                                      .thought_tokens = output.thought_tokens,
                                      .answer_tokens = output.answer_tokens});
}

double value(const char* name, const char* task, const std::string& answer) {
  const auto result = score(name, task, {.answer = answer});
  EXPECT_TRUE(result.ok());
  return result.ok() ? *result : -1;
}

TEST(Reward, NamesAreDistinctAndFound) {
  std::set<std::string_view> names;
  for (const RewardInfo& info : all_rewards()) {
    EXPECT_TRUE(names.insert(info.name).second);
    EXPECT_EQ(find_reward(info.name), &info);
  }
  EXPECT_EQ(names.size(), 8u);
  EXPECT_EQ(find_reward("solver"), nullptr);
}

TEST(Reward, NumberTakesEverySpelling) {
  const char* task = R"({"answer": "9022"})";
  for (const char* right : {"9022", "9,022", "The answer is 9022.", "\\boxed{9022}", "9022.0",
                            "347 * 26 = ?\n**9022**"}) {
    EXPECT_EQ(value("number", task, right), 1) << right;
  }
  for (const char* wrong : {"", "9021", "9022 or 9023", "-9022", "\\boxed{902}", "nine"}) {
    EXPECT_EQ(value("number", task, wrong), 0) << wrong;
  }
  EXPECT_EQ(value("number", R"({"answer": "3/4"})", "6/8"), 1);
  EXPECT_EQ(value("number", R"({"answer": "3/2"})", "1 1/2"), 1);
  EXPECT_EQ(value("number", R"({"answer": "11/2"})", "1 1/2"), 0);
  EXPECT_EQ(value("number", R"({"answer": "35"})", "3 5"), 0);
  EXPECT_EQ(value("number", R"({"answer": "125"})", "0,125"), 0);
  EXPECT_EQ(value("number", R"({"answer": 7})", "7"), 1);
  EXPECT_EQ(value("number", R"({"answer": "-12"})", "-12"), 1);
}

TEST(Reward, AnUnfinishedOutputIsWorthNothing) {
  EXPECT_EQ(*score("number", R"({"answer": "5"})", {.answer = "5", .ended = false}), 0);
  EXPECT_EQ(
      *score("countdown", R"({"numbers": [2, 3], "target": 5})", {.answer = "2+3", .ended = false}),
      0);
}

TEST(Reward, TextComparesWithoutCase) {
  EXPECT_EQ(value("text", R"({"answer": "Yes"})", "yes."), 1);
  EXPECT_EQ(value("text", R"({"answer": "Yes"})", "No"), 0);
  const char* decline =
      R"({"answer": "I only know sums and number puzzles, so I can't answer that."})";
  EXPECT_EQ(value("text", decline, "I only know sums and number puzzles, so I can't answer that."),
            1);
  EXPECT_EQ(value("text", decline, "Paris"), 0);
}

TEST(Reward, CountdownUsesEachNumberOnce) {
  const char* task = R"({"numbers": [25, 7, 3, 3], "target": 54})";
  EXPECT_EQ(value("countdown", task, "(25-7)*3"), 0);
  EXPECT_EQ(value("countdown", R"({"numbers": [25, 7, 3], "target": 54})", "(25-7)*3"), 1);
  EXPECT_EQ(value("countdown", R"({"numbers": [25, 7, 3], "target": 54})", "(25 − 7) × 3 = 54"), 1);
  EXPECT_EQ(value("countdown", R"({"numbers": [25, 7, 3], "target": 54})", "25+29"), 0);
  EXPECT_EQ(value("countdown", R"({"numbers": [25, 7, 3], "target": 54})", "54"), 0);
  EXPECT_EQ(value("countdown", R"({"numbers": [7, 7], "target": 14})", "7+7"), 1);
  // Fractions on the way are fair: 8 / (1/3) = 24.
  EXPECT_EQ(value("countdown", R"({"numbers": [8, 1, 3], "target": 24})", "8/(1/3)"), 1);
  EXPECT_EQ(value("expression", R"({"target": 54})", "6*9"), 1);
  EXPECT_EQ(value("expression", R"({"target": 54})", "6*8"), 0);
}

TEST(Reward, FormatLengthLanguage) {
  EXPECT_EQ(*score("format", "{}", {.thought = "t", .answer = "5"}), 1);
  EXPECT_EQ(*score("format", "{}", {.answer = " \n"}), 0);
  EXPECT_EQ(*score("format", "{}", {.answer = "5", .thought_closed = false}), 0);
  EXPECT_EQ(*score("format", "{}", {.answer = "5", .ended = false}), 0);
  EXPECT_EQ(*score("length", "{}", {.thought_tokens = 128, .answer_tokens = 0}), 0.75);
  EXPECT_EQ(*score("length", R"({"max_tokens": 100})", {.thought_tokens = 900}), 0);
  EXPECT_EQ(*score("language", R"({"question": "What is 2+2?"})", {.answer = "4"}), 1);
  EXPECT_EQ(*score("language", R"({"question": "What is 2+2?"})", {.answer = "ab是不"}), 0.5);
  EXPECT_EQ(*score("language", R"({"question": "今天"})", {.answer = "ab是不"}), 0.5);
  EXPECT_EQ(*score("language", R"({"question": "今天"})", {.answer = "\xe4\xb8"}), 1);
}

TEST(Reward, TheTaskNamesItsRule) {
  EXPECT_EQ(value("task", R"({"rule": "number", "answer": "5"})", "5"), 1);
  EXPECT_EQ(value("task", R"({"rule": "countdown", "numbers": [2, 3], "target": 5})", "2+3"), 1);
  for (const char* bad : {R"({"rule": "task"})", R"({"rule": "solver"})", "{}"}) {
    EXPECT_FALSE(score("task", bad, {.answer = "5"}).ok()) << bad;
  }
}

TEST(Reward, ABadTaskIsAnErrorThatNamesTheField) {
  const auto message = [](const char* name, const char* task) {
    const auto result = score(name, task, {.answer = "1"});
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_THAT(message("number", "{}"), HasSubstr("\"answer\""));
  EXPECT_THAT(message("number", R"({"answer": [1]})"), HasSubstr("\"answer\""));
  EXPECT_THAT(message("countdown", R"({"target": 5})"), HasSubstr("\"numbers\""));
  EXPECT_THAT(message("countdown", R"({"numbers": [], "target": 5})"), HasSubstr("\"numbers\""));
  EXPECT_THAT(message("countdown", R"({"numbers": ["a"], "target": 5})"), HasSubstr("\"numbers\""));
  EXPECT_THAT(message("expression", R"({"target": 5.5})"), HasSubstr("\"target\""));
  EXPECT_THAT(message("length", R"({"max_tokens": 0})"), HasSubstr("\"max_tokens\""));
  EXPECT_THAT(message("language", "{}"), HasSubstr("\"question\""));
}

TEST(Expression, ValuesAndNumbers) {
  const auto value_of = [](const char* text) {
    const auto expression = parse_expression(text);
    return expression ? std::to_string(expression->value.numerator) + "/" +
                            std::to_string(expression->value.denominator)
                      : std::string("none");
  };
  EXPECT_EQ(value_of("1+2*3"), "7/1");
  EXPECT_EQ(value_of("10-2-3"), "5/1");
  EXPECT_EQ(value_of("24/4/3"), "2/1");
  EXPECT_EQ(value_of("1/3-1/2"), "-1/6");
  EXPECT_EQ(value_of("-(2-5)*--2"), "6/1");
  EXPECT_EQ(value_of("2×3÷4"), "3/2");
  EXPECT_EQ(value_of(" ( 1 ) "), "1/1");
  EXPECT_EQ(parse_expression("2*(13+2)")->numbers, (std::vector<int64_t>{2, 13, 2}));
}

TEST(Expression, WhatIsNoExpression) {
  for (const char* text : {"", "1+", "(1", "1)", "1 2", "a+1", "1/0", "1/(2-2)", "2**3", "1.5",
                           "+1", "1234567890", "()", "1+*2", "×", "\xc3"}) {
    EXPECT_FALSE(parse_expression(text)) << text;
  }
  EXPECT_FALSE(parse_expression("999999999*999999999*999999999"));
  EXPECT_FALSE(parse_expression(std::string(2000, '1')));
  EXPECT_FALSE(parse_expression(std::string(400, '(') + "1" + std::string(400, ')')));
  EXPECT_FALSE(parse_expression(std::string(400, '-') + "1"));
  EXPECT_TRUE(parse_expression(std::string(30, '(') + "1" + std::string(30, ')')));
}

}  // namespace
}  // namespace reckon::train
