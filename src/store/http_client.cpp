// Boost.Beast and OpenSSL behind http_client.h. Every operation runs asynchronously on an
// io_context of the connection's own, so that a deadline and a cancellation can end it.
#include "store/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdlib>
#include <utility>

#include "base/ascii.h"
#include "base/json.h"

namespace reckon {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int kMaxRedirects = 5;
constexpr uint32_t kMaxHeadBytes = 64 << 10;
constexpr uint64_t kMaxDrainedBytes = 64 << 10;
constexpr size_t kBodyBufferBytes = size_t{128} << 10;
constexpr size_t kMaxConnections = 2;

std::vector<uint8_t> address_bytes(const asio::ip::address& address) {
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    return {bytes.begin(), bytes.end()};
  }
  const asio::ip::address_v6 v6 = address.to_v6();
  if (v6.is_v4_mapped()) {
    return address_bytes(asio::ip::make_address_v4(asio::ip::v4_mapped, v6));
  }
  const auto bytes = v6.to_bytes();
  return {bytes.begin(), bytes.end()};
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Trusts what the system trusts, wherever it keeps that (the linked-in OpenSSL knows only Debian's
// place); SSL_CERT_FILE and SSL_CERT_DIR go first, as everywhere.
void load_trusted_certificates(asio::ssl::context& context) {
  error_code ignored;
  context.set_default_verify_paths(ignored);
  if (std::getenv("SSL_CERT_FILE") != nullptr) return;
  for (const char* file : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    context.load_verify_file(file, ignored);
    if (!ignored) return;
  }
}

}  // namespace

std::string_view HttpHead::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (equal_ignoring_case(key, name)) return value;
  }
  return {};
}

class HttpClient::Connection {
 public:
  Connection(const HttpOptions& options, Url url) : options_(options), url_(std::move(url)) {}

  bool leads_to(const Url& url) const { return url_.has_origin_of(url); }
  const std::vector<uint8_t>& address() const { return address_; }
  bool can_be_reused() const { return is_idle_; }

  // first_address: where the call's first URL led; empty when this is the first itself.
  Status open(const std::vector<uint8_t>* first_address) {
    tcp::resolver::results_type found;
    const error_code looked_up = wait([&](auto done) {
      resolver_.async_resolve(url_.host, std::to_string(url_.port),
                              [&found, done](error_code error, auto results) {
                                found = std::move(results);
                                done(error);
                              });
    });
    if (looked_up) return problem("its address can't be found", looked_up);
    if (first_address != nullptr) {
      for (const auto& entry : found) {
        const std::vector<uint8_t> bytes = address_bytes(entry.endpoint().address());
        if (!is_public_address(bytes) && bytes != *first_address) {
          return failed(fmt::format("refused to follow a redirect to {}: {} is no public address",
                                    url_.origin(), entry.endpoint().address().to_string()));
        }
      }
    }
    const error_code connected = wait([&](auto done) {
      asio::async_connect(socket_, found,
                          [done](error_code error, const tcp::endpoint&) { done(error); });
    });
    if (connected) return problem("can't be reached", connected);
    error_code error;
    address_ = address_bytes(socket_.remote_endpoint(error).address());
    socket_.set_option(tcp::no_delay(true), error);
    return url_.is_https ? shake_hands() : Status();
  }

  Status send(const HttpGet& request, const Url& url) {
    is_idle_ = false;
    http::request<http::empty_body> message{http::verb::get, url.target, 11};
    const std::string origin = url.origin();
    const std::string host = origin.substr(origin.find("://") + 3);
    message.set(http::field::host, host);
    message.set(http::field::user_agent, "reckon/" RECKON_VERSION);
    message.set(http::field::accept_encoding, "identity");
    for (const auto& [name, value] : request.fields) message.set(name, value);
    if (!options_.token.empty() && options_.token_origin &&
        options_.token_origin->has_origin_of(url)) {
      message.set(http::field::authorization, "Bearer " + options_.token);
    }
    const error_code sent = wait([&](auto done) {
      with_stream([&](auto& stream) {
        http::async_write(stream, message, [done](error_code error, size_t) { done(error); });
      });
    });
    return sent ? problem("the request can't be sent", sent) : Status();
  }

  Result<HttpHead> read_head() {
    parser_.emplace();
    parser_->header_limit(kMaxHeadBytes);
    parser_->body_limit(boost::none);
    const error_code read = wait([&](auto done) {
      with_stream([&](auto& stream) {
        http::async_read_header(stream, buffer_, *parser_,
                                [done](error_code error, size_t) { done(error); });
      });
    });
    if (read) return problem("its answer can't be read", read).error();
    HttpHead head;
    head.status = static_cast<int>(parser_->get().result_int());
    for (const auto& field : parser_->get()) {
      const auto name = field.name_string();
      const auto value = field.value();
      head.fields.emplace_back(std::string(name.data(), name.size()),
                               std::string(value.data(), value.size()));
    }
    if (const auto length = parser_->content_length()) head.content_length = *length;
    return head;
  }

  Status read_body(const std::function<Status(std::span<const char>)>& on_body) {
    while (!parser_->is_done()) {
      parser_->get().body().data = piece_.data();
      parser_->get().body().size = piece_.size();
      parser_->get().body().more = true;
      error_code read = wait([&](auto done) {
        with_stream([&](auto& stream) {
          http::async_read_some(stream, buffer_, *parser_,
                                [done](error_code error, size_t) { done(error); });
        });
      });
      if (read == http::error::need_buffer) read = {};
      const size_t n = piece_.size() - parser_->get().body().size;
      if (n > 0) RECKON_RETURN_IF_ERROR(on_body(std::span(piece_).first(n)));
      if (read) return problem("the connection broke off", read);
    }
    is_idle_ = parser_->keep_alive();
    return {};
  }

 private:
  Status shake_hands() {
    error_code error;
    context_.emplace(asio::ssl::context::tls_client);
    context_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                              asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_sslv3,
                          error);
    load_trusted_certificates(*context_);
    tls_.emplace(socket_, *context_);
    tls_->set_verify_mode(asio::ssl::verify_peer, error);
    tls_->set_verify_callback(asio::ssl::host_name_verification(url_.host), error);
    asio::ip::make_address(url_.host, error);
    // A server name is for names alone (RFC 6066).
    if (error && SSL_set_tlsext_host_name(tls_->native_handle(), url_.host.c_str()) != 1) {
      return failed(fmt::format("{}: not a name that TLS can ask for", url_.origin()));
    }
    const error_code shaken = wait([&](auto done) {
      tls_->async_handshake(asio::ssl::stream_base::client,
                            [done](error_code outcome) { done(outcome); });
    });
    if (!shaken) return {};
    const long verdict = SSL_get_verify_result(tls_->native_handle());
    if (verdict != X509_V_OK && !is_cancelled_) {
      return failed(fmt::format("{}: its certificate is not trusted: {}", url_.origin(),
                                X509_verify_cert_error_string(verdict)));
    }
    return problem("no secure connection could be made", shaken);
  }

  template <class Use>
  void with_stream(Use use) {
    if (tls_) {
      use(*tls_);
    } else {
      use(socket_);
    }
  }

  // Starts an operation and runs it to its end, or ends it at the deadline or when cancelled.
  template <class Start>
  error_code wait(Start start) {
    constexpr std::chrono::milliseconds kLook{50};
    bool is_done = false;
    bool was_stopped = false;
    error_code outcome;
    const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    io_.restart();
    start([&](error_code error) {
      is_done = true;
      outcome = error;
    });
    while (!is_done) {
      io_.restart();
      io_.run_for(kLook);
      if (is_done || was_stopped) continue;
      is_cancelled_ = options_.cancelled && options_.cancelled();
      was_timed_out_ = std::chrono::steady_clock::now() > deadline;
      if (!is_cancelled_ && !was_timed_out_) continue;
      was_stopped = true;
      resolver_.cancel();
      error_code ignored;
      socket_.close(ignored);
    }
    if (was_stopped && !outcome) outcome = asio::error::operation_aborted;
    return outcome;
  }

  Status problem(std::string_view what, const error_code& error) const {
    if (is_cancelled_) return Error{ErrorKind::kInterrupted, ""};
    if (was_timed_out_) {
      return failed(fmt::format("{}: nothing came for {} s", url_.origin(),
                                std::chrono::duration<double>(options_.timeout).count()));
    }
    return failed(fmt::format("{}: {}: {}", url_.origin(), what, error.message()));
  }

  const HttpOptions& options_;
  Url url_;
  asio::io_context io_;
  tcp::resolver resolver_{io_};
  tcp::socket socket_{io_};
  std::optional<asio::ssl::context> context_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::response_parser<http::buffer_body>> parser_;
  std::array<char, kBodyBufferBytes> piece_;
  std::vector<uint8_t> address_;
  bool is_idle_ = false;
  bool is_cancelled_ = false;
  bool was_timed_out_ = false;
};

HttpClient::HttpClient(HttpOptions options) : options_(std::move(options)) {}
HttpClient::~HttpClient() = default;

void HttpClient::drop(const Connection* connection) {
  std::erase_if(connections_, [&](const auto& held) { return held.get() == connection; });
}

Result<HttpClient::Connection*> HttpClient::connection_to(const Url& url, bool is_redirected) {
  std::erase_if(connections_, [](const auto& held) { return !held->can_be_reused(); });
  for (const auto& held : connections_) {
    // One that a redirect may use was checked when it was opened, or is the first one's own.
    if (held->leads_to(url)) return held.get();
  }
  auto fresh = std::make_unique<Connection>(options_, url);
  RECKON_RETURN_IF_ERROR(fresh->open(is_redirected ? &first_address_ : nullptr));
  if (connections_.size() == kMaxConnections) connections_.erase(connections_.begin());
  connections_.push_back(std::move(fresh));
  return connections_.back().get();
}

Result<HttpHead> HttpClient::exchange(const HttpGet& request, const Url& url, bool is_redirected,
                                      Connection*& connection) {
  while (true) {
    RECKON_ASSIGN(connection, connection_to(url, is_redirected));
    const bool was_idle = connection->can_be_reused();
    const Status sent = connection->send(request, url);
    Result<HttpHead> head = sent.ok() ? connection->read_head() : Result<HttpHead>(sent.error());
    if (head.ok()) {
      head->url = url;
      if (!is_redirected) first_address_ = connection->address();
      return head;
    }
    drop(connection);
    // A kept connection may have been closed by the other side meanwhile.
    if (!was_idle || head.error().kind == ErrorKind::kInterrupted) return head;
  }
}

Status HttpClient::get(const HttpGet& request) try {
  Url url = request.url;
  for (int n_redirects = 0;; ++n_redirects) {
    Connection* connection = nullptr;
    RECKON_ASSIGN(const HttpHead head, exchange(request, url, n_redirects > 0, connection));
    if (!is_redirect(head.status)) {
      const Result<bool> wanted = request.on_head(head);
      const Status read =
          wanted.ok() && *wanted ? connection->read_body(request.on_body) : Status();
      if (!connection->can_be_reused()) drop(connection);
      if (!wanted.ok()) return wanted.error();
      return read;
    }
    if (request.on_redirect) request.on_redirect(head);
    if (n_redirects == kMaxRedirects) {
      return failed(
          fmt::format("{}: more than {} redirects", request.url.public_text(), kMaxRedirects));
    }
    Result<Url> next = parse_redirect(url, head.field("Location"));
    if (!next.ok()) {
      return failed(fmt::format("{}: its redirect can't be followed: {}", url.public_text(),
                                next.error().message));
    }
    if (head.content_length && *head.content_length <= kMaxDrainedBytes) {
      const Status drained = connection->read_body([](std::span<const char>) { return Status(); });
      if (!drained.ok()) drop(connection);
    } else {
      drop(connection);
    }
    url = std::move(*next);
  }
} catch (const boost::system::system_error& error) {
  return failed(fmt::format("{}: {}", request.url.public_text(), error.what()));
}

Result<std::string> http_get_text(HttpClient& client, const Url& url, uint64_t max_bytes) {
  std::string text;
  HttpGet request;
  request.url = url;
  request.on_head = [&](const HttpHead& head) -> Result<bool> {
    if (head.status == 200) return true;
    return failed(fmt::format("{}: {}", url.public_text(), describe_http_status(head.status)));
  };
  request.on_body = [&](std::span<const char> piece) -> Status {
    if (text.size() + piece.size() > max_bytes) {
      return failed(
          fmt::format("{}: expected at most {} bytes, found more", url.public_text(), max_bytes));
    }
    text.append(piece.data(), piece.size());
    return {};
  };
  RECKON_RETURN_IF_ERROR(client.get(request));
  return text;
}

std::string describe_http_status(int status) {
  std::string_view meaning = "not the answer expected";
  if (status == 401 || status == 403) {
    meaning = "not allowed; for a gated or private repository set HF_TOKEN";
  } else if (status == 404) {
    meaning = "not found";
  } else if (status == 429) {
    meaning = "too many requests; try again later";
  } else if (status >= 500) {
    meaning = "the server is in trouble";
  }
  return fmt::format("{} ({})", status, meaning);
}

}  // namespace reckon
