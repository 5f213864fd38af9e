// Connections that misbehave: broken off in every phase (C3), idle and slow by the thousand (C2),
// readers that don't read (C4), and the end of the server. load_test.cpp has many at once.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

std::string stream_request(const std::string& content, int max_tokens) {
  return request_text("POST", "/v1/chat/completions",
                      R"({"messages":[{"role":"user","content":")" + content +
                          R"("}],"stream":true,"temperature":1,"seed":7,"max_tokens":)" +
                          std::to_string(max_tokens) + "}",
                      {{"Content-Type", "application/json"}});
}

double running(const ServerRig& rig) {
  return rig.metric("running_sequences{model=\"tiny-qwen\"}") +
         rig.metric("queued_requests{model=\"tiny-qwen\"}");
}

TEST(Connections, BrokenOffInEveryPhaseFreesItsSlot) {  // C3
  server::ServerOptions options;
  options.pool.load.context_length = 4096;
  const ServerRig rig(std::move(options));
  ASSERT_EQ(rig.chat(R"("max_tokens":1)").status, 200);
  const std::string request = stream_request(std::string(300, 'p'), 4000);
  for (int i = 0; i < 500; ++i) {
    Socket socket(rig.port);
    switch (i % 5) {
      case 0: socket.send(std::string_view(request).substr(0, static_cast<size_t>(i) % 200)); break;
      case 1: socket.send(request); break;  // before the head
      case 2:
        socket.send(request);
        socket.receive(10000, 1);
        break;  // in the head
      case 3:
        socket.send(request);
        socket.receive_until("reasoning_content");
        break;
      case 4:
        socket.send(request);
        socket.end_sending();
        socket.receive(10000, 300);
        break;
    }
    if (i % 50 == 49) {
      socket.close();
      const auto start = std::chrono::steady_clock::now();
      EXPECT_TRUE(eventually([&] { return running(rig) == 0; }));
      RecordProperty("free_ms", static_cast<int>(
                                    (std::chrono::steady_clock::now() - start).count() / 1000000));
    }
  }
  EXPECT_TRUE(eventually([&] { return running(rig) == 0; }));
  // What was generated has been counted, also of those that left.
  EXPECT_TRUE(eventually([&] {
    return rig.metric("answers_started_total") ==
           rig.metric("answers_finished_total") + rig.metric("answers_cancelled_total");
  }));
  EXPECT_EQ(rig.metric("answers_failed_total"), 0);
  const double pages = rig.metric("kv_pages{model=\"tiny-qwen\"}");
  EXPECT_GT(pages, 0);
  EXPECT_EQ(rig.chat(R"("max_tokens":1)").status, 200);
}

TEST(Connections, ThousandIdleAndTwoHundredSlowDontKeepOthersOut) {  // C2
  const ServerRig rig;  // raises the limit of open files as far as it can
  // Both ends are open files of this process: fewer where the system allows few.
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const size_t n_idle = limit.rlim_cur >= 2600 ? 1000 : limit.rlim_cur >= 600 ? 100 : 0;
  const size_t n_slow = n_idle / 5;
  std::vector<std::unique_ptr<Socket>> sockets;
  for (size_t i = 0; i < n_idle; ++i) sockets.push_back(std::make_unique<Socket>(rig.port));
  for (size_t i = 0; i < n_slow; ++i) {
    sockets.push_back(std::make_unique<Socket>(rig.port));
    sockets.back()->send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX");
  }
  for (int round = 0; round < 3; ++round) {
    for (size_t i = n_idle; i < sockets.size(); ++i) sockets[i]->send("a");
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(rig.chat(R"("max_tokens":1)").status, 200);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    RecordProperty("served_ms", static_cast<int>(took.count() * 1000));
  }
}

TEST(Connections, SlowHeadsAndBodiesEnd) {
  server::ServerOptions options;
  options.limits.header_s = 0.2;
  options.limits.body_s = 0.3;
  options.limits.idle_s = 0.4;
  const ServerRig rig(std::move(options));
  Socket head(rig.port);
  head.send("GET /health HTTP/1.1\r\nHost: localhost\r\n");
  EXPECT_EQ(read_reply(head).status, 408);
  Socket body(rig.port);
  body.send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_EQ(read_reply(body).status, 408);
  Socket idle(rig.port);
  EXPECT_EQ(idle.receive(), "");
  EXPECT_FALSE(idle.timed_out());
}

TEST(Connections, KeepAliveAndPipelining) {
  const ServerRig rig;
  Socket socket(rig.port);
  const std::string health = request_text("GET", "/health", "");
  ASSERT_TRUE(socket.send(health + health + health));
  std::string all;
  for (;;) {
    all += socket.receive();
    size_t n = 0;
    for (size_t at = 0; (at = all.find("\"ok\"", at)) != std::string::npos; ++at) ++n;
    if (n == 3) break;
    ASSERT_FALSE(socket.timed_out());
  }
  Socket old(rig.port);
  old.send("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n");
  const Reply reply = read_reply(old);
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.head.find("Connection: close"), std::string::npos);
  EXPECT_EQ(old.receive(), "");
  // A body that is asked for first, as curl does with large ones.
  Socket expecting(rig.port);
  expecting.send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
      "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n");
  EXPECT_NE(expecting.receive_until("\r\n\r\n").find("100 Continue"), std::string::npos);
  expecting.send(R"({"content":"a"})");
  EXPECT_EQ(read_reply(expecting).status, 200);
}

TEST(Connections, ReadersThatDontReadAreCutOff) {  // C4
  server::ServerOptions options;
  options.pool.load.context_length = 2048;
  options.pool.n_slots = 33;
  const ServerRig rig(std::move(options));
  std::vector<std::unique_ptr<Socket>> sockets;
  // Each answer is some 4 MiB of events: 1,900 tokens with their likeliest twenty, never the end.
  const Reply end =
      post(rig.port, "/tokenize", R"({"content":"<｜end▁of▁sentence｜>","parse_special":true})");
  const std::string request = request_text(
      "POST", "/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"x"}],"stream":true,"temperature":1,)"
      R"("max_tokens":1900,"logprobs":true,"top_logprobs":20,"logit_bias":{")" +
          std::to_string(end.json().at("tokens").at(0).to_number<int>()) + R"(":-1000}})",
      {{"Content-Type", "application/json"}});
  for (int i = 0; i < 8; ++i) {
    sockets.push_back(std::make_unique<Socket>(rig.port, 4096));
    sockets.back()->send(request);
  }
  const Reply other = rig.chat(R"("max_tokens":50)");
  EXPECT_EQ(other.status, 200);
  EXPECT_TRUE(eventually([&] {
    return rig.metric("answers_cancelled_total") + rig.metric("answers_finished_total") >= 9;
  }));
  EXPECT_GT(rig.metric("answers_cancelled_total"), 0);
}

// What the connection itself refuses has the shape of the API that was asked.
TEST(Connections, RefusalsHaveTheShapeOfTheirApi) {
  const ServerRig rig;
  const auto refused = [&](const std::string& path) {
    Socket socket(rig.port);
    socket.send("POST " + path +
                " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n");
    const Reply reply = read_reply(socket);
    EXPECT_EQ(reply.status, 413) << path;
    return reply.json();
  };
  EXPECT_TRUE(refused("/api/chat").at("error").is_string());
  EXPECT_EQ(refused("/v1/messages").at("type"), "error");
  EXPECT_EQ(refused("/v1/chat/completions?x").at("error").at("type"), "invalid_request_error");
}

TEST(Connections, AStoppedServerEndsAnswersWithAReason) {
  server::ServerOptions options;
  options.pool.load.context_length = 4096;
  ServerRig rig(std::move(options));
  Socket long_one(rig.port);
  long_one.send(stream_request("x", 4000));
  long_one.receive_until("reasoning_content");
  Socket idle(rig.port);
  rig.server->stop(std::chrono::milliseconds(50));
  const std::string rest = long_one.receive_until("[DONE]");
  EXPECT_TRUE(rest.find("the server is shutting down") != std::string::npos ||
              rest.find("finish_reason\":\"") != std::string::npos)
      << rest.substr(rest.size() > 500 ? rest.size() - 500 : 0);
  EXPECT_EQ(idle.receive(), "");
  EXPECT_FALSE(Socket(rig.port).is_open());
}

// Finds that its files have changed and takes for ever to look at them again.
class SlowLibrary final : public TinyLibrary {
 public:
  explicit SlowLibrary(std::atomic<bool>& asked) : asked_(asked) {}
  Result<std::string> resolve(std::string_view, const JobControl& control) const override {
    asked_ = true;
    while (!control.cancelled()) ::usleep(5000);
    return failed("it was not looked at to its end");
  }

 private:
  std::atomic<bool>& asked_;
};

TEST(Connections, AStoppedServerTellsThoseWhoWaitForALoad) {
  std::atomic<bool> asked = false;
  ServerRig rig({}, std::make_unique<SlowLibrary>(asked));
  Socket waiting(rig.port);
  waiting.send(stream_request("x", 5));
  ASSERT_TRUE(eventually([&] { return asked.load(); }));
  rig.server->stop(std::chrono::milliseconds(50));
  const Reply reply = read_reply(waiting);
  EXPECT_EQ(reply.status, 503);
  EXPECT_TRUE(reply.has("the server is shutting down")) << reply.body;
}

}  // namespace
}  // namespace reckon::testing
