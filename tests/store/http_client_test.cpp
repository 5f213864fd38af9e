// Redirects as attackers write them, and answers that aren't what they say. The endpoint is
// 127.0.0.2; on 127.0.0.1 listens a server to which no redirect may lead.
#include "store/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/store/scripted_server.h"

namespace reckon {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string redirect_to(const std::string& location) {
  return "HTTP/1.1 302 Found\r\nLocation: " + location +
         "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
}

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

HttpOptions quick() {
  HttpOptions options;
  options.timeout = std::chrono::milliseconds(3000);
  return options;
}

std::string at(const std::string& host, uint16_t port, const std::string& rest = "/secret") {
  return "http://" + host + ":" + std::to_string(port) + rest;
}

Result<std::string> get(const std::string& url, HttpOptions options = quick()) {
  HttpClient client(std::move(options));
  return http_get_text(client, *parse_url(url), 1 << 20);
}

TEST(HttpClient, RefusesEveryRedirectToAnAddressThatIsNotPublic) {
  ScriptedServer secret("127.0.0.1", [](const std::string&) { return kOk; });
  ASSERT_TRUE(secret.is_up());
  const uint16_t port = secret.port();
  std::vector<std::string> locations;
  for (const char* host : {"127.0.0.1",
                           "127.1",
                           "127.0.1",
                           "2130706433",
                           "0x7f000001",
                           "0x7f.1",
                           "0x7f.0.0.1",
                           "0177.0.0.1",
                           "0177.1",
                           "017700000001",
                           "127.0.0.01",
                           "127.0.0.1.",
                           "localhost",
                           "LOCALHOST",
                           "localhost.",
                           "[::1]",
                           "[0:0:0:0:0:0:0:1]",
                           "[::ffff:127.0.0.1]",
                           "[::ffff:7f00:1]",
                           "[0:0:0:0:0:ffff:127.0.0.1]",
                           "[::127.0.0.1]",
                           "[64:ff9b::7f00:1]",
                           "[2002:7f00:1::]",
                           "0.0.0.0",
                           "0",
                           "0x0",
                           "[::]",
                           "127.255.255.254",
                           "127.0.0.3",
                           "169.254.169.254",
                           "2852039166",
                           "0xa9fea9fe",
                           "0xa9.0xfe.0xa9.0xfe",
                           "0251.0376.0251.0376",
                           "[::ffff:169.254.169.254]",
                           "[::ffff:a9fe:a9fe]",
                           "[64:ff9b::a9fe:a9fe]",
                           "[fe80::1]",
                           "[fd00:ec2::254]",
                           "[fec0::1]",
                           "10.0.0.1",
                           "10.1",
                           "172.16.0.1",
                           "192.168.1.1",
                           "192.168.257",
                           "100.64.0.1",
                           "100.100.100.200",
                           "198.18.0.1",
                           "192.0.0.192",
                           "224.0.0.1",
                           "255.255.255.255",
                           "[ff02::1]"}) {
    locations.push_back(at(host, port));
  }
  const std::string rest = ":" + std::to_string(port) + "/secret";
  for (const std::string& location :
       {"//127.0.0.1" + rest, "http://evil@127.0.0.1" + rest, "http://a:b@127.0.0.1" + rest,
        "http:\\\\127.0.0.1" + rest, "http:/127.0.0.1" + rest, "http:127.0.0.1" + rest,
        "http://127.0.0.1" + rest + "#@example.com", "http://%31%32%37.0.0.1" + rest,
        "http://127\xe3\x80\x82"
        "0\xe3\x80\x82"
        "0\xe3\x80\x82"
        "1" +
            rest,
        "http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1" + rest,
        "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1" + rest, "http://127.0.0.1\t" + rest,
        "http://127.0.0.1%00.example.com" + rest, "http://[::1%25lo]" + rest,
        "HTTP://LOCALHOST" + rest}) {
    locations.push_back(location);
  }
  for (const char* location :
       {"file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd",
        "ftp://127.0.0.1/", "gopher://127.0.0.1/_x", "dict://127.0.0.1/", "data:text/plain,x",
        "javascript:1", "", "http://", "http:///etc/passwd", "unix:/run/x.sock"}) {
    locations.emplace_back(location);
  }
  EXPECT_GE(locations.size(), 75u);
  for (const std::string& location : locations) {
    ScriptedServer endpoint("127.0.0.2", [&](const std::string&) { return redirect_to(location); });
    ASSERT_TRUE(endpoint.is_up());
    const Result<std::string> answer = get(at("127.0.0.2", endpoint.port(), "/file"));
    ASSERT_FALSE(answer.ok()) << location;
    EXPECT_THAT(answer.error().message,
                testing::AnyOf(HasSubstr("redirect"), HasSubstr("its address")))
        << location;
  }
  EXPECT_TRUE(secret.heads().empty());
}

// The token goes to the configured origin; another port of the same machine is another origin.
TEST(HttpClient, KeepsTheTokenToItsOrigin) {
  ScriptedServer cdn("127.0.0.2", [](const std::string&) { return kOk; });
  ScriptedServer hub("127.0.0.2", [&](const std::string& head) {
    return head.starts_with("GET /here") ? kOk : redirect_to(at("127.0.0.2", cdn.port()));
  });
  HttpOptions options = quick();
  options.token = "hf_secret";
  options.token_origin = *parse_url(at("127.0.0.2", hub.port(), ""));
  EXPECT_EQ(*get(at("127.0.0.2", hub.port(), "/away"), options), "ok");
  EXPECT_EQ(*get(at("127.0.0.2", hub.port(), "/here"), options), "ok");
  EXPECT_EQ(*get(at("127.0.0.2", cdn.port(), "/"), options), "ok");
  for (const std::string& head : hub.heads()) {
    EXPECT_THAT(head, HasSubstr("Authorization: Bearer hf_secret"));
  }
  ASSERT_EQ(cdn.heads().size(), 2u);
  for (const std::string& head : cdn.heads()) {
    EXPECT_THAT(head, Not(HasSubstr("hf_secret")));
  }
}

TEST(HttpClient, EndsLoopsOfRedirects) {
  int n = 0;
  ScriptedServer endpoint(
      "127.0.0.2", [&](const std::string&) { return redirect_to("/" + std::to_string(++n)); });
  const Result<std::string> answer = get(at("127.0.0.2", endpoint.port()));
  ASSERT_FALSE(answer.ok());
  EXPECT_THAT(answer.error().message, HasSubstr("more than 5 redirects"));
  EXPECT_EQ(endpoint.heads().size(), 6u);
}

TEST(HttpClient, AnswersThatAreNone) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  for (const std::string& bytes :
       {std::string(), std::string("HTTP/1.1"), std::string("SSH-2.0-x\r\n\r\n"),
        std::string("HTTP/9.9 200 OK\r\n\r\n"), std::string("HTTP/1.1 xxx OK\r\n\r\n"),
        head + "Content-Length: 5\r\n\r\nok", head + "Content-Length: -2\r\n\r\nok",
        head + "Content-Length: 99999999999999999999\r\n\r\nok",
        head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        head + "Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nok",
        head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", head + "X: \x01\x02\r\n\r\nok",
        head + std::string(100'000, 'a') + ": b\r\n\r\nok",
        head + "A: " + std::string(100'000, 'b') + "\r\n\r\nok", head + "A B: c\r\n\r\nok",
        std::string(200'000, '\0')}) {
    ScriptedServer endpoint("127.0.0.2", [&](const std::string&) { return bytes; });
    const Result<std::string> answer = get(at("127.0.0.2", endpoint.port()));
    ASSERT_FALSE(answer.ok()) << bytes.substr(0, 60);
    EXPECT_EQ(answer.error().kind, ErrorKind::kFailed);
  }
}

TEST(HttpClient, BoundsWhatItKeeps) {
  ScriptedServer endpoint("127.0.0.2", [](const std::string&) {
    return "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + std::string(3'000'000, 'x');
  });
  const Result<std::string> answer = get(at("127.0.0.2", endpoint.port()));
  ASSERT_FALSE(answer.ok());
  EXPECT_THAT(answer.error().message, HasSubstr("at most 1048576 bytes"));
}

TEST(HttpClient, StopsWhenCancelledAndWhenNothingComes) {
  std::atomic<bool> done{false};
  ScriptedServer endpoint("127.0.0.2", [&](const std::string&) {
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return std::string();
  });
  HttpOptions options;
  options.cancelled = [] { return true; };
  const Result<std::string> cancelled = get(at("127.0.0.2", endpoint.port()), options);
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().kind, ErrorKind::kInterrupted);
  options.cancelled = {};
  options.timeout = std::chrono::milliseconds(100);
  const Result<std::string> late = get(at("127.0.0.2", endpoint.port()), options);
  done = true;
  ASSERT_FALSE(late.ok());
  EXPECT_THAT(late.error().message, HasSubstr("nothing came"));
}

}  // namespace
}  // namespace reckon
