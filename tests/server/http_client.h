// A client of plain sockets, which can send what no library would.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reckon::testing {

class Socket {
 public:
  explicit Socket(uint16_t port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) close();
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket(const Socket&) = delete;
  ~Socket() { close(); }

  bool is_open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // False when the other side has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void end_sending() { ::shutdown(fd_, SHUT_WR); }
  // What comes next; empty at the end, or when nothing comes for that long.
  std::string receive(int timeout_ms = 10'000, size_t most = 65536) {
    pollfd poll{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&poll, 1, timeout_ms) <= 0) {
      timed_out_ = true;
      return {};
    }
    std::string bytes(most, '\0');
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return bytes;
  }
  std::string receive_until(std::string_view words) {
    std::string all;
    while (all.find(words) == std::string::npos) {
      const std::string bytes = receive();
      if (bytes.empty()) break;
      all += bytes;
    }
    return all;
  }
  bool timed_out() const { return timed_out_; }

 private:
  int fd_ = -1;
  bool timed_out_ = false;
};

struct Reply {
  int status = 0;  // 0: the connection ended without a reply
  std::string head;
  std::string body;
  bool whole = false;

  boost::json::value json() const {
    boost::system::error_code error;
    return boost::json::parse(body, error);
  }
  bool has(std::string_view words) const { return body.find(words) != std::string::npos; }
};

// Reads one reply from the connection; what is there when nothing comes for timeout_ms.
inline Reply read_reply(Socket& socket, bool head_only = false, int timeout_ms = 10'000) {
  Reply reply;
  std::string data;
  size_t end = std::string::npos;
  while ((end = data.find("\r\n\r\n")) == std::string::npos) {
    const std::string bytes = socket.receive(timeout_ms);
    if (bytes.empty()) return reply;
    data += bytes;
  }
  reply.head = data.substr(0, end + 2);
  data.erase(0, end + 4);
  if (reply.head.size() > 12) std::from_chars(&reply.head[9], &reply.head[12], reply.status);
  const auto field = [&](std::string_view name) -> std::string {
    const size_t at = reply.head.find(name);
    if (at == std::string::npos) return {};
    const size_t begin = at + name.size();
    return reply.head.substr(begin, reply.head.find("\r\n", begin) - begin);
  };
  const std::string length = field("Content-Length: ");
  const bool chunked = !field("Transfer-Encoding: ").empty();
  if (head_only || reply.status == 204 || reply.status == 304) {
    reply.whole = true;
    return reply;
  }
  for (;;) {
    if (!length.empty()) {
      size_t n = 0;
      std::from_chars(length.data(), length.data() + length.size(), n);
      if (data.size() >= n) {
        reply.body = data.substr(0, n);
        reply.whole = true;
        return reply;
      }
    } else if (chunked) {
      std::string body;
      size_t at = 0;
      while (at < data.size()) {
        const size_t line = data.find("\r\n", at);
        if (line == std::string::npos) break;
        size_t n = 0;
        std::from_chars(data.data() + at, data.data() + line, n, 16);
        if (data.size() < line + 2 + n + 2) break;
        body += data.substr(line + 2, n);
        at = line + 2 + n + 2;
        if (n == 0) {
          reply.body = body;
          reply.whole = true;
          return reply;
        }
      }
    }
    const std::string bytes = socket.receive(timeout_ms);
    if (bytes.empty()) {
      reply.body = data;
      reply.whole = length.empty() && !chunked;
      return reply;
    }
    data += bytes;
  }
}

struct Header {
  std::string name;
  std::string value;
};

inline std::string request_text(std::string_view method, std::string_view path,
                                std::string_view body, std::vector<Header> headers = {}) {
  std::string text = std::string(method) + " " + std::string(path) + " HTTP/1.1\r\n";
  bool has_host = false;
  for (const Header& header : headers) {
    has_host = has_host || header.name == "Host";
    text += header.name + ": " + header.value + "\r\n";
  }
  if (!has_host) text += "Host: localhost\r\n";
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + std::string(body);
}

inline Reply call(uint16_t port, std::string_view method, std::string_view path,
                  std::string_view body = {}, std::vector<Header> headers = {}) {
  Socket socket(port);
  if (!socket.send(request_text(method, path, body, std::move(headers)))) return {};
  return read_reply(socket, method == "HEAD");
}

inline Reply get(uint16_t port, std::string_view path) { return call(port, "GET", path); }
inline Reply post(uint16_t port, std::string_view path, std::string_view body) {
  return call(port, "POST", path, body, {{"Content-Type", "application/json"}});
}

// The data of a stream's events, in order.
inline std::vector<std::string> events(const std::string& body) {
  std::vector<std::string> list;
  size_t at = 0;
  while ((at = body.find("data: ", at)) != std::string::npos) {
    const size_t end = body.find("\n\n", at);
    list.push_back(body.substr(at + 6, end - at - 6));
    at = end;
  }
  return list;
}

}  // namespace reckon::testing
