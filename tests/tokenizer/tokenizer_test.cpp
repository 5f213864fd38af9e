// Encoding and decoding over the committed vocabulary, against ids that PyPI `tokenizers` gave.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <random>
#include <thread>

#include "tests/tokenizer/fixture.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kFamilies[] = {"deepseek-r1-qwen", "qwen2", "llama-bpe", "deepseek-v3",
                                     "smollm",           "gpt-2", "default"};

TEST(Tokenizer, GivesTheReferencesIds) {
  const auto fixture = read_json_fixture("tiny_goldens.json");
  const auto texts = strings_of(fixture.at("strings"));
  ASSERT_GE(texts.size(), 400u);
  for (const char* family : kFamilies) {
    const auto tokenizer = make_tokenizer(tiny_spec(family));
    const auto& expected = fixture.at("ids").at(family).as_array();
    ASSERT_EQ(expected.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(encode(*tokenizer, texts[i]), ids_of(expected[i]))
          << family << ": " << excerpt(texts[i], 300);
    }
  }
}

// The goldens again, as one text: long enough for the cache of words, which single strings don't
// use. A special token keeps them apart.
TEST(Tokenizer, LongTextIsTheSameAsItsParts) {
  const auto texts = strings_of(read_json_fixture("tiny_goldens.json").at("strings"));
  for (const char* family : kFamilies) {
    TokenizerSpec spec = tiny_spec(family);
    const TokenId mark = add_token(spec, "<|mark|>", TokenKind::kControl);
    const auto tokenizer = make_tokenizer(spec);
    std::string joined;
    std::vector<TokenId> expected;
    for (int round = 0; round < 3; ++round) {
      for (const std::string& text : texts) {
        joined += text + "<|mark|>";
        tokenizer->encode(text, SpecialTokens::kAsText, expected);
        expected.push_back(mark);
      }
    }
    EXPECT_EQ(encode(*tokenizer, joined, SpecialTokens::kParse), expected) << family;
  }
}

std::string random_bytes(std::mt19937& random, size_t n) {
  std::string bytes(n, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(Tokenizer, AnyBytesComeBack) {
  std::mt19937 random(1);
  for (const char* family : {"llama-bpe", "deepseek-v3", "smollm", "gpt-2", "default"}) {
    const auto tokenizer = make_tokenizer(tiny_spec(family));
    for (int i = 0; i < 300; ++i) {
      const std::string bytes = random_bytes(random, random() % 400);
      EXPECT_EQ(tokenizer->decode(encode(*tokenizer, bytes)), bytes) << family;
    }
  }
}

// Broken UTF-8 has nothing to normalise unless a combining character turns up, which is left out
// here (bytes 0xcc and 0xcd lead most of them, the rest lie above U+0482).
TEST(Tokenizer, AnyBytesComeBackWhereTextIsNormalised) {
  std::mt19937 random(2);
  for (const char* family : {"deepseek-r1-qwen", "qwen2"}) {
    const auto tokenizer = make_tokenizer(tiny_spec(family));
    for (int i = 0; i < 300; ++i) {
      std::string bytes = random_bytes(random, random() % 400);
      for (char& byte : bytes) {
        if (static_cast<uint8_t>(byte) >= 0xcc && static_cast<uint8_t>(byte) < 0xf5) byte = '\xff';
      }
      EXPECT_EQ(tokenizer->decode(encode(*tokenizer, bytes)), bytes) << family;
    }
  }
}

TEST(Tokenizer, EachInvalidByteIsItsByteToken) {
  for (const char* family : kFamilies) {
    const auto tokenizer = make_tokenizer(tiny_spec(family));
    // A lone continuation, a cut character (a token by itself here, by merges), an overlong slash,
    // a surrogate, beyond U+10FFFF.
    ASSERT_NE(tokenizer->find("ä¸"), kNoToken);
    for (const std::string_view bytes :
         {"\x80", "\xe4\xb8", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff\xfe"}) {
      const auto ids = encode(*tokenizer, bytes);
      ASSERT_EQ(ids.size(), bytes.size()) << family;
      for (size_t i = 0; i < bytes.size(); ++i) {
        EXPECT_EQ(tokenizer->bytes(ids[i]), bytes.substr(i, 1)) << family;
      }
    }
  }
}

TEST(Tokenizer, BytesThatTheVocabularyLacksAreLeftOut) {
  TokenizerSpec spec = tiny_spec("smollm");
  const auto tokenizer = make_tokenizer(spec);
  const TokenId missing = encode(*tokenizer, "\x04")[0];
  spec.kinds[missing] = TokenKind::kUnused;
  const auto without = make_tokenizer(spec);
  // As the reference does it: what stood on both sides may merge.
  EXPECT_EQ(encode(*without, "e\x04r"), encode(*tokenizer, "er"));
}

TEST(Tokenizer, NormalisesWhereTheModelDoes) {
  const std::string decomposed = "cafe\u0301";
  for (const char* family : {"deepseek-r1-qwen", "qwen2"}) {
    const auto tokenizer = make_tokenizer(tiny_spec(family));
    EXPECT_EQ(tokenizer->decode(encode(*tokenizer, decomposed)), "caf\u00e9");
  }
  const auto llama = make_tokenizer(tiny_spec("llama-bpe"));
  EXPECT_EQ(llama->decode(encode(*llama, decomposed)), decomposed);
}

TEST(Tokenizer, TakesWholeWordsOnlyForLlama) {
  TokenizerSpec spec = tiny_spec("llama-bpe");
  const auto llama = make_tokenizer(spec);
  const TokenId brown = llama->find("Ġbrown");
  ASSERT_NE(brown, kNoToken);
  EXPECT_THAT(encode(*llama, " brown"), ElementsAre(brown));
  const auto qwen = make_tokenizer(tiny_spec("qwen2"));
  EXPECT_GT(encode(*qwen, " brown").size(), 1u);
}

TEST(Tokenizer, ParsesTheLongestSpecialTokenOnlyWhenAsked) {
  TokenizerSpec spec = tiny_spec("qwen2");
  const TokenId think = add_token(spec, "<think>", TokenKind::kUserDefined);
  const TokenId close = add_token(spec, "</think>", TokenKind::kUserDefined);
  const TokenId end = add_token(spec, "<|end|>", TokenKind::kControl);
  const TokenId longer = add_token(spec, "<|end|>of", TokenKind::kControl);
  const TokenId unused = add_token(spec, "[PAD9]", TokenKind::kUnused);
  const auto tokenizer = make_tokenizer(spec);
  const std::string text = "<think>a</think><|end|>of<|end|><|end|[PAD9]";
  auto expected = std::vector<TokenId>{think};
  for (const TokenId id : encode(*tokenizer, "a")) expected.push_back(id);
  for (const TokenId id : {close, longer, end}) expected.push_back(id);
  for (const TokenId id : encode(*tokenizer, "<|end|[PAD9]")) expected.push_back(id);
  EXPECT_EQ(encode(*tokenizer, text, SpecialTokens::kParse), expected);
  EXPECT_EQ(tokenizer->decode(expected), text);
  const auto as_text = encode(*tokenizer, text);
  EXPECT_EQ(tokenizer->decode(as_text), text);
  for (const TokenId id : as_text) EXPECT_LT(id, think);
  EXPECT_EQ(tokenizer->bytes(unused), "");
  EXPECT_EQ(tokenizer->find("</think>"), close);
}

// threats.md E7: a vocabulary whose merges spell special tokens, and one where a whole piece is
// one.
TEST(Tokenizer, TextNeverMergesToASpecialToken) {
  for (const char* family : kFamilies) {
    for (const TokenKind kind : {TokenKind::kControl, TokenKind::kUserDefined}) {
      TokenizerSpec spec = tiny_spec(family);
      // Every prefix of the mark is a token and merges with the next letter, so that without
      // care the pieces "</" and "think" and ">" would end as specials.
      std::vector<TokenId> specials;
      const std::string mark = "think";
      std::string prefix = mark.substr(0, 1);
      for (const char next : mark.substr(1)) {
        const bool last = prefix.size() + 1 == mark.size();
        const bool known = std::ranges::find(spec.tokens, prefix + next) != spec.tokens.end();
        if (!known || last) {
          if (known) std::ranges::replace(spec.tokens, prefix + next, std::string("[gone]"));
          const TokenId id = add_token(spec, prefix + next, last ? kind : TokenKind::kNormal);
          if (last) specials.push_back(id);
        }
        const std::string merge = prefix + " " + next;
        std::erase_if(spec.merges, [&](const std::string& other) {
          std::string joined = other;
          std::erase(joined, ' ');
          return joined.starts_with(mark) || other == merge;
        });
        spec.merges.push_back(merge);
        prefix += next;
      }
      const auto tokenizer = make_tokenizer(spec);
      for (const std::string_view text : {"think", "</think>", " think think>", "xthinkthink"}) {
        const auto ids = encode(*tokenizer, text);
        EXPECT_EQ(tokenizer->decode(ids), text);
        for (const TokenId id : ids) EXPECT_EQ(tokenizer->kind(id), TokenKind::kNormal) << family;
      }
      EXPECT_THAT(encode(*tokenizer, "think", SpecialTokens::kParse), ElementsAre(specials[0]));
    }
  }
}

TEST(Tokenizer, KnowsWhatEndsAnAnswer) {
  TokenizerSpec spec = tiny_spec("qwen2");
  const TokenId eos = add_token(spec, "<|endoftext|>", TokenKind::kControl);
  const TokenId turn = add_token(spec, "<|im_end|>", TokenKind::kControl);
  const TokenId other = add_token(spec, "<|im_start|>", TokenKind::kControl);
  const TokenId own = add_token(spec, "<stop>", TokenKind::kControl);
  spec.eos = own;
  const auto tokenizer = make_tokenizer(spec);
  for (const TokenId id : {eos, turn, own}) EXPECT_TRUE(tokenizer->ends_generation(id));
  for (const TokenId id : {other, TokenId{0}, kNoToken}) {
    EXPECT_FALSE(tokenizer->ends_generation(id));
  }
  EXPECT_EQ(tokenizer->spec().eot, turn);
}

TEST(Tokenizer, ByteTokensStandForTheirByte) {
  TokenizerSpec spec = tiny_spec("gpt-2");
  const TokenId plain = encode(*make_tokenizer(spec), "\x01")[0];
  spec.kinds[plain] = TokenKind::kUnused;
  const TokenId byte = add_token(spec, "<0x01>", TokenKind::kByte);
  const auto tokenizer = make_tokenizer(spec);
  EXPECT_THAT(encode(*tokenizer, "\x01"), ElementsAre(byte));
  EXPECT_EQ(tokenizer->bytes(byte), "\x01");
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreNothing) {
  const auto tokenizer = make_tokenizer(tiny_spec("qwen2"));
  for (const TokenId id : {-1, tokenizer->vocab_size(), INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer->bytes(id), "");
    EXPECT_EQ(tokenizer->kind(id), TokenKind::kUnused);
    EXPECT_FALSE(tokenizer->ends_generation(id));
  }
}

struct BadSpec {
  const char* name;
  void (*spoil)(TokenizerSpec& spec);
  const char* message;
};

class TokenizerCreate : public testing::TestWithParam<BadSpec> {};

TEST_P(TokenizerCreate, RefusesAndNames) {
  TokenizerSpec spec = tiny_spec("qwen2");
  GetParam().spoil(spec);
  const auto tokenizer = Tokenizer::create(std::move(spec));
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.error().kind, ErrorKind::kBadFile);
  EXPECT_THAT(tokenizer.error().message, HasSubstr(GetParam().message));
}

const BadSpec kBadSpecs[] = {
    {"pre", [](TokenizerSpec& s) { s.pre_tokenizer = "tekken"; },
     "unknown pre-tokenizer \"tekken\", expected one of deepseek-r1-qwen, qwen2, llama-bpe"},
    {"no_tokens",
     [](TokenizerSpec& s) {
       s.tokens.clear();
       s.kinds.clear();
     },
     "found 0"},
    {"kinds", [](TokenizerSpec& s) { s.kinds.pop_back(); }, "as many token types as tokens"},
    {"empty_token", [](TokenizerSpec& s) { add_token(s, "", TokenKind::kNormal); },
     "a token without text"},
    {"empty_special", [](TokenizerSpec& s) { add_token(s, "", TokenKind::kControl); },
     "a token without text"},
    {"huge_token",
     [](TokenizerSpec& s) { add_token(s, std::string(1 << 20, 'a'), TokenKind::kNormal); },
     "expected at most 4096 bytes, found 1048576"},
    {"twice", [](TokenizerSpec& s) { add_token(s, s.tokens[300], TokenKind::kNormal); },
     "the same as token 300"},
    {"byte_token", [](TokenizerSpec& s) { add_token(s, "<0xZZ>", TokenKind::kByte); },
     "(\"<0xZZ>\"): a byte token, expected"},
    {"bos", [](TokenizerSpec& s) { s.bos = static_cast<TokenId>(s.tokens.size()); },
     "bos token id: expected 0 to"},
    {"eos", [](TokenizerSpec& s) { s.eos = -7; }, "found -7"},
    {"eot", [](TokenizerSpec& s) { s.eot = INT32_MAX; }, "eot token id"},
    {"padding", [](TokenizerSpec& s) { s.padding = 1 << 30; }, "padding token id"},
    {"add_bos", [](TokenizerSpec& s) { s.add_bos = true; }, "names none"},
    {"add_eos", [](TokenizerSpec& s) { s.add_eos = true; }, "names none"},
    {"absent_left", [](TokenizerSpec& s) { s.merges.push_back("nowhere e"); },
     "(\"nowhere e\"): the vocabulary has no token \"nowhere\""},
    {"absent_right", [](TokenizerSpec& s) { s.merges.push_back("e nowhere"); },
     "no token \"nowhere\""},
    {"absent_result", [](TokenizerSpec& s) { s.merges.push_back("Ġbrown Ġbrown"); },
     "no token \"ĠbrownĠbrown\""},
    {"one_part", [](TokenizerSpec& s) { s.merges.push_back("e"); }, "expected two tokens"},
    {"three_parts", [](TokenizerSpec& s) { s.merges.push_back("e r r"); }, "expected two tokens"},
    {"no_left", [](TokenizerSpec& s) { s.merges.push_back(" er"); }, "expected two tokens"},
    {"no_right", [](TokenizerSpec& s) { s.merges.push_back("er "); }, "expected two tokens"},
    {"merge_twice", [](TokenizerSpec& s) { s.merges.push_back(s.merges[3]); }, "stands twice"},
    {"no_letter",
     [](TokenizerSpec& s) {
       *std::ranges::find(s.tokens, "e") = "\u4e2d";
       s.merges.clear();
     },
     "has no token \"e\" for the byte 101"},
};

INSTANTIATE_TEST_SUITE_P(Bad, TokenizerCreate, testing::ValuesIn(kBadSpecs),
                         [](const auto& instance) { return instance.param.name; });

double cpu_ms() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

// threats.md B2 for every pre-tokenizer, in processor time, and with a second and third try, as
// what else runs takes caches away. Memory is handed back to the system first, so that every
// measurement pays for fresh pages.
class LongRuns : public testing::TestWithParam<const char*> {};

TEST_P(LongRuns, TakeTimeInProportion) {
  const auto tokenizer = make_tokenizer(tiny_spec(GetParam()));
  const auto ms_for = [&](std::string_view unit, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += unit;
    malloc_trim(0);
    const double start = cpu_ms();
    EXPECT_FALSE(encode(*tokenizer, text).empty());
    return cpu_ms() - start;
  };
  for (const std::string_view unit : {"a", "\n", "\U0001f600", "\u0301"}) {
    double half = 0;
    double whole = 1e9;
    for (int i = 0; i < 3 && whole / half > 2.5; ++i) {
      half = ms_for(unit, 500'000);
      whole = ms_for(unit, 1'000'000);
    }
    EXPECT_LE(whole / half, 2.5) << unit << ": " << half << " ms, then " << whole << " ms";
  }
}

INSTANTIATE_TEST_SUITE_P(PreTokenizers, LongRuns,
                         testing::Values("deepseek-r1-qwen", "qwen2", "llama-bpe", "deepseek-v3",
                                         "smollm", "gpt-2", "default"));

TEST(Tokenizer, ThreadsShareOne) {
  const auto tokenizer = make_tokenizer(tiny_spec("deepseek-r1-qwen"));
  const auto texts = strings_of(read_json_fixture("tiny_goldens.json").at("strings"));
  std::string all;
  for (const std::string& text : texts) all += text;
  const auto expected = encode(*tokenizer, all);
  std::vector<std::vector<TokenId>> found(4);
  std::vector<std::thread> threads;
  for (auto& ids : found) {
    threads.emplace_back([&ids, &tokenizer, &all] { ids = encode(*tokenizer, all); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& ids : found) EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace reckon
