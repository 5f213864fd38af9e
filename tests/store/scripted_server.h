// A server of one thread on an address of this machine's loopback network: it answers each request
// with the bytes a test says, and closes. Beside it, a listener that only notes that someone came.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace reckon {

class ScriptedServer {
 public:
  // A request's head as it came -> the bytes to answer with.
  using Script = std::function<std::string(const std::string& head)>;

  explicit ScriptedServer(const char* address, Script script, uint16_t port = 0)
      : script_(std::move(script)), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    ::inet_pton(AF_INET, address, &name.sin_addr);
    is_up_ = ::bind(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0 &&
             ::listen(fd_, 16) == 0;
    socklen_t length = sizeof(name);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &length);
    port_ = ntohs(name.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    stop_ = true;
    thread_.join();
    ::close(fd_);
  }

  bool is_up() const { return is_up_; }
  uint16_t port() const { return port_; }
  std::vector<std::string> heads() {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

 private:
  void serve() {
    while (!stop_) {
      pollfd waiting{fd_, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int client = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      answer(client);
      ::close(client);
    }
  }

  void answer(int client) {
    std::string head;
    char buffer[4096];
    while (!stop_ && head.find("\r\n\r\n") == std::string::npos) {
      pollfd waiting{client, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const ssize_t n = ::read(client, buffer, sizeof(buffer));
      if (n <= 0) break;
      head.append(buffer, static_cast<size_t>(n));
    }
    {
      const std::lock_guard lock(mutex_);
      heads_.push_back(head);
    }
    const std::string bytes = script_(head);
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::send(client, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
  }

  Script script_;
  int fd_;
  uint16_t port_ = 0;
  bool is_up_ = false;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::vector<std::string> heads_;
  std::thread thread_;
};

}  // namespace reckon
