// A tokenizer from a model file's metadata: what is read, and what is refused and named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <new>

#include "gguf/gguf_file.h"
#include "tests/gguf/gguf_bytes.h"
#include "tests/tokenizer/fixture.h"

namespace reckon {
namespace {

using testing::HasSubstr;

std::string strings(const std::vector<std::string>& values) {
  std::string elements;
  for (const std::string& value : values) elements += test::text(value);
  return elements;
}

// tokenizer.ggml.* by name, encoded with type and value, so that a case can replace or drop one.
using Keys = std::map<std::string, std::string>;

std::string encoded(uint32_t type, const std::string& payload) { return test::u32(type) + payload; }
std::string encoded_array(uint32_t type, uint64_t count, const std::string& elements) {
  return encoded(9, test::u32(type) + test::u64(count) + elements);
}
std::string encoded_text(std::string_view value) { return encoded(8, test::text(value)); }
std::string encoded_u32(uint32_t value) { return encoded(4, test::u32(value)); }
std::string encoded_bool(bool value) { return encoded(7, std::string(1, value ? '\1' : '\0')); }
std::string encoded_strings(const std::vector<std::string>& values) {
  return encoded_array(8, values.size(), strings(values));
}
std::string encoded_kinds(const std::vector<int32_t>& kinds) {
  std::string elements;
  for (const int32_t kind : kinds) elements += test::le(kind);
  return encoded_array(5, kinds.size(), elements);
}

struct Fixture {
  TokenizerSpec spec = tiny_spec("qwen2");
  TokenId eos = add_token(spec, "<|end|>", TokenKind::kControl);
  TokenId think = add_token(spec, "<think>", TokenKind::kUserDefined);

  Keys keys() const {
    std::vector<int32_t> kinds;
    for (const TokenKind kind : spec.kinds) kinds.push_back(static_cast<int32_t>(kind));
    return {{"model", encoded_text("gpt2")},
            {"pre", encoded_text("qwen2")},
            {"tokens", encoded_strings(spec.tokens)},
            {"token_type", encoded_kinds(kinds)},
            {"merges", encoded_strings(spec.merges)},
            {"bos_token_id", encoded_u32(static_cast<uint32_t>(eos))},
            {"eos_token_id", encoded_u32(static_cast<uint32_t>(eos))},
            {"padding_token_id", encoded_u32(5)},
            {"add_bos_token", encoded_bool(false)}};
  }
};

Result<std::shared_ptr<const Tokenizer>> load(const Keys& keys) {
  test::GgufBytes file = test::small_gguf();
  for (const auto& [name, value] : keys) {
    file.pairs.push_back(test::text("tokenizer.ggml." + name) + value);
  }
  const std::string bytes = file.encode();
  void* aligned = ::operator new(bytes.size(), std::align_val_t(64));
  std::memcpy(aligned, bytes.data(), bytes.size());
  const std::shared_ptr<void> owner(aligned,
                                    [](void* p) { ::operator delete(p, std::align_val_t(64)); });
  const auto gguf =
      GgufFile::from_bytes({static_cast<const std::byte*>(aligned), bytes.size()}, "model.gguf");
  if (!gguf.ok()) return gguf.error();
  return Tokenizer::from_gguf(**gguf);
}

TEST(FromGguf, ReadsTheTokenizer) {
  const Fixture fixture;
  const auto tokenizer = load(fixture.keys());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const TokenizerSpec& spec = (*tokenizer)->spec();
  EXPECT_EQ(spec.pre_tokenizer, "qwen2");
  EXPECT_EQ(spec.tokens, fixture.spec.tokens);
  EXPECT_EQ(spec.kinds, fixture.spec.kinds);
  EXPECT_EQ(spec.merges, fixture.spec.merges);
  EXPECT_EQ(spec.bos, fixture.eos);
  EXPECT_EQ(spec.eos, fixture.eos);
  EXPECT_EQ(spec.padding, 5);
  EXPECT_FALSE(spec.add_bos);
  // The tokenizer keeps nothing of the file, which is gone by now.
  EXPECT_EQ(encode(**tokenizer, "Größe <think>", SpecialTokens::kParse).back(), fixture.think);
}

TEST(FromGguf, AddsBosForLlamaWhereTheFileDoesNotSay) {
  Keys keys = Fixture().keys();
  keys["pre"] = encoded_text("llama-bpe");
  keys.erase("add_bos_token");
  const auto llama = load(keys);
  ASSERT_TRUE(llama.ok()) << llama.error().message;
  EXPECT_TRUE((*llama)->add_bos());
  keys["pre"] = encoded_text("qwen2");
  const auto qwen = load(keys);
  ASSERT_TRUE(qwen.ok()) << qwen.error().message;
  EXPECT_FALSE((*qwen)->add_bos());
}

TEST(FromGguf, TakesAllTokensAsNormalWhereTheFileHasNoTypes) {
  Keys keys = Fixture().keys();
  keys.erase("token_type");
  const auto tokenizer = load(keys);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->kind(Fixture().think), TokenKind::kNormal);
}

struct BadKeys {
  const char* name;
  std::function<void(Keys& keys, const Fixture& fixture)> spoil;
  const char* message;
};

class FromBadGguf : public testing::TestWithParam<BadKeys> {};

TEST_P(FromBadGguf, RefusesAndNamesTheKey) {
  const Fixture fixture;
  Keys keys = fixture.keys();
  GetParam().spoil(keys, fixture);
  const auto tokenizer = load(keys);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.error().kind, ErrorKind::kBadFile);
  EXPECT_THAT(tokenizer.error().message, HasSubstr("model.gguf"));
  EXPECT_THAT(tokenizer.error().message, HasSubstr(GetParam().message));
}

void replace(Keys& keys, const char* name, const std::string& value) { keys[name] = value; }

const BadKeys kBadKeys[] = {
    {"no_model", [](Keys& k, const Fixture&) { k.erase("model"); }, "tokenizer.ggml.model"},
    {"model", [](Keys& k, const Fixture&) { replace(k, "model", encoded_text("llama")); },
     "tokenizer.ggml.model: expected \"gpt2\" (byte-level BPE), found \"llama\""},
    {"model_type", [](Keys& k, const Fixture&) { replace(k, "model", encoded_u32(1)); },
     "tokenizer.ggml.model"},
    {"no_pre", [](Keys& k, const Fixture&) { k.erase("pre"); }, "tokenizer.ggml.pre"},
    {"pre", [](Keys& k, const Fixture&) { replace(k, "pre", encoded_text("tekken")); },
     "unknown pre-tokenizer \"tekken\""},
    {"no_tokens", [](Keys& k, const Fixture&) { k.erase("tokens"); }, "tokenizer.ggml.tokens"},
    {"empty_tokens", [](Keys& k, const Fixture&) { replace(k, "tokens", encoded_strings({})); },
     "tokenizer.ggml.tokens"},
    {"tokens_type", [](Keys& k, const Fixture&) { replace(k, "tokens", encoded_kinds({1, 2, 3})); },
     "tokenizer.ggml.tokens"},
    {"tokens_text", [](Keys& k, const Fixture&) { replace(k, "tokens", encoded_text("a b c")); },
     "tokenizer.ggml.tokens"},
    {"no_merges", [](Keys& k, const Fixture&) { k.erase("merges"); }, "tokenizer.ggml.merges"},
    {"merges_type", [](Keys& k, const Fixture&) { replace(k, "merges", encoded_u32(7)); },
     "tokenizer.ggml.merges"},
    {"absent_merge",
     [](Keys& k, const Fixture&) { replace(k, "merges", encoded_strings({"zzz y"})); },
     "merge 0 (\"zzz y\"): the vocabulary has no token \"zzz\""},
    {"short_kinds",
     [](Keys& k, const Fixture&) { replace(k, "token_type", encoded_kinds({1, 1, 1})); },
     "tokenizer.ggml.token_type: expected as many elements as there are tokens"},
    {"kinds_type",
     [](Keys& k, const Fixture& f) {
       replace(k, "token_type",
               encoded_array(6, f.spec.tokens.size(), std::string(4 * f.spec.tokens.size(), '\0')));
     },
     "tokenizer.ggml.token_type"},
    {"kind_zero",
     [](Keys& k, const Fixture& f) {
       replace(k, "token_type", encoded_kinds(std::vector<int32_t>(f.spec.tokens.size(), 0)));
     },
     "element 0: expected 1 to 6, found 0"},
    {"kind_seven",
     [](Keys& k, const Fixture& f) {
       std::vector<int32_t> kinds(f.spec.tokens.size(), 1);
       kinds[9] = 7;
       replace(k, "token_type", encoded_kinds(kinds));
     },
     "element 9: expected 1 to 6, found 7"},
    {"byte_token",
     [](Keys& k, const Fixture& f) {
       std::vector<std::string> tokens = f.spec.tokens;
       tokens.back() = "<0xZZ>";
       std::vector<int32_t> kinds(tokens.size(), 1);
       kinds.back() = 6;
       replace(k, "tokens", encoded_strings(tokens));
       replace(k, "token_type", encoded_kinds(kinds));
     },
     "(\"<0xZZ>\"): a byte token, expected <0x00> to <0xFF>"},
    {"huge_token",
     [](Keys& k, const Fixture& f) {
       std::vector<std::string> tokens = f.spec.tokens;
       tokens.back().assign(1 << 22, 'x');
       replace(k, "tokens", encoded_strings(tokens));
     },
     "expected at most 4096 bytes, found 4194304"},
    {"token_twice",
     [](Keys& k, const Fixture& f) {
       std::vector<std::string> tokens = f.spec.tokens;
       tokens.back() = tokens[40];
       replace(k, "tokens", encoded_strings(tokens));
     },
     "the same as token 40"},
    {"bos", [](Keys& k, const Fixture&) { replace(k, "bos_token_id", encoded_u32(1u << 31)); },
     "tokenizer.ggml.bos_token_id: expected 0 to"},
    {"eos",
     [](Keys& k, const Fixture& f) {
       replace(k, "eos_token_id", encoded_u32(static_cast<uint32_t>(f.spec.tokens.size())));
     },
     "tokenizer.ggml.eos_token_id: expected 0 to"},
    {"eos_type", [](Keys& k, const Fixture&) { replace(k, "eos_token_id", encoded_text("2")); },
     "tokenizer.ggml.eos_token_id"},
    {"eot", [](Keys& k, const Fixture&) { replace(k, "eot_token_id", encoded_u32(~0u)); },
     "tokenizer.ggml.eot_token_id"},
    {"padding", [](Keys& k, const Fixture&) { replace(k, "padding_token_id", encoded_u32(~0u)); },
     "tokenizer.ggml.padding_token_id"},
    {"add_bos_type", [](Keys& k, const Fixture&) { replace(k, "add_bos_token", encoded_u32(1)); },
     "tokenizer.ggml.add_bos_token"},
    {"no_bos",
     [](Keys& k, const Fixture&) {
       k.erase("bos_token_id");
       replace(k, "add_bos_token", encoded_bool(true));
     },
     "adds a bos token but names none"},
    {"space_prefix",
     [](Keys& k, const Fixture&) { replace(k, "add_space_prefix", encoded_bool(true)); },
     "tokenizer.ggml.add_space_prefix: expected false"},
};

INSTANTIATE_TEST_SUITE_P(Keys, FromBadGguf, testing::ValuesIn(kBadKeys),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace reckon
