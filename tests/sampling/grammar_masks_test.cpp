// Masks against the definition: a token is allowed if its bytes are.
#include "sampling/grammar_masks.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/sampling/grammar_samples.h"

namespace reckon {
namespace {

using testing::grammar;
using testing::is_set;
using testing::kEos;
using testing::kHello;
using testing::kSpaceStop;
using testing::kThinkEnd;
using testing::masks;

const std::shared_ptr<const Tokenizer>& tiny_tokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer = testing::tiny_tokenizer();
  return tokenizer;
}

std::string allowed_text(GrammarMatcher& matcher) {
  const auto bits = matcher.allowed();
  EXPECT_TRUE(bits.ok());
  std::string result;
  for (TokenId id = 0; id < tiny_tokenizer()->vocab_size(); ++id) {
    if (is_set(*bits, id)) result += "[" + std::string(tiny_tokenizer()->bytes(id)) + "]";
  }
  return result;
}

TEST(GrammarMasks, TokensWhoseBytesFit) {
  GrammarMatcher matcher(masks(grammar("root ::= \"hell\" [n-p] \" STOP now\"?")), false);
  EXPECT_EQ(allowed_text(matcher), "[h][hello]");
  EXPECT_TRUE(matcher.accept("hell"));
  EXPECT_EQ(allowed_text(matcher), "[n][o][p]");
  EXPECT_FALSE(matcher.may_end());
  EXPECT_TRUE(matcher.accept("o"));
  EXPECT_EQ(allowed_text(matcher), "[ ][<eos>][ STOP now]");
  EXPECT_TRUE(matcher.accept(" STOP now"));
  EXPECT_EQ(allowed_text(matcher), "[<eos>]");
  EXPECT_TRUE(matcher.may_end());
  EXPECT_FALSE(matcher.accept("x"));
  EXPECT_EQ(allowed_text(matcher), "");
}

TEST(GrammarMasks, SpecialTokensNever) {
  GrammarMatcher matcher(masks(grammar("root ::= .*")), false);
  const auto bits = *matcher.allowed();
  for (TokenId id = 0; id < tiny_tokenizer()->vocab_size(); ++id) {
    const bool special = id > 255 && id != kHello && id != kSpaceStop;
    // Bytes that begin no UTF-8 character can't come first.
    const bool begins = id > 255 || id < 0x80 || (id >= 0xc2 && id <= 0xf4);
    EXPECT_EQ(is_set(bits, id), (begins && !special) || id == kEos) << id;
  }
  EXPECT_TRUE(matcher.accept("</think"));
  EXPECT_FALSE(is_set(*matcher.allowed(), kThinkEnd));
}

TEST(GrammarMasks, ABlankLineAfterTheThought) {
  GrammarMatcher matcher(masks(grammar("root ::= \"{\" \"}\"")), true);
  EXPECT_EQ(allowed_text(matcher), "[\n][{]");
  EXPECT_TRUE(matcher.accept("\n"));
  EXPECT_EQ(allowed_text(matcher), "[\n][{]");
  EXPECT_TRUE(matcher.accept("\n"));
  EXPECT_EQ(allowed_text(matcher), "[{]");
}

// Random walks through random grammars: the mask of each state is what the bytes say, whether the
// masks are fresh, shared by others, or have been thrown away in between.
TEST(GrammarMasks, AgreeWithTheBytes) {
  const std::vector<std::string> texts = {
      "root ::= (\"hello\" | \" STOP\" | [a-m] root? [a-m])+",
      "root ::= \"h\" a | a\na ::= (\"ello\" | \"e\" a \"o\" | \"x\"*) \" \"?",
      "root ::= [^x]{3,6} | \"x\" root \"x\"",
      "root ::= (\"hel\" (\"lo\" | \"p\") | \" \" [A-Z]+ \" now\"?)*",
  };
  std::mt19937 random(3);
  for (const std::string& text : texts) {
    const auto parsed = grammar(text);
    const auto shared = masks(parsed);
    for (int walk = 0; walk < 8; ++walk) {
      GrammarMatcher matcher(shared, false);
      std::string said;
      for (int step = 0; step < 12; ++step) {
        const auto bits = matcher.allowed();
        ASSERT_TRUE(bits.ok());
        const std::vector<uint64_t> copy(bits->begin(), bits->end());
        std::vector<TokenId> allowed;
        for (TokenId id = 0; id < tiny_tokenizer()->vocab_size(); ++id) {
          const bool text_token = id < 256 || id == kHello || id == kSpaceStop;
          bool expected = false;
          if (text_token) {
            GrammarMatcher other(masks(parsed), false);
            if (walk > 1 && random() % 16 != 0) continue;  // the definition is slow
            expected = other.accept(said + std::string(tiny_tokenizer()->bytes(id)));
          } else if (id == kEos) {
            expected = testing::matches(parsed, said);
          }
          ASSERT_EQ(is_set(copy, id), expected) << text << ": " << said << " + " << id;
        }
        for (TokenId id = 0; id < tiny_tokenizer()->vocab_size(); ++id) {
          if (id != kEos && is_set(copy, id)) allowed.push_back(id);
        }
        if (allowed.empty()) break;
        const std::string_view next = tiny_tokenizer()->bytes(allowed[random() % allowed.size()]);
        ASSERT_TRUE(matcher.accept(next)) << text << ": " << said << " + " << next;
        said += next;
      }
    }
  }
}

TEST(GrammarMasks, ForgettingKeepsWhatIsInUse) {
  // Every character makes a new stack, so states and masks pile up.
  const auto shared = masks(grammar("root ::= \"a\" root \"b\" | \"c\" root \"d\" | \"!\""));
  GrammarMatcher still(shared, false);
  ASSERT_TRUE(still.accept("acca"));
  size_t largest = 0;
  std::mt19937 random(5);
  for (int text = 0; text < 300; ++text) {
    GrammarMatcher matcher(shared, false);
    for (int i = 0; i < 900; ++i) {
      ASSERT_TRUE(matcher.allowed().ok());
      ASSERT_TRUE(matcher.accept(random() % 2 == 0 ? "a" : "c"));
      largest = std::max(largest, shared->memory_bytes());
    }
  }
  EXPECT_GT(largest, size_t{32} << 20);  // so it was full at times
  EXPECT_LT(largest, size_t{33} << 20);
  EXPECT_EQ(allowed_text(still), "[!][a][c]");
  ASSERT_TRUE(still.accept("!bd"));
  EXPECT_EQ(allowed_text(still), "[d]");
  ASSERT_TRUE(still.accept("db"));
  EXPECT_EQ(allowed_text(still), "[<eos>]");
}

TEST(TokenTrie, HasEachTextTokenOnce) {
  const std::vector<TokenId> excluded = {'q', kHello};
  const TokenTrie trie(*tiny_tokenizer(), excluded);
  std::vector<int> seen(static_cast<size_t>(trie.vocab_size()));
  for (size_t i = 0; i < trie.nodes().size(); ++i) {
    const TokenTrie::Node& node = trie.nodes()[i];
    EXPECT_GT(node.skip, i);
    EXPECT_LE(node.skip, trie.nodes().size());
    if (node.token != kNoToken) ++seen[static_cast<size_t>(node.token)];
  }
  for (TokenId id = 0; id < trie.vocab_size(); ++id) {
    const bool expected = (id < 256 && id != 'q') || id == kSpaceStop;
    EXPECT_EQ(seen[static_cast<size_t>(id)], expected ? 1 : 0) << id;
  }
}

}  // namespace
}  // namespace reckon
