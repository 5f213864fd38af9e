// The three APIs over a tiny model: what is streamed is what is not streamed, fields arrive, and
// running answers can be steered, left and stopped.
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

namespace json = boost::json;

constexpr const char* kGreedy = R"("max_tokens":40,"temperature":0)";

// Whether text is valid UTF-8 and JSON's escapes are whole: Boost's parser checks both.
bool parses(const std::string& text) {
  boost::system::error_code error;
  (void)json::parse(text, error);
  return !error;
}

struct Said {
  std::string thinking;
  std::string answer;
  std::string finish;
  json::value usage;
  json::value reckon;
};

// B4 on the way: every event is valid by itself.
Said read_stream(const std::string& body, int64_t index = 0) {
  Said said;
  const std::vector<std::string> list = events(body);
  EXPECT_EQ(list.back(), "[DONE]");
  for (size_t i = 0; i + 1 < list.size(); ++i) {
    EXPECT_TRUE(parses(list[i])) << list[i];
    const json::value chunk = json::parse(list[i]);
    if (chunk.as_object().contains("usage") && !chunk.at("usage").is_null()) {
      said.usage = chunk.at("usage");
      said.reckon = chunk.at("reckon");
    }
    for (const json::value& choice : chunk.at("choices").as_array()) {
      if (choice.at("index").to_number<int64_t>() != index) continue;
      const json::object& delta = choice.at("delta").as_object();
      if (const auto* text = delta.if_contains("reasoning_content")) {
        said.thinking += text->as_string();
      }
      if (const auto* text = delta.if_contains("content")) said.answer += text->as_string();
      if (choice.at("finish_reason").is_string())
        said.finish = choice.at("finish_reason").as_string();
    }
  }
  return said;
}

Said read_whole(const Reply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  const json::value value = reply.json();
  const json::object& message = value.at("choices").at(0).at("message").as_object();
  Said said;
  if (message.contains("reasoning_content")) {
    said.thinking = message.at("reasoning_content").as_string();
  }
  said.answer = message.at("content").as_string();
  said.finish = value.at("choices").at(0).at("finish_reason").as_string();
  said.usage = value.at("usage");
  said.reckon = value.at("reckon");
  return said;
}

TEST(OpenAi, StreamIsWhatIsNotStreamed) {
  const ServerRig rig;
  for (const char* effort : {"none", "minimal", "high"}) {
    for (const char* model : {"tiny-qwen", "tiny-llama"}) {
      for (const char* seed : {"1", "2", "3"}) {
        const std::string fields = std::string(R"("max_tokens":60,"temperature":1.5,"seed":)") +
                                   seed + R"(,"reasoning_effort":")" + effort + R"(","model":")" +
                                   model + "\"";
        const std::string start = R"({"messages":[{"role":"user","content":"hi"}],)";
        const Said whole = read_whole(post(rig.port, "/v1/chat/completions", start + fields + "}"));
        const Reply streamed =
            post(rig.port, "/v1/chat/completions",
                 start + fields + R"(,"stream":true,"stream_options":{"include_usage":true}})");
        EXPECT_NE(streamed.head.find("text/event-stream"), std::string::npos);
        const Said said = read_stream(streamed.body);
        EXPECT_EQ(said.thinking, whole.thinking);
        EXPECT_EQ(said.answer, whole.answer);
        EXPECT_EQ(said.finish, whole.finish);
        EXPECT_EQ(said.usage.at("completion_tokens"), whole.usage.at("completion_tokens"));
        EXPECT_EQ(said.usage.at("completion_tokens_details"),
                  whole.usage.at("completion_tokens_details"));
      }
    }
  }
}

TEST(OpenAi, SeveralChoicesAndSeeds) {
  const ServerRig rig;
  const std::string fields = R"("max_tokens":12,"temperature":1.2)";
  const Reply three = rig.chat(fields + R"(,"n":3)");
  ASSERT_EQ(three.status, 200) << three.body;
  const json::value value = three.json();
  ASSERT_EQ(value.at("choices").as_array().size(), 3u);
  EXPECT_EQ(value.at("usage").at("completion_tokens"), 36);
  // The second of three is the first of its own seed.
  const Reply second =
      post(rig.port, "/v1/chat/completions",
           R"({"messages":[{"role":"user","content":"hello"}],"seed":2,)" + fields + "}");
  EXPECT_EQ(second.json().at("choices").at(0).at("message"),
            value.at("choices").at(1).at("message"));
  EXPECT_EQ(rig.chat(fields).json().at("choices"), rig.chat(fields).json().at("choices"));
}

TEST(OpenAi, Logprobs) {
  const ServerRig rig;
  const Reply reply = rig.chat(R"("max_tokens":5,"logprobs":true,"top_logprobs":3)");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::value choice = reply.json().at("choices").at(0);
  const json::array& tokens = choice.at("logprobs").at("reasoning_content").as_array();
  ASSERT_EQ(tokens.size(), 5u);
  for (const json::value& token : tokens) {
    EXPECT_LE(token.at("logprob").to_number<double>(), 0);
    EXPECT_EQ(token.at("top_logprobs").as_array().size(), 3u);
  }
}

TEST(OpenAi, ThinkingBudgetIsKept) {
  const ServerRig rig;
  const Said said = read_whole(rig.chat(R"("max_tokens":60,"thinking_budget_tokens":7)"));
  EXPECT_LE(said.usage.at("completion_tokens_details").at("reasoning_tokens").to_number<int>(), 8);
  EXPECT_EQ(said.reckon.at("end_reason"), "budget");
  const Said none = read_whole(rig.chat(R"("max_tokens":30,"reasoning_effort":"none")"));
  EXPECT_EQ(none.usage.at("completion_tokens_details").at("reasoning_tokens"), 0);
}

TEST(OpenAi, AThoughtIsGoneOnFrom) {
  const ServerRig rig;
  const std::string body =
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","prefix":true,)"
      R"("reasoning_content":"First, "}],"max_tokens":20,"temperature":0})";
  const Said said = read_whole(post(rig.port, "/v1/chat/completions", body));
  const Said plain = read_whole(
      post(rig.port, "/v1/chat/completions",
           R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":20,"temperature":0})"));
  EXPECT_GT(said.usage.at("prompt_tokens").to_number<int>(),
            plain.usage.at("prompt_tokens").to_number<int>());
  EXPECT_NE(said.thinking + said.answer, plain.thinking + plain.answer);
  // Earlier thoughts are accepted and dropped.
  const auto prompt_tokens = [&](const std::string& thought) {
    return read_whole(post(rig.port, "/v1/chat/completions",
                           R"({"messages":[{"role":"user","content":"a"},{"role":"assistant",)" +
                               thought + R"("content":"b"},{"role":"user","content":"c"}],)" +
                               kGreedy + "}"))
        .usage.at("prompt_tokens");
  };
  EXPECT_EQ(prompt_tokens(R"("reasoning_content":"long thought",)"), prompt_tokens(""));
}

TEST(OpenAi, PathsAreToldAndVotedOn) {
  const ServerRig rig;
  const std::string fields = R"("max_tokens":24,"temperature":1,"n_paths":3,"paths_stop":"off",)"
                             R"("reasoning_effort":"low")";
  const Reply reply =
      rig.chat(fields + R"(,"stream":true,"stream_options":{"include_usage":true})");
  const Reply whole = rig.chat(fields);
  ASSERT_EQ(whole.status, 200) << whole.body;
  for (int64_t path = 0; path < 3; ++path) {
    const Said said = read_stream(reply.body, path);
    EXPECT_FALSE(said.thinking.empty() && said.answer.empty());
    EXPECT_EQ(said.finish, "length");
    EXPECT_EQ(said.answer, whole.json()
                               .at("choices")
                               .at(static_cast<size_t>(path))
                               .at("message")
                               .at("content")
                               .as_string());
    EXPECT_EQ(said.reckon.at("vote").at("paths"), 3);
  }
}

// Held to JSON, an answer is one whatever its last line is; the figures are those of the choices.
TEST(OpenAi, VotesCompareWholeAnswersAndCountThem) {
  const ServerRig rig;
  const std::string fields =
      R"("max_tokens":200,"temperature":1.2,"reasoning_effort":"none","n_paths":6,)"
      R"("paths_stop":"off","response_format":{"type":"json_schema","json_schema":{"schema":)"
      R"({"type":"object","properties":{"a":{"enum":[1,2,3]},"b":{"type":"boolean"}},)"
      R"("required":["a","b"],"additionalProperties":false}}})";
  const Reply reply = rig.chat(fields);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::value value = reply.json();
  std::map<std::string, int64_t> votes;
  int64_t n_counted = 0;
  for (const json::value& choice : value.at("choices").as_array()) {
    if (choice.at("finish_reason") != "stop") continue;
    const json::value answer = json::parse(choice.at("message").at("content").as_string());
    ++votes[json::serialize(answer)];
    ++n_counted;
  }
  ASSERT_GE(votes.size(), 2u) << "answers that differ, or there is nothing to see";
  const json::value vote = value.at("reckon").at("vote");
  EXPECT_EQ(vote.at("counted"), n_counted);
  EXPECT_EQ(vote.at("paths"), 6);
  EXPECT_EQ(vote.at("minority").as_array().size() + 1, votes.size());
  const json::value won = json::parse(vote.at("answer").as_string());
  EXPECT_EQ(vote.at("votes"), votes.at(json::serialize(won)));
  const json::value& chosen =
      value.at("choices").at(vote.at("chosen").to_number<size_t>()).at("message").at("content");
  EXPECT_EQ(json::parse(chosen.as_string()), won);

  // Weighed by how likely their tokens were, the same votes have other shares.
  const json::value weighed = rig.chat(fields + R"(,"paths_weighted":true)").json();
  EXPECT_EQ(weighed.at("choices"), value.at("choices"));
  EXPECT_EQ(weighed.at("reckon").at("vote").at("counted"), n_counted);
  EXPECT_NE(weighed.at("reckon").at("vote").at("share"), vote.at("share"));
}

// Closing the thought costs an answer nothing of what it may have.
TEST(OpenAi, WithoutAThoughtTheAnswerHasAllTokens) {
  const ServerRig rig;
  const json::value reply = rig.chat(R"("max_tokens":6,"reasoning_effort":"none")").json();
  EXPECT_FALSE(reply.at("choices").at(0).at("message").at("content").is_null());
  EXPECT_EQ(reply.at("usage").at("completion_tokens_details").at("reasoning_tokens"), 0);
}

// A refusal has its line as well, which says where the fault was and nothing of what stood there.
TEST(OpenAi, RefusalsAreLogged) {
  const ServerRig rig;
  EXPECT_EQ(rig.chat(R"("reasoning_effort":"puffin")").status, 400);
  EXPECT_EQ(rig.chat(R"("model":"no-such-model")").status, 404);
  EXPECT_EQ(get(rig.port, "/nowhere").status, 404);
  EXPECT_EQ(call(rig.port, "PUT", "/v1/models", "", {}).status, 405);
  std::vector<std::string> fields;
  std::vector<int64_t> statuses;
  std::istringstream lines(rig.logged());
  for (std::string line; std::getline(lines, line);) {
    const json::object object = json::parse(line).as_object();
    EXPECT_EQ(object.at("event"), "refused");
    EXPECT_TRUE(object.at("time").as_string().ends_with("Z"));
    statuses.push_back(object.at("status").to_number<int64_t>());
    const json::value* field = object.if_contains("field");
    fields.emplace_back(field == nullptr ? "" : field->as_string().c_str());
  }
  EXPECT_EQ(statuses, (std::vector<int64_t>{400, 404, 404, 405}));
  EXPECT_EQ(fields, (std::vector<std::string>{"reasoning_effort", "model", "", ""}));
  EXPECT_EQ(rig.logged().find("puffin"), std::string::npos);
}

// Clients look for these words to shorten the conversation.
TEST(OpenAi, TooLongAPromptHasTheCodeThatClientsKnow) {
  const ServerRig rig;
  const std::string content(4000, 'x');
  const Reply chat = rig.chat(R"("max_tokens":1)", content);
  EXPECT_EQ(chat.status, 400);
  EXPECT_EQ(chat.json().at("error").at("code"), "context_length_exceeded");
  EXPECT_EQ(chat.json().at("error").at("param"), "messages");
  EXPECT_TRUE(chat.has("maximum context length is 512 tokens")) << chat.body;
  const Reply message =
      post(rig.port, "/v1/messages",
           R"({"max_tokens":1,"messages":[{"role":"user","content":")" + content + "\"}]}");
  EXPECT_EQ(message.status, 400);
  EXPECT_TRUE(message.has("prompt is too long")) << message.body;
}

// Text and calls of one turn are several items of Responses and one message of chat.
TEST(Responses, ItemsOfOneTurnAreOne) {
  const ServerRig rig;
  const auto n_prompt = [&](const std::string& path, const std::string& body, const char* usage) {
    const Reply reply = post(rig.port, path, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json().at("usage").at(usage).to_number<int64_t>();
  };
  const std::string calls =
      R"({"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},)"
      R"({"id":"2","type":"function","function":{"name":"g","arguments":"{}"}})";
  EXPECT_EQ(n_prompt("/v1/responses",
                     R"({"max_output_tokens":1,"input":[{"role":"user","content":"a"},)"
                     R"({"role":"assistant","content":"b"},)"
                     R"({"type":"function_call","call_id":"1","name":"f","arguments":"{}"},)"
                     R"({"type":"function_call","call_id":"2","name":"g","arguments":"{}"},)"
                     R"({"type":"function_call_output","call_id":"1","output":"c"},)"
                     R"({"type":"function_call_output","call_id":"2","output":"d"}]})",
                     "input_tokens"),
            n_prompt("/v1/chat/completions",
                     R"({"max_tokens":1,"messages":[{"role":"user","content":"a"},)"
                     R"({"role":"assistant","content":"b","tool_calls":[)" +
                         calls +
                         R"(]},{"role":"tool","tool_call_id":"1","content":"c"},)"
                         R"({"role":"tool","tool_call_id":"2","content":"d"}]})",
                     "prompt_tokens"));
}

// What was asked and answered is in the log where the server's owner wants that, and else not.
TEST(OpenAi, LogsContentOnlyIfTold) {
  for (const bool told : {false, true}) {
    server::ServerOptions options;
    options.log_content = told;
    const ServerRig rig(options);
    const json::value reply = rig.chat(R"("max_tokens":9,"temperature":0)", "cormorant").json();
    EXPECT_EQ(rig.chat(R"("max_tokens":9,"n":2)", "gannet").status, 200);
    EXPECT_EQ(rig.logged().find("cormorant") != std::string::npos, told);
    EXPECT_EQ(rig.logged().find("gannet") != std::string::npos, told);
    const std::string first = rig.logged().substr(0, rig.logged().find('\n'));
    const json::object line = json::parse(first).as_object();
    ASSERT_EQ(line.contains("choices"), told) << first;
    if (!told) continue;
    const json::value& message = reply.at("choices").at(0).at("message");
    EXPECT_EQ(line.at("choices").at(0).at("thinking"), message.at("reasoning_content"));
    const json::value said =
        message.at("content").is_null() ? json::value("") : message.at("content");
    EXPECT_EQ(line.at("choices").at(0).at("answer"), said);
    EXPECT_EQ(line.at("prompts").as_array().size(), 1u);
    const std::string second = rig.logged().substr(first.size() + 1);
    EXPECT_EQ(json::parse(second).at("prompts").as_array().size(), 1u);
    EXPECT_EQ(json::parse(second).at("choices").as_array().size(), 2u);
  }
}

// Usage is that of all paths, each has its own end, and a stream tells the vote unasked.
TEST(OpenAi, PathsAreCountedAndEndOneByOne) {
  const ServerRig rig;
  const std::string grammar = R"("grammar":"root ::= \"yes\"","reasoning_effort":"none",)";
  const std::string alone = grammar + R"("max_tokens":100)";
  const int64_t n_alone =
      rig.chat(alone).json().at("usage").at("completion_tokens").to_number<int64_t>();
  const Reply all = rig.chat(alone + R"(,"n_paths":5,"paths_stop":"off")");
  ASSERT_EQ(all.status, 200) << all.body;
  EXPECT_EQ(all.json().at("usage").at("completion_tokens"), 5 * n_alone);
  EXPECT_EQ(all.json().at("reckon").at("vote").at("votes"), 5);

  // A window of two agrees: the other three are never begun.
  const std::string decided = alone + R"(,"n_paths":5,"paths_window":2,"paths_stop":"window")";
  const Reply whole = rig.chat(decided);
  const json::value value = whole.json();
  EXPECT_EQ(value.at("choices").as_array().size(), 2u);
  EXPECT_EQ(value.at("usage").at("completion_tokens"), 2 * n_alone);
  const Reply streamed = rig.chat(decided + R"(,"stream":true)");
  const std::vector<std::string> list = events(streamed.body);
  ASSERT_GE(list.size(), 2u);
  const json::value last = json::parse(list[list.size() - 2]);
  EXPECT_EQ(last.at("reckon").at("vote").at("answer"), "yes");
  EXPECT_FALSE(streamed.has("\"index\":2"));

  // Some run into the limit while others come to their end.
  const Reply mixed =
      rig.chat(R"("grammar":"root ::= \"a\" | \"b\" [c-z]{200}","reasoning_effort":"none",)"
               R"("max_tokens":100,"temperature":1.5,"n_paths":8,"paths_stop":"off")");
  ASSERT_EQ(mixed.status, 200) << mixed.body;
  const json::value ends = mixed.json();
  for (const json::value& choice : ends.at("choices").as_array()) {
    EXPECT_EQ(choice.at("finish_reason"),
              choice.at("message").at("content") == "a" ? "stop" : "length");
  }
  EXPECT_EQ(rig.chat(alone + R"(,"n_paths":2,"logprobs":true)").json().at("error").at("param"),
            "logprobs");
}

// The tokens that are listed are those that the texts are made of.
TEST(OpenAi, LogprobsSpellTheTexts) {
  const ServerRig rig;
  // The model itself closes its thought, by a token that is no text.
  const Reply mark = post(rig.port, "/tokenize", R"({"content":"</think>","parse_special":true})");
  const int close = mark.json().at("tokens").at(0).to_number<int>();
  const Reply reply = rig.chat(R"("max_tokens":60,"logprobs":true,"grammar":"root ::= \"yes\"",)"
                               R"("logit_bias":{")" +
                               std::to_string(close) + "\":1000}");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::value choice = reply.json().at("choices").at(0);
  std::string joined;
  for (const json::value& token : choice.at("logprobs").at("content").as_array()) {
    joined += token.at("token").as_string();
  }
  EXPECT_EQ(joined, choice.at("message").at("content").as_string());
}

// A1's rule about special tokens, through every field that a client fills: E7.
TEST(OpenAi, SpecialTokensStayText) {
  const ServerRig rig;
  const auto tokens = [&](const std::string& text) {
    const Reply reply =
        post(rig.port, "/tokenize", json::serialize(json::object{{"content", text}}));
    return reply.json().at("tokens").as_array();
  };
  for (const char* special : {"<think>", "</think>", "<｜User｜>", "<｜Assistant｜>",
                              "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<|im_end|>"}) {
    const json::array list = tokens(special);
    EXPECT_GT(list.size(), 1u) << special;
    const Reply back =
        post(rig.port, "/detokenize", json::serialize(json::object{{"tokens", list}}));
    EXPECT_EQ(back.json().at("content"), special);
    // Each adds to the prompt what it adds as text, in whatever field.
    const auto prompt = [&](const std::string& role, const std::string& text) {
      json::array messages{json::object{{"role", role}, {"content", "a" + text + "b"}}};
      if (role != "user") messages.push_back(json::object{{"role", "user"}, {"content", "x"}});
      const json::object body{{"messages", messages}, {"max_tokens", 1}};
      return post(rig.port, "/v1/chat/completions", json::serialize(body))
          .json()
          .at("usage")
          .at("prompt_tokens")
          .to_number<size_t>();
    };
    for (const std::string role : {"system", "user", "assistant"}) {
      // Of an earlier answer the template keeps what follows the mark.
      if (role == "assistant" && special == std::string("</think>")) continue;

      EXPECT_EQ(prompt(role, special) - prompt(role, ""),
                tokens(std::string("a") + special + "b").size() - tokens("ab").size())
          << special << " as " << role;
    }
  }
}

TEST(OpenAi, AFullContextIsA400) {  // B5
  const ServerRig rig;
  // The prompt's tokens beside the content's.
  const auto n_prompt = [&](size_t n) {
    const json::object body{
        {"messages",
         json::array{json::object{{"role", "user"}, {"content", std::string(n, '\x01')}}}},
        {"max_tokens", 1}};
    return post(rig.port, "/v1/chat/completions", json::serialize(body));
  };
  const size_t base = n_prompt(1).json().at("usage").at("prompt_tokens").to_number<size_t>() - 1;
  const size_t room = 512 - base;
  const Reply fits = n_prompt(room - 1);
  ASSERT_EQ(fits.status, 200) << fits.body;
  EXPECT_EQ(fits.json().at("choices").at(0).at("finish_reason"), "length");
  for (const size_t n : {room, room + 1, room * 10}) {
    const Reply reply = n_prompt(n);
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.json().at("error").at("param"), "messages");
    EXPECT_TRUE(reply.has("512") || reply.has("511")) << reply.body;
  }
  // The context ends the answer, which says so.
  const Reply open = n_prompt(room - 20);
  EXPECT_EQ(open.status, 200);
}

TEST(OpenAi, Completions) {
  const ServerRig rig;
  const Reply reply = post(rig.port, "/v1/completions",
                           R"({"prompt":["a","b"],"max_tokens":4,"n":2,"echo":true,"seed":3})");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::value value = reply.json();
  const json::array& choices = value.at("choices").as_array();
  ASSERT_EQ(choices.size(), 4u);
  EXPECT_EQ(choices[0].at("text").as_string().front(), 'a');
  EXPECT_EQ(choices[3].at("text").as_string().front(), 'b');
  const Reply streamed = post(rig.port, "/v1/completions",
                              R"({"prompt":["a","b"],"max_tokens":4,"n":2,"echo":true,"seed":3,)"
                              R"("stream":true})");
  std::vector<std::string> texts(4);
  const std::vector<std::string> list = events(streamed.body);
  for (size_t i = 0; i + 1 < list.size(); ++i) {
    const json::value choice = json::parse(list[i]).at("choices").at(0);
    texts[choice.at("index").to_number<size_t>()] += choice.at("text").as_string();
  }
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(texts[i], choices[i].at("text").as_string());
  EXPECT_EQ(post(rig.port, "/v1/completions", R"({"prompt":[1,2,3],"max_tokens":1})").status, 200);
}

constexpr const char* kTool =
    R"({"type":"function","function":{"name":"look_up","parameters":{"type":"object","properties":)"
    R"({"n":{"type":"integer","minimum":0,"maximum":9}},"required":["n"],)"
    R"("additionalProperties":false}}})";

TEST(OpenAi, ToolCallsAndTheirResults) {
  server::ServerOptions options;
  options.pool.load.context_length = 2048;
  const ServerRig rig(std::move(options));
  const std::string tools = std::string(R"("tools":[)") + kTool +
                            R"(],"tool_choice":"required","max_tokens":300,)"
                            R"("reasoning_effort":"none")";
  const Reply reply = rig.chat(tools);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::value choice = reply.json().at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  EXPECT_TRUE(choice.at("message").at("content").is_null());
  const json::value call = choice.at("message").at("tool_calls").at(0);
  EXPECT_EQ(call.at("function").at("name"), "look_up");
  const json::value arguments = json::parse(call.at("function").at("arguments").as_string());
  EXPECT_TRUE(arguments.at("n").is_int64());
  // Ended behind its first call, an answer with one call is the same.
  const json::value alone = rig.chat(tools + R"(,"parallel_tool_calls":false)").json();
  EXPECT_EQ(alone.at("choices").at(0).at("finish_reason"), "tool_calls");
  EXPECT_EQ(alone.at("choices").at(0).at("message").at("tool_calls").at(0).at("function"),
            call.at("function"));
  EXPECT_LE(alone.at("usage").at("completion_tokens").to_number<int64_t>(),
            reply.json().at("usage").at("completion_tokens").to_number<int64_t>());
  EXPECT_EQ(rig.metric("answers_cancelled_total"), 0);
  const Reply streamed = rig.chat(tools + R"(,"stream":true)");
  EXPECT_TRUE(streamed.has("\"tool_calls\":[{")) << streamed.body;
  EXPECT_TRUE(streamed.has("\"finish_reason\":\"tool_calls\""));
  json::array messages{
      json::object{{"role", "user"}, {"content", "x"}}, choice.at("message"),
      json::object{{"role", "tool"}, {"tool_call_id", call.at("id")}, {"content", "sunny"}}};
  const json::object after{
      {"messages", messages}, {"max_tokens", 3}, {"tools", json::array{json::parse(kTool)}}};
  EXPECT_EQ(post(rig.port, "/v1/chat/completions", json::serialize(after)).status, 200);
}

TEST(OpenAi, FormatsAreKept) {
  const ServerRig rig;
  const std::string schema =
      R"("response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":)"
      R"("object","properties":{"ok":{"type":"boolean"}},"required":["ok"],)"
      R"("additionalProperties":false}}},"max_tokens":200,"thinking_budget_tokens":9,)";
  for (const char* seed : {"1", "2", "3"}) {
    const Said said = read_whole(post(
        rig.port, "/v1/chat/completions",
        R"({"messages":[{"role":"user","content":"x"}],)" + schema + R"("seed":)" + seed + "}"));
    EXPECT_FALSE(said.thinking.empty());
    EXPECT_TRUE(json::parse(said.answer).at("ok").is_bool()) << said.answer;
  }
  const Said held = read_whole(rig.chat(R"("grammar":"root ::= \"yes\" | \"no\"","max_tokens":50,)"
                                        R"("reasoning_effort":"none")"));
  EXPECT_TRUE(held.answer == "yes" || held.answer == "no") << held.answer;
  for (
      const char* bad :
      {R"("grammar":"root ::= nothing")", R"("grammar":"^+a")",
       R"("response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"http://x"}}})",
       R"("response_format":{"type":"json_schema"})", R"("response_format":{"type":"xml"})",
       R"("response_format":{"type":"json_schema","json_schema":{"schema":{"type":"nothing"}}})"}) {
    const Reply reply = rig.chat(bad);
    EXPECT_EQ(reply.status, 400) << bad << reply.body;
    EXPECT_FALSE(reply.json().at("error").at("param").is_null()) << bad;
  }
}

TEST(OpenAi, Responses) {
  const ServerRig rig;
  const std::string fields =
      R"("input":"hi","max_output_tokens":40,"temperature":0,"reasoning":{"effort":"minimal"})";
  const Reply whole = post(rig.port, "/v1/responses", "{" + fields + "}");
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.json().at("object"), "response");
  const Reply streamed = post(rig.port, "/v1/responses", "{" + fields + R"(,"stream":true})");
  const std::vector<std::string> list = events(streamed.body);
  EXPECT_EQ(json::parse(list.front()).at("type"), "response.created");
  const json::value last = json::parse(list.back());
  const auto texts = [](const json::value& response) {
    std::string all;
    for (const json::value& item : response.at("output").as_array()) {
      for (const json::value& part : item.at("content").as_array()) {
        all += part.at("text").as_string();
      }
    }
    return all;
  };
  EXPECT_EQ(texts(last.at("response")), texts(whole.json()));
  for (size_t i = 0; i < list.size(); ++i) {
    EXPECT_EQ(json::parse(list[i]).at("sequence_number"), static_cast<int64_t>(i));
  }
  EXPECT_EQ(post(rig.port, "/v1/responses", R"({"input":"x","previous_response_id":"r"})").status,
            400);
  EXPECT_EQ(post(rig.port, "/v1/responses", R"({"input":"x","store":true})").status, 400);
}

TEST(Page, HasItsPolicyAndItsTypes) {
  const ServerRig rig;
  const Reply page = get(rig.port, "/");
  if (page.status == 404) GTEST_SKIP() << "built without the page";
  EXPECT_NE(page.head.find("default-src 'none'; script-src 'self'"), std::string::npos);
  EXPECT_NE(page.head.find("frame-ancestors 'none'"), std::string::npos);
  EXPECT_NE(page.head.find("Content-Type: text/html"), std::string::npos);
  const size_t tag = page.head.find("ETag: ") + 6;
  const std::string value = page.head.substr(tag, page.head.find("\r\n", tag) - tag);
  EXPECT_EQ(call(rig.port, "GET", "/", "", {{"If-None-Match", value}}).status, 304);
  EXPECT_NE(get(rig.port, "/run.html").head.find("sandbox allow-scripts"), std::string::npos);
  EXPECT_EQ(get(rig.port, "/../index.html").status, 404);
  EXPECT_EQ(get(rig.port, "index.html").status, 404);
}

TEST(OpenAi, ModelsAndWhatIsNotThere) {
  const ServerRig rig;
  EXPECT_TRUE(get(rig.port, "/v1/models").has("tiny-llama"));
  // The one that answers where none is named stands first, whatever the library's order.
  EXPECT_EQ(get(rig.port, "/v1/models").json().at("data").at(0).at("id"), "tiny-qwen");
  EXPECT_EQ(get(rig.port, "/api/tags").json().at("models").at(0).at("name"), "tiny-qwen");
  EXPECT_EQ(get(rig.port, "/v1/models/tiny-qwen").json().at("id"), "tiny-qwen");
  EXPECT_EQ(get(rig.port, "/v1/models/nobody").status, 404);
  EXPECT_EQ(rig.chat(R"("model":"nobody")").json().at("error").at("code"), "model_not_found");
  EXPECT_EQ(post(rig.port, "/v1/embeddings", R"({"input":"x"})").status, 400);
  // Unknown fields are ignored.
  EXPECT_EQ(rig.chat(R"("max_tokens":1,"future_field":{"a":[1]},"user":"me")").status, 200);
}

TEST(Control, EndsAThoughtAndStopsAnAnswer) {
  const ServerRig rig;
  for (const std::string action : {"reasoning_end", "stop"}) {
    Socket socket(rig.port);
    socket.send(request_text("POST", "/v1/chat/completions",
                             R"({"messages":[{"role":"user","content":"x"}],"temperature":0,)"
                             R"("logit_bias":{},"stream":true,"max_tokens":450})",
                             {{"Content-Type", "application/json"}}));
    const std::string first = socket.receive_until("\n\n");
    const size_t at = first.find("chatcmpl-");
    ASSERT_NE(at, std::string::npos) << first;
    const std::string id = first.substr(at, 41);
    const Reply reply = post(rig.port, "/v1/chat/completions/control",
                             R"({"id":")" + id + R"(","action":")" + action + R"("})");
    const std::string rest = socket.receive_until("[DONE]");
    // The answer may have been quicker.
    EXPECT_TRUE(reply.status == 200 || reply.status == 404) << reply.body;
    EXPECT_NE((first + rest).find("[DONE]"), std::string::npos);
    EXPECT_NE((first + rest).find("\"finish_reason\":\""), std::string::npos);
  }
}

TEST(Anthropic, MessagesBothWays) {
  const ServerRig rig;
  const std::string fields =
      R"("messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":40,)"
      R"("temperature":0,"thinking":{"type":"enabled","budget_tokens":8})";
  const Reply whole = post(rig.port, "/v1/messages", "{" + fields + "}");
  ASSERT_EQ(whole.status, 200) << whole.body;
  const json::value message = whole.json();
  EXPECT_EQ(message.at("content").at(0).at("type"), "thinking");
  EXPECT_FALSE(message.at("content").at(0).at("signature").as_string().empty());
  const Reply streamed = post(rig.port, "/v1/messages", "{" + fields + R"(,"stream":true})");
  std::string thinking;
  std::string text;
  std::string types;
  bool signed_ = false;
  for (const std::string& event : events(streamed.body)) {
    const json::value value = json::parse(event);
    types += std::string(value.at("type").as_string()) + " ";
    if (value.at("type") != "content_block_delta") continue;
    const json::object& delta = value.at("delta").as_object();
    if (delta.at("type") == "thinking_delta") thinking += delta.at("thinking").as_string();
    if (delta.at("type") == "text_delta") text += delta.at("text").as_string();
    signed_ = signed_ || delta.at("type") == "signature_delta";
  }
  EXPECT_EQ(thinking, message.at("content").at(0).at("thinking").as_string());
  EXPECT_EQ(text, message.at("content").at(1).at("text").as_string());
  EXPECT_TRUE(signed_);
  EXPECT_TRUE(types.starts_with("message_start content_block_start content_block_delta"));
  EXPECT_TRUE(types.ends_with("content_block_stop message_delta message_stop "));
  // The blocks are accepted back, thought and signature too.
  json::array conversation{json::object{{"role", "user"}, {"content", "hi"}},
                           json::object{{"role", "assistant"}, {"content", message.at("content")}},
                           json::object{{"role", "user"}, {"content", "and?"}}};
  const std::string again =
      json::serialize(json::object{{"messages", conversation}, {"max_tokens", 2}});
  EXPECT_EQ(post(rig.port, "/v1/messages", again).status, 200);
  const Reply counted = post(rig.port, "/v1/messages/count_tokens", again);
  EXPECT_GT(counted.json().at("input_tokens").to_number<int>(), 5);
  const Reply error = post(rig.port, "/v1/messages", R"({"messages":[]})");
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.json().at("type"), "error");
}

TEST(Ollama, ChatGenerateAndModels) {
  const ServerRig rig;
  EXPECT_EQ(call(rig.port, "HEAD", "/").status, 200);
  const std::string fields =
      R"("model":"tiny-qwen","options":{"seed":5,"num_predict":20,"temperature":0})";
  const Reply streamed =
      post(rig.port, "/api/chat",
           R"({"messages":[{"role":"user","content":"hi"}],"think":true,)" + fields + "}");
  const Reply whole =
      post(rig.port, "/api/chat",
           R"({"messages":[{"role":"user","content":"hi"}],"stream":false,)" + fields + "}");
  ASSERT_EQ(whole.status, 200) << whole.body;
  std::string thinking;
  std::string content;
  size_t at = 0;
  json::value last;
  while (at < streamed.body.size()) {
    const size_t end = streamed.body.find('\n', at);
    last = json::parse(streamed.body.substr(at, end - at));
    const json::object& message = last.at("message").as_object();
    content += message.at("content").as_string();
    if (message.contains("thinking")) thinking += message.at("thinking").as_string();
    at = end + 1;
  }
  EXPECT_EQ(last.at("done"), true);
  EXPECT_EQ(last.at("eval_count"), 20);
  const json::value value = whole.json();
  const json::object& message = value.at("message").as_object();
  EXPECT_EQ(content, message.at("content").as_string());
  if (message.contains("thinking")) {
    EXPECT_EQ(thinking, message.at("thinking").as_string());
  }
  const Reply generated = post(rig.port, "/api/generate",
                               R"({"prompt":"hi","raw":true,"stream":false,)" + fields + "}");
  EXPECT_TRUE(generated.json().as_object().contains("response"));
  EXPECT_TRUE(get(rig.port, "/api/tags").has("tiny-llama"));
  EXPECT_TRUE(post(rig.port, "/api/show", R"({"model":"tiny-qwen"})").has("thinking"));
  EXPECT_TRUE(get(rig.port, "/api/ps").has("tiny-qwen"));
  const Reply pulled = post(rig.port, "/api/pull", R"({"model":"r1:1.5b"})");
  EXPECT_TRUE(pulled.has("\"completed\":5") && pulled.has("success")) << pulled.body;
  EXPECT_TRUE(post(rig.port, "/api/pull", R"({"model":"/etc/passwd"})").has("error"));
  EXPECT_EQ(post(rig.port, "/api/copy", R"({"source":"tiny-llama","destination":"mine"})").status,
            200);
  EXPECT_TRUE(get(rig.port, "/api/tags").has("mine"));
  EXPECT_EQ(call(rig.port, "DELETE", "/api/delete", R"({"model":"mine"})").status, 200);
  EXPECT_FALSE(get(rig.port, "/api/tags").has("mine"));
}

TEST(Ollama, KeepAliveLetsAModelGo) {
  const ServerRig rig;
  const auto loaded = [&] { return get(rig.port, "/api/ps").has("tiny-llama"); };
  EXPECT_EQ(post(rig.port, "/api/generate", R"({"model":"tiny-llama","keep_alive":"10m"})")
                .json()
                .at("done_reason"),
            "load");
  EXPECT_TRUE(loaded());
  EXPECT_EQ(post(rig.port, "/api/generate", R"({"model":"tiny-llama","keep_alive":0})")
                .json()
                .at("done_reason"),
            "unload");
  EXPECT_TRUE(eventually([&] { return !loaded(); }));
}

// A request's keep_alive is its own: the next one's is the server's again, and the model that was
// named first stays whatever requests say.
TEST(Ollama, KeepAliveHoldsForOneRequest) {
  const ServerRig rig;
  const auto until = [&](const std::string& name) -> std::string {
    const json::value models = get(rig.port, "/api/ps").json().at("models");
    for (const json::value& model : models.as_array()) {
      if (model.at("name").as_string() == name)
        return std::string(model.at("expires_at").as_string());
    }
    return "";
  };
  const auto ask = [&](const std::string& model, const std::string& more) {
    return post(rig.port, "/api/generate",
                R"({"prompt":"x","stream":false,"options":{"num_predict":1},"model":")" + model +
                    "\"" + more + "}")
        .status;
  };
  ASSERT_EQ(ask("tiny-llama", R"(,"keep_alive":-1)"), 200);
  EXPECT_TRUE(until("tiny-llama").starts_with("21")) << until("tiny-llama");  // a century
  ASSERT_EQ(ask("tiny-llama", ""), 200);
  EXPECT_TRUE(until("tiny-llama").starts_with("20")) << until("tiny-llama");
  rig.server->load_default();
  ASSERT_EQ(ask("tiny-qwen", R"(,"keep_alive":"1ms")"), 200);
  ::usleep(700'000);  // the pool looks four times a second
  EXPECT_TRUE(until("tiny-qwen").starts_with("21")) << until("tiny-qwen");
  ASSERT_EQ(ask("tiny-qwen", R"(,"keep_alive":"1h30m")"), 200);
  EXPECT_TRUE(until("tiny-qwen").starts_with("21"));
}

}  // namespace
}  // namespace reckon::testing
