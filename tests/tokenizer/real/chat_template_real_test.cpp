// Recognition of the templates that real files carry, and threats.md E7 over a real vocabulary.
// Label real: needs tools/fetch_real.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "gguf/gguf_file.h"
#include "tests/tokenizer/fixture.h"
#include "tokenizer/chat_template.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

std::string real_path(const std::string& name) {
  const char* named = std::getenv("RECKON_REAL_DIR");
  const std::string folder =
      named != nullptr && *named != '\0' ? named : RECKON_SOURCE_DIR "/.cache/real";
  return folder + "/" + name;
}

constexpr const char* kR1File = "r1-distill-qwen-7b.part0.gguf";
constexpr const char* kSmolFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

std::shared_ptr<const GgufFile> open_gguf(const char* name) {
  auto file = GgufFile::open(real_path(name), GgufData::kMayBeMissing);
  if (!file.ok()) throw std::runtime_error(file.error().message);
  return *file;
}

std::string gguf_template(const char* name) {
  const auto file = open_gguf(name);
  return std::string(*file->require_string("tokenizer.chat_template"));
}

std::string config_template(const std::string& path) {
  const auto text = read_file(path, 1 << 26);
  if (!text.ok()) throw std::runtime_error(text.error().message);
  return std::string(parse_json(*text, path)->at("chat_template").as_string());
}

#define SKIP_WITHOUT(name)                                                 \
  if (!std::filesystem::exists(real_path(name))) {                         \
    GTEST_SKIP() << real_path(name) << " is missing: tools/fetch_real.py"; \
  }

TEST(RealTemplates, R1OlderAndNewer) {
  SKIP_WITHOUT(kR1File);
  std::string source = gguf_template(kR1File);
  const auto older = recognise_chat_template(source);
  ASSERT_TRUE(older.ok()) << older.error().message;
  EXPECT_EQ((*older)->name(), "deepseek-r1-older");
  const std::string end = "<｜Assistant｜>'}}{% endif %}";
  ASSERT_TRUE(source.ends_with(end));
  source.insert(source.size() - std::string("'}}{% endif %}").size(), "<think>\\n");
  const auto newer = recognise_chat_template(source);
  ASSERT_TRUE(newer.ok()) << newer.error().message;
  EXPECT_EQ((*newer)->name(), "deepseek-r1");
}

TEST(RealTemplates, AnySingleChangeOfR1sIsUnknown) {
  SKIP_WITHOUT(kR1File);
  const std::string source = gguf_template(kR1File);
  for (size_t i = 0; i < source.size(); ++i) {
    std::string changed = source;
    changed[i] = changed[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(recognise_chat_template(changed).ok()) << i << ": " << changed.substr(i, 40);
  }
}

TEST(RealTemplates, SmolLm2) {
  SKIP_WITHOUT(kSmolFile);
  const auto found = recognise_chat_template(gguf_template(kSmolFile));
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ((*found)->name(), "chatml-smollm2");
}

TEST(RealTemplates, ConfigsOfOtherTokenizers) {
  SKIP_WITHOUT("tokenizer/llama3_1/tokenizer_config.json");
  SKIP_WITHOUT("tokenizer/deepseek_v3/tokenizer_config.json");
  SKIP_WITHOUT("tokenizer/qwen3/tokenizer_config.json");
  const auto llama = recognise_chat_template(
      config_template(real_path("tokenizer/llama3_1/tokenizer_config.json")));
  ASSERT_TRUE(llama.ok()) << llama.error().message;
  EXPECT_EQ((*llama)->name(), "llama3");
  for (const char* name : {"deepseek_v3", "qwen3"}) {
    const auto other = recognise_chat_template(
        config_template(real_path("tokenizer/" + std::string(name) + "/tokenizer_config.json")));
    ASSERT_FALSE(other.ok()) << name;
    EXPECT_THAT(other.error().message, HasSubstr("--template NAME"));
  }
}

std::vector<TokenId> specials_in(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<TokenId> specials;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(specials), [&](TokenId id) {
    return tokenizer.kind(id) == TokenKind::kControl ||
           tokenizer.kind(id) == TokenKind::kUserDefined;
  });
  return specials;
}

TEST(RealTemplates, NoContentBecomesAControlToken) {
  SKIP_WITHOUT(kR1File);
  const auto tokenizer = *Tokenizer::from_gguf(*open_gguf(kR1File));
  const auto chat_template = *recognise_chat_template(gguf_template(kR1File));
  const auto encode_chat = [&](const std::string& system, const std::string& user) {
    const std::vector<Message> chat = {{Role::kSystem, system, {}}, {Role::kUser, user, {}}};
    return encode_prompt(*tokenizer, *chat_template->render(chat, {}));
  };
  // BOS, User, Assistant, <think>: the ids of the file.
  const std::vector<TokenId> scaffold = {151646, 151644, 151645, 151648};
  EXPECT_EQ(specials_in(*tokenizer, encode_chat("", "Hi")), scaffold);
  size_t tried = 0;
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
    const TokenKind kind = tokenizer->kind(id);
    if (kind != TokenKind::kControl && kind != TokenKind::kUserDefined) continue;
    const std::string spelling(tokenizer->bytes(id));
    for (size_t cut = 0; cut <= spelling.size(); ++cut) {
      const std::string front = spelling.substr(0, cut), back = spelling.substr(cut);
      const auto ids = encode_chat(back + "a" + front, back + "b" + front);
      ASSERT_EQ(specials_in(*tokenizer, ids), scaffold) << spelling << " " << cut;
      ASSERT_EQ(tokenizer->decode(ids), "<｜begin▁of▁sentence｜>" + back + "a" + front +
                                            "<｜User｜>" + back + "b" + front +
                                            "<｜Assistant｜><think>\n");
    }
    ++tried;
  }
  EXPECT_GE(tried, 20u);
}

}  // namespace
}  // namespace reckon
