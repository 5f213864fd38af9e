// The server under load: 256 streams at once, each with a canary of its own (C1), and readers of a
// byte a second (C4). RECKON_LOAD_SECONDS says how long, 2 without it; from ten minutes on the
// times are judged too, below that they are only told.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

using Clock = std::chrono::steady_clock;

double load_seconds() {
  const char* text = std::getenv("RECKON_LOAD_SECONDS");
  double seconds = 2;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), seconds);
  return seconds;
}
bool judges_times() { return load_seconds() >= 600; }

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

// One streamed answer.
struct Streamed {
  int status = 0;
  std::set<std::string> ids;
  std::string thought;
  std::string answer;
  std::string finish;
  bool done = false;
};

// However busy the machine is.
constexpr int kPatienceMs = 120'000;

Reply ask(uint16_t port, const std::string& request) {
  Socket socket(port);
  socket.send(request);
  return read_reply(socket, false, kPatienceMs);
}

Streamed read_stream(uint16_t port, const std::string& body) {
  const Reply reply = ask(port, request_text("POST", "/v1/chat/completions", body,
                                             {{"Content-Type", "application/json"}}));
  Streamed streamed{.status = reply.status};
  for (const std::string& event : events(reply.body)) {
    if (event == "[DONE]") {
      streamed.done = true;
      continue;
    }
    boost::system::error_code error;
    const boost::json::value chunk = boost::json::parse(event, error);
    if (error || !chunk.is_object() || !chunk.as_object().contains("choices")) return streamed;
    streamed.ids.insert(std::string(chunk.at("id").as_string()));
    for (const boost::json::value& choice : chunk.at("choices").as_array()) {
      const boost::json::object& delta = choice.at("delta").as_object();
      const auto add = [&](const char* name, std::string& text) {
        const boost::json::value* part = delta.if_contains(name);
        if (part != nullptr && part->is_string()) text += part->as_string();
      };
      add("reasoning_content", streamed.thought);
      add("content", streamed.answer);
      const boost::json::value& finish = choice.at("finish_reason");
      if (finish.is_string()) streamed.finish = finish.as_string();
    }
  }
  return streamed;
}

// The canary stands in the question and, by its grammar, in the answer; the thought between is
// drawn by a seed of its own, so that no two canaries' thoughts are alike.
std::string canary(int which) { return "canary-" + std::to_string(1000 + which); }
std::string canary_request(int which) {
  return R"({"messages":[{"role":"user","content":"Say )" + canary(which) +
         R"("}],"stream":true,"temperature":1,"max_tokens":80,"seed":)" + std::to_string(which) +
         R"(,"thinking_budget_tokens":)" + std::to_string(8 + which % 24) +
         R"(,"min_thinking_tokens":8,"grammar":"root ::= \")" + canary(which) + R"(\""})";
}

struct LoadCounts {
  std::mutex mutex;
  std::set<std::string> ids;
  int64_t n_right = 0;
  int64_t n_limited = 0;
  std::vector<std::string> wrong;
  std::vector<double> health_ms;
};

void check_stream(const Streamed& got, const Streamed& wanted, int which, LoadCounts& counts) {
  const std::lock_guard lock(counts.mutex);
  if (got.status == 429 || got.status == 503) {
    ++counts.n_limited;
  } else if (got.status == 200 && got.done && got.answer == canary(which) &&
             got.thought == wanted.thought && got.finish == wanted.finish && got.ids.size() == 1 &&
             counts.ids.insert(*got.ids.begin()).second) {
    ++counts.n_right;
  } else {
    counts.wrong.push_back(canary(which) + ": " + std::to_string(got.status) + " " + got.answer +
                           " after " + got.thought);
  }
}

TEST(Load, StreamsGetTheirOwnCanaries) {  // C1
  constexpr int kStreams = 256;
  server::ServerOptions options;
  options.pool.load.context_length = 256;
  const ServerRig rig(std::move(options));
  std::vector<Streamed> wanted;
  std::set<std::string> thoughts;
  for (int i = 0; i < kStreams; ++i) {
    wanted.push_back(read_stream(rig.port, canary_request(i)));
    ASSERT_EQ(wanted.back().answer, canary(i)) << wanted.back().status;
    thoughts.insert(wanted.back().thought);
  }
  ASSERT_EQ(thoughts.size(), size_t{kStreams});

  LoadCounts counts;
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round == 0 || !over; ++round) {
        const int which = (i + round * 7) % kStreams;
        check_stream(read_stream(rig.port, canary_request(which)),
                     wanted[static_cast<size_t>(which)], which, counts);
      }
    });
  }
  const auto start = Clock::now();
  while (ms_since(start) < load_seconds() * 1000) {
    const auto asked = Clock::now();
    EXPECT_EQ(ask(rig.port, request_text("GET", "/health", "")).status, 200);
    counts.health_ms.push_back(ms_since(asked));
    ::usleep(20'000);
  }
  over = true;
  for (std::thread& thread : threads) thread.join();

  for (const std::string& wrong : counts.wrong) ADD_FAILURE() << wrong.substr(0, 400);
  EXPECT_GE(counts.n_right, kStreams / 2);
  EXPECT_TRUE(
      eventually([&] { return rig.metric("running_sequences{model=\"tiny-qwen\"}") == 0; }));
  EXPECT_EQ(rig.metric("answers_failed_total"), 0);
  const double p99 = quantile(counts.health_ms, 0.99);
  std::printf(
      "C1: %d streams at once for %.0f s: %lld right, %lld limited, %zu wrong; "
      "/health p50 %.1f ms, p99 %.1f ms, longest %.1f ms of %zu\n",
      kStreams, load_seconds(), static_cast<long long>(counts.n_right),
      static_cast<long long>(counts.n_limited), counts.wrong.size(),
      quantile(counts.health_ms, 0.5), p99, quantile(counts.health_ms, 1), counts.health_ms.size());
  if (judges_times()) EXPECT_LE(p99, 200);
}

// Reads a byte a second from each of them, until it is gone.
class SlowReaders {
 public:
  SlowReaders(uint16_t port, const std::string& request, int n) {
    for (int i = 0; i < n; ++i) {
      sockets_.push_back(std::make_unique<Socket>(port, 4096));
      sockets_.back()->send(request);
    }
    thread_ = std::thread([this] {
      while (!over_) {
        for (const auto& socket : sockets_) socket->receive(0, 1);
        for (int i = 0; i < 100 && !over_; ++i) ::usleep(10'000);
      }
    });
  }
  ~SlowReaders() {
    over_ = true;
    thread_.join();
  }

 private:
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

// Tokens a second of four streams at once.
double streams_speed(const ServerRig& rig) {
  constexpr int kStreams = 4;
  constexpr int kTokens = 400;
  std::vector<std::thread> threads;
  std::atomic<int> n_right{0};
  const auto start = Clock::now();
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      const Streamed streamed = read_stream(
          rig.port, R"({"messages":[{"role":"user","content":"go on"}],"stream":true,"seed":)" +
                        std::to_string(i) + R"(,"max_tokens":)" + std::to_string(kTokens) + "}");
      if (streamed.status == 200 && streamed.done) ++n_right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double ms = ms_since(start);
  EXPECT_EQ(n_right, kStreams);
  return kStreams * kTokens / ms * 1000;
}

int64_t heap_bytes() { return static_cast<int64_t>(::mallinfo2().uordblks); }

TEST(Load, ReadersOfAByteASecondHoldNobodyUp) {  // C4
  constexpr int kReaders = 32;
  server::ServerOptions options;
  options.pool.load.context_length = 1024;
  options.pool.n_slots = 40;
  const ServerRig rig(std::move(options));
  // Without the token that ends an answer: all are equally long.
  const Reply end =
      post(rig.port, "/tokenize", R"({"content":"<｜end▁of▁sentence｜>","parse_special":true})");
  const std::string never_ends = R"("logit_bias":{")" +
                                 std::to_string(end.json().at("tokens").at(0).to_number<int>()) +
                                 R"(":-1000})";
  // Some 700 KB of events each: more than a socket takes, less than ends in being cut off.
  const std::string request = request_text(
      "POST", "/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"x"}],"stream":true,"temperature":1,"seed":7,)"
      R"("max_tokens":320,"logprobs":true,"top_logprobs":20,)" +
          never_ends + "}",
      {{"Content-Type", "application/json"}});
  streams_speed(rig);
  std::vector<double> ratios;
  int64_t most_bytes = 0;
  const auto start = Clock::now();
  do {
    const int64_t heap_before = heap_bytes();
    const double finished = rig.metric("answers_finished_total");
    double beside = 0;
    {
      const SlowReaders readers(rig.port, request, kReaders);
      // 10,240 tokens: minutes under a sanitizer.
      const auto all_finished = [&] {
        return rig.metric("answers_finished_total") - finished >= kReaders;
      };
      ASSERT_TRUE(eventually(all_finished, 600));
      most_bytes = std::max(most_bytes, heap_bytes() - heap_before);
      beside = streams_speed(rig);
    }
    ratios.push_back(beside / streams_speed(rig));
  } while (ms_since(start) < load_seconds() * 1000 / 6);
  EXPECT_EQ(rig.metric("answers_cancelled_total"), 0);
  EXPECT_LE(most_bytes, int64_t{kReaders} << 20);
  // Something is held for them; a sanitizer's allocator doesn't tell.
  if (heap_bytes() > 0) EXPECT_GT(most_bytes, int64_t{kReaders} << 16);
  const double ratio = quantile(ratios, 0.5);
  std::printf(
      "C4: %d readers of a byte a second: at most %.2f MiB on the heap for each; others at %.0f %% "
      "of their speed alone (median of %zu, %.0f to %.0f %%)\n",
      kReaders, static_cast<double>(most_bytes) / kReaders / (1 << 20), ratio * 100, ratios.size(),
      quantile(ratios, 0) * 100, quantile(ratios, 1) * 100);
  if (judges_times()) EXPECT_GE(ratio, 0.9);
}

}  // namespace
}  // namespace reckon::testing
