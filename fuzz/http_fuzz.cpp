// A server without models, over a real connection: what a client sends may be anything. An even
// first byte: the rest is sent as it is; an odd one: the second picks a route and the rest is the
// body. Nothing may crash, hang, or be answered with a 500.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "server/server.h"

namespace reckon {
namespace {

class NoModels final : public server::ModelLibrary {
 public:
  Result<std::vector<server::LibraryModel>> list() const override {
    return std::vector<server::LibraryModel>();
  }
  Result<server::LibraryModel> find(std::string_view) const override { return none(); }
  Result<std::string> resolve(std::string_view, const JobControl&) const override { return none(); }
  Status pull(std::string_view, const JobControl&) override { return none(); }
  Status remove(std::string_view) override { return none(); }
  Status copy(std::string_view, std::string_view) override { return none(); }

 private:
  static Error none() { return usage_error("expected a model, found none"); }
};

uint16_t server_port() {
  static const std::unique_ptr<server::Server> server = [] {
    server::ServerOptions options;
    options.port = 0;
    auto started = server::Server::start(std::move(options), std::make_unique<NoModels>());
    RECKON_CHECK(started.ok());
    return std::move(*started);
  }();
  return server->port();
}

constexpr std::string_view kRoutes[] = {"POST /v1/chat/completions",
                                        "POST /v1/completions",
                                        "POST /v1/responses",
                                        "POST /v1/messages",
                                        "POST /v1/messages/count_tokens",
                                        "POST /api/chat",
                                        "POST /api/generate",
                                        "POST /api/show",
                                        "POST /api/copy",
                                        "DELETE /api/delete",
                                        "POST /api/pull",
                                        "POST /tokenize",
                                        "POST /detokenize",
                                        "POST /v1/chat/completions/control"};

std::string framed(std::string_view input) {
  if (input.size() < 2) return {};
  const std::string_view route = kRoutes[static_cast<uint8_t>(input[1]) % std::size(kRoutes)];
  const std::string_view body = input.substr(2);
  return std::string(route) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

void converse(std::string_view bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server_port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  RECKON_CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) break;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  ::shutdown(fd, SHUT_WR);
  std::string reply;
  char buffer[4096];
  for (;;) {
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    RECKON_CHECK(::poll(&poll, 1, 10'000) > 0);  // a hang
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    if (reply.size() < 64) reply.append(buffer, static_cast<size_t>(n));
  }
  ::close(fd);
  RECKON_CHECK(!reply.starts_with("HTTP/1.1 500"));
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 65536) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  reckon::converse(data[0] % 2 == 0 ? std::string(input.substr(1)) : reckon::framed(input));
  return 0;
}
