// Answers that mean the same become the same, others stay apart, and no text is too strange.
#include "reasoning/answer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace reckon {
namespace {

TEST(ExtractAnswer, TakesTheLastCompleteBox) {
  EXPECT_EQ(extract_answer("\\boxed{1} and then \\boxed{ 2 }."), "2");
  EXPECT_EQ(extract_answer("\\boxed{\\frac{1}{2}}"), "\\frac{1}{2}");
  EXPECT_EQ(extract_answer("so \\boxed {7}"), "7");
  EXPECT_EQ(extract_answer("\\fbox{a}"), "a");
  EXPECT_EQ(extract_answer("\\boxed{\\{1, 2\\}}"), "\\{1, 2\\}");
  EXPECT_EQ(extract_answer("\\boxed{3} but \\boxed{4"), "3");
  EXPECT_EQ(extract_answer("\\boxed{\\boxed{5}}"), "\\boxed{5}");
  EXPECT_EQ(extract_answer("}}} \\boxed{6} }"), "6");
  EXPECT_EQ(extract_answer("\\boxed{}"), "");
}

TEST(ExtractAnswer, FindsOtherWaysOfSayingIt) {
  EXPECT_EQ(extract_answer("<answer>1</answer> no, <answer> (3+4)*5 </answer>"), "(3+4)*5");
  EXPECT_EQ(extract_answer("We add. The answer is 3.14. That is all."), "3.14");
  EXPECT_EQ(extract_answer("The Answer is: 12\nbye"), "12");
  EXPECT_EQ(extract_answer("**Answer:** 12"), "12");
  EXPECT_EQ(extract_answer("reasoning\n#### 72"), "72");
  EXPECT_EQ(extract_answer("first line\n\n  last line \n"), "last line");
  EXPECT_EQ(extract_answer(" 42\n"), "42");
  EXPECT_EQ(extract_answer(""), "");
  EXPECT_EQ(extract_answer(" \n "), "");
}

TEST(VotedAnswer, IsAllOfWhatStatesTheResult) {
  EXPECT_EQ(voted_answer("so \\boxed{7}, I think", false), "7");
  EXPECT_EQ(voted_answer("first\n\nx = 1\nx = 2\n", false), "x = 1\nx = 2");
  EXPECT_EQ(voted_answer("one line", false), "one line");
  EXPECT_EQ(voted_answer("a\nb", false), "a\nb");
  EXPECT_EQ(voted_answer("a\n \t\nb\n", false), "b");
  EXPECT_EQ(voted_answer("Here:\n```json\n{\"a\": 1,\n\n \"b\": 2}\n```\n", false),
            "{\"a\": 1,\n\n \"b\": 2}");
  EXPECT_EQ(voted_answer("```py\nf(1)\n```\nThat is f.", false), "```py\nf(1)\n```\nThat is f.");
  EXPECT_EQ(voted_answer("```", false), "```");
  EXPECT_EQ(voted_answer("x\n```", false), "x\n```");
  EXPECT_EQ(voted_answer("", false), "");
  // Held to a format, nothing of it is a frame around the result.
  EXPECT_EQ(voted_answer("{\"answer\": \"the answer is 4\",\n\"b\": 1\n}\n", true),
            "{\"answer\": \"the answer is 4\",\n\"b\": 1\n}");
}

void expect_same(const std::vector<std::string>& spellings, const std::string& canonical) {
  for (const std::string& spelling : spellings) {
    EXPECT_EQ(normalise_answer(spelling), canonical) << spelling;
    EXPECT_TRUE(same_answer(spelling, canonical)) << spelling;
  }
}

TEST(NormaliseAnswer, NumbersHaveOneForm) {
  expect_same({"5",
               " 5 ",
               "+5",
               "5.",
               "5.0",
               "05",
               "$5$",
               "\\(5\\)",
               "\\boxed{5}",
               "**5**",
               "(5)",
               "10/2",
               "\\frac{10}{2}",
               "\\dfrac{15}{3}",
               "5e0",
               "0.5e1",
               "x = 5",
               "\\text{5}",
               "\\$5",
               "5%",
               "5\\%",
               "5^\\circ",
               "5°",
               "$\\left(5\\right)$",
               "5,"},
              "5");
  expect_same({"-3",
               "\xe2\x88\x92"
               "3",
               "- 3", "-3.00", "-6/2", "6/-2", "-\\frac{6}{2}", "\\frac{-6}{2}"},
              "-3");
  expect_same({"1234567", "1,234,567", "1 234 567", "1{,}234{,}567", "1\\,234\\,567", "1234567.0"},
              "1234567");
  expect_same({"0.5", ".5", "0.50", "1/2", "2/4", "\\frac12", "\\tfrac{1}{2}", "5e-1",
               "5 \\times 10^{-1}", "5 \\cdot 10^{-1}"},
              "1/2");
  expect_same({"0", "-0", "0.0", "0/7", "00", "0e9"}, "0");
  expect_same({"1,234.5", "2469/2"}, "2469/2");
  expect_same({"3/2", "1 1/2", "1  2/4", "(1 1/2)", "$1\\;1/2$", "x = 1 1/2", "1.5"}, "3/2");
  expect_same({"-7/4", "-1 3/4", "- 1 3 / 4",
               "\xe2\x88\x92"
               "1 3/4"},
              "-7/4");
  expect_same({"300000", "3e5", "3 \\times 10^5", "3*10^{5}"}, "300000");
}

TEST(NormaliseAnswer, NumbersThatStandApartStayApart) {
  EXPECT_FALSE(same_answer("1 1/2", "11/2"));
  EXPECT_FALSE(same_answer("3 5", "35"));
  EXPECT_FALSE(same_answer("5\n7", "57"));
  EXPECT_FALSE(same_answer("5\n700", "5700"));
  EXPECT_FALSE(same_answer("1\n1/2", "3/2"));
  EXPECT_FALSE(same_answer("0,125", "125"));
  EXPECT_FALSE(same_answer("0 125", "125"));
  EXPECT_FALSE(same_answer("0,125,000", "125000"));
  EXPECT_FALSE(same_answer("A B", "AB"));
  // What may be 1 + 234/5 and 1234/5 is neither.
  EXPECT_FALSE(same_answer("1 234/5", "1234/5"));
  EXPECT_FALSE(same_answer("1 234/5", "239/5"));
  EXPECT_FALSE(same_answer("2 000/4", "500"));
  EXPECT_FALSE(same_answer("1 1/0", "11/0"));
  EXPECT_TRUE(same_answer("3  5", "3 5"));
  EXPECT_TRUE(same_answer("5\n\n7", "5 \n7"));
  EXPECT_TRUE(same_answer("5 700", "5700"));
}

TEST(NormaliseAnswer, LongNumbersStayExact) {
  EXPECT_TRUE(
      same_answer("123456789012345678901234567890", "123,456,789,012,345,678,901,234,567,890"));
  EXPECT_TRUE(same_answer("0.1234567890123456789010", "0.123456789012345678901"));
  EXPECT_FALSE(same_answer("123456789012345678901", "123456789012345678902"));
  EXPECT_FALSE(same_answer("1e9999", "1e9998"));
  EXPECT_FALSE(same_answer("999999999999999999/7", "999999999999999998/7"));
}

TEST(NormaliseAnswer, WhatIsNoNumberStaysText) {
  expect_same({"Paris", "paris.", "\\text{Paris}", "**Paris**", "\"Paris\""}, "paris");
  expect_same({"(1, 2)", "(1,2)", "\\left( 1,\\, 2 \\right)"}, "(1,2)");
  expect_same({"(25 + 3) * 4", "(25+3)\\times 4", "(25+3)*4"}, "(25+3)*4");
  expect_same({"New  York", "new york"}, "new york");
  EXPECT_EQ(normalise_answer("1/0"), "1/0");
  EXPECT_EQ(normalise_answer("12,34"), "12,34");
  EXPECT_EQ(normalise_answer("1.2.3"), "1.2.3");
  EXPECT_EQ(normalise_answer("\\leftarrow"), "\\leftarrow");
  EXPECT_EQ(normalise_answer("a = b = c"), "a=b=c");
  EXPECT_EQ(normalise_answer(""), "");
  EXPECT_EQ(normalise_answer("."), ".");
  EXPECT_FALSE(same_answer("", ""));
  EXPECT_FALSE(same_answer("50%", "0.5"));
  EXPECT_FALSE(same_answer("New York", "Newyork"));
  EXPECT_FALSE(same_answer("5", "6"));
}

TEST(NormaliseAnswer, JsonHasOneSpellingAndKeepsItsTexts) {
  expect_same({"{\"a\": 1, \"b\": [true, \"X\"]}", "{\n  \"b\": [true, \"X\"],\n  \"a\": 1.0\n}"},
              "{\"a\":1,\"b\":[true,\"X\"]}");
  EXPECT_FALSE(same_answer("{\"a\": 1, \"b\": false}", "{\"a\": 2, \"b\": false}"));
  EXPECT_FALSE(same_answer("{\"a\": \"X\"}", "{\"a\": \"x\"}"));
  EXPECT_FALSE(same_answer("[1, 2]", "[2, 1]"));
}

TEST(NormaliseAnswer, IsItsOwnNormalForm) {
  for (const std::string text :
       {"1,234.5", "\\frac{1}{3}", "x = 2", "$\\text{Yes}$", "(1, 2)",
        "{\"b\": 1.0, \"a\": [\"X y\"]}", "[1.0]", "{1}", "123456789012345678901", "\\sqrt{2}",
        "-0.125", "12,34", "3 cm", "3 5", "5\n700", "0,125", "1 1/2", "1 234/5"}) {
    const std::string once = normalise_answer(text);
    EXPECT_EQ(normalise_answer(once), once) << text;
  }
}

TEST(Answers, StrangeTextEndsSoon) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "\\boxed{";
  EXPECT_LE(extract_answer(text).size(), text.size());
  EXPECT_EQ(normalise_answer(text).size(), text.size());
  text += std::string(200'000, '}');
  EXPECT_EQ(extract_answer(text).size(), text.size() - 8);
  for (const std::string_view piece : {"\\text{", "**", "$", "{", "\\", "-", "1/", "\\frac{"}) {
    std::string deep;
    while (deep.size() < 4000) deep += piece;
    EXPECT_LE(normalise_answer(deep).size(), deep.size()) << piece;
    EXPECT_LE(extract_answer(deep).size(), deep.size()) << piece;
  }
  EXPECT_EQ(normalise_answer(std::string("\xff\xfe\x00", 3)), std::string("\xff\xfe\x00", 3));
}

}  // namespace
}  // namespace reckon
