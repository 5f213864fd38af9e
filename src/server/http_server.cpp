// The acceptor and the thread under all connections.
#include "server/http_server.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <thread>
#include <unordered_map>
#include <utility>

namespace reckon::server {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

namespace {

// Every connection is a file: as many as the system lets this process have.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpLimits& limits, HttpHandler handler, HttpErrorBody error_body)
      : acceptor_(io_),
        retry_(io_),
        shared_(
            std::make_shared<HttpShared>(io_, limits, std::move(handler), std::move(error_body))) {}

  ~Impl() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      ErrorCode ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      while (!connections_.empty()) connections_.front()->close();
      work_.reset();
    });
    thread_.join();
  }

  Status listen(const std::string& address, uint16_t port) {
    ErrorCode error;
    const auto parsed = asio::ip::make_address(address, error);
    if (error) {
      return usage_error(
          fmt::format("--host: expected a numeric address such as 127.0.0.1, found {}", address));
    }
    const asio::ip::tcp::endpoint endpoint(parsed, port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::ip::tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) {
      return failed(
          fmt::format("{} port {}: can't be listened on: {}", address, port, error.message()));
    }
    raise_file_limit();
    accept();
    thread_ = std::thread([this] { run(); });
    return {};
  }

  uint16_t port() const { return port_; }
  bool is_quiet() const { return n_connections_ == 0; }

  void stop_accepting() {
    asio::post(io_, [this] {
      shared_->stopping = true;
      ErrorCode ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      for (auto entry = connections_.begin(); entry != connections_.end();) {
        const std::shared_ptr<Connection> connection = *entry++;
        if (connection->is_idle()) connection->close();
      }
    });
  }

 private:
  // A handler that finds no memory loses its own connection's step, not the server.
  void run() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception&) {
        drop_idle();
      }
    }
  }

  void accept() {
    acceptor_.async_accept([this](ErrorCode error, asio::ip::tcp::socket socket) {
      if (!acceptor_.is_open()) return;
      if (error) {
        // Most likely no file is left: the next try waits until one may be.
        if (error != asio::error::connection_aborted) drop_idle();
        retry_.expires_after(std::chrono::milliseconds(50));
        retry_.async_wait([this](ErrorCode stopped) {
          if (!stopped && acceptor_.is_open()) accept();
        });
        return;
      }
      add(std::move(socket));
      accept();
    });
  }

  // connections_ stands by age: the first idle one has waited longest.
  void drop_idle() {
    for (const auto& connection : connections_) {
      if (!connection->is_idle()) continue;
      const std::shared_ptr<Connection> kept = connection;
      kept->close();
      return;
    }
  }

  void add(asio::ip::tcp::socket socket) {
    if (connections_.size() >= shared_->limits.connections) drop_idle();
    if (connections_.size() >= shared_->limits.connections) return;
    auto connection =
        make_connection(shared_, std::move(socket), [this](Connection* gone) { remove(gone); });
    connections_.push_back(connection);
    places_[connection.get()] = std::prev(connections_.end());
    n_connections_ = connections_.size();
    connection->start();
  }

  void remove(Connection* connection) {
    const auto place = places_.find(connection);
    if (place == places_.end()) return;
    connections_.erase(place->second);
    places_.erase(place);
    n_connections_ = connections_.size();
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::shared_ptr<HttpShared> shared_;
  std::list<std::shared_ptr<Connection>> connections_;
  std::unordered_map<Connection*, std::list<std::shared_ptr<Connection>>::iterator> places_;
  std::atomic<size_t> n_connections_{0};
  uint16_t port_ = 0;
  std::thread thread_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& address, uint16_t port,
                                                      const HttpLimits& limits, HttpHandler handler,
                                                      HttpErrorBody error_body) {
  auto impl = std::make_unique<Impl>(limits, std::move(handler), std::move(error_body));
  RECKON_RETURN_IF_ERROR(impl->listen(address, port));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
uint16_t HttpServer::port() const { return impl_->port(); }
void HttpServer::stop_accepting() { impl_->stop_accepting(); }
bool HttpServer::is_quiet() const { return impl_->is_quiet(); }

}  // namespace reckon::server
