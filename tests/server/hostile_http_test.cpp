// B1: HTTP and JSON made wrong by hand. Each case gets a 4xx or a closed connection, within its
// time; then the server is well and a canary prompt has its answer. B1's bound on memory is
// measured over all of them.
#include <gtest/gtest.h>
#include <malloc.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

struct Case {
  std::string name;
  std::string bytes;
  bool may_be_good = false;  // a 200 is right as well
};

std::string chat_body(const std::string& fields) {
  return R"({"messages":[{"role":"user","content":"x"}],"max_tokens":1,)" + fields + "}";
}

std::string chat(const std::string& body) {
  return request_text("POST", "/v1/chat/completions", body, {{"Content-Type", "application/json"}});
}

void add_framing(std::vector<Case>& cases) {
  const std::string head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";
  for (const char* size :
       {"-1", "-2", "1 2", "0x10", "18446744073709551616", "99999999999999999999", "1e3", "", " ",
        "abc", "+5", "5,5", "5, 6", "9223372036854775808"}) {
    cases.push_back(
        {std::string("Content-Length ") + size, head + "Content-Length: " + size + "\r\n\r\n{}"});
  }
  cases.push_back({"two lengths", head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "});
  cases.push_back({"length and chunks",
                   head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"});
  for (const char* size : {"-2", "-1", "g", "0x5", "fffffffffffffffff", "ffffffffffffffff", " 5",
                           "5 5", "", "5;", "7fffffffffffffff"}) {
    cases.push_back({std::string("chunk size ") + size,
                     head + "Transfer-Encoding: chunked\r\n\r\n" + size + "\r\n{}\r\n0\r\n\r\n"});
  }
  for (const char* coding :
       {"gzip", "chunked, gzip", "identity", "xchunked", "chunked;q=1", "chunked, chunked"}) {
    cases.push_back({std::string("Transfer-Encoding ") + coding,
                     head + "Transfer-Encoding: " + coding + "\r\n\r\n2\r\n{}\r\n0\r\n\r\n"});
  }
  cases.push_back({"endless header", head + "X: " + std::string(1 << 20, 'a') + "\r\n\r\n"});
  std::string many = head;
  for (int i = 0; i < 20000; ++i) many += "X" + std::to_string(i) + ": 1\r\n";
  cases.push_back({"endless headers", many + "\r\n"});
  cases.push_back({"endless line", "GET /" + std::string(1 << 20, 'a') + " HTTP/1.1\r\n\r\n"});
  cases.push_back({"body over the limit", head + "Content-Length: 999999999\r\n\r\n"});
  std::string chunks = head + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string chunk = "100000\r\n" + std::string(1 << 20, ' ') + "\r\n";
  for (int i = 0; i < 18; ++i) chunks += chunk;
  cases.push_back({"endless chunks", chunks});
  cases.push_back({"chunk extension", head + "Transfer-Encoding: chunked\r\n\r\n2;" +
                                          std::string(1 << 18, 'x') + "\r\n{}\r\n0\r\n\r\n"});
  cases.push_back({"trailers", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: " +
                                   std::string(1 << 18, 'y') + "\r\n\r\n"});
  cases.push_back(
      {"Expect", head + "Expect: the-spanish-inquisition\r\nContent-Length: 2\r\n\r\n"});
}

void add_lines(std::vector<Case>& cases) {
  const std::string rest = "\r\nHost: localhost\r\n\r\n";
  for (const char* line : {"",
                           " ",
                           "GET",
                           "GET /",
                           "GET / HTTP",
                           "GET / HTTP/",
                           "GET / HTTP/9.9",
                           "GET / HTTP/1.1 x",
                           "GET  / HTTP/1.1",
                           "get / http/1.1",
                           "G\x01T / HTTP/1.1",
                           "GET /\x01 HTTP/1.1",
                           "GET /\x7f HTTP/1.1",
                           "GET \x80 HTTP/1.1",
                           "/ HTTP/1.1",
                           "GET / HTTP/1.1\n\n",
                           "PRI * HTTP/2.0",
                           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                           "GET /\thealth HTTP/1.1",
                           "GET / SIP/2.0",
                           "GET / HTTP/0.9",
                           "GET / HTTP/1.10",
                           "GET / HTTP/-1.1",
                           "\r\n\r\n\r\nGET",
                           "GET /health"}) {
    cases.push_back({std::string("line ") + line, line + rest, true});
  }
  for (const char* header : {"Host",
                             ": x",
                             "Host : localhost",
                             " Host: localhost",
                             "Ho st: localhost",
                             "Host:\x01",
                             "Host: a\r\nHost: b",
                             "Host: localhost\r\nHost: localhost",
                             "Host: local\x80host",
                             "Host: ",
                             "Host: localhost:99999999",
                             "Host: localhost:",
                             "Host: localhost:x",
                             "Host: [::1",
                             "Host: [::1]x",
                             "Host: http://localhost",
                             "Host: localhost/x",
                             "Host: user@localhost",
                             "X: a\rb",
                             "X: a\nb: c",
                             "X\x00: y",
                             "\tX: folded",
                             "(): x",
                             "X: \x00"}) {
    cases.push_back({std::string("header ") + header,
                     "GET /health HTTP/1.1\r\n" + std::string(header) + "\r\n\r\n", false});
  }
  cases.push_back({"no host", "GET /health HTTP/1.1\r\n\r\n"});
  cases.push_back({"no host, 1.0", "GET /health HTTP/1.0\r\n\r\n"});
  for (const char* method :
       {"PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "OPTIONS", "BREW", "POST"}) {
    cases.push_back({std::string(method) + " /health", request_text(method, "/health", "")});
  }
  for (const char* path :
       {"/../../etc/passwd", "/%2e%2e/etc/passwd", "/assets/../../x", "/%00", "//", "/v1", "/v1/",
        "/v1/models/../../x", "/api", "/api/", "/v1/models/%2e%2e", "*", "/index.html/..",
        "http://evil/", "/v1/models/x", "/\\..\\x", "/reckon", "/v1/chat", "/healthz"}) {
    cases.push_back({std::string("path ") + path, request_text("GET", path, "")});
  }
}

void add_json(std::vector<Case>& cases) {
  for (const char* body : {"",
                           "{",
                           "}",
                           "[]",
                           "null",
                           "1",
                           "\"x\"",
                           "{}",
                           "{\"a\":1,}",
                           "{'a':1}",
                           "{\"a\":NaN}",
                           "{\"a\":Infinity}",
                           "{\"a\":-Infinity}",
                           "{\"a\":1e400}",
                           "{\"a\":-1e400}",
                           "{\"a\":01}",
                           "{\"a\":1.}",
                           "{\"a\":.5}",
                           "{\"a\":+1}",
                           "{\"a\":0x10}",
                           "{\"a\":1}{}",
                           "{\"a\":1} x",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\ud800\"}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"\x80\"}",
                           "{\"a\":\"\xc0\xaf\"}",
                           "{\"a\":\"\xed\xa0\x80\"}",
                           "{\"a\":\"\xf4\x90\x80\x80\"}",
                           "{\"a\":1,\"a\":2}",
                           "{\"messages\":[],\"messages\":[]}",
                           "// {}",
                           "{/**/}",
                           "\xef\xbb\xbf{}",
                           "{\"messages\":{}}",
                           "{\"messages\":[]}",
                           "{\"messages\":[1]}",
                           "{\"messages\":[{}]}",
                           "{\"messages\":[[]]}",
                           "{\"messages\":[null]}",
                           "{\"messages\":\"x\"}"}) {
    cases.push_back({std::string("body ") + body, chat(body)});
  }
  for (const char* bracket : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 3000; ++i) deep += bracket;
    cases.push_back({"3,000 nested", chat(deep)});
    cases.push_back({"3,000 nested in a field", chat(chat_body("\"tools\":" + deep))});
  }
}

void add_fields(std::vector<Case>& cases) {
  // Of every field a few values that can't be meant.
  const std::vector<std::string> wrong = {
      "\"x\"", "[]", "{}", "true", "-1e308", "1e308", "9223372036854775808", "-9223372036854775809",
      "0.5"};
  for (const char* field :
       {"n", "max_tokens", "max_completion_tokens", "top_logprobs", "thinking_budget_tokens",
        "n_paths", "paths_window", "min_thinking_tokens", "top_k"}) {
    for (const std::string& value : wrong) {
      cases.push_back({std::string(field) + " " + value,
                       chat(chat_body("\"" + std::string(field) + "\":" + value))});
    }
  }
  for (const char* field : {"temperature", "top_p", "min_p", "presence_penalty",
                            "frequency_penalty", "repetition_penalty"}) {
    for (const char* value : {"\"1\"", "[]", "{}", "true", "-1e308", "NaN", "1e999"}) {
      cases.push_back(
          {std::string(field) + " " + value,
           chat(chat_body("\"" + std::string(field) + "\":" + value)),
           std::string(field) == "presence_penalty" || std::string(field) == "frequency_penalty"});
    }
  }
  for (const char* fields :
       {"\"n\":1000000000",
        "\"n\":0",
        "\"n\":-1",
        "\"max_tokens\":0",
        "\"max_tokens\":-5",
        "\"stream\":\"true\"",
        "\"stream\":1",
        "\"stream_options\":1",
        "\"stream_options\":{\"include_usage\":\"yes\"}",
        "\"model\":1",
        "\"model\":{}",
        "\"model\":\"nobody\"",
        "\"model\":\"../../etc/passwd\"",
        "\"model\":\"tiny-qwen\\u0000\"",
        "\"stop\":5",
        "\"stop\":[5]",
        "\"stop\":[\"\"]",
        "\"stop\":\"\"",
        "\"seed\":\"x\"",
        "\"seed\":1e300",
        "\"seed\":0.5",
        "\"logit_bias\":[]",
        "\"logit_bias\":{\"x\":1}",
        "\"logit_bias\":{\"999999999\":1}",
        "\"logit_bias\":{\"-1\":1}",
        "\"logit_bias\":{\"1\":\"x\"}",
        "\"logit_bias\":{\"99999999999999\":1}",
        "\"logprobs\":\"x\"",
        "\"top_logprobs\":5",
        "\"logprobs\":true,\"top_logprobs\":1000",
        "\"tools\":{}",
        "\"tools\":[1]",
        "\"tools\":[{}]",
        "\"tools\":[{\"type\":\"function\"}]",
        "\"tools\":[{\"type\":\"function\",\"function\":{}}]",
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]",
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":1}}]",
        "\"tool_choice\":\"maybe\"",
        "\"tool_choice\":\"required\"",
        "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"x\"}}",
        "\"reasoning_effort\":\"huge\"",
        "\"reasoning_effort\":3",
        "\"thinking\":true",
        "\"thinking\":{\"type\":\"maybe\"}",
        "\"early_stop\":\"now\"",
        "\"n_paths\":65",
        "\"n_paths\":2,\"n\":2",
        "\"functions\":[{}]",
        "\"modalities\":[\"audio\"]",
        "\"audio\":{}",
        "\"store\":true",
        "\"web_search_options\":{}",
        "\"chat_template_kwargs\":1",
        "\"chat_template_kwargs\":{\"enable_thinking\":1}"}) {
    cases.push_back({fields, chat(chat_body(fields))});
  }
  for (const char* message :
       {"{\"role\":1,\"content\":\"x\"}", "{\"role\":\"nobody\",\"content\":\"x\"}",
        "{\"role\":\"user\"}", "{\"role\":\"user\",\"content\":5}",
        "{\"role\":\"user\",\"content\":[5]}", "{\"role\":\"user\",\"content\":[{}]}",
        "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}",
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}",
        "{\"role\":\"user\",\"content\":\"x\",\"prefix\":true}",
        "{\"role\":\"assistant\",\"prefix\":true}",
        "{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":5}",
        "{\"role\":\"assistant\",\"tool_calls\":[5]}",
        "{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}"}) {
    cases.push_back(
        {message, chat(std::string("{\"max_tokens\":1,\"messages\":[") + message + "]}")});
  }
}

void add_other_routes(std::vector<Case>& cases) {
  for (const char* path : {"/v1/completions", "/v1/messages", "/v1/messages/count_tokens",
                           "/api/chat", "/api/generate", "/api/copy", "/api/pull", "/tokenize",
                           "/detokenize", "/v1/chat/completions/control", "/v1/embeddings"}) {
    for (const char* body : {"", "[]", "{", "{\"model\":5}", "{\"model\":\"nobody\"}",
                             "{\"model\":\"tiny-qwen\",\"messages\":5,\"prompt\":{},"
                             "\"source\":1,\"content\":1,\"tokens\":1,\"input\":1,\"name\":1}",
                             "\xff\xfe"}) {
      cases.push_back({std::string(path) + " " + body,
                       request_text("POST", path, body, {{"Content-Type", "application/json"}})});
    }
  }
  const auto add = [&](const char* path, const char* body) {
    cases.push_back({std::string(path) + " " + body,
                     request_text("POST", path, body, {{"Content-Type", "application/json"}})});
  };
  for (const char* body :
       {"{\"prompt\":[-1]}", "{\"prompt\":[]}", "{\"prompt\":[999999999]}", "{\"prompt\":[[-1]]}",
        "{\"prompt\":[\"a\",[1]]}", "{\"prompt\":[1.5]}", "{\"prompt\":[null]}",
        "{\"prompt\":\"x\",\"suffix\":\"y\"}", "{\"prompt\":\"x\",\"best_of\":5}",
        "{\"prompt\":\"x\",\"echo\":true,\"logprobs\":1}",
        "{\"prompt\":\"x\",\"logprobs\":true}"}) {
    add("/v1/completions", body);
  }
  for (const char* fields :
       {"\"options\":5", "\"options\":{\"num_ctx\":0}", "\"options\":{\"num_ctx\":1}",
        "\"options\":{\"temperature\":\"hot\"}", "\"options\":{\"num_predict\":0}",
        "\"options\":{\"num_predict\":-3}", "\"options\":{\"mirostat\":1}",
        "\"options\":{\"stop\":5}", "\"keep_alive\":\"soon\"", "\"keep_alive\":\"5x\"",
        "\"keep_alive\":{}", "\"keep_alive\":1e300", "\"think\":\"hard\"", "\"think\":5",
        "\"stream\":\"no\"", "\"logprobs\":true", "\"tools\":5"}) {
    add("/api/chat",
        (std::string("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],") + fields + "}")
            .c_str());
  }
  add("/api/chat", "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"images\":[\"aGk=\"]}]}");
  add("/api/chat", "{\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}");
  add("/api/generate", "{\"prompt\":\"x\",\"suffix\":\"y\"}");
  add("/api/generate", "{\"prompt\":\"x\",\"template\":\"{{ . }}\"}");
  add("/api/generate", "{\"prompt\":\"x\",\"context\":[1,2]}");
  add("/api/generate", "{\"prompt\":\"x\",\"images\":[\"a\"]}");
  for (const char* body :
       {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        "{\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        "{\"max_tokens\":1,\"messages\":[]}",
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\"}]}",
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}",
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]}",
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
        "\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"}]}",
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
        "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":-5}}",
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
        "\"tool_choice\":{\"type\":\"tool\",\"name\":\"x\"}}"}) {
    add("/v1/messages", body);
  }
  for (const char* body : {"{\"tokens\":[-1]}", "{\"tokens\":[1e9]}", "{\"tokens\":[\"a\"]}",
                           "{\"tokens\":[99999999]}"}) {
    add("/detokenize", body);
  }
  for (const char* body : {"{\"id\":\"x\",\"action\":\"stop\"}", "{\"id\":5,\"action\":\"stop\"}",
                           "{\"id\":\"x\",\"action\":\"explode\"}", "{\"action\":\"stop\"}"}) {
    add("/v1/chat/completions/control", body);
  }
}

int64_t heap_bytes() { return static_cast<int64_t>(::mallinfo2().uordblks); }

TEST(HostileHttp, EveryCaseIsRefused) {
  std::vector<Case> cases;
  add_framing(cases);
  add_lines(cases);
  add_json(cases);
  add_fields(cases);
  add_other_routes(cases);
  EXPECT_GE(cases.size(), 400u);
  RecordProperty("cases", static_cast<int>(cases.size()));

  server::ServerOptions options;
  options.limits.header_s = 0.2;  // of those that never end
  options.limits.body_s = 0.2;
  const ServerRig rig(std::move(options));
  const std::string canary = R"("max_tokens":8,"temperature":0)";
  const Reply before = rig.chat(canary);
  ASSERT_EQ(before.status, 200) << before.body;
  const auto answer = before.json().at("choices");
  const int64_t heap_before = heap_bytes();
  int n = 0;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name.substr(0, 200));
    Socket socket(rig.port);
    socket.send(c.bytes);
    const Reply reply = read_reply(socket);
    EXPECT_FALSE(socket.timed_out());
    EXPECT_LT(reply.status, 500);
    if (!c.may_be_good) {
      EXPECT_TRUE(reply.status == 0 || reply.status >= 400) << reply.status << reply.body;
    }
    if (++n % 25 == 0) {
      EXPECT_EQ(get(rig.port, "/health").status, 200);
      EXPECT_EQ(rig.chat(canary).json().at("choices"), answer);
    }
  }
  EXPECT_LE(heap_bytes() - heap_before, int64_t{32} << 20);
  EXPECT_TRUE(
      eventually([&] { return rig.metric("running_sequences{model=\"tiny-qwen\"}") == 0; }));
}

}  // namespace
}  // namespace reckon::testing
