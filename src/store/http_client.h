// One connection at a time over HTTP/1.1, with TLS and certificate checks where the URL says https:
// GET with ranges, redirects followed under a policy, the body given on in pieces. What a store
// needs, and no more.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/url.h"

namespace reckon {

struct HttpHead {
  Url url;  // that answered
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;
  std::optional<uint64_t> content_length;

  // The first field of this name (case doesn't matter), or "".
  std::string_view field(std::string_view name) const;
};

struct HttpGet {
  Url url;
  std::vector<std::pair<std::string, std::string>> fields;
  // Told every redirect on the way; may be empty.
  std::function<void(const HttpHead&)> on_redirect;
  // Told the last head; an error ends the call with it. Returns whether the body is wanted.
  std::function<Result<bool>(const HttpHead&)> on_head;
  // The body's bytes in order; an error ends the call with it.
  std::function<Status(std::span<const char>)> on_body;
};

struct HttpOptions {
  // Sent as a bearer token to this origin and nowhere else; empty: none.
  std::string token;
  std::optional<Url> token_origin;
  std::function<bool()> cancelled;
  // For connecting, for the TLS handshake, and between two pieces of an answer.
  std::chrono::milliseconds timeout{30000};
};

// Redirects: at most 5, never from https to http, and only to public addresses or to the very
// address that the first URL of the call led to. A name's addresses are checked after they were
// looked up, and the connection goes to one of those checked. Not thread-safe: one object a thread.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Errors: kFailed for the network and for what the server says, kInterrupted when cancelled.
  // A status of 400 and more goes to on_head like any other.
  Status get(const HttpGet& request);

 private:
  class Connection;

  Result<Connection*> connection_to(const Url& url, bool is_redirected);
  void drop(const Connection* connection);
  // One request and its answer's head; connection gets where the body follows.
  Result<HttpHead> exchange(const HttpGet& request, const Url& url, bool is_redirected,
                            Connection*& connection);

  HttpOptions options_;
  // Kept alive: the hub's own and that of the server it redirects to.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<uint8_t> first_address_;  // where the first URL of the call led
};

// The whole body as text. Errors: those of get(), kFailed for a status other than 200 and for more
// than max_bytes.
Result<std::string> http_get_text(HttpClient& client, const Url& url, uint64_t max_bytes);

// What a status other than the wanted one means to a person: "404 (not found)".
std::string describe_http_status(int status);

}  // namespace reckon
