// One request of many answers: it shares the slots with others, and can be left and stopped while
// some of its answers have not begun.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

server::ServerOptions two_slots() {
  server::ServerOptions options;
  options.pool.n_slots = 2;
  return options;
}

std::string many_answers(int n) {
  return R"({"messages":[{"role":"user","content":"x"}],"max_tokens":100,"n":)" + std::to_string(n);
}

TEST(Fairness, OneRequestDoesNotTakeEverySlot) {
  const ServerRig rig(two_slots());
  ASSERT_EQ(rig.chat(R"("max_tokens":1)").status, 200);
  std::atomic<bool> over{false};
  std::thread greedy([&] {
    Socket socket(rig.port);
    socket.send(request_text("POST", "/v1/chat/completions", many_answers(64) + "}",
                             {{"Content-Type", "application/json"}}));
    const Reply reply = read_reply(socket, false, 120'000);
    over = true;
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.json().at("choices").as_array().size(), 64u);
    EXPECT_EQ(reply.json().at("choices").at(63).at("index"), 63);
  });
  const auto running = [&] { return rig.metric("running_sequences{model=\"tiny-qwen\"}"); };
  EXPECT_TRUE(eventually([&] { return running() > 0; }));
  EXPECT_LE(running(), 2);
  EXPECT_EQ(rig.chat(R"("max_tokens":1)").status, 200);
  EXPECT_FALSE(over) << "the small request waited for the large one";
  greedy.join();
}

TEST(Fairness, AnswersThatHaveNotBegunEndWithTheirRequest) {
  const ServerRig rig(two_slots());
  Socket socket(rig.port);
  socket.send(request_text("POST", "/v1/chat/completions", many_answers(32) + R"(,"stream":true})",
                           {{"Content-Type", "application/json"}}));
  const std::string first = socket.receive_until("reasoning_content");
  const size_t at = first.find("chatcmpl-");
  ASSERT_NE(at, std::string::npos) << first;
  const Reply stopped = post(rig.port, "/v1/chat/completions/control",
                             R"({"id":")" + first.substr(at, 41) + R"(","action":"stop"})");
  EXPECT_EQ(stopped.status, 200) << stopped.body;
  const std::string all = first + socket.receive_until("[DONE]");
  EXPECT_NE(all.find("[DONE]"), std::string::npos);
  size_t n_ends = 0;
  for (size_t i = 0; (i = all.find("\"finish_reason\":\"", i)) != std::string::npos; ++i) ++n_ends;
  EXPECT_EQ(n_ends, 32u);
  // A client that goes away leaves nothing behind either.
  {
    Socket gone(rig.port);
    gone.send(request_text("POST", "/v1/chat/completions", many_answers(32) + R"(,"stream":true})",
                           {{"Content-Type", "application/json"}}));
    gone.receive_until("reasoning_content");
  }
  EXPECT_TRUE(eventually([&] {
    return rig.metric("running_sequences{model=\"tiny-qwen\"}") == 0 &&
           rig.metric("queued_requests{model=\"tiny-qwen\"}") == 0;
  }));
  EXPECT_EQ(rig.metric("answers_failed_total"), 0);
  EXPECT_EQ(rig.chat(R"("max_tokens":1)").status, 200);
}

}  // namespace
}  // namespace reckon::testing
