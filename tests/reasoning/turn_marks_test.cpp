// Places to branch, at the exact token however the marks are cut into tokens.
#include "reasoning/turn_marks.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

using Places = std::vector<int64_t>;

const ProbeStyle kStyle{.breaks = {"\n\n"}, .words = {"Wait", "But wait"}, .lead = ""};

Places places(const std::vector<std::string>& tokens, int64_t min_gap = 1) {
  TurnMarks marks(kStyle, min_gap);
  Places found;
  int64_t n_decided = 0;
  for (const std::string& token : tokens) {
    if (const auto place = marks.push(token)) {
      EXPECT_GE(*place, n_decided) << "a place among tokens that were let go";
      found.push_back(*place);
    }
    EXPECT_GE(marks.n_decided(), n_decided);
    n_decided = marks.n_decided();
  }
  return found;
}

std::vector<std::string> bytes(std::string_view text) {
  std::vector<std::string> tokens;
  for (const char c : text) tokens.emplace_back(1, c);
  return tokens;
}

TEST(TurnMarks, BehindABreak) {
  EXPECT_EQ(places({"a", "b", "\n\n", "c"}), Places{3});
  EXPECT_EQ(places({"a", "b", "\n", "\n", "c"}), Places{4});
  EXPECT_EQ(places({"a.\n\nSo", "c"}), Places{1});
  EXPECT_EQ(places({"a", "\n", "c"}), Places{});
}

TEST(TurnMarks, BeforeAWord) {
  EXPECT_EQ(places({"a", " b", " Wait", ","}), Places{2});
  EXPECT_EQ(places(bytes("ab Wait,")), Places{3});
  EXPECT_EQ(places({"a", "Wait"}), Places{}) << "a letter before it";
  EXPECT_EQ(places({"a", " W", "ater"}), Places{});
  EXPECT_EQ(places({"Wait", " a"}), Places{}) << "nothing has been thought";
  EXPECT_EQ(places({"a", ". But", " wait", " so"}), Places{1});
}

TEST(TurnMarks, OnePlaceIsMetOnce) {
  EXPECT_EQ(places({"a", "\n\n", "Wait", " b"}), Places{2});
  EXPECT_EQ(places(bytes("a\n\nWait b")), Places{3});
}

TEST(TurnMarks, PlacesKeepTheirDistance) {
  EXPECT_EQ(places(bytes("ab\n\ncd\n\nef\n\n"), 5), (Places{8}));
  EXPECT_EQ(places(bytes("ab\n\ncd\n\nef\n\n"), 4), (Places{4, 8, 12}));
  EXPECT_EQ(places(bytes("ab\n\ncd\n\nef\n\n"), 100), Places{});
  // A word that comes too soon takes nothing from the break in the same token.
  EXPECT_EQ(places({"a", "b", " Wait\n\n", "c"}, 3), Places{3});
  EXPECT_EQ(places({"Wait\n\n", "a"}), Places{1});
}

TEST(TurnMarks, HoldsBackWhatMayBecomeAWord) {
  TurnMarks marks(kStyle, 1);
  for (const char* token : {"a", " ", "W", "a", "i"}) marks.push(token);
  EXPECT_EQ(marks.n_decided(), 2);
  marks.push("l");
  EXPECT_EQ(marks.n_decided(), 6);
}

TEST(TurnMarks, LongTokensAndLongThoughts) {
  TurnMarks marks(kStyle, 1);
  for (int i = 0; i < 10'000; ++i) EXPECT_FALSE(marks.push("no turn here, "));
  EXPECT_EQ(marks.push(std::string(100'000, 'x') + "\n\n"), 10'001);
  EXPECT_EQ(marks.push(""), std::nullopt);
}

TEST(ProbeStyle, GoesByTemplateAndModel) {
  EXPECT_EQ(&default_probe_style("deepseek-r1", "R1"), find_probe_style("r1"));
  EXPECT_EQ(&default_probe_style("chatml", "SmolLM2"), find_probe_style("plain"));
  EXPECT_EQ(&default_probe_style("deepseek-r1", "reckon-small"), find_probe_style("lines"));
  EXPECT_EQ(find_probe_style("nonsense"), nullptr);
}

}  // namespace
}  // namespace reckon
