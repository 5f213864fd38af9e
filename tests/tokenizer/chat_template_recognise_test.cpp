// Recognition of Jinja sources, and templates described by files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/tokenizer/fixture.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/chat_template_jinja.h"
#include "tokenizer/chat_template_python.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
namespace json = boost::json;

// The basic ChatML loop, and one with a default system turn.
const std::string kLoop =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}";

std::string with_default(const std::string& system) {
  std::string source = kLoop;
  source.insert(source.find("{{"),
                "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n" +
                    system + "<|im_end|>\\n' }}{% endif %}");
  return source;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

TEST(Jinja, NormalFormsAreThoseOfJinjasOwnLexer) {
  const json::object fixture = read_json_fixture("chat_template_goldens.json");
  for (const json::value& form : fixture.at("forms").as_array()) {
    const std::string source(form.at("source").as_string());
    SCOPED_TRACE(source);
    auto tokens = normalise_jinja(source);
    ASSERT_TRUE(tokens.has_value());
    EXPECT_EQ(static_cast<int64_t>(tokens->size()), form.at("parts").as_int64());
    EXPECT_EQ(fmt::format("{:016x}", jinja_hash(*tokens)), form.at("hash").as_string());
    blank_default_system(*tokens);
    EXPECT_EQ(fmt::format("{:016x}", jinja_hash(*tokens)), form.at("blanked").as_string());
  }
}

TEST(Jinja, WhatDoesNotLexHasNoNormalForm) {
  for (const char* source : {"{% if", "{{ x", "{{ 'x }}", "{# x", "{{ a) }}", "{{ [) }}", "{{ ä }}",
                             "{{ '\\N{DASH}' }}", "{{ '\\ud800' }}", "{{ '\\x4' }}", "{{ ? }}",
                             "{% raw %}{{ x }}{% endraw %}", "{{ '\\", "{{"}) {
    EXPECT_FALSE(normalise_jinja(source).has_value()) << source;
  }
  EXPECT_FALSE(normalise_jinja(std::string(kMaxJinjaBytes + 1, 'x')).has_value());
}

TEST(Recognise, ChatMlWhateverItsLayout) {
  for (const std::string& source :
       {kLoop, kLoop + "\n", replaced(kLoop, "['role']", ".role"), replaced(kLoop, "{{'", "{{- '"),
        replaced(kLoop, "\\n", "\n"), replaced(kLoop, "%}", "-%}\n   "),
        "{# ChatML #}" + replaced(kLoop, "'", "\""), replaced(kLoop, "{%", "\n  {%-")}) {
    const auto found = recognise_chat_template(source);
    ASSERT_TRUE(found.ok()) << source << found.error().message;
    EXPECT_EQ((*found)->name(), "chatml");
  }
}

TEST(Recognise, ADefaultSystemTurnIsTakenFromTheSource) {
  const std::vector<Message> chat = {{Role::kUser, "Hi", {}}};
  const auto smol = recognise_chat_template(
      with_default("You are a helpful AI assistant named SmolLM, trained by Hugging Face"));
  ASSERT_TRUE(smol.ok()) << smol.error().message;
  EXPECT_EQ((*smol)->name(), "chatml-smollm2");
  const auto other = recognise_chat_template(with_default("You are Ada."));
  ASSERT_TRUE(other.ok()) << other.error().message;
  EXPECT_EQ((*other)->name(), "chatml");
  EXPECT_EQ(render_text(*(*other)->render(chat, {})),
            "<|im_start|>system\nYou are Ada.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
  // One that brings turns of its own is no default system turn.
  EXPECT_FALSE(recognise_chat_template(with_default("A<|im_end|>\\n<|im_start|>user\\nB")).ok());
}

TEST(Recognise, AnAlteredTemplateIsUnknown) {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"'<|im_end|>'", "'<|im_stop|>'"},
      {"message['content']", "message['content'] | trim"},
      {"assistant\\n", "assistant"},
      {"message['role']", "'user'"},
      {"messages %}", "messages[1:] %}"},
      {"{% endfor %}", "{% endfor %}<think>"},
      {"{% endfor %}", "{% endfor %}\n\n"},
      {"if add", "if not add"},
      {"message['role']", "message['speaker']"}};
  for (const auto& [from, to] : changes) {
    const std::string source = replaced(kLoop, from, to);
    ASSERT_NE(source, kLoop);
    const auto found = recognise_chat_template(source);
    ASSERT_FALSE(found.ok()) << source;
    EXPECT_EQ(found.error().kind, ErrorKind::kBadFile);
    EXPECT_THAT(found.error().message, HasSubstr("--template NAME"));
    EXPECT_THAT(found.error().message, HasSubstr("deepseek-r1-older"));
  }
  EXPECT_FALSE(recognise_chat_template("").ok());
  EXPECT_FALSE(recognise_chat_template("{% if").ok());
}

TEST(Recognise, EveryCutAndByteChangeIsUnknownOrTheSame) {
  for (size_t i = 0; i < kLoop.size(); ++i) {
    EXPECT_FALSE(recognise_chat_template(kLoop.substr(0, i)).ok()) << i;
    std::string changed = kLoop;
    changed[i] = static_cast<char>(changed[i] ^ 0x20);
    const auto found = recognise_chat_template(changed);
    // A changed bit of a space next to a tag's words does not lex; nothing else may pass.
    EXPECT_FALSE(found.ok()) << changed;
  }
}

TEST(Python, StripsItsOwnWhiteSpace) {
  EXPECT_EQ(
      python_strip(" \t\n\v\f\r\x1c\x1f\u0085\u00a0\u1680\u2000\u200a\u2028\u202f\u205f\u3000x "),
      "x");
  EXPECT_EQ(python_strip("\u200bx\ufeff"), "\u200bx\ufeff");
  EXPECT_EQ(python_strip(" \xa0x\x85\xff "), "\xa0x\x85\xff");
  EXPECT_EQ(python_strip(" \n "), "");
  EXPECT_EQ(python_strip(""), "");
}

TEST(Python, WritesJsonAsJsonDumpsDoes) {
  EXPECT_EQ(python_json("{\"b\":1,\"a\":[1,2]}"), "{\"b\": 1, \"a\": [1, 2]}");
  EXPECT_EQ(python_json("[1e16, 1e15, 123456789.5, 1.5e-4, 1.5e-5, 5e-324, -0, -0.0, 1E+2]"),
            "[1e+16, 1000000000000000.0, 123456789.5, 0.00015, 1.5e-05, 5e-324, 0, -0.0, 100.0]");
  EXPECT_EQ(python_json("\"\\u00e9\\u007f\\u0001\\/\\ud83d\\ude00\""), "\"é\x7f\\u0001/😀\"");
  EXPECT_EQ(python_json("{\"a\":[],\"b\":{},\"c\":[{\"d\":1}]}", 4),
            "{\n    \"a\": [],\n    \"b\": {},\n    \"c\": [\n        {\n            \"d\": 1\n"
            "        }\n    ]\n}");
  for (const char* bad : {"", "{", "nul", "[1,]", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "NaN"}) {
    EXPECT_EQ(python_json(bad), std::nullopt) << bad;
  }
}

constexpr std::string_view kFile = R"({
  "bos": true, "trim": true, "default_system": "Be kind.",
  "roles": {
    "system": {"before": "<<SYS>>", "after": "<</SYS>>\n"},
    "user": {"before": "[INST] ", "after": " [/INST]"},
    "assistant": {"before": "A: ", "after": "</s>"}
  },
  "answer": "A: <think>\n",
  "think": {"open": "<think>", "close": "</think>"},
  "stop": ["</s>", "[INST]"]
})";

TEST(TemplateFile, DescribesRolesAndSeparators) {
  const auto custom = parse_chat_template(kFile, "t.json");
  ASSERT_TRUE(custom.ok()) << custom.error().message;
  EXPECT_EQ((*custom)->name(), "custom");
  const auto pieces = (*custom)->render({{Role::kUser, " Hi ", {}},
                                         {Role::kAssistant, "hm</think> Yes\n", {}},
                                         {Role::kUser, "</think>So", {}}},
                                        {});
  ASSERT_TRUE(pieces.ok());
  EXPECT_EQ(render_text(*pieces),
            "<<SYS>>Be kind.<</SYS>>\n[INST] Hi [/INST]A: Yes</s>[INST] </think>So [/INST]A: "
            "<think>\n");
  EXPECT_TRUE(pieces->front().bos);
  EXPECT_TRUE((*custom)->opens_thinking({}));
  EXPECT_EQ((*custom)->stop_spellings(), (std::vector<std::string>{"</s>", "[INST]"}));
  EXPECT_EQ((*custom)->render({{Role::kTool, "x", {}}}, {}).error().kind, ErrorKind::kUsage);
  EXPECT_FALSE((*custom)->render({{Role::kAssistant, "", {{"f", "{}", ""}}}}, {}).ok());
}

TEST(TemplateFile, AnythingElseIsAnErrorThatNamesTheKey) {
  const std::vector<std::array<std::string, 3>> changes = {
      {"\"bos\"", "\"bso\"", "bso"},
      {"true, \"trim\"", "1, \"trim\"", "bos"},
      {"\"after\": \"</s>\"", "\"end\": \"</s>\"", "end"},
      {"\"user\"", "\"human\"", "human"},
      {"\"before\": \"A: \"", "\"before\": 3", "before"},
      {"\"<think>\", \"close\"", "\"\", \"close\"", "think"},
      {"[\"</s>\", \"[INST]\"]", "[\"\"]", "stop"},
      {"[\"</s>\", \"[INST]\"]", "\"</s>\"", "stop"},
      {"\"Be kind.\"", "null", "default_system"},
      {"\"system\": {\"before\": \"<<SYS>>\", \"after\": \"<</SYS>>\\n\"},", "", "default_system"},
      {"\"A: <think>\\n\"", "{}", "answer"},
      {"\"roles\"", "\"rules\"", "roles"}};
  for (const auto& [from, to, key] : changes) {
    const std::string text = replaced(std::string(kFile), from, to);
    ASSERT_NE(text, kFile) << from;
    const auto custom = parse_chat_template(text, "t.json");
    ASSERT_FALSE(custom.ok()) << text;
    EXPECT_EQ(custom.error().kind, ErrorKind::kBadFile);
    EXPECT_THAT(custom.error().message, HasSubstr(key));
    EXPECT_THAT(custom.error().message, HasSubstr("t.json"));
  }
  for (const char* text : {"", "[]", "{}", "{\"roles\": []}", "{\"roles\": {}}", "nonsense"}) {
    EXPECT_FALSE(parse_chat_template(text, "t.json").ok()) << text;
  }
  EXPECT_FALSE(load_chat_template_file("/nonexistent/t.json").ok());
}

}  // namespace
}  // namespace reckon
