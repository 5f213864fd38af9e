// Fields of requests: what can't be honoured is a 400 that names the field as its API writes it,
// and replies say what was asked and how it ended.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

namespace json = boost::json;

struct Case {
  std::string path;
  std::string fields;  // beside what the path needs
  std::string names;   // what the error begins with
};

constexpr const char* kUser = R"("messages":[{"role":"user","content":"hi"}])";
constexpr const char* kFunction = R"("name":"f","parameters":{"type":"object"})";

// With what the path needs, where the fields don't have it.
Reply ask(const ServerRig& rig, const Case& asked) {
  const auto lacks = [&](const char* name) { return asked.fields.find(name) == std::string::npos; };
  std::string body = asked.fields;
  if (asked.path == "/v1/responses") {
    body += R"(,"input":"hi")";
  } else if (asked.path == "/v1/completions" || asked.path == "/api/generate") {
    if (lacks("\"prompt\"")) body += R"(,"prompt":"hi")";
  } else if (lacks("\"messages\"")) {
    body += std::string(",") + kUser;
  }
  if (asked.path == "/v1/messages") body += R"(,"max_tokens":3)";
  return post(rig.port, asked.path, "{" + body + "}");
}

TEST(Fields, WhatCannotBeHonouredIsNamed) {
  const ServerRig rig;
  const std::string many(4000, 'x');
  const std::string tools = std::string(R"("tools":[{"type":"function",)") + kFunction + "}]";
  const std::string custom = R"("tools":[{"name":"f","input_schema":{"type":"object"}}])";
  const Case cases[] = {
      // Several answers to several prompts, beyond what an engine knows at once.
      {"/v1/completions",
       R"("prompt":["a","b","c","d","e","f","g","h","a","b","c","d","e","f","g","h","i"],"n":64)",
       "n: expected at most 60 with 17 prompts"},
      {"/v1/completions", R"("n_paths":2)", "n_paths"},
      {"/v1/completions", R"("early_stop":"agreed")", "early_stop"},
      {"/v1/completions", R"("reasoning_effort":"low")", "reasoning_effort"},
      {"/v1/completions", R"("tools":[])", "tools"},
      {"/v1/responses", R"("n":2)", "n"},
      {"/v1/responses", R"("n_paths":2)", "n_paths"},
      {"/v1/responses", R"("top_logprobs":2)", "top_logprobs"},
      {"/v1/responses", R"("include":["message.output_text.logprobs"])", "include"},
      {"/v1/responses", R"("truncation":"auto")", "truncation"},
      {"/v1/responses", R"("tools":[{"type":"function","name":"a b"}])", "tools[0].name"},
      {"/v1/responses", R"("text":{"format":{"type":"json_schema"}})", "text.format.schema"},
      {"/v1/responses", R"("instructions":")" + many + "\"", "input"},
      {"/v1/messages",
       R"("messages":[{"role":"user","content":"a"},{"role":"assistant",)"
       R"("content":"b"}])",
       "messages[1].role"},
      {"/v1/messages", R"("tool_choice":{"type":"any"})", "tool_choice"},
      {"/v1/messages", R"("thinking":{"type":"enabled"})", "thinking.budget_tokens"},
      {"/v1/messages", R"("tools":[{"name":"a b"}])", "tools[0].name"},
      {"/v1/messages", R"("stop_sequences":[""])", "stop_sequences"},
      {"/v1/messages", R"("output_format":{"type":"json_schema"})", "output_format.schema"},
      {"/v1/messages", R"("output_config":{"effort":"most"})", "output_config.effort"},
      {"/v1/messages", R"("system":")" + many + "\"", "messages"},
      {"/v1/chat/completions", R"("min_thinking_tokens":9,"thinking_budget_tokens":3)",
       "min_thinking_tokens"},
      {"/v1/chat/completions", R"("response_format":{"type":"json_schema"})",
       "response_format.json_schema.schema"},
      {"/v1/chat/completions", R"("logit_bias":{"5":1e6})", "logit_bias[5]"},
      {"/v1/chat/completions", R"("grammar":"a ::= b")", "grammar: expected a rule called root"},
      {"/api/chat", R"("options":{"repeat_penalty":0})", "options.repeat_penalty"},
      {"/api/chat", R"("options":{"top_p":2})", "options.top_p"},
      {"/api/generate", R"("options":{"stop":[""]})", "options.stop"},
  };
  for (const Case& asked : cases) {
    const Reply reply = ask(rig, asked);
    EXPECT_EQ(reply.status, 400) << asked.path << " " << asked.names << ": " << reply.body;
    const json::value value = reply.json();
    const json::value& error = value.at("error");
    const json::value& message = error.is_string() ? error : error.at("message");
    EXPECT_TRUE(message.as_string().starts_with(asked.names))
        << asked.path << " " << asked.names << ": " << reply.body;
    if (!error.is_object() || !error.as_object().contains("param")) continue;
    EXPECT_EQ(json::serialize(error.at("param")),
              "\"" + asked.names.substr(0, asked.names.find(':')) + "\"");
  }
}

TEST(Fields, WhatIsHonouredIsAccepted) {
  const ServerRig rig;
  const std::string tools = std::string(R"("tools":[{"type":"function",)") + kFunction + "}]";
  const std::string custom = R"("tools":[{"name":"f","input_schema":{"type":"object"}}])";
  for (const Case& asked : std::vector<Case>{
           {"/v1/responses",
            R"("n":1,"n_paths":1,"top_logprobs":0,"include":[],"truncation":"disabled",)"
            R"("max_tool_calls":2,"max_output_tokens":3)",
            ""},
           {"/v1/responses", tools + R"(,"parallel_tool_calls":false)", ""},
           {"/v1/messages",
            custom + R"(,"tool_choice":{"type":"auto","disable_parallel_tool_use":true})", ""},
           {"/v1/messages",
            custom + R"(,"tool_choice":{"type":"any","disable_parallel_tool_use":true})", ""},
           {"/api/chat", R"("options":{"num_ctx":1000000,"num_predict":3})", ""},
           {"/v1/messages", R"("output_config":{"effort":"low"})", ""}}) {
    EXPECT_EQ(ask(rig, asked).status, 200) << asked.fields;
  }
}

TEST(Responses, SayWhatWasAskedAndHowItEnded) {
  const ServerRig rig;
  const Reply reply =
      post(rig.port, "/v1/responses",
           R"({"input":"hi","max_output_tokens":3,"temperature":0.5,"metadata":{"k":"v"},)"
           R"("reasoning":{"summary":"auto"},"include":["reasoning.encrypted_content"],)"
           R"("tools":[{"type":"function","name":"f"}],"tool_choice":"none"})");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::value value = reply.json();
  EXPECT_EQ(value.at("temperature"), 0.5);
  EXPECT_TRUE(value.at("top_p").is_double());
  EXPECT_EQ(value.at("metadata").at("k"), "v");
  EXPECT_EQ(value.at("max_output_tokens"), 3);
  EXPECT_EQ(value.at("reasoning").at("summary"), "auto");
  EXPECT_EQ(value.at("tool_choice"), "none");
  EXPECT_EQ(value.at("tools").at(0).at("name"), "f");
  EXPECT_EQ(value.at("text").at("format").at("type"), "text");
  EXPECT_EQ(value.at("truncation"), "disabled");
  EXPECT_EQ(value.at("reckon").at("end_reason"), "none");
  EXPECT_EQ(value.at("status"), "incomplete");
  const json::value& item = value.at("output").at(0);
  EXPECT_EQ(item.at("status"), "incomplete");
  EXPECT_EQ(item.at("type"), "reasoning");
  EXPECT_FALSE(item.at("encrypted_content").as_string().empty());
}

TEST(Anthropic, StopSequencesThoughtsAndUsage) {
  const ServerRig rig;
  const std::string plain = std::string(kUser) + R"(,"max_tokens":40,"temperature":0)";
  // Thoughts are told only to those who ask for them.
  const json::value silent = post(rig.port, "/v1/messages", "{" + plain + "}").json();
  for (const json::value& block : silent.at("content").as_array()) {
    EXPECT_EQ(block.at("type"), "text");
  }
  const std::string disabled = plain + R"(,"thinking":{"type":"disabled"})";
  const json::value whole = post(rig.port, "/v1/messages", "{" + disabled + "}").json();
  ASSERT_EQ(whole.at("content").as_array().size(), 1u);
  EXPECT_EQ(whole.at("content").at(0).at("type"), "text");
  EXPECT_TRUE(whole.at("stop_sequence").is_null());
  // The answer's own middle as the stop.
  const std::string text(whole.at("content").at(0).at("text").as_string());
  size_t begin = text.size() / 2;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  const std::string stop = text.substr(begin);
  const std::string stopped =
      disabled + R"(,"stop_sequences":["never said",)" + json::serialize(json::string(stop)) + "]";
  const json::value cut = post(rig.port, "/v1/messages", "{" + stopped + "}").json();
  EXPECT_EQ(cut.at("stop_reason"), "stop_sequence");
  EXPECT_EQ(cut.at("stop_sequence").as_string(), stop);
  const std::vector<std::string> list =
      events(post(rig.port, "/v1/messages", "{" + stopped + R"(,"stream":true})").body);
  ASSERT_GE(list.size(), 3u);
  EXPECT_GT(json::parse(list[0]).at("message").at("usage").at("input_tokens").to_number<int>(), 0);
  const json::value delta = json::parse(list[list.size() - 2]).at("delta");
  EXPECT_EQ(delta.at("stop_reason"), "stop_sequence");
  EXPECT_EQ(delta.at("stop_sequence").as_string(), stop);
}

TEST(Anthropic, FormatsAreKeptAndErrorsOfToolsAreTold) {
  const ServerRig rig;
  const std::string schema =
      R"({"type":"json_schema","schema":{"type":"object","properties":{"ok":{"type":"boolean"}},)"
      R"("required":["ok"],"additionalProperties":false}})";
  for (const std::string& field :
       {R"("output_format":)" + schema, R"("output_config":{"format":)" + schema + "}"}) {
    const json::value value =
        post(rig.port, "/v1/messages",
             "{" + std::string(kUser) + R"(,"max_tokens":60,"thinking":{"type":"disabled"},)" +
                 field + "}")
            .json();
    const json::value answer = json::parse(value.at("content").at(0).at("text").as_string());
    EXPECT_TRUE(answer.at("ok").is_bool());
  }
  const auto n_tokens = [&](const std::string& is_error) {
    return post(rig.port, "/v1/messages/count_tokens",
                R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[)"
                R"({"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":[)"
                R"({"type":"tool_result","tool_use_id":"t","content":"no file")" +
                    is_error + "}]}]}")
        .json()
        .at("input_tokens")
        .to_number<int>();
  };
  EXPECT_GT(n_tokens(R"(,"is_error":true)"), n_tokens(""));
}

TEST(Ollama, NamesItsModelAndHidesWhatWasNotWanted) {
  const ServerRig rig;
  const Reply reply = post(
      rig.port, "/api/chat",
      "{" + std::string(kUser) + R"(,"stream":false,"think":false,"options":{"num_predict":20}})");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json().at("model"), "tiny-qwen");
  EXPECT_FALSE(reply.json().at("message").as_object().contains("thinking"));
  const json::value details =
      post(rig.port, "/api/show", R"({"model":"tiny-qwen"})").json().at("details");
  EXPECT_EQ(details.at("quantization_level"), "F32");
  EXPECT_FALSE(details.at("parameter_size").as_string().empty());
}

TEST(OpenAi, NamesOfModelsMayBePercentEncoded) {
  const ServerRig rig;
  EXPECT_EQ(get(rig.port, "/v1/models/tiny%2Dqwen").json().at("id"), "tiny-qwen");
  EXPECT_EQ(get(rig.port, "/v1/models/tiny%2").status, 404);
}

// Every limit that is published is one that the server keeps.
TEST(OpenAi, ThePublishedLimitsAreTrue) {
  const ServerRig rig;
  const json::value document = get(rig.port, "/openapi.json").json();
  const auto fields = [&](const char* path) {
    return document.at("paths")
        .at(path)
        .at("post")
        .at("requestBody")
        .at("content")
        .at("application/json")
        .at("schema")
        .at("properties");
  };
  const json::value chat = fields("/v1/chat/completions");
  for (const char* name : {"n", "n_paths", "paths_window"}) {
    const int64_t most = chat.at(name).at("maximum").to_number<int64_t>();
    const std::string field = std::string("\"max_tokens\":1,\"") + name + "\":";
    EXPECT_EQ(rig.chat(field + std::to_string(most)).status, 200) << name;
    EXPECT_EQ(rig.chat(field + std::to_string(most + 1)).status, 400) << name;
  }
  for (const char* name : {"max_tokens", "max_completion_tokens", "min_thinking_tokens"}) {
    EXPECT_EQ(chat.at(name).at("maximum"), INT32_MAX) << name;
  }
  const json::value whole = rig.chat(R"("max_tokens":1)").json();
  const json::value& schema = document.at("components").at("schemas").at("ChatCompletion");
  for (const json::value& name : schema.at("required").as_array()) {
    EXPECT_TRUE(whole.as_object().contains(name.as_string()));
  }
}

}  // namespace
}  // namespace reckon::testing
