// A server without models, over a real connection: what a client sends may be anything. An even
// first byte: the rest is sent as it is; an odd one: the second picks a route and the rest is the
// body, sent with a key. Three first bytes are of their own: 255: sent as it is, and the client
// waits; 254: definitions of tools, as grammars; 253: a path of the page. Nothing may crash, hang,
// or be answered with a 500.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "fuzz/scratch_folder.h"
#include "server/grammars.h"
#include "server/server.h"

namespace reckon {
namespace {

// One key may ask as often as it likes, the other once a minute.
constexpr std::string_view kKeys =
    R"({"keys": [{"name": "much", "key": "often-often-often"},
                 {"name": "little", "key": "once-once-once-once", "requests_per_minute": 1}]})";
constexpr std::string_view kHead =
    " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer often-often-often\r\n";

class NoModels final : public server::ModelLibrary {
 public:
  Result<std::vector<server::LibraryModel>> list() const override {
    return std::vector<server::LibraryModel>();
  }
  Result<server::LibraryModel> find(std::string_view name) const override {
    return name == "broken" ? failed("the disk fails") : none();
  }
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
    options.allow_origins = {"https://chat.example"};
    options.limits = {
        .header_bytes = 2048, .body_bytes = 16384, .header_s = 0.5, .body_s = 0.5, .idle_s = 0.5};
    const fuzz::ScratchFolder folder;
    options.keys_path = (folder.path() / "keys.json").string();
    RECKON_CHECK(write_file(options.keys_path, kKeys).ok());
    std::filesystem::permissions(options.keys_path, std::filesystem::perms::owner_read);
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
  return std::string(route) + std::string(kHead) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// The beginning of what the server says. A client that waits has nothing more to send, and does not
// say so.
std::string converse(std::string_view bytes, bool waits) {
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
  if (!waits) ::shutdown(fd, SHUT_WR);
  std::string reply;
  char buffer[4096];
  for (;;) {
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    const int n_ready = ::poll(&poll, 1, 10'000);
    if (n_ready < 0 && errno == EINTR) continue;  // libFuzzer's clock
    RECKON_CHECK(n_ready > 0);                    // a hang
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    if (reply.size() < 4096) reply.append(buffer, static_cast<size_t>(n));
  }
  ::close(fd);
  RECKON_CHECK(!reply.starts_with("HTTP/1.1 500"));
  return reply;
}

// A file that is asked for again by the tag that came with it has not changed.
void ask_twice(std::string_view text) {
  const std::string path(text.substr(0, text.find_first_of(std::string_view("\0\t\n\r ?", 6))));
  const std::string request = "GET /" + path + std::string(kHead);
  constexpr std::string_view kField = "ETag: ";
  const std::string first = converse(request + "\r\n", false);
  const size_t at = first.find(kField);
  if (at == std::string::npos || at > first.find("\r\n\r\n")) return;
  const std::string tag =
      first.substr(at + kField.size(), first.find('\r', at) - at - kField.size());
  const std::string second = converse(request + "If-None-Match: " + tag + "\r\n\r\n", false);
  RECKON_CHECK(!second.starts_with("HTTP/1.1 200"));
}

// What is taken as definitions has a grammar of its calls or is refused with a message.
void constrain(std::string_view tools_json) {
  server::GrammarCache grammars;
  const auto tools = parse_json(tools_json, "tools", 64);
  for (const ToolFormat format : {ToolFormat::kR1, ToolFormat::kHermes, ToolFormat::kLlama3}) {
    if (!system_text_with_tools("", tools_json, format).ok() || tools->get_array().empty()) return;
    const auto grammar = grammars.tool_call(tools->get_array(), format);
    RECKON_CHECK(grammar.ok() || !grammar.error().message.empty());
  }
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 65536) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  switch (data[0]) {
    case 253: reckon::ask_twice(input.substr(1)); break;
    case 254: reckon::constrain(input.substr(1)); break;
    case 255: reckon::converse(input.substr(1), true); break;
    default:
      reckon::converse(data[0] % 2 == 0 ? std::string(input.substr(1)) : reckon::framed(input),
                       false);
  }
  return 0;
}
