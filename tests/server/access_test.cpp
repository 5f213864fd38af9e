// E3: who is let in. Every route with every Host, Origin, method and type of a table; keys and
// their limits; what a browser is told.
#include "server/access.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "server/api_keys.h"
#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

struct Asked {
  std::string method;
  std::string path;
};

const std::vector<Asked>& routes() {
  static const std::vector<Asked> list = {{"GET", "/"},
                                          {"GET", "/health"},
                                          {"GET", "/metrics"},
                                          {"GET", "/openapi.json"},
                                          {"POST", "/tokenize"},
                                          {"POST", "/detokenize"},
                                          {"GET", "/reckon/machine"},
                                          {"GET", "/reckon/catalog"},
                                          {"GET", "/v1/models"},
                                          {"GET", "/v1/models/tiny-qwen"},
                                          {"POST", "/v1/chat/completions"},
                                          {"POST", "/v1/chat/completions/control"},
                                          {"POST", "/v1/completions"},
                                          {"POST", "/v1/embeddings"},
                                          {"POST", "/v1/messages"},
                                          {"POST", "/v1/messages/count_tokens"},
                                          {"POST", "/api/chat"},
                                          {"POST", "/api/generate"},
                                          {"GET", "/api/tags"},
                                          {"POST", "/api/show"},
                                          {"GET", "/api/ps"},
                                          {"POST", "/api/pull"},
                                          {"DELETE", "/api/delete"},
                                          {"POST", "/api/copy"},
                                          {"GET", "/api/version"},
                                          {"POST", "/api/embed"},
                                          {"GET", "/nowhere"}};
  return list;
}

const std::vector<Header>& foreign() {
  static const std::vector<Header> list = {{"Host", "evil.example"},
                                           {"Host", "evil.example:8080"},
                                           {"Host", "localhost.evil.example"},
                                           {"Host", "127.0.0.1.evil.example"},
                                           {"Host", "127.0.0.2"},
                                           {"Host", "127.1"},
                                           {"Host", "0x7f000001"},
                                           {"Host", "2130706433"},
                                           {"Host", "0.0.0.0"},
                                           {"Host", "10.0.0.1"},
                                           {"Host", "192.168.1.1:8080"},
                                           {"Host", "169.254.169.254"},
                                           {"Host", "[::2]"},
                                           {"Host", "[::ffff:127.0.0.1]"},
                                           {"Host", "[0:0:0:0:0:0:0:1]"},
                                           {"Host", "localhost."},
                                           {"Host", "127.0.0.1."},
                                           {"Host", "localhost:8080x"},
                                           {"Host", "localhost:999999"},
                                           {"Host", "localhost@evil.example"},
                                           {"Host", "evil.example/localhost"},
                                           {"Host", "loc\x61lhost\x80"},
                                           {"Origin", "http://evil.example"},
                                           {"Origin", "https://evil.example"},
                                           {"Origin", "null"},
                                           {"Origin", "http://localhost.evil.example"},
                                           {"Origin", "http://localhost:1"},
                                           {"Origin", "http://127.0.0.1"},
                                           {"Origin", "http://evil.example/localhost"},
                                           {"Origin", "http://localhost@evil.example"},
                                           {"Origin", "file://"},
                                           {"Origin", ""},
                                           {"Origin", "localhost"},
                                           {"Origin", "ftp://localhost"},
                                           {"Origin", "http://localhost/"},
                                           {"Origin", "http://LOCALHOST.evil"},
                                           {"Origin", "chrome-extension://abcdef"},
                                           {"Origin", "http://localhost http://evil.example"},
                                           {"Origin", "http:localhost"},
                                           {"Origin", "//localhost"},
                                           {"Origin", "http://[::1]:80"}};
  return list;
}

TEST(Access, ForeignHostsAndOriginsGet403Everywhere) {
  const ServerRig rig;
  ASSERT_GE(foreign().size(), 40u);
  int n = 0;
  Socket socket(rig.port);
  for (const Asked& asked : routes()) {
    for (const Header& header : foreign()) {
      for (const std::string& method : {asked.method, std::string("OPTIONS")}) {
        ASSERT_TRUE(socket.send(
            request_text(method, asked.path, "", {header, {"Content-Type", "application/json"}})));
        const Reply reply = read_reply(socket);
        EXPECT_EQ(reply.status, 403)
            << method << asked.path << " " << header.name << ": " << header.value;
        EXPECT_EQ(reply.head.find("Access-Control"), std::string::npos);
        ++n;
      }
    }
  }
  RecordProperty("cases", n);
}

TEST(Access, NoStateChangesByGetAndNoSimpleTypes) {
  const ServerRig rig;
  for (const Asked& asked : routes()) {
    if (asked.method == "GET") continue;
    const int status = get(rig.port, asked.path).status;
    EXPECT_TRUE(status == 405 || status == 404) << asked.path;
    // What a page may send without asking first.
    for (const char* type : {"text/plain", "multipart/form-data; boundary=x", "text/html", "x"}) {
      EXPECT_EQ(call(rig.port, asked.method, asked.path, "{}", {{"Content-Type", type}}).status,
                415)
          << asked.path;
    }
    EXPECT_EQ(call(rig.port, asked.method, asked.path, "{}",
                   {{"Content-Type", "application/x-www-form-urlencoded"},
                    {"Origin", "http://localhost"}})
                  .status,
              415);
    EXPECT_EQ(call(rig.port, asked.method, asked.path, "{}",
                   {{"Content-Type", "application/json"}, {"Sec-Fetch-Site", "cross-site"}})
                  .status,
              403);
  }
}

TEST(Access, OfTheRunFrameOnlyItsScript) {
  const ServerRig rig;
  const auto status = [&](const char* method, const char* path, const char* origin) {
    return call(rig.port, method, path, "", {{"Origin", origin}}).status;
  };
  EXPECT_EQ(status("GET", "/run.js", "null"), 200);
  EXPECT_EQ(status("GET", "/run.js", "http://evil.example"), 403);
  EXPECT_EQ(status("GET", "/run.html", "null"), 403);
  EXPECT_EQ(status("POST", "/run.js", "null"), 404);
}

TEST(Access, OwnPagesAreLetIn) {
  const ServerRig rig;
  const std::string host = "localhost:" + std::to_string(rig.port);
  for (const std::string& h :
       {host, std::string("127.0.0.1"), std::string("[::1]:80"), std::string("LOCALHOST")}) {
    EXPECT_EQ(call(rig.port, "GET", "/v1/models", "", {{"Host", h}}).status, 200) << h;
    EXPECT_EQ(
        call(rig.port, "GET", "/v1/models", "", {{"Host", h}, {"Origin", "http://" + h}}).status,
        200)
        << h;
  }
}

TEST(Access, AllowedOriginsAreNamedAndNoOthers) {
  server::ServerOptions options;
  options.allow_origins = {"https://chat.example"};
  options.allow_hosts = {"desk.example"};
  const ServerRig rig(std::move(options));
  const Reply allowed =
      call(rig.port, "GET", "/v1/models", "", {{"Origin", "https://chat.example"}});
  EXPECT_EQ(allowed.status, 200);
  EXPECT_NE(allowed.head.find("Access-Control-Allow-Origin: https://chat.example\r\n"),
            std::string::npos);
  EXPECT_EQ(
      call(rig.port, "OPTIONS", "/v1/chat/completions", "", {{"Origin", "https://chat.example"}})
          .status,
      204);
  const Reply asked = call(rig.port, "OPTIONS", "/v1/messages", "",
                           {{"Origin", "https://chat.example"},
                            {"Access-Control-Request-Headers", "x-stainless-lang,anthropic-beta"}});
  EXPECT_NE(asked.head.find("Access-Control-Allow-Headers: x-stainless-lang,anthropic-beta\r\n"),
            std::string::npos);
  EXPECT_EQ(
      call(rig.port, "GET", "/v1/models", "", {{"Origin", "https://chat.example.evil"}}).status,
      403);
  EXPECT_EQ(call(rig.port, "GET", "/v1/models", "", {{"Host", "desk.example:80"}}).status, 200);
  EXPECT_EQ(call(rig.port, "GET", "/v1/models", "", {{"Host", "chat.example"}}).status, 403);
}

TEST(Access, WrongOptionsAreRefused) {
  for (const char* host : {"", "a b", "x:80", "http://x", "x/y", "\xff"}) {
    EXPECT_FALSE(server::Access::create("127.0.0.1", {host}, {}).ok()) << host;
  }
  for (const char* origin :
       {"", "*", "null", "x", "ftp://x", "http://", "http://x/", "http://x y"}) {
    EXPECT_FALSE(server::Access::create("127.0.0.1", {}, {origin}).ok()) << origin;
  }
  server::ServerOptions options;
  options.host = "0.0.0.0";
  options.port = 0;
  const auto open = server::Server::start(options, std::make_unique<TinyLibrary>());
  ASSERT_FALSE(open.ok());
  EXPECT_EQ(open.error().kind, ErrorKind::kUsage);
  options.host = "localhost";
  EXPECT_FALSE(server::Server::start(options, std::make_unique<TinyLibrary>()).ok());
}

std::string write_keys(const std::string& text, mode_t mode = 0600) {
  const std::string path = model_folder() + "/keys.json";
  ::unlink(path.c_str());
  std::ofstream(path) << text;
  ::chmod(path.c_str(), mode);
  return path;
}

constexpr const char* kKeys =
    R"({"keys":[{"name":"alice","key":"sk-alice-0123456789"},)"
    R"({"name":"bob","key":"sk-bob-0123456789ab","requests_per_minute":3,"models":["tiny-llama"]},)"
    R"({"name":"carol","key":"sk-carol-0123456789","tokens_per_minute":20}]})";

Reply with_key(uint16_t port, const std::string& key, const std::string& body) {
  return call(port, "POST", "/v1/chat/completions", body,
              {{"Content-Type", "application/json"}, {"Authorization", "Bearer " + key}});
}

TEST(Keys, NobodyGetsInWithoutOne) {
  server::ServerOptions options;
  options.keys_path = write_keys(kKeys);
  const ServerRig rig(std::move(options));
  for (const Asked& asked : routes()) {
    if (asked.path == "/" || asked.path == "/health" || asked.path == "/nowhere") continue;
    for (const Header& header :
         std::vector<Header>{{"X", "y"},
                             {"Authorization", ""},
                             {"Authorization", "Bearer "},
                             {"Authorization", "Bearer sk-alice-0123456788"},
                             {"Authorization", "sk-alice-0123456789"},
                             {"Authorization", "Basic sk-alice-0123456789"},
                             {"Authorization", "Bearer sk-alice"},
                             {"Authorization", "Bearer sk-alice-01234567890"},
                             {"X-Api-Key", "sk-alice"},
                             {"Authorization", "Bearer " + std::string(10000, 'a')}}) {
      EXPECT_EQ(call(rig.port, asked.method, asked.path, "", {header}).status, 401)
          << asked.path << header.value.substr(0, 40);
    }
  }
  EXPECT_EQ(get(rig.port, "/health").status, 200);
  const std::string body = R"({"messages":[{"role":"user","content":"x"}],"max_tokens":1})";
  EXPECT_EQ(with_key(rig.port, "sk-alice-0123456789", body).status, 200);
  EXPECT_EQ(
      call(rig.port, "GET", "/v1/models", "", {{"Authorization", "bearer sk-alice-0123456789"}})
          .status,
      200);
  EXPECT_EQ(call(rig.port, "POST", "/v1/messages", body,
                 {{"Content-Type", "application/json"}, {"X-Api-Key", "sk-alice-0123456789"}})
                .status,
            200);
  EXPECT_EQ(rig.logged().find("sk-"), std::string::npos);
}

TEST(Keys, LimitsAndModels) {
  server::ServerOptions options;
  options.keys_path = write_keys(kKeys);
  const ServerRig rig(std::move(options));
  const std::string llama =
      R"({"model":"tiny-llama","messages":[{"role":"user","content":"x"}],"max_tokens":1})";
  const std::string qwen =
      R"({"model":"tiny-qwen","messages":[{"role":"user","content":"x"}],"max_tokens":30})";
  EXPECT_EQ(with_key(rig.port, "sk-bob-0123456789ab", qwen).status, 403);
  EXPECT_EQ(with_key(rig.port, "sk-bob-0123456789ab", llama).status, 200);
  EXPECT_EQ(with_key(rig.port, "sk-bob-0123456789ab", llama).status, 200);
  const Reply limited = with_key(rig.port, "sk-bob-0123456789ab", llama);
  EXPECT_EQ(limited.status, 429);
  EXPECT_NE(limited.head.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(with_key(rig.port, "sk-carol-0123456789", qwen).status, 200);
  EXPECT_EQ(with_key(rig.port, "sk-carol-0123456789", qwen).status, 429);
  // Another key's answers can't be steered, nor are its models told.
  const Reply models =
      call(rig.port, "GET", "/v1/models", "", {{"Authorization", "Bearer sk-bob-0123456789ab"}});
  EXPECT_FALSE(models.has("tiny-qwen"));
  EXPECT_TRUE(models.has("tiny-llama"));
}

// Tokens count in the minute in which their answer ended, however old the one is that it began in.
TEST(Keys, AnswersThatOutlastTheMinuteCount) {
  const auto keys = server::ApiKeys::parse(
      R"({"keys":[{"name":"a","key":"sk-0123456789abcdef","tokens_per_minute":300}]})", "keys");
  ASSERT_TRUE(keys.ok());
  const server::ApiKey& key = *(*keys)->find("sk-0123456789abcdef");
  const auto at = [start = server::ApiKeys::Clock::now()](int seconds) {
    return start + std::chrono::seconds(seconds);
  };
  EXPECT_FALSE((*keys)->count_request(key, at(0)));
  EXPECT_FALSE((*keys)->count_request(key, at(56)));
  (*keys)->count_tokens(key, 4000, at(78));
  const auto refused = (*keys)->count_request(key, at(78));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->retry_after_s, 60);
  EXPECT_TRUE((*keys)->count_request(key, at(137)));
  EXPECT_FALSE((*keys)->count_request(key, at(138)));
}

TEST(Keys, PrefixCacheIsNotShared) {
  server::ServerOptions options;
  options.keys_path = write_keys(kKeys);
  const ServerRig rig(std::move(options));
  const std::string body = R"({"messages":[{"role":"user","content":")" + std::string(100, 'q') +
                           R"("}],"max_tokens":1})";
  const auto cached = [&](const std::string& key) {
    return with_key(rig.port, key, body)
        .json()
        .at("usage")
        .at("prompt_tokens_details")
        .at("cached_tokens")
        .to_number<int>();
  };
  EXPECT_EQ(cached("sk-alice-0123456789"), 0);
  EXPECT_GT(cached("sk-alice-0123456789"), 0);
  EXPECT_EQ(cached("sk-carol-0123456789"), 0);
}

TEST(Keys, BadFilesAreRefused) {
  for (const char* text :
       {"", "[]", "{}", "{\"keys\":[]}", "{\"keys\":[1]}", "{\"keys\":[{}]}",
        R"({"keys":[{"name":"a","key":"short"}]})", R"({"keys":[{"key":"0123456789abcdef"}]})",
        R"({"keys":[{"name":"a","key":"0123456789abcdef","rpm":1}]})",
        R"({"keys":[{"name":"a","key":"0123456789abcdef","requests_per_minute":0}]})",
        R"({"keys":[{"name":"a","key":"0123456789abcdef","models":[1]}]})",
        R"({"keys":[{"name":"a","key":"0123456789 abcdef"}]})",
        R"({"keys":[{"name":"a","key":"0123456789abcdef"},{"name":"b","key":"0123456789abcdef"}]})",
        R"({"keys":[{"name":"a","key":"0123456789abcdef"}],"more":1})"}) {
    EXPECT_FALSE(server::ApiKeys::parse(text, "keys").ok()) << text;
  }
  EXPECT_FALSE(server::ApiKeys::load(write_keys(kKeys, 0644)).ok());
  EXPECT_TRUE(server::ApiKeys::load(write_keys(kKeys)).ok());
}

}  // namespace
}  // namespace reckon::testing
