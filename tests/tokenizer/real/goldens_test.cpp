// Ids over the real vocabularies against PyPI `tokenizers`: over 20,000 strings a family, with
// special tokens as text and parsed. Label real: needs tools/fetch_real.py and
// tools/tokenizer_goldens.py real.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "gguf/gguf_file.h"
#include "tests/tokenizer/fixture.h"
#include "tokenizer/tokenizer_json.h"

namespace reckon {
namespace {

std::string real_dir() {
  const char* named = std::getenv("RECKON_REAL_DIR");
  return named != nullptr && *named != '\0' ? named : RECKON_SOURCE_DIR "/.cache/real";
}

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

using TokenizerResult = Result<std::shared_ptr<const Tokenizer>>;

TokenizerResult from_gguf(const std::string& name) {
  RECKON_ASSIGN(const auto file, GgufFile::open(real_dir() + "/" + name, GgufData::kMayBeMissing));
  const auto start = std::chrono::steady_clock::now();
  auto tokenizer = Tokenizer::from_gguf(*file);
  std::cout << name << ": tokenizer loaded in " << ms_since(start) << " ms\n";
  return tokenizer;
}

TokenizerResult from_json(const std::string& name) {
  const std::string folder = real_dir() + "/tokenizer/" + name;
  RECKON_ASSIGN(const std::string text, read_file(folder + "/tokenizer.json", 1 << 26));
  RECKON_ASSIGN(const std::string config, read_file(folder + "/tokenizer_config.json", 1 << 26));
  RECKON_ASSIGN(TokenizerSpec spec, parse_tokenizer_json(text, config));
  return Tokenizer::create(std::move(spec));
}

// The committed vocabulary with the special tokens that the goldens' script adds.
TokenizerResult from_fixture(const std::string& pre_tokenizer) {
  TokenizerSpec spec = tiny_spec(pre_tokenizer);
  for (const char* special : {"<|endoftext|>", "<|end|>", "<|end|>of"}) {
    add_token(spec, special, TokenKind::kControl);
  }
  return Tokenizer::create(std::move(spec));
}

struct Family {
  const char* name;
  const char* source;
  TokenizerResult (*load)(const std::string& source);
};

constexpr Family kFamilies[] = {
    {"smollm", "SmolLM2-135M-Instruct.Q4_1.gguf", from_gguf},
    {"deepseek-r1-qwen", "r1-distill-qwen-7b.part0.gguf", from_gguf},
    {"qwen2", "qwen3", from_json},
    {"llama-bpe", "llama3_1", from_json},
    {"deepseek-v3", "deepseek_v3", from_json},
    {"gpt-2", "gpt-2", from_fixture},
    {"default", "default", from_fixture},
};

class Goldens : public testing::TestWithParam<Family> {};

TEST_P(Goldens, SameIdsAsTheReference) {
  const Family& family = GetParam();
  std::ifstream rows(real_dir() + "/tokenizer_goldens/" + family.name + ".jsonl");
  if (!rows) GTEST_SKIP() << "no goldens: run tools/tokenizer_goldens.py real";
  const auto loaded = family.load(family.source);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const Tokenizer& tokenizer = **loaded;
  EXPECT_EQ(tokenizer.spec().pre_tokenizer, family.name);

  int n_rows = 0;
  int n_wrong = 0;
  std::string line;
  while (std::getline(rows, line)) {
    const auto row = parse_json(line, "golden");
    ASSERT_TRUE(row.ok()) << row.error().message;
    const auto& object = row->as_object();
    const std::string text(object.at("text").as_string());
    const auto expected = ids_of(object.at("ids"));
    const auto* special = object.if_contains("special_ids");
    const auto as_text = encode(tokenizer, text);
    const auto parsed = encode(tokenizer, text, SpecialTokens::kParse);
    const bool right =
        as_text == expected && parsed == (special == nullptr ? expected : ids_of(*special));
    ++n_rows;
    if (!right && ++n_wrong <= 10) {
      ADD_FAILURE() << line << "\nas text: " << testing::PrintToString(as_text)
                    << "\nparsed: " << testing::PrintToString(parsed);
    }
    for (const TokenId id : as_text) {
      ASSERT_NE(tokenizer.kind(id), TokenKind::kControl) << line;
      ASSERT_NE(tokenizer.kind(id), TokenKind::kUserDefined) << line;
    }
  }
  EXPECT_EQ(n_wrong, 0);
  EXPECT_GE(n_rows, 20000);
  std::cout << family.name << ": " << n_rows << " strings, " << n_wrong << " differ\n";
}

INSTANTIATE_TEST_SUITE_P(Families, Goldens, testing::ValuesIn(kFamilies), [](const auto& instance) {
  std::string name = instance.param.name;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace reckon
