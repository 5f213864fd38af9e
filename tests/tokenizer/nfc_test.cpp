// The normaliser against cases of Unicode's own conformance rules, worked by hand; the comparison
// with the reference over many strings is in the goldens.
#include "tokenizer/nfc.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace reckon {
namespace {

std::string nfc(std::string_view text) {
  std::string buffer = "left over";
  return std::string(normalise_nfc(text, buffer));
}

TEST(NormaliseNfc, ComposesAndOrders) {
  EXPECT_EQ(nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(nfc("A\u030a"), "\u00c5");
  EXPECT_EQ(nfc("\u212b"), "\u00c5");               // a singleton
  EXPECT_EQ(nfc("a\u0301\u0323"), "\u1ea1\u0301");  // below goes before above
  EXPECT_EQ(nfc("a\u0300\u0301"), "\u00e0\u0301");  // the second one is blocked
  EXPECT_EQ(nfc("a\u0323\u0302"), "\u1ead");        // two compositions in a row
  EXPECT_EQ(nfc("\u1e9b\u0323"), "\u1e9b\u0323");   // stays as it is
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c");         // a composition exclusion
  EXPECT_EQ(nfc("\u09c7\u09be"), "\u09cb");         // a starter that composes
  EXPECT_EQ(nfc("\u0344"), "\u0308\u0301");         // a mark that decomposes
  EXPECT_EQ(nfc("\uf900\u304b\u3099"), "\u8c48\u304c");
  EXPECT_EQ(nfc("\u0301e"), "\u0301e");  // no starter before the mark
}

TEST(NormaliseNfc, ComposesHangul) {
  EXPECT_EQ(nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(nfc("\uac00\u11a8"), "\uac01");
  EXPECT_EQ(nfc("\uac01\u11a8"), "\uac01\u11a8");
  EXPECT_EQ(nfc("\uac00\u11a7"), "\uac00\u11a7");  // not a trailing consonant
  EXPECT_EQ(nfc("\u1100\u1176"), "\u1100\u1176");  // an old vowel
}

// Unicode 10 and later are unknown to the reference's normaliser.
TEST(NormaliseNfc, LeavesYoungerCharactersAlone) {
  EXPECT_EQ(nfc("e\u1df6\u0301"), "e\u1df6\u0301");
  EXPECT_EQ(nfc("\U00011935\U00011930"), "\U00011935\U00011930");
}

TEST(NormaliseNfc, KeepsWhatIsNotUtf8) {
  EXPECT_EQ(nfc("\xff"
                "e\u0301\xc3"),
            "\xff\u00e9\xc3");
  EXPECT_EQ(nfc("e\xff\u0301"), "e\xff\u0301");
  EXPECT_EQ(nfc("e\xcc"), "e\xcc");
  EXPECT_EQ(nfc("\xed\xa0\x80\u0301"), "\xed\xa0\x80\u0301");
}

TEST(NormaliseNfc, ReturnsTheTextItselfWhenNothingCanChange) {
  const std::string text = "plain text, \u00e9\u4e2d\U0001f600 \xff";
  std::string buffer;
  EXPECT_EQ(normalise_nfc(text, buffer).data(), text.data());
}

TEST(NormaliseNfc, IsStableAndJoinsSettledTexts) {
  constexpr std::string_view kParts[] = {
      "a",      "e\u0301", "\u0323", "\u0301", "\u00e9", "\u1100", "\u1161", "\u11a8",
      "\uac00", "\u0915",  "\u093c", "\xff",   "\u1df6", " ",      "\u0344", "\u212b"};
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (auto i = random() % 12; i > 0; --i) text += kParts[random() % std::size(kParts)];
    const std::string once = nfc(text);
    EXPECT_EQ(nfc(once), once);
    // A space is a boundary.
    EXPECT_EQ(nfc(text + " " + text), once + " " + once);
  }
}

}  // namespace
}  // namespace reckon
