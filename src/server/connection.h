// One client's connection: requests are read one after the other, each goes to the handler, and its
// exchange writes the reply. All of it runs on the HTTP thread but the exchange's own calls.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "server/http.h"

namespace reckon::server {

struct HttpLimits {
  size_t header_bytes = size_t{16} << 10;
  size_t body_bytes = size_t{16} << 20;
  // Of all requests together while they are read; more get 503.
  size_t all_bodies_bytes = size_t{256} << 20;
  size_t connections = 4096;
  double header_s = 10;  // for a request's head, from its first byte (or the connection's begin)
  double body_s = 120;
  double idle_s = 75;     // between requests
  double stalled_s = 60;  // without a byte of a reply being taken
};

// What all connections of a server share; used on the HTTP thread, but for the count of bodies.
struct HttpShared {
  HttpShared(boost::asio::io_context& its_io, const HttpLimits& its_limits, HttpHandler its_handler,
             HttpErrorBody its_error_body)
      : io(its_io),
        limits(its_limits),
        handler(std::move(its_handler)),
        error_body(std::move(its_error_body)) {}

  boost::asio::io_context& io;
  const HttpLimits limits;
  const HttpHandler handler;
  const HttpErrorBody error_body;
  std::atomic<size_t> bodies_bytes{0};  // those being read, and those read and not yet parsed
  bool stopping = false;
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual void start() = 0;
  // No request is under way.
  virtual bool is_idle() const = 0;
  virtual void close() = 0;
};

// gone: called once when the connection has ended.
std::shared_ptr<Connection> make_connection(std::shared_ptr<HttpShared> shared,
                                            boost::asio::ip::tcp::socket socket,
                                            std::function<void(Connection*)> gone);

}  // namespace reckon::server
