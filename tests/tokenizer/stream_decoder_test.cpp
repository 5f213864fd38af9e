// Streaming: whole characters only, in whatever way the bytes are cut into tokens, and broken UTF-8
// as replacement characters.
#include <gtest/gtest.h>

#include <random>

#include "tests/tokenizer/fixture.h"

namespace reckon {
namespace {

// Text as one token a byte, so that every character is cut at every place.
std::vector<TokenId> byte_tokens(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> ids;
  for (const char byte : text) {
    std::vector<TokenId> id;
    tokenizer.encode({&byte, 1}, SpecialTokens::kAsText, id);
    ids.push_back(id.at(0));
  }
  return ids;
}

std::string streamed(const std::shared_ptr<const Tokenizer>& tokenizer,
                     const std::vector<TokenId>& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

TEST(StreamDecoder, HoldsBackAnUnfinishedCharacter) {
  const auto tokenizer = make_tokenizer(tiny_spec("qwen2"));
  StreamDecoder decoder(tokenizer);
  const auto ids = byte_tokens(*tokenizer, "aé\U0001f600");
  EXPECT_EQ(decoder.push(ids[0]), "a");
  EXPECT_TRUE(decoder.at_boundary());
  EXPECT_EQ(decoder.push(ids[1]), "");
  EXPECT_FALSE(decoder.at_boundary());
  EXPECT_EQ(decoder.push(ids[2]), "é");
  for (int i = 3; i < 6; ++i) EXPECT_EQ(decoder.push(ids[i]), "");
  EXPECT_EQ(decoder.push(ids[6]), "\U0001f600");
  EXPECT_TRUE(decoder.at_boundary());
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, ReplacesWhatCanNotBecomeValid) {
  const auto tokenizer = make_tokenizer(tiny_spec("qwen2"));
  const auto decoded = [&](std::string_view bytes) {
    return streamed(tokenizer, byte_tokens(*tokenizer, bytes));
  };
  const std::string bad = "\ufffd";
  EXPECT_EQ(decoded("a\x80z"), "a" + bad + "z");
  EXPECT_EQ(decoded("\xc3"), bad);
  EXPECT_EQ(decoded("\xc3z"), bad + "z");
  EXPECT_EQ(decoded("\xf0\x9f\x98z"), bad + "z");  // one for the cut character
  EXPECT_EQ(decoded("\xf0\x9f\x98"), bad);
  EXPECT_EQ(decoded("\xc0\xaf"), bad + bad);  // overlong
  EXPECT_EQ(decoded("\xe0\x80\x80"), bad + bad + bad);
  EXPECT_EQ(decoded("\xed\xa0\x80"), bad + bad + bad);  // a surrogate
  EXPECT_EQ(decoded("\xf4\x90\x80\x80"), bad + bad + bad + bad);
  EXPECT_EQ(decoded("\xf5\xff"), bad + bad);
  EXPECT_EQ(decoded("\xe4\xb8\xf0\x9f\x98\x80"), bad + "\U0001f600");
}

TEST(StreamDecoder, SaysSoAsSoonAsItIsCertain) {
  const auto tokenizer = make_tokenizer(tiny_spec("qwen2"));
  StreamDecoder decoder(tokenizer);
  const auto ids = byte_tokens(*tokenizer, "\xed\xa0");
  EXPECT_EQ(decoder.push(ids[0]), "");
  EXPECT_EQ(decoder.push(ids[1]), "\ufffd\ufffd");
  EXPECT_TRUE(decoder.at_boundary());
}

TEST(StreamDecoder, IsUsableAgainAfterFinish) {
  const auto tokenizer = make_tokenizer(tiny_spec("qwen2"));
  StreamDecoder decoder(tokenizer);
  const auto ids = byte_tokens(*tokenizer, "\xc3\xa9");
  EXPECT_EQ(decoder.push(ids[0]), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
  EXPECT_EQ(decoder.finish(), "");
  EXPECT_EQ(decoder.push(ids[1]), "\ufffd");
}

// threats.md B4: every event whole characters, the joined stream the whole text.
TEST(StreamDecoder, EveryEventIsValid) {
  const auto tokenizer = make_tokenizer(tiny_spec("llama-bpe"));
  const auto texts = strings_of(read_json_fixture("tiny_goldens.json").at("strings"));
  for (const std::string& text : texts) {
    for (const auto& ids : {encode(*tokenizer, text), byte_tokens(*tokenizer, text)}) {
      StreamDecoder decoder(tokenizer);
      std::string joined;
      for (const TokenId id : ids) {
        const std::string event = decoder.push(id);
        EXPECT_EQ(event.find("\ufffd"), text.find("\ufffd") == std::string::npos
                                            ? std::string::npos
                                            : event.find("\ufffd"));
        joined += event;
      }
      EXPECT_TRUE(decoder.at_boundary());
      EXPECT_EQ(joined + decoder.finish(), text);
    }
  }
}

}  // namespace
}  // namespace reckon
