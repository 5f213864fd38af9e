// A connection reads all the time: while a reply is under way that is how it learns that the client
// has gone. Beast parses the heads and bodies; replies are framed here.
#include "server/connection.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

namespace reckon::server {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr size_t kReadBytes = size_t{16} << 10;
// What a client may send ahead while it waits for a reply.
constexpr size_t kMaxAheadBytes = size_t{64} << 10;
// Of a refused request what is read and thrown away, so that the refusal arrives.
constexpr size_t kMaxLingerBytes = size_t{4} << 20;
constexpr double kLingerSeconds = 2;
constexpr double kPingSeconds = 10;
constexpr int kSendBufferBytes = 256 << 10;

class ConnectionImpl;

// One reply on its way from any thread to the connection.
struct Channel {
  std::mutex mutex;
  std::shared_ptr<ConnectionImpl> connection;  // until the reply or the connection has ended
  std::string unsent;
  std::string_view unsent_static;  // after unsent
  size_t sending_bytes = 0;        // taken from unsent, and not yet taken by the system
  bool begun = false;
  bool ended = false;
  bool chunked = false;
  bool gone = false;    // the client
  bool cut = false;     // it didn't read
  bool posted = false;  // a flush is on its way
  std::string ping;
  std::function<void()> on_closed;
  // Of the request, fixed.
  bool head_only = false;
  bool http_1_0 = false;
  bool keep_alive = false;
};

std::string head_text(int status, const Headers& headers, bool keep_alive) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, status_phrase(status));
  for (const auto& [name, value] : headers) text += fmt::format("{}: {}\r\n", name, value);
  text += keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  return text;
}

class ExchangeImpl final : public Exchange {
 public:
  ExchangeImpl(asio::io_context& io, std::shared_ptr<Channel> channel)
      : io_(io), channel_(std::move(channel)) {}
  ~ExchangeImpl() override;

  void reply(HttpReply reply) override;
  void begin(int status, Headers headers, std::string ping) override;
  void write(std::string_view bytes) override;
  void end() override;
  void on_closed(std::function<void()> callback) override;

 private:
  void flush_locked();

  asio::io_context& io_;
  std::shared_ptr<Channel> channel_;
};

class ConnectionImpl final : public Connection,
                             public std::enable_shared_from_this<ConnectionImpl> {
 public:
  ConnectionImpl(std::shared_ptr<HttpShared> shared, asio::ip::tcp::socket socket,
                 std::function<void(Connection*)> gone)
      : shared_(std::move(shared)),
        socket_(std::move(socket)),
        deadline_(shared_->io),
        ping_timer_(shared_->io),
        gone_(std::move(gone)) {}

  void start() override {
    ErrorCode ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket_.set_option(asio::socket_base::send_buffer_size(kSendBufferBytes), ignored);
    const auto peer = socket_.remote_endpoint(ignored);
    if (!ignored) peer_ = peer.address().to_string();
    next_request();
  }

  bool is_idle() const override { return channel_ == nullptr && !in_request_ && !lingering_; }
  void close() override { end_connection(); }

  void flush();
  void abandoned();

 private:
  void next_request();
  void arm(double seconds);
  void disarm() {
    deadline_.cancel();
    ++deadline_round_;
  }
  void read();
  void on_read(ErrorCode error, size_t n);
  void on_end_of_input();
  void consume();
  void head_done();
  void dispatch();
  void refuse(int status, std::string_view message);
  void on_written(ErrorCode error, size_t n);
  void reply_done();
  void linger();
  void schedule_ping();
  void end_connection();
  void count_body(size_t bytes);

  std::shared_ptr<HttpShared> shared_;
  asio::ip::tcp::socket socket_;
  std::string peer_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  asio::steady_timer deadline_;
  uint64_t deadline_round_ = 0;
  asio::steady_timer ping_timer_;
  std::function<void(Connection*)> gone_;

  std::shared_ptr<Channel> channel_;  // of the reply under way
  std::string sending_;
  std::string_view sending_static_;
  size_t n_sent_ = 0;
  Clock::time_point last_write_;
  bool writing_ = false;
  bool reading_ = false;
  bool in_request_ = false;  // some of it has come
  bool head_seen_ = false;
  bool half_closed_ = false;
  bool lingering_ = false;
  bool ended_ = false;
  size_t lingered_bytes_ = 0;
  size_t counted_body_ = 0;
};

ExchangeImpl::~ExchangeImpl() {
  const std::lock_guard lock(channel_->mutex);
  if (channel_->ended || channel_->connection == nullptr) return;
  asio::post(io_, [connection = channel_->connection] { connection->abandoned(); });
}

void ExchangeImpl::flush_locked() {
  Channel& channel = *channel_;
  if (channel.posted || channel.connection == nullptr) return;
  channel.posted = true;
  asio::post(io_, [connection = channel.connection] { connection->flush(); });
}

void ExchangeImpl::reply(HttpReply reply) {
  const std::lock_guard lock(channel_->mutex);
  Channel& channel = *channel_;
  if (channel.begun || channel.ended) return;
  const size_t size = reply.static_body.empty() ? reply.body.size() : reply.static_body.size();
  channel.unsent = head_text(reply.status, reply.headers, channel.keep_alive);
  if (reply.status != 204 && reply.status != 304) {
    channel.unsent += fmt::format("Content-Length: {}\r\n", size);
  }
  channel.unsent += "\r\n";
  if (!channel.head_only && reply.status != 204 && reply.status != 304) {
    channel.unsent += reply.body;
    channel.unsent_static = reply.static_body;
  }
  channel.begun = true;
  channel.ended = true;
  flush_locked();
}

void ExchangeImpl::begin(int status, Headers headers, std::string ping) {
  const std::lock_guard lock(channel_->mutex);
  Channel& channel = *channel_;
  if (channel.begun || channel.ended) return;
  channel.begun = true;
  channel.chunked = !channel.http_1_0;
  if (channel.http_1_0) channel.keep_alive = false;
  channel.unsent = head_text(status, headers, channel.keep_alive);
  if (channel.chunked) channel.unsent += "Transfer-Encoding: chunked\r\n";
  channel.unsent += "\r\n";
  channel.ping = std::move(ping);
  flush_locked();
}

void append_chunk(Channel& channel, std::string_view bytes) {
  if (bytes.empty() || channel.head_only) return;
  if (channel.chunked) {
    channel.unsent += fmt::format("{:x}\r\n", bytes.size());
    channel.unsent += bytes;
    channel.unsent += "\r\n";
  } else {
    channel.unsent += bytes;
  }
}

void ExchangeImpl::write(std::string_view bytes) {
  const std::lock_guard lock(channel_->mutex);
  Channel& channel = *channel_;
  if (!channel.begun || channel.ended || channel.connection == nullptr || channel.cut) return;
  if (channel.sending_bytes + channel.unsent.size() + bytes.size() > kMaxUnsentBytes) {
    channel.cut = true;
  } else {
    append_chunk(channel, bytes);
  }
  flush_locked();
}

void ExchangeImpl::end() {
  const std::lock_guard lock(channel_->mutex);
  Channel& channel = *channel_;
  if (!channel.begun || channel.ended) return;
  channel.ended = true;
  if (channel.chunked && !channel.head_only) channel.unsent += "0\r\n\r\n";
  flush_locked();
}

void ExchangeImpl::on_closed(std::function<void()> callback) {
  {
    const std::lock_guard lock(channel_->mutex);
    if (!channel_->gone) {
      if (channel_->connection != nullptr) channel_->on_closed = std::move(callback);
      return;
    }
  }
  callback();
}

void ConnectionImpl::next_request() {
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(shared_->limits.header_bytes));
  parser_->body_limit(shared_->limits.body_bytes);
  parser_->eager(true);
  in_request_ = false;
  head_seen_ = false;
  if (half_closed_ || (shared_->stopping && buffer_.size() == 0)) {
    end_connection();
    return;
  }
  if (buffer_.size() > 0) {
    consume();
  } else {
    arm(shared_->limits.idle_s);
    read();
  }
}

void ConnectionImpl::arm(double seconds) {
  const uint64_t round = ++deadline_round_;
  deadline_.expires_after(
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
  deadline_.async_wait([weak = weak_from_this(), round](ErrorCode error) {
    const auto self = weak.lock();
    if (error || self == nullptr || round != self->deadline_round_) return;
    if (self->in_request_ && self->channel_ == nullptr && !self->lingering_) {
      self->refuse(408, "the request took too long to arrive");
    } else {
      self->end_connection();
    }
  });
}

void ConnectionImpl::read() {
  if (reading_ || ended_ || half_closed_) return;
  reading_ = true;
  const auto space = buffer_.prepare(kReadBytes);
  socket_.async_read_some(
      asio::buffer(space.data(), space.size()),
      [self = shared_from_this()](ErrorCode error, size_t n) { self->on_read(error, n); });
}

void ConnectionImpl::on_read(ErrorCode error, size_t n) {
  reading_ = false;
  if (ended_) return;
  if (error) {
    if (error == asio::error::eof) {
      on_end_of_input();
    } else {
      end_connection();
    }
    return;
  }
  if (lingering_) {
    lingered_bytes_ += n;
    if (lingered_bytes_ > kMaxLingerBytes) {
      end_connection();
    } else {
      read();
    }
    return;
  }
  buffer_.commit(n);
  if (channel_ != nullptr) {
    if (buffer_.size() > kMaxAheadBytes) {
      end_connection();
    } else {
      read();
    }
    return;
  }
  consume();
}

// A client that only closed its sending side may still read: what is being written goes on, what
// would take long is told to stop.
void ConnectionImpl::on_end_of_input() {
  half_closed_ = true;
  if (channel_ == nullptr || lingering_) {
    end_connection();
    return;
  }
  std::function<void()> callback;
  {
    const std::lock_guard lock(channel_->mutex);
    channel_->gone = true;
    channel_->keep_alive = false;
    callback = std::move(channel_->on_closed);
    channel_->on_closed = nullptr;
  }
  if (callback) callback();
}

void ConnectionImpl::count_body(size_t bytes) {
  shared_->bodies_bytes -= counted_body_;
  counted_body_ = bytes;
  shared_->bodies_bytes += counted_body_;
}

void ConnectionImpl::consume() {
  while (buffer_.size() > 0) {
    if (!in_request_) {
      in_request_ = true;
      arm(shared_->limits.header_s);
    }
    ErrorCode error;
    const size_t used = parser_->put(buffer_.data(), error);
    buffer_.consume(used);
    if (error == http::error::need_more) {
      error = {};
      if (used == 0) break;
    }
    if (error) {
      if (error == http::error::body_limit) {
        refuse(413, fmt::format("body: expected at most {} bytes", shared_->limits.body_bytes));
      } else if (error == http::error::header_limit) {
        refuse(431,
               fmt::format("headers: expected at most {} bytes", shared_->limits.header_bytes));
      } else {
        refuse(400, "the request is not HTTP as this server reads it: " + error.message());
      }
      return;
    }
    if (!head_seen_ && parser_->is_header_done()) {
      head_done();
      if (ended_ || lingering_) return;
    }
    count_body(parser_->get().body().size());
    if (shared_->bodies_bytes > shared_->limits.all_bodies_bytes) {
      refuse(503, "too many requests are being read");
      return;
    }
    if (parser_->is_done()) {
      dispatch();
      return;
    }
  }
  if (buffer_.size() > kMaxAheadBytes) {
    refuse(431, "a line is too long");
    return;
  }
  read();
}

void ConnectionImpl::head_done() {
  head_seen_ = true;
  arm(shared_->limits.body_s);
  const auto& message = parser_->get();
  // Two framings at once are how requests are smuggled past proxies.
  if (message.count(http::field::content_length) > 0 &&
      message.count(http::field::transfer_encoding) > 0) {
    refuse(400, "expected either Content-Length or Transfer-Encoding, found both");
    return;
  }
  if (parser_->is_done()) return;
  const auto expect = message[http::field::expect];
  if (expect.empty()) return;
  if (!boost::beast::iequals(expect, "100-continue")) {
    refuse(400, "Expect: expected 100-continue");
    return;
  }
  // Less than any send buffer: it is taken at once or not at all.
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  ErrorCode ignored;
  socket_.non_blocking(true, ignored);
  socket_.write_some(asio::buffer(kContinue.data(), kContinue.size()), ignored);
}

void ConnectionImpl::dispatch() {
  disarm();
  auto message = parser_->release();
  auto request = std::make_shared<HttpRequest>();
  request->method = std::string(message.method_string());
  const std::string target(message.target());
  const size_t mark = target.find('?');
  request->path = target.substr(0, mark);
  if (mark != std::string::npos) request->query = target.substr(mark + 1);
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    request->headers.emplace_back(std::move(name), std::string(field.value()));
  }
  request->body = std::move(message.body());
  request->peer = peer_;
  request->counted = {nullptr, [shared = shared_, n = std::exchange(counted_body_, 0)](void*) {
                        shared->bodies_bytes -= n;
                      }};

  channel_ = std::make_shared<Channel>();
  channel_->connection = shared_from_this();
  channel_->head_only = request->method == "HEAD";
  channel_->http_1_0 = message.version() < 11;
  channel_->keep_alive = message.keep_alive() && !shared_->stopping;
  last_write_ = Clock::now();
  in_request_ = false;
  read();
  shared_->handler(std::move(request), std::make_shared<ExchangeImpl>(shared_->io, channel_));
}

// The reply to what can't become a request; nothing more is understood on this connection.
void ConnectionImpl::refuse(int status, std::string_view message) {
  count_body(0);
  const std::string target(parser_->get().target());  // empty where it didn't come that far
  const std::string body = shared_->error_body(target.substr(0, target.find('?')), status, message);
  buffer_.consume(buffer_.size());
  channel_ = std::make_shared<Channel>();
  channel_->connection = shared_from_this();
  channel_->begun = true;
  channel_->ended = true;
  channel_->unsent = head_text(status, {{"Content-Type", "application/json"}}, false) +
                     fmt::format("Content-Length: {}\r\n\r\n", body.size()) + body;
  lingering_ = true;
  flush();
}

// On the HTTP thread: takes what the exchange has and sends it.
void ConnectionImpl::flush() {
  if (ended_ || channel_ == nullptr) return;
  bool cut = false;
  bool done = false;
  bool pings = false;
  {
    const std::lock_guard lock(channel_->mutex);
    channel_->posted = false;
    cut = channel_->cut;
    pings = !channel_->ping.empty() && !channel_->ended;
    if (!writing_) {
      sending_ = std::move(channel_->unsent);
      channel_->unsent.clear();
      channel_->sending_bytes = sending_.size();
      sending_static_ = std::exchange(channel_->unsent_static, {});
      done = channel_->ended && sending_.empty() && sending_static_.empty();
    }
  }
  if (cut) {
    end_connection();
    return;
  }
  if (pings) schedule_ping();
  if (writing_) return;
  if (done) {
    reply_done();
    return;
  }
  if (sending_.empty() && sending_static_.empty()) return;
  writing_ = true;
  n_sent_ = 0;
  on_written({}, 0);
}

void ConnectionImpl::on_written(ErrorCode error, size_t n) {
  if (ended_) return;
  if (error) {
    end_connection();
    return;
  }
  n_sent_ += n;
  last_write_ = Clock::now();
  const std::string_view rest = n_sent_ < sending_.size()
                                    ? std::string_view(sending_).substr(n_sent_)
                                    : sending_static_.substr(n_sent_ - sending_.size());
  if (rest.empty()) {
    writing_ = false;
    sending_.clear();
    sending_static_ = {};
    n_sent_ = 0;
    disarm();
    flush();
    return;
  }
  arm(shared_->limits.stalled_s);
  socket_.async_write_some(
      asio::buffer(rest.data(), rest.size()),
      [self = shared_from_this()](ErrorCode e, size_t sent) { self->on_written(e, sent); });
}

void ConnectionImpl::reply_done() {
  bool keep_alive = false;
  {
    const std::lock_guard lock(channel_->mutex);
    keep_alive = channel_->keep_alive;
    channel_->connection = nullptr;
    channel_->on_closed = nullptr;
  }
  channel_ = nullptr;
  ping_timer_.cancel();
  if (lingering_ || !keep_alive) {
    linger();
  } else {
    next_request();
  }
}

// Closing while unread bytes wait would reset the connection and take the reply back from the
// client; so the rest is read for a moment.
void ConnectionImpl::linger() {
  lingering_ = true;
  if (half_closed_) {
    end_connection();
    return;
  }
  ErrorCode ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  arm(kLingerSeconds);
  read();
}

void ConnectionImpl::schedule_ping() {
  const auto period =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(kPingSeconds));
  ping_timer_.expires_at(last_write_ + period);
  ping_timer_.async_wait([weak = weak_from_this(), period](ErrorCode error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->ended_ || self->channel_ == nullptr) return;
    if (!self->writing_ && Clock::now() >= self->last_write_ + period) {
      {
        const std::lock_guard lock(self->channel_->mutex);
        if (self->channel_->ended) return;
        append_chunk(*self->channel_, self->channel_->ping);
      }
      self->flush();
    } else {
      self->last_write_ = Clock::now();
      self->schedule_ping();
    }
  });
}

// The handler let go of the exchange without ending it: a mistake of ours, told as such.
void ConnectionImpl::abandoned() {
  if (ended_ || channel_ == nullptr) return;
  bool begun = false;
  {
    const std::lock_guard lock(channel_->mutex);
    begun = channel_->begun;
    if (channel_->ended) return;
    channel_->connection = nullptr;
  }
  if (begun) {
    end_connection();
  } else {
    refuse(500, "the request got no answer");
  }
}

void ConnectionImpl::end_connection() {
  if (ended_) return;
  const auto self = shared_from_this();
  ended_ = true;
  count_body(0);
  disarm();
  ping_timer_.cancel();
  ErrorCode ignored;
  socket_.close(ignored);
  std::function<void()> callback;
  if (channel_ != nullptr) {
    const std::lock_guard lock(channel_->mutex);
    channel_->gone = true;
    channel_->connection = nullptr;
    channel_->unsent.clear();
    callback = std::move(channel_->on_closed);
    channel_->on_closed = nullptr;
  }
  channel_ = nullptr;
  if (callback) callback();
  gone_(this);
}

}  // namespace

std::shared_ptr<Connection> make_connection(std::shared_ptr<HttpShared> shared,
                                            asio::ip::tcp::socket socket,
                                            std::function<void(Connection*)> gone) {
  return std::make_shared<ConnectionImpl>(std::move(shared), std::move(socket), std::move(gone));
}

}  // namespace reckon::server
