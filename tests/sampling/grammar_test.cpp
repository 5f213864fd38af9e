// What GBNF texts mean, which are refused, and that neither hostile grammars nor hostile texts get
// far.
#include "sampling/grammar.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/sampling/grammar_samples.h"

namespace reckon {
namespace {

using testing::grammar;
using testing::matches;

std::string refusal(std::string_view text) {
  const auto made = Grammar::parse(text);
  if (made.ok()) return "accepted";
  EXPECT_EQ(made.error().kind, ErrorKind::kUsage);
  return made.error().message;
}

TEST(Grammar, LiteralsAndChoices) {
  const auto g = grammar("root ::= \"yes\" | \"no\" | \"yesterday\" | \"\"\n");
  for (const char* text : {"yes", "no", "yesterday", ""}) EXPECT_TRUE(matches(g, text)) << text;
  for (const char* text : {"y", "yest", "nope", "yesyes", "NO"}) {
    EXPECT_FALSE(matches(g, text)) << text;
  }
}

TEST(Grammar, Repetitions) {
  const auto count = [](const char* text) {
    const auto g = grammar(text);
    std::string found;
    for (int n = 0; n <= 6; ++n) {
      if (matches(g, std::string(static_cast<size_t>(n), 'a'))) found += std::to_string(n);
    }
    return found;
  };
  EXPECT_EQ(count("root ::= \"a\"*"), "0123456");
  EXPECT_EQ(count("root ::= \"a\"+"), "123456");
  EXPECT_EQ(count("root ::= \"a\"?"), "01");
  EXPECT_EQ(count("root ::= \"a\"{3}"), "3");
  EXPECT_EQ(count("root ::= \"a\"{2,}"), "23456");
  EXPECT_EQ(count("root ::= \"a\"{2,4}"), "234");
  EXPECT_EQ(count("root ::= \"a\"{0}"), "0");
  EXPECT_EQ(count("root ::= \"a\"{ 0 , 2 } \"a\""), "123");
  EXPECT_EQ(count("root ::= (\"a\"{2}){1,2}"), "24");
  EXPECT_EQ(count("root ::= ((\"a\"*)*)*"), "0123456");
  EXPECT_EQ(count("root ::= (\"\" | \"a\")* x\nx ::= \"\"{5}"), "0123456");
  EXPECT_EQ(count("root ::= \"\"{1000000}"), "0");
}

TEST(Grammar, ClassesAreOfCharactersNotBytes) {
  const auto vowel = grammar("root ::= [aeiouäöü]");
  EXPECT_TRUE(matches(vowel, "ä"));
  EXPECT_TRUE(matches(vowel, "e"));
  EXPECT_FALSE(matches(vowel, "\xc3"));
  EXPECT_FALSE(matches(vowel, "ß"));
  const auto others = grammar("root ::= [^a-z]");
  for (const char* text : {"A", "é", "漢", "😀", "\n"}) EXPECT_TRUE(matches(others, text)) << text;
  for (const char* text : {"b", "", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "ab"}) {
    EXPECT_FALSE(matches(others, text)) << text;
  }
  EXPECT_TRUE(matches(grammar("root ::= ."), "😀"));
  EXPECT_TRUE(matches(grammar("root ::= [\\x41-\\u0043\\U0001F600]{4}"), "ABC😀"));
  EXPECT_TRUE(matches(grammar("root ::= [a-]+"), "a-a"));
  EXPECT_TRUE(matches(grammar("root ::= [\\]\\[\\\\\\^\\-]{5}"), "][\\^-"));
  EXPECT_TRUE(matches(grammar("root ::= \"\\\"\\\\\\n\\t\\r\\x41\\u6f22\""), "\"\\\n\t\rA漢"));
}

// Each code point against the ranges it was made from.
TEST(Grammar, RangesInUtf8) {
  std::mt19937 random(7);
  const auto utf8 = [](uint32_t c) {
    std::string s;
    if (c < 0x80) {
      s += static_cast<char>(c);
    } else if (c < 0x800) {
      s += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      s += {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
            static_cast<char>(0x80 | (c & 63))};
    } else {
      s += {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
            static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    }
    return s;
  };
  for (int round = 0; round < 60; ++round) {
    const uint32_t limit = std::vector<uint32_t>{0x100, 0x900, 0x11000, 0x110000}[round % 4];
    auto first = static_cast<uint32_t>(random() % limit);
    auto last = static_cast<uint32_t>(random() % limit);
    if (first > last) std::swap(first, last);
    if (first >= 0xD800 && first <= 0xDFFF) first = 0xD7FF;
    if (last >= 0xD800 && last <= 0xDFFF) last = 0xE000;
    char text[64];
    snprintf(text, sizeof text, "root ::= [\\U%08X-\\U%08X]", first, last);
    const auto m = testing::masks(grammar(text));
    for (const uint32_t c : {first, last, first - 1, last + 1, (first + last) / 2,
                             static_cast<uint32_t>(random() % limit), 0xD7FFu, 0xE000u}) {
      if (c >= 0x110000 || (c >= 0xD800 && c <= 0xDFFF)) continue;
      GrammarMatcher matcher(m, false);
      EXPECT_EQ(matcher.accept(utf8(c)), first <= c && c <= last) << text << " " << c;
    }
  }
}

TEST(Grammar, RulesCommentsAndLayout) {
  const auto g = grammar(
      "# a sum\n"
      "root ::= term (\"+\" term)*  # spaces mean nothing\n"
      "\n"
      "term ::=\n"
      "  [0-9]+ |\n"
      "  \"(\" root \")\"\n"
      "  | name-1\n"
      "name-1 ::= ( [a-z]\n [a-z0-9]* )");
  for (const char* text : {"1", "1+2", "(1+x2)+(((3)))", "a"})
    EXPECT_TRUE(matches(g, text)) << text;
  for (const char* text : {"", "1+", "(1", "1)", "+", "2x"}) EXPECT_FALSE(matches(g, text)) << text;
}

TEST(Grammar, AmbiguousAndRightRecursiveOnes) {
  const auto list = grammar("root ::= \"x\" root | \"x\"");
  EXPECT_TRUE(matches(list, std::string(100'000, 'x')));
  const auto palindrome = grammar("root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"c\"");
  EXPECT_TRUE(matches(palindrome, "abbacabba"));
  EXPECT_FALSE(matches(palindrome, "abbacabb"));
  const auto twice = grammar("root ::= a a\na ::= \"x\"*");
  EXPECT_TRUE(matches(twice, "xxxxx"));
}

TEST(Grammar, MistakesAreNamedWithTheirPlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "a rule called root"},
      {"a ::= \"x\"", "a rule called root"},
      {"root ::= b", "line 1, column 10: the rule b is used and not defined"},
      {"root ::= \"x\"\nroot ::= \"y\"", "line 2, column 1: the rule root stands twice"},
      {"root = \"x\"", "expected ::="},
      {"root ::= \"x", "without its closing quote"},
      {"root ::= [a", "without its closing bracket"},
      {"root ::= []", "no character belongs to"},
      {"root ::= [z-a]", "whose last character comes before"},
      {"root ::= [^\\x00-\\U0010FFFF]", "no character belongs to"},
      {"root ::= \"\\q\"", "escape that is not known"},
      {"root ::= \"\\ud800\"", "hexadecimal"},
      {"root ::= \"\\x4\"", "hexadecimal"},
      {"root ::= \"\\U00110000\"", "hexadecimal"},
      {"root ::= (\"x\"", "expected )"},
      {"root ::= \"x\")", "expected the rule's end"},
      {"root ::= *", "nothing to repeat"},
      {"root ::= ^+a", "expected the rule's end"},
      {"root ::= \"a\"*+", "repeated twice"},
      {"root ::= \"a\"{", "expected a number"},
      {"root ::= \"a\"{-1}", "expected a number"},
      {"root ::= \"a\"{2,1}", "m <= n"},
      {"root ::= \"a\"{1", "expected }"},
      {"root ::= \"\xff\"", "valid UTF-8"},
      {"root ::= \xff", "expected the rule's end"},
      {std::string("root ::= \"a\" \0", 14), "expected the rule's end"},
      {"root ::= <[1]>", "expected the rule's end"},
  };
  for (const auto& [text, problem] : cases) {
    EXPECT_NE(refusal(text).find(problem), std::string::npos) << text << ": " << refusal(text);
  }
}

TEST(Grammar, LeftRecursionIsRefused) {
  for (const char* text : {
           "root ::= root \"a\" | \"a\"",
           "root ::= \"\" root \"a\" | \"a\"",
           "root ::= a\na ::= b \"x\" | \"y\"\nb ::= a",
           "root ::= e root \"x\" | \"y\"\ne ::= \"e\"?",
           "root ::= (\"a\"* root)? \"x\"",
           "root ::= \"x\" b\nb ::= (\"\"{3} (b | \"z\"))+",
           "root ::= \"x\"\nunused ::= unused",
       }) {
    EXPECT_NE(refusal(text).find("begins with itself"), std::string::npos) << text;
  }
}

TEST(Grammar, RulesWithoutAnEndAreRefused) {
  EXPECT_NE(refusal("root ::= \"x\" root").find("never comes to an end"), std::string::npos);
  EXPECT_NE(refusal("root ::= \"x\" | a\na ::= \"a\" b\nb ::= \"b\" a").find("never comes"),
            std::string::npos);
}

// threats.md: each is refused, or does what it says, at once.
TEST(Grammar, HostileTexts) {
  EXPECT_NE(refusal("root ::= " + std::string(60'000, '(') + "\"a\"" + std::string(60'000, ')'))
                .find("at most 200 parentheses"),
            std::string::npos);
  EXPECT_NE(refusal("root ::= \"a\"{1,1000000000}").find("at most 1000000 repetitions"),
            std::string::npos);
  EXPECT_NE(refusal("root ::= \"a\"{1,99999999999999999999}").find("at most 1000000 repetitions"),
            std::string::npos);
  EXPECT_NE(refusal("root ::= (((\"ab\"{1000}){1000}){1000}){1000}").find("states"),
            std::string::npos);
  EXPECT_NE(refusal("root ::= (((\"\"|\"a\"?){1000000}){1000000}){1000000}").find("states"),
            std::string::npos);
  EXPECT_NE(refusal("root ::= \"a\"" + std::string(60'000, '*')).find("repeated twice"),
            std::string::npos);
  EXPECT_NE(refusal(std::string(kMaxGrammarBytes + 1, '#')).find("bytes"), std::string::npos);

  // A chain of 5,000 rules, and one that nests as deep.
  std::string chain = "root ::= r0\n";
  std::string nested = "root ::= n0\n";
  for (int i = 0; i < 5000; ++i) {
    const std::string next = std::to_string(i + 1);
    chain += "r" + std::to_string(i) + " ::= r" + next + "\n";
    nested += "n" + std::to_string(i) + " ::= \"(\" n" + next + " \")\"\n";
  }
  // The chain is one reading a rule, which is too many to begin with; half of it is not.
  EXPECT_NE(refusal(chain + "r5000 ::= \"end\"").find("begins in at most"), std::string::npos);
  std::string half = "root ::= r3000\n";
  EXPECT_TRUE(
      matches(grammar(half + chain.substr(chain.find("r0 ::=")) + "r5000 ::= \"end\""), "end"));
  // Deeper than kMaxGrammarDepth nothing is allowed.
  const auto deep = grammar(nested + "n5000 ::= \"x\"");
  GrammarMatcher matcher(testing::masks(deep), false);
  EXPECT_TRUE(matcher.accept(std::string(kMaxGrammarDepth - 1, '(')));
  EXPECT_FALSE(matcher.accept("(("));

  // Many rules that all wait for each other: the checks are linear.
  std::string wide = "root ::= \"x\"\n";
  for (int i = 0; i < 50'000; ++i) {
    wide += "w" + std::to_string(i) + " ::= w" + std::to_string(i + 1) + " \"y\"\n";
  }
  EXPECT_TRUE(matches(grammar(wide + "w50000 ::= \"z\"?"), "x"));
}

// Readings that double with every character end, the same way each time.
TEST(Grammar, ReadingsHaveALimit) {
  const auto g = grammar("root ::= \"x\" root \"y\" | \"x\" root \"z\" | \"\"");
  int length = 0;
  for (int round = 0; round < 2; ++round) {
    GrammarMatcher matcher(testing::masks(g), false);
    int n = 0;
    while (matcher.accept("x")) ++n;
    EXPECT_TRUE(round == 0 || n == length);
    length = n;
  }
  EXPECT_GE(length, 8);
  EXPECT_LE(length, 13);
}

}  // namespace
}  // namespace reckon
