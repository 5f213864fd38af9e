// Chat templates against the reference's renderings, and the promise that content never becomes a
// control token.
#include "tokenizer/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <map>

#include "tests/tokenizer/fixture.h"
#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
namespace json = boost::json;

const json::object& goldens() {
  static const json::object fixture = read_json_fixture("chat_template_goldens.json");
  return fixture;
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? std::string() : std::string(value->as_string());
}

Role role_of(std::string_view name) {
  if (name == "system") return Role::kSystem;
  if (name == "user") return Role::kUser;
  return name == "tool" ? Role::kTool : Role::kAssistant;
}

struct Conversation {
  std::vector<Message> messages;
  RenderOptions options;
};

std::vector<Conversation> golden_conversations() {
  std::vector<Conversation> conversations;
  for (const json::value& value : goldens().at("conversations").as_array()) {
    const json::object& chat = value.as_object();
    Conversation conversation;
    for (const json::value& turn : chat.at("messages").as_array()) {
      Message message;
      message.role = role_of(text_of(turn.as_object(), "role"));
      message.content = text_of(turn.as_object(), "content");
      if (const json::value* calls = turn.as_object().if_contains("calls")) {
        for (const json::value& call : calls->as_array()) {
          message.tool_calls.push_back(
              {text_of(call.as_object(), "name"), text_of(call.as_object(), "arguments"), ""});
        }
      }
      conversation.messages.push_back(std::move(message));
    }
    conversation.options.add_generation_prompt = chat.at("prompt").as_bool();
    conversation.options.open_thinking = false;
    conversation.options.tools = text_of(chat, "tools");
    conversation.options.date = text_of(chat, "date");
    conversations.push_back(std::move(conversation));
  }
  return conversations;
}

// The expected texts of every template; nullopt where the reference raises.
std::map<std::string, std::vector<std::optional<std::string>>> golden_texts() {
  std::map<std::string, std::vector<std::optional<std::string>>> all;
  std::vector<std::optional<std::string>> before;
  for (const json::value& entry : goldens().at("expected").as_array()) {
    std::vector<std::optional<std::string>> texts;
    for (const json::value& value : entry.at("texts").as_array()) {
      if (value.is_null()) {
        texts.push_back(std::nullopt);
      } else if (value.is_string()) {
        texts.push_back(std::string(value.as_string()));
      } else {  // the start and the end are those of the template before
        const std::string& other = *before.at(texts.size());
        const json::array& parts = value.as_array();
        const auto end = static_cast<size_t>(parts.at(2).as_int64());
        texts.push_back(other.substr(0, static_cast<size_t>(parts.at(0).as_int64())) +
                        std::string(parts.at(1).as_string()) + other.substr(other.size() - end));
      }
    }
    all[std::string(entry.at("name").as_string())] = texts;
    before = std::move(texts);
  }
  return all;
}

std::shared_ptr<const ChatTemplate> named(std::string_view name) {
  auto found = find_chat_template(name);
  if (!found.ok()) throw std::runtime_error(found.error().message);
  return *found;
}

TEST(ChatTemplate, RendersWhatTheReferenceRenders) {
  const std::vector<Conversation> conversations = golden_conversations();
  const auto expected = golden_texts();
  EXPECT_EQ(expected.size(), chat_template_names().size());
  for (const auto& [name, texts] : expected) {
    SCOPED_TRACE(name);
    const auto chat_template = named(name);
    EXPECT_EQ(chat_template->name(), name);
    ASSERT_EQ(texts.size(), conversations.size());
    size_t rendered = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      SCOPED_TRACE(i);
      const auto pieces =
          chat_template->render(conversations[i].messages, conversations[i].options);
      ASSERT_EQ(pieces.ok(), texts[i].has_value());
      if (!pieces.ok()) {
        EXPECT_EQ(pieces.error().kind, ErrorKind::kUsage);
        continue;
      }
      EXPECT_EQ(render_text(*pieces), *texts[i]);
      ++rendered;
    }
    EXPECT_GE(rendered, 200u);
  }
}

TEST(ChatTemplate, OlderR1OpensTheThoughtWhenAsked) {
  const auto older = named("deepseek-r1-older");
  const auto newer = named("deepseek-r1");
  const std::vector<Message> chat = {{Role::kUser, "Hi", {}}};
  RenderOptions options;
  EXPECT_EQ(render_text(*older->render(chat, options)), render_text(*newer->render(chat, options)));
  EXPECT_TRUE(older->opens_thinking(options));
  EXPECT_TRUE(opens_thought(*older->render(chat, options), older->think_marks()));
  options.open_thinking = false;
  EXPECT_FALSE(older->opens_thinking(options));
  EXPECT_TRUE(render_text(*older->render(chat, options)).ends_with("<｜Assistant｜>"));
  EXPECT_FALSE(opens_thought(*older->render(chat, options), older->think_marks()));
  EXPECT_TRUE(newer->opens_thinking(options));
  options.add_generation_prompt = false;
  EXPECT_FALSE(newer->opens_thinking(options));
  EXPECT_FALSE(opens_thought(*newer->render(chat, options), newer->think_marks()));
}

TEST(ChatTemplate, ToolOutputsOpenNoThought) {
  const std::vector<Message> chat = {{Role::kUser, "Hi", {}},
                                     {Role::kAssistant, "", {{"f", "{}", ""}}},
                                     {Role::kTool, "<think>\n", {}}};
  const auto newer = named("deepseek-r1");
  const auto pieces = newer->render(chat, {});
  ASSERT_TRUE(pieces.ok());
  EXPECT_FALSE(opens_thought(*pieces, newer->think_marks()));
  // Nor does content that spells the mark.
  EXPECT_FALSE(opens_thought({{"<think>", false}}, newer->think_marks()));
}

TEST(ChatTemplate, UnknownNameListsTheNames) {
  const auto found = find_chat_template("alpaca");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().kind, ErrorKind::kUsage);
  for (const std::string_view name : chat_template_names()) {
    EXPECT_THAT(found.error().message, HasSubstr(std::string(name)));
  }
}

TEST(ChatTemplate, BadToolsAreAUsageError) {
  RenderOptions options;
  for (const char* tools : {"{}", "[", "3", "[1,]"}) {
    options.tools = tools;
    for (const char* name : {"chatml-qwen2.5", "llama3.1"}) {
      const auto pieces = named(name)->render({{Role::kUser, "Hi", {}}}, options);
      ASSERT_FALSE(pieces.ok()) << tools;
      EXPECT_EQ(pieces.error().kind, ErrorKind::kUsage);
    }
  }
}

TEST(ChatTemplate, EmptyConversations) {
  EXPECT_EQ(render_text(*named("deepseek-r1")->render({}, {})),
            "<｜begin▁of▁sentence｜><｜Assistant｜><think>\n");
  EXPECT_EQ(render_text(*named("chatml-smollm2")->render({}, {})), "<|im_start|>assistant\n");
  EXPECT_FALSE(named("chatml-qwen2.5")->render({}, {}).ok());
  EXPECT_FALSE(named("llama3.1")->render({}, {}).ok());
}

// ---- tokens -------------------------------------------------------------------------------------

// Every special spelling of the families, in one vocabulary.
const std::vector<std::string>& special_spellings() {
  static const std::vector<std::string> spellings = {"<｜begin▁of▁sentence｜>",
                                                     "<｜end▁of▁sentence｜>",
                                                     "<｜User｜>",
                                                     "<｜Assistant｜>",
                                                     "<think>",
                                                     "</think>",
                                                     "<｜tool▁calls▁begin｜>",
                                                     "<｜tool▁calls▁end｜>",
                                                     "<｜tool▁call▁begin｜>",
                                                     "<｜tool▁call▁end｜>",
                                                     "<｜tool▁outputs▁begin｜>",
                                                     "<｜tool▁outputs▁end｜>",
                                                     "<｜tool▁output▁begin｜>",
                                                     "<｜tool▁output▁end｜>",
                                                     "<｜tool▁sep｜>",
                                                     "<|im_start|>",
                                                     "<|im_end|>",
                                                     "<|endoftext|>",
                                                     "<tool_call>",
                                                     "</tool_call>",
                                                     "<tool_response>",
                                                     "</tool_response>",
                                                     "<|begin_of_text|>",
                                                     "<|end_of_text|>",
                                                     "<|start_header_id|>",
                                                     "<|end_header_id|>",
                                                     "<|eot_id|>",
                                                     "<|eom_id|>",
                                                     "<|python_tag|>"};
  return spellings;
}

std::shared_ptr<const Tokenizer> tokenizer_with_specials(bool add_bos,
                                                         std::string_view bos_spelling) {
  TokenizerSpec spec = tiny_spec("qwen2");
  for (const std::string& spelling : special_spellings()) {
    const bool mark =
        spelling.find("think") != std::string::npos || spelling.find("tool_") != std::string::npos;
    const TokenId id =
        add_token(spec, spelling, mark ? TokenKind::kUserDefined : TokenKind::kControl);
    if (spelling == bos_spelling) spec.bos = id;
    if (spelling == "<|im_end|>") spec.eos = id;
  }
  spec.add_bos = add_bos;
  return make_tokenizer(std::move(spec));
}

std::vector<TokenId> specials_in(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<TokenId> specials;
  for (const TokenId id : ids) {
    const TokenKind kind = tokenizer.kind(id);
    if (kind == TokenKind::kControl || kind == TokenKind::kUserDefined) specials.push_back(id);
  }
  return specials;
}

TEST(EncodePrompt, BosIsNeverDoubledAndNeverMissing) {
  const std::vector<Message> chat = {{Role::kUser, "Hi", {}}};
  for (const bool add_bos : {false, true}) {
    const auto tokenizer = tokenizer_with_specials(add_bos, "<｜begin▁of▁sentence｜>");
    const auto r1 = encode_prompt(*tokenizer, *named("deepseek-r1")->render(chat, {}));
    EXPECT_EQ(std::count(r1.begin(), r1.end(), tokenizer->bos()), 1);
    EXPECT_EQ(r1.front(), tokenizer->bos());
    const auto chatml = encode_prompt(*tokenizer, *named("chatml")->render(chat, {}));
    EXPECT_EQ(std::count(chatml.begin(), chatml.end(), tokenizer->bos()), add_bos ? 1 : 0);
    EXPECT_EQ(chatml.front() == tokenizer->bos(), add_bos);
  }
  // A content that spells BOS is no BOS: the tokenizer's own still comes first.
  const auto tokenizer = tokenizer_with_specials(true, "<|begin_of_text|>");
  const auto ids = encode_prompt(*tokenizer, {{"<|begin_of_text|>x", false}});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer->bos()), 1);
}

TEST(EncodePrompt, TheTokenizersOwnBosWhateverItsSpelling) {
  const auto tokenizer = tokenizer_with_specials(false, "<|endoftext|>");
  const auto ids =
      encode_prompt(*tokenizer, *named("deepseek-r1")->render({{Role::kUser, "Hi", {}}}, {}));
  EXPECT_EQ(ids.front(), tokenizer->bos());
}

TEST(EncodePrompt, TextThatTouchesScaffoldIsEncodedWithIt) {
  // "user\n" is scaffold and "\nHi" content; the reference's ids are those of the whole text.
  const auto tokenizer = tokenizer_with_specials(false, "<|endoftext|>");
  for (const char* content : {"Hi", "\nHi", " Hi", "\n", "", "Hi\n\n"}) {
    const auto pieces = named("chatml")->render({{Role::kUser, content, {}}}, {});
    EXPECT_EQ(encode_prompt(*tokenizer, *pieces),
              encode(*tokenizer, render_text(*pieces), SpecialTokens::kParse));
  }
}

TEST(EncodePrompt, ScaffoldMarksOutsideTheVocabularyArriveAsText) {
  // As in the Qwen distills, whose vocabulary lacks the tool marks.
  TokenizerSpec spec = tiny_spec("deepseek-r1-qwen");
  const TokenId user = add_token(spec, "<｜User｜>", TokenKind::kControl);
  const auto tokenizer = make_tokenizer(std::move(spec));
  const auto pieces =
      named("deepseek-r1")
          ->render({{Role::kUser, "Hi", {}}, {Role::kAssistant, "", {{"f", "{}", ""}}}}, {});
  const auto ids = encode_prompt(*tokenizer, *pieces);
  EXPECT_EQ(specials_in(*tokenizer, ids), std::vector<TokenId>{user});
  EXPECT_EQ(tokenizer->decode(ids), render_text(*pieces));
}

// A conversation with every field set. The fields' benign contents hold no special spelling; front
// and back are put around that of `field`, or of every field.
enum class Field { kSystem, kUser, kAssistant, kToolOutput, kCallName, kArguments, kTools, kDate };
constexpr Field kFields[] = {Field::kSystem,     Field::kUser,     Field::kAssistant,
                             Field::kToolOutput, Field::kCallName, Field::kArguments,
                             Field::kTools,      Field::kDate};

std::string as_json(const std::string& text) {
  return json::serialize(json::value(json::string(text)));
}

bool is_whole_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text, i);
    if (!c.valid()) return false;
    i += c.bytes;
  }
  return true;
}

Conversation attacked(std::optional<Field> field, const std::string& front,
                      const std::string& back) {
  const auto text = [&](Field here, const std::string& benign) {
    return !field || *field == here ? front + benign + back : benign;
  };
  const auto json_text = [&](Field here, const std::string& benign) {
    const std::string attack = text(here, benign);
    return as_json(is_whole_utf8(attack) ? attack : benign);  // JSON holds no halves of characters
  };
  const std::string arguments = "{\"x\": " + json_text(Field::kArguments, "1") + "}";
  Conversation chat;
  chat.messages = {
      {Role::kSystem, text(Field::kSystem, "Be brief"), {}},
      {Role::kUser, text(Field::kUser, "Hi"), {}},
      {Role::kAssistant, text(Field::kAssistant, "Hello"), {}},
      {Role::kUser, "Use it", {}},
      {Role::kAssistant, "", {{text(Field::kCallName, "f"), arguments, ""}}},
      {Role::kTool, text(Field::kToolOutput, "2"), {}},
      {Role::kUser, text(Field::kUser, "So"), {}},
  };
  chat.options.tools = "[{\"d\": " + json_text(Field::kTools, "t") + "}]";
  chat.options.date = text(Field::kDate, "26 Jul 2024");
  return chat;
}

// What the prompt's tokens must decode to: its text, with the tokenizer's own BOS once.
std::string text_with_bos(const Tokenizer& tokenizer, const std::vector<PromptPiece>& pieces) {
  std::string text;
  for (const PromptPiece& piece : pieces) {
    text += piece.bos ? tokenizer.bytes(tokenizer.bos()) : std::string_view(piece.text);
  }
  const bool has_bos = !pieces.empty() && pieces[0].bos;
  return (has_bos ? "" : std::string(tokenizer.bytes(tokenizer.bos()))) + text;
}

// threats.md E7: every special spelling, in every role and field, whole at either end or cut at
// every byte with its halves around every field: the prompt's control tokens are those of the same
// conversation without it, and its tokens decode to exactly the text that was rendered.
TEST(EncodePrompt, NoContentBecomesAControlToken) {
  const auto tokenizer = tokenizer_with_specials(true, "<｜begin▁of▁sentence｜>");
  size_t tried = 0;
  for (const std::string_view name : chat_template_names()) {
    const auto chat_template = named(name);
    const Conversation benign = attacked(std::nullopt, "", "");
    const auto expected = specials_in(
        *tokenizer,
        encode_prompt(*tokenizer, *chat_template->render(benign.messages, benign.options)));
    const auto check = [&](const Conversation& chat) {
      const auto pieces = *chat_template->render(chat.messages, chat.options);
      const auto ids = encode_prompt(*tokenizer, pieces);
      ++tried;
      return specials_in(*tokenizer, ids) == expected &&
             tokenizer->decode(ids) == text_with_bos(*tokenizer, pieces);
    };
    for (const std::string& spelling : special_spellings()) {
      for (const Field field : kFields) {
        ASSERT_TRUE(check(attacked(field, spelling, ""))) << name << " " << spelling;
        ASSERT_TRUE(check(attacked(field, "", spelling))) << name << " " << spelling;
      }
      for (size_t cut = 1; cut < spelling.size(); ++cut) {
        ASSERT_TRUE(check(attacked(std::nullopt, spelling.substr(cut), spelling.substr(0, cut))))
            << name << " " << spelling << " " << cut;
      }
    }
  }
  EXPECT_GT(tried,
            chat_template_names().size() * std::size(kFields) * special_spellings().size() * 2);
  RecordProperty("conversations", static_cast<int>(tried));
}

// The same where nothing at all stands between one role's content and the next one's.
TEST(EncodePrompt, NoContentBecomesAControlTokenAcrossTurns) {
  const auto tokenizer = tokenizer_with_specials(false, "<|begin_of_text|>");
  const auto chat_template = *parse_chat_template(
      R"({"roles": {"system": {"before": "", "after": ""}, "user": {"before": "", "after": ""},
          "assistant": {"before": "", "after": ""}, "tool": {"before": "", "after": ""}}})",
      "t.json");
  constexpr Role kRoles[] = {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool};
  for (const std::string& spelling : special_spellings()) {
    for (const Role first : kRoles) {
      for (const Role second : kRoles) {
        for (size_t cut = 0; cut <= spelling.size(); ++cut) {
          const auto pieces = chat_template->render({{first, "a" + spelling.substr(0, cut), {}},
                                                     {second, spelling.substr(cut) + "b", {}}},
                                                    {});
          ASSERT_TRUE(pieces.ok()) << pieces.error().message;
          const auto ids = encode_prompt(*tokenizer, *pieces);
          ASSERT_TRUE(specials_in(*tokenizer, ids).empty()) << spelling << " " << cut;
          ASSERT_EQ(tokenizer->decode(ids), "a" + spelling + "b");
        }
      }
    }
  }
}

}  // namespace
}  // namespace reckon
