// Listens on an address and runs the connections' thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "server/connection.h"
#include "server/http.h"

namespace reckon::server {

class HttpServer {
 public:
  // address: a numeric IPv4 or IPv6 address; port 0: any free one. Errors: kUsage for an address
  // that is none, kFailed when it can't be listened on.
  static Result<std::unique_ptr<HttpServer>> start(const std::string& address, uint16_t port,
                                                   const HttpLimits& limits, HttpHandler handler,
                                                   HttpErrorBody error_body);
  ~HttpServer();

  uint16_t port() const;
  // Takes no more connections and no more requests on those there are; idle ones are closed.
  // Replies under way go on.
  void stop_accepting();
  // Whether every reply has been sent.
  bool is_quiet() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reckon::server
