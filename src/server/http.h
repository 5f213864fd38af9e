// What the HTTP layer and the APIs hand each other: a request that has been read whole, and the
// exchange through which any thread replies to it. Nothing here knows of sockets.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reckon::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // without the query, as it was sent
  std::string query;   // what follows '?'
  Headers headers;     // names in lower case
  std::string body;
  std::shared_ptr<void> counted;  // as long as it lives, the body counts among those in memory
  std::string peer;               // the client's address, without its port

  // The field's value; empty when it is absent or stands more than once.
  std::string_view header(std::string_view lower_case_name) const;
  size_t header_count(std::string_view lower_case_name) const;
};

struct HttpReply {
  int status = 200;
  Headers headers = {};
  std::string body = {};
  // Sent in place of body where it isn't empty; must outlive the server (embedded files).
  std::string_view static_body = {};
};

// The reply to one request. Thread-safe. Either reply() once, or begin(), write()… and end(). When
// the last reference goes without an end, the connection is closed.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void reply(HttpReply reply) = 0;
  // Starts a reply whose length isn't known. ping: sent when nothing else was for ten seconds, so
  // that nobody between takes the connection for dead; may be empty.
  virtual void begin(int status, Headers headers, std::string ping) = 0;
  // A client that doesn't read is cut off once kMaxUnsentBytes wait for it.
  virtual void write(std::string_view bytes) = 0;
  virtual void end() = 0;
  // Called once, on the HTTP thread, if the client goes away before the end (at once if it has).
  virtual void on_closed(std::function<void()> callback) = 0;
};

inline constexpr size_t kMaxUnsentBytes = size_t{512} << 10;

using HttpHandler = std::function<void(std::shared_ptr<HttpRequest>, std::shared_ptr<Exchange>)>;
// The body of the reply to what can't become a request; path: empty where it isn't known.
using HttpErrorBody =
    std::function<std::string(std::string_view path, int status, std::string_view message)>;

std::string_view status_phrase(int status);

}  // namespace reckon::server
