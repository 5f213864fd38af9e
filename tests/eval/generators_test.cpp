// The problems' answers and every step of their thoughts, calculated again by other means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "base/file.h"
#include "eval/arithmetic.h"
#include "eval/countdown.h"
#include "eval/off_topic.h"
#include "eval/problem_set.h"
#include "eval/scratchpad.h"
#include "eval/word_problem.h"
#include "eval/word_templates.h"
#include "reasoning/answer.h"
#include "train/expression.h"

namespace reckon::eval {
namespace {

using testing::HasSubstr;

bool is_worth(const std::string& expression, const std::string& expected) {
  const auto parsed = train::parse_expression(expression);
  if (!parsed) return false;
  const std::string value = parsed->value.denominator == 1
                                ? std::to_string(parsed->value.numerator)
                                : std::to_string(parsed->value.numerator) + "/" +
                                      std::to_string(parsed->value.denominator);
  return value == expected;
}

TEST(Scratchpad, EndsInTheResult) {
  Random random(1);
  for (int i = 0; i < 3000; ++i) {
    const int64_t a = random.between(-1, 1) < 0 ? -random.number(6) : random.number(6);
    const int64_t b = random.between(-1, 1) < 0 ? -random.number(3) : random.number(3);
    for (const char operation : {'+', '-', '*'}) {
      Scratchpad work;
      const int64_t result = work.apply(operation, a, b);
      EXPECT_EQ(result, operation == '+' ? a + b : operation == '-' ? a - b : a * b);
      const std::string text = work.take();
      const size_t from = text.find_last_of("=\n");
      EXPECT_EQ(text.substr(from == std::string::npos ? 0 : from + 1), std::to_string(result))
          << text;
    }
    Scratchpad work;
    EXPECT_EQ(work.divide(a * b, b), a);
    EXPECT_THAT(work.take(), testing::EndsWith(std::to_string(a)));
  }
}

TEST(Scratchpad, LooksAsDescribed) {
  Random random(1);
  Scratchpad work;
  work.add(347, 26);
  EXPECT_EQ(work.take(), "347+026: 76:13 42:07 30:03 =373");
  work.subtract(26, 347);
  EXPECT_EQ(work.take(), "26-347=-(347-26)\n347-026: 76:01 42:02 30:03 =321\n-321");
  work.subtract(1000, 1);
  EXPECT_EQ(work.take(), "1000-0001: 01:19 00:19 00:19 10:00 =999");
  work.multiply(347, 26);
  EXPECT_EQ(work.take(),
            "347*6: 42:42 24:28 18:20 =2082\n347*20: 14:14 08:09 06:06 =6940\n"
            "2082+6940: 20:02 84:12 09:10 26:09 =9022");
  // 26 is tried as 30, 24 as 20.
  work.divide(2392, 26);
  EXPECT_EQ(work.take(),
            "2392/26: a239:7*26=140+42=182 239-182: 92:07 38:15 21:00 =57, wait, "
            "8*26=160+48=208 239-208: 98:01 30:03 22:00 =31, wait, "
            "9*26=180+54=234 239-234: 94:05 33:00 22:00 =5 b52:1*26=20+6=26 52-26: 26:16 52:02 "
            "=26, wait, 2*26=40+12=52 52-52: 22:00 55:00 =0 =92");
  // A borrow is left: 87 is too much.
  work.divide(783, 29);
  EXPECT_EQ(work.take(),
            "783/29: a78:2*29=40+18=58 78-58: 88:00 75:02 =20 b203:6*29=120+54=174 203-174: 34:19 "
            "07:12 21:00 =29, wait, 7*29=140+63=203 203-203: 33:00 00:00 22:00 =0 =27");
  work.divide(94, 47);
  EXPECT_EQ(work.take(),
            "94/47: a94:1*47=40+7=47 94-47: 47:17 94:04 =47, wait, 2*47=80+14=94 "
            "94-94: 44:00 99:00 =0 =2");
}

// Every "x op y=z" of a thought holds, but for what "wait" takes back.
TEST(Scratchpad, EveryEquationHolds) {
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    const Problem problem = make_expression(random);
    std::istringstream lines(problem.thought);
    for (std::string line; std::getline(lines, line);) {
      if (line.find(':') != std::string::npos || line.find('=') == std::string::npos) continue;
      const size_t equals = line.find('=');
      const auto left = train::parse_expression(line.substr(0, equals));
      const auto right = train::parse_expression(line.substr(equals + 1));
      ASSERT_TRUE(left && right) << line;
      EXPECT_EQ(left->value.numerator, right->value.numerator) << line;
    }
  }
}

TEST(Arithmetic, AnswersAreRight) {
  Random random(2);
  for (int i = 0; i < 3000; ++i) {
    for (const auto make :
         {make_sum, make_difference, make_product, make_division, make_negative, make_expression}) {
      const Problem problem = make(random);
      EXPECT_TRUE(is_worth(problem.content, problem.answer)) << problem.question;
      EXPECT_FALSE(problem.thought.empty());
    }
    const Problem percent = make_percent(random);
    const size_t sign = percent.content.find("% of ");
    EXPECT_TRUE(
        is_worth(percent.content.substr(0, sign) + "*" + percent.content.substr(sign + 5) + "/100",
                 percent.answer))
        << percent.content;
    const Problem fraction = make_fraction(random);
    std::string value = fraction.content;
    if (const size_t of = value.find(" of "); of != std::string::npos) value.replace(of, 4, "*");
    if (value.starts_with("simplify ")) value.erase(0, 9);
    EXPECT_TRUE(is_worth(value, fraction.answer)) << fraction.content << " " << fraction.answer;
  }
}

TEST(Countdown, ExpressionsAreRightAndMostPuzzlesAreSolved) {
  Random random(3);
  std::map<int, int> solved;
  for (const int n : {3, 4}) {
    for (int i = 0; i < 300; ++i) {
      const Problem problem = make_countdown(random, n);
      EXPECT_TRUE(countdown_solvable(problem.numbers, problem.target));
      if (problem.answer == kNoExpression) {
        EXPECT_THAT(problem.thought, testing::EndsWith("\nnone"));
        continue;
      }
      ++solved[n];
      const auto expression = train::parse_expression(problem.answer);
      ASSERT_TRUE(expression) << problem.answer;
      EXPECT_EQ(expression->value.numerator, problem.target) << problem.answer;
      std::vector<int64_t> used = expression->numbers;
      std::vector<int64_t> given = problem.numbers;
      std::ranges::sort(used);
      std::ranges::sort(given);
      EXPECT_EQ(used, given) << problem.answer;
      EXPECT_THAT(problem.thought, testing::EndsWith("=" + problem.answer));
    }
  }
  EXPECT_GT(solved[3], 285);  // of 3,000 97.6 % when measured
  EXPECT_GT(solved[4], 250);  // 88.2 %
}

TEST(Countdown, LooksAsDescribed) {
  // The sum less the target is 2 * 6; 60/2 and 92/2 lead nowhere; 64 is 2 times the sum of no two.
  EXPECT_EQ(work_out_countdown({15, 6, 65}, 74).thought,
            "65 15 6\n65+15=80+6=86 86-74=12 6 yes 74=65+15-6");
  EXPECT_EQ(
      work_out_countdown({2, 92, 60}, 64).thought,
      "92 60 2\n92+60=152+2=154 154-64=90 45 no 109 no\nwait\n"
      "60: 92 2: 92/46*184 60/30*120\n92/2=46: 64-60=4 64+60=124 no\n"
      "92*2=184: 64-60=4 64+60=124 no\n60/2=30: 92-64=28 64+92=156 no\n"
      "60*2=120: 92-64=28 64+92=156 no\n64: 92 60 2/32: 92+60=152 92-60=32 yes 64=32*2=(92-60)*2");
  EXPECT_EQ(work_out_countdown({37, 10, 71, 42}, 21).thought,
            "71 42 37 10\n71+42=113+37=150+10=160 160-21=139 odd\nwait\n"
            "42: 71 37: 71 42 10: 71 42 37\n"
            "21: 71 42\\2: 71+37=108+10=118 118-2=116 58 no 60 no 37 10\n"
            "71-21=50: 42 37 10/5: 42+37=79 42-37=5 yes "
            "21=71-50=71-5*10=71-(42-37)*10");
}

TEST(Countdown, WhatCannotBeSolvedIsNot) {
  EXPECT_FALSE(countdown_solvable({1, 1, 1}, 99));
  EXPECT_EQ(work_out_countdown({1, 1, 1}, 99).expression, "");
  EXPECT_EQ(work_out_countdown({1, 1, 1}, 99).thought,
            "1 1 1\n1+1=2+1=3 low\nwait\n1: 1*1 1: 1*1 1*1\n1*1=1: 99-1=98 99+1=100 no\n"
            "1*1=1: 99-1=98 99+1=100 no\n1*1=1: 99-1=98 99+1=100 no\n99: 1 1 1\nnone");
  EXPECT_TRUE(countdown_solvable({25, 7, 3}, 54));
  EXPECT_EQ(work_out_countdown({25, 7, 3}, 54).expression, "(25-7)*3");
  // Two pairs; nothing beside the target; a difference over the third number.
  EXPECT_EQ(work_out_countdown({57, 75, 92, 97}, 90).expression, "(97-92)*(75-57)");
  EXPECT_EQ(work_out_countdown({34, 71, 82, 82}, 34).expression, "34+71*(82-82)");
  EXPECT_EQ(work_out_countdown({4, 10, 31, 58}, 20).expression, "(58+4)/31*10");
}

TEST(WordProblems, HeldOutStoriesShareNeitherWordsNorThings) {
  EXPECT_GE(count_held_out_templates(), 40);
  std::string training;
  for (const WordTemplate& story : training_templates())
    training += std::string(story.story) + "\n";
  for (const WordTemplate& story : held_out_templates()) {
    // No story of training with other numbers, and a word of its own.
    EXPECT_EQ(training.find(story.story), std::string::npos);
    std::istringstream words{std::string(story.story)};
    bool has_own_word = false;
    for (std::string word; words >> word;) {
      while (!word.empty() && std::ispunct(static_cast<unsigned char>(word.back())) != 0) {
        word.pop_back();
      }
      if (word.size() > 4 && word.find('{') == std::string::npos &&
          training.find(word) == std::string::npos) {
        has_own_word = true;
      }
    }
    EXPECT_TRUE(has_own_word) << story.story;
  }
}

TEST(WordProblems, TrainingKnowsNothingThatHeldOutStoriesNumber) {
  std::map<std::string, int> known;  // words of training's stories, made-up ones are rare
  Random random(8);
  for (int i = 0; i < 5000; ++i) {
    std::istringstream words{make_word_problem(random, false).question};
    for (std::string word; words >> word;) {
      while (!word.empty() && std::ispunct(static_cast<unsigned char>(word.back())) != 0) {
        word.pop_back();
      }
      ++known[word];
    }
  }
  EXPECT_GT(known["apples"], 10);
  // What may follow a number and isn't counted.
  const std::set<std::string> others = {"more", "fewer", "of",   "after",   "and",   "got",
                                        "each", "days",  "rows", "dollars", "hours", "in"};
  for (const WordTemplate& story : held_out_templates()) {
    const std::string text(story.story);
    for (size_t at = text.find('}'); at != std::string::npos; at = text.find('}', at + 1)) {
      if (text[at - 1] < 'a' || text[at - 1] > 'c' || text[at + 1] != ' ') continue;
      const size_t end = text.find_first_of(" .,?", at + 2);
      const std::string word = text.substr(at + 2, end - at - 2);
      if (others.count(word) == 0) EXPECT_LT(known[word], 5) << word << ": " << text;
    }
  }
}

TEST(WordProblems, NumbersMakeSense) {
  Random random(4);
  for (int i = 0; i < 5000; ++i) {
    const Problem problem = make_word_problem(random, i % 2 == 0);
    EXPECT_EQ(problem.question.find('{'), std::string::npos) << problem.question;
    EXPECT_GE(std::stoll(problem.answer), 1) << problem.question << problem.thought;
    const Problem unit = make_unit(random);
    EXPECT_GE(std::stoll(unit.answer), 1);
    const Problem comparison = make_comparison(random);
    EXPECT_FALSE(comparison.thought.empty());
  }
}

TEST(OffTopic, HeldOutQuestionsAreNeverMadeForTraining) {
  const auto questions = held_out_off_topic();
  EXPECT_EQ(questions.size(), 200u);
  const std::set<std::string_view> held_out(questions.begin(), questions.end());
  EXPECT_EQ(held_out.size(), 200u);
  Random random(6);
  for (int i = 0; i < 20000; ++i) {
    EXPECT_EQ(held_out.count(make_off_topic(random).question), 0u);
  }
}

class ProblemSet : public testing::Test {
 protected:
  std::string path(const char* name) {
    return (std::filesystem::path(testing::TempDir()) / name).string();
  }
  std::vector<boost::json::object> read(const std::string& path) {
    std::vector<boost::json::object> lines;
    std::istringstream text(*read_file(path, 1u << 30));
    for (std::string line; std::getline(text, line);) {
      lines.push_back(boost::json::parse(line).as_object());
    }
    return lines;
  }
};

TEST_F(ProblemSet, TheSameSeedGivesTheSameFile) {
  ASSERT_TRUE(write_problems({.count = 500, .seed = 9}, path("a.jsonl")).ok());
  ASSERT_TRUE(write_problems({.count = 500, .seed = 9}, path("b.jsonl")).ok());
  ASSERT_TRUE(write_problems({.count = 500, .seed = 10}, path("c.jsonl")).ok());
  EXPECT_EQ(*read_file(path("a.jsonl"), 1 << 24), *read_file(path("b.jsonl"), 1 << 24));
  EXPECT_NE(*read_file(path("a.jsonl"), 1 << 24), *read_file(path("c.jsonl"), 1 << 24));
}

TEST_F(ProblemSet, TrainingAndHeldOutAreApart) {
  ASSERT_TRUE(write_problems({.count = 4000, .seed = 1}, path("train.jsonl")).ok());
  ASSERT_TRUE(write_problems({.held_out = true, .count = 60, .seed = 2}, path("held.jsonl")).ok());
  std::set<std::string> trained;
  int n_direct = 0;
  for (const auto& line : read(path("train.jsonl"))) {
    trained.insert(std::string(line.at("question").as_string()));
    const auto& assistant = line.at("messages").as_array().at(1).as_object();
    n_direct += assistant.contains("reasoning_content") ? 0 : 1;
  }
  EXPECT_GT(n_direct, 600);  // a fifth, but for what follows an earlier question
  EXPECT_LT(n_direct, 800);
  std::map<std::string, int> counts;
  for (const auto& line : read(path("held.jsonl"))) {
    ++counts[std::string(line.at("kind").as_string())];
    EXPECT_EQ(trained.count(std::string(line.at("question").as_string())), 0u);
  }
  EXPECT_EQ(counts.size(), all_kinds().size());
  for (const auto& [kind, count] : counts) EXPECT_EQ(count, kind == "off_topic" ? 200 : 60) << kind;
}

TEST_F(ProblemSet, RefusesWhatCannotBe) {
  const auto status = write_problems({.count = 1, .kinds = {"poem"}}, path("d.jsonl"));
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("\"poem\""));
  EXPECT_FALSE(write_problems({.count = 0}, path("d.jsonl")).ok());
  EXPECT_FALSE(write_problems({.count = 1}, "/nonexistent/d.jsonl").ok());
  EXPECT_FALSE(std::filesystem::exists(path("d.jsonl")));
}

}  // namespace
}  // namespace reckon::eval
