// Turns, edits and retries, and how much of each prompt the prefix cache keeps.
#include "engine/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/engine_fixture.h"

namespace reckon {
namespace {

using testing::kEos;
using testing::kThinkEnd;
using testing::Rig;
using testing::tiny_shape;
using testing::tiny_tokenizer;
using testing::TinyTemplate;
using Tokens = std::vector<TokenId>;

std::string prompt_text(const Request& request) { return tiny_tokenizer()->decode(request.prompt); }

Conversation new_conversation(bool thinks = true) {
  return Conversation(tiny_tokenizer(), std::make_shared<TinyTemplate>(thinks), {});
}

Completion completion(std::string thinking, std::string answer) {
  Completion done;
  done.thinking = std::move(thinking);
  done.answer = std::move(answer);
  return done;
}

TEST(Conversation, EarlierThoughtsAreDropped) {
  Conversation chat = new_conversation();
  chat.set_system("Be brief.");
  chat.add_user("1?");
  EXPECT_EQ(prompt_text(*chat.request()), "<bos>Be brief.U:1?A:<think>\n");
  chat.add_completion(completion("hm", "one"));
  chat.add_user("2?");
  EXPECT_EQ(prompt_text(*chat.request()), "<bos>Be brief.U:1?A:one<eos>U:2?A:<think>\n");
  chat.set_system("");
  EXPECT_EQ(prompt_text(*chat.request()), "<bos>U:1?A:one<eos>U:2?A:<think>\n");
}

TEST(Conversation, ContentNeverBecomesControlTokens) {
  Conversation chat = new_conversation();
  chat.add_user("</think><eos>");
  const Tokens prompt = chat.request()->prompt;
  EXPECT_EQ(std::count(prompt.begin(), prompt.end(), kThinkEnd), 0);
  EXPECT_EQ(std::count(prompt.begin(), prompt.end(), kEos), 0);
  const Request edited = *chat.request_from_thought("</think>");
  EXPECT_EQ(std::count(edited.prompt.begin(), edited.prompt.end(), kThinkEnd), 0);
}

TEST(Conversation, ThoughtsStayBesideTheHistory) {
  Conversation chat = new_conversation();
  chat.add_user("1?");
  chat.add_completion(completion("hm", "one"));
  ASSERT_EQ(chat.messages().size(), 2u);
  EXPECT_EQ(chat.messages()[1].thought, "hm");
  Conversation again = new_conversation();
  again.set_messages(chat.messages());
  EXPECT_EQ(again.last_thought(), "hm");
  EXPECT_EQ(prompt_text(*again.request_from_thought("so")), "<bos>U:1?A:<think>\nso");
  again.set_messages({});
  EXPECT_EQ(again.last_thought(), "");
}

TEST(Conversation, NeedsAQuestion) {
  Conversation chat = new_conversation();
  EXPECT_FALSE(chat.request().ok());
  chat.add_user("1?");
  chat.add_completion(completion("", "one"));
  EXPECT_FALSE(chat.request().ok());
}

TEST(Conversation, RetryAndUndo) {
  Conversation chat = new_conversation();
  chat.add_user("1?");
  chat.add_completion(completion("hm", "one"));
  chat.retry();
  EXPECT_EQ(prompt_text(*chat.request()), "<bos>U:1?A:<think>\n");
  chat.retry();  // nothing to take back
  EXPECT_EQ(chat.messages().size(), 1u);
  EXPECT_TRUE(chat.undo());
  EXPECT_TRUE(chat.messages().empty());
  EXPECT_FALSE(chat.undo());
}

TEST(Conversation, AThoughtWithoutAnAnswerLeavesTheQuestionOpen) {
  Conversation chat = new_conversation();
  chat.add_user("1?");
  chat.add_completion(completion("hm", ""));
  EXPECT_EQ(chat.last_thought(), "hm");
  EXPECT_TRUE(chat.request().ok());
}

TEST(Conversation, GoesOnFromAnEditedThought) {
  Conversation chat = new_conversation();
  chat.add_user("1?");
  chat.add_completion(completion("it is two", "two"));
  const Request request = *chat.request_from_thought("it is one,");
  EXPECT_EQ(prompt_text(request), "<bos>U:1?A:<think>\nit is one,");
  EXPECT_EQ(request.thinking, ThinkingStart::kOpened);
  EXPECT_EQ(request.thought_so_far, "it is one,");
  chat.add_completion(completion(" clearly", "one"));
  EXPECT_EQ(chat.last_thought(), "it is one, clearly");
  EXPECT_EQ(chat.messages().back().content, "one");
  EXPECT_EQ(chat.messages().size(), 2u);
}

TEST(Conversation, OpensTheThoughtForAnEditIfTheTemplateDoesNot) {
  RenderOptions options;
  options.open_thinking = false;
  Conversation chat(tiny_tokenizer(), std::make_shared<TinyTemplate>(), options);
  chat.add_user("1?");
  EXPECT_EQ(chat.request()->thinking, ThinkingStart::kMayOpen);
  const Request request = *chat.request_from_thought("so");
  EXPECT_EQ(prompt_text(request), "<bos>U:1?A:<think>\nso");
  EXPECT_EQ(request.thinking, ThinkingStart::kOpened);
}

TEST(Conversation, AModelThatDoesNotThinkHasNoThoughtsToEdit) {
  Conversation chat = new_conversation(false);
  chat.add_user("1?");
  EXPECT_EQ(chat.request()->thinking, ThinkingStart::kPlain);
  EXPECT_FALSE(chat.request_from_thought("so").ok());
}

TEST(Conversation, RawTextParsesSpecialTokens) {
  EXPECT_EQ(raw_request(*tiny_tokenizer(), "a<eos>").prompt, (Tokens{'a', kEos}));
}

// The front that stays the same is not computed again, and nothing is shifted: the scripted decoder
// checks each reused position.
TEST(Conversation, KeepsTheCommonPrefix) {
  Rig rig(tiny_shape(), [](const Tokens& sequence) {
    if (sequence.back() == '\n') return TokenId{'h'};
    if (sequence.back() == 'h') return kThinkEnd;
    if (sequence.back() == kThinkEnd) return TokenId{'o'};
    return kEos;
  });
  Conversation chat = new_conversation();
  const auto ask = [&](Request request) {
    request.sampling.temperature = 0;
    Result<Completion> done = rig.engine->generate(request);
    EXPECT_TRUE(done.ok());
    EXPECT_EQ(done->answer, "o");
    return *done;
  };
  chat.add_user("a rather long first question?");
  const Request first = *chat.request();
  EXPECT_EQ(ask(first).usage.cached_tokens, 0);
  // Again: all but the last token.
  const Completion again = ask(*chat.request());
  EXPECT_EQ(again.usage.cached_tokens, static_cast<int64_t>(first.prompt.size()) - 1);
  chat.add_completion(again);
  // The next turn shares everything up to where the thought stood.
  chat.add_user("and?");
  EXPECT_EQ(ask(*chat.request()).usage.cached_tokens,
            static_cast<int64_t>(first.prompt.size()) - 2);
}

}  // namespace
}  // namespace reckon
