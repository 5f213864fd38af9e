// Stop strings, cut at every place that tokens could be.
#include "reasoning/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

namespace reckon {
namespace {

std::string run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces,
                bool* stopped = nullptr) {
  StopStrings matcher(stops);
  std::string out;
  for (const std::string& piece : pieces) matcher.push(piece, out);
  if (stopped != nullptr) *stopped = matcher.stopped();
  return out + matcher.finish();
}

TEST(StopStrings, PassesAllTextWithoutStops) {
  StopStrings none({});
  std::string out;
  none.push("anything", out);
  EXPECT_EQ(out, "anything");
}

TEST(StopStrings, HoldsBackOnlyWhatMayBecomeAStop) {
  StopStrings matcher({"###"});
  std::string out;
  matcher.push("ab#", out);
  EXPECT_EQ(out, "ab");
  matcher.push("#", out);
  EXPECT_EQ(out, "ab");
  matcher.push("x", out);
  EXPECT_EQ(out, "ab##x");
  matcher.push("##", out);
  matcher.push("#tail", out);
  EXPECT_EQ(out, "ab##x");
  EXPECT_TRUE(matcher.stopped());
  matcher.push("more", out);
  EXPECT_EQ(out, "ab##x");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopStrings, GivesTheHeldTextWhenNothingMoreComes) {
  StopStrings matcher({"</answer>"});
  std::string out;
  matcher.push("done</ans", out);
  EXPECT_EQ(out, "done");
  EXPECT_EQ(matcher.finish(), "</ans");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopStrings, TheOneThatEndsFirstCounts) {
  EXPECT_EQ(run({"abcd", "bc"}, {"xabcd"}), "xa");
  EXPECT_EQ(run({"bc", "abc"}, {"xabcd"}), "x");
  EXPECT_EQ(run({"aab"}, {"aaab"}), "a");
}

TEST(StopStrings, TellWhichOneWasMet) {
  StopStrings matcher({"abcd", "bc"});
  std::string out;
  matcher.push("xab", out);
  EXPECT_FALSE(matcher.met().has_value());
  matcher.push("cd", out);
  EXPECT_EQ(matcher.met(), 1u);
}

// However a text is split, the output is that of the text in one piece.
TEST(StopStrings, SplitsDontMatter) {
  std::mt19937 engine(1);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += static_cast<char>('a' + engine() % 3);
    std::vector<std::string> stops;
    for (int s = 0; s < 3; ++s) {
      std::string stop;
      for (size_t i = 0; i <= engine() % 4; ++i) stop += static_cast<char>('a' + engine() % 3);
      stops.push_back(stop);
    }
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + engine() % 4;
      pieces.push_back(text.substr(at, n));
      at += n;
    }
    // The reference: one character after the other, looking for a stop at the end of all so far.
    std::string expected = text;
    for (size_t end = 1; end <= text.size() && expected == text; ++end) {
      size_t longest = 0;
      for (const std::string& stop : stops) {
        if (std::string_view(text).substr(0, end).ends_with(stop)) {
          longest = std::max(longest, stop.size());
        }
      }
      if (longest > 0) expected = text.substr(0, end - longest);
    }
    bool stopped = false;
    EXPECT_EQ(run(stops, pieces, &stopped), expected) << text;
    EXPECT_EQ(stopped, expected != text);
  }
}

}  // namespace
}  // namespace reckon
