// The program's standard input and output are pipes; its errors go where ours go.
#include "train/verifier.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "base/json.h"

extern char** environ;

namespace reckon::train {
namespace {

constexpr int kPatienceMs = 60'000;
// For a program whose input was closed.
constexpr std::chrono::milliseconds kParting{2000};
constexpr size_t kMaxLine = 1 << 16;

struct Pipe {
  int read = -1;
  int write = -1;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return failed(fmt::format("--verifier: no pipe: {}", std::strerror(errno)));
  }
  return Pipe{ends[0], ends[1]};
}

}  // namespace

Result<std::unique_ptr<Verifier>> Verifier::start(const std::string& command) {
  std::unique_ptr<Verifier> verifier(new Verifier(command));
  RECKON_ASSIGN(const Pipe in, make_pipe());
  verifier->to_ = in.write;
  Result<Pipe> out = make_pipe();
  if (!out.ok()) {
    ::close(in.read);
    return out.error();
  }
  verifier->from_ = out->read;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out->write, STDOUT_FILENO);
  // A process group of its own: Ctrl-C is for the training, which asks for more scores until its
  // checkpoint is written.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::string shell = "sh";
  std::string flag = "-c";
  std::string text = command;
  char* arguments[] = {shell.data(), flag.data(), text.data(), nullptr};
  pid_t pid = -1;
  const int status = ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(in.read);
  ::close(out->write);
  if (status != 0) {
    return failed(fmt::format("--verifier {}: can't be started: {}", excerpt(command),
                              std::strerror(status)));
  }
  verifier->pid_ = pid;
  return verifier;
}

// Closing its input asks the program to end; one that doesn't is killed.
Verifier::~Verifier() {
  if (to_ >= 0) ::close(to_);
  if (from_ >= 0) ::close(from_);
  if (pid_ <= 0) return;
  const auto deadline = std::chrono::steady_clock::now() + kParting;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(-pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Status Verifier::send(const std::string& line) {
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t n = ::write(to_, line.data() + sent, line.size() - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return failed(fmt::format("--verifier {}: takes no more lines: {}", excerpt(command_),
                                std::strerror(errno)));
    }
    sent += static_cast<size_t>(n);
  }
  return {};
}

Result<std::string> Verifier::receive() {
  for (;;) {
    if (const size_t end = pending_.find('\n'); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    if (pending_.size() > kMaxLine) {
      return failed(fmt::format("--verifier {}: expected a line, found {} bytes without an end",
                                excerpt(command_), pending_.size()));
    }
    pollfd waiting{.fd = from_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, kPatienceMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      return failed(fmt::format("--verifier {}: no answer within a minute", excerpt(command_)));
    }
    std::array<char, 4096> buffer;
    const ssize_t n = ::read(from_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed(fmt::format("--verifier {}: it has ended", excerpt(command_)));
    pending_.append(buffer.data(), static_cast<size_t>(n));
  }
}

Result<double> Verifier::score(const RewardInput& input) {
  boost::json::object line;
  line["task"] = input.task;
  line["thought"] = input.thought;
  line["answer"] = input.answer;
  line["thought_closed"] = input.thought_closed;
  line["ended"] = input.ended;
  line["thought_tokens"] = input.thought_tokens;
  line["answer_tokens"] = input.answer_tokens;
  const std::string what = fmt::format("--verifier {}", excerpt(command_));
  pollfd unasked{.fd = from_, .events = POLLIN, .revents = 0};
  if (!pending_.empty() || (::poll(&unasked, 1, 0) == 1 && (unasked.revents & POLLIN) != 0)) {
    return failed(what + ": expected one line for each answer, found more");
  }
  RECKON_RETURN_IF_ERROR(send(boost::json::serialize(line) + "\n"));
  RECKON_ASSIGN(const std::string answer, receive());
  const Result<boost::json::value> value = parse_json(answer, what);
  const boost::json::value* score =
      value.ok() && value->is_object() ? value->get_object().if_contains("score") : nullptr;
  if (score == nullptr || !score->is_number()) {
    return failed(
        fmt::format("{}: expected {{\"score\": NUMBER}}, found {}", what, excerpt(answer)));
  }
  return score->to_number<double>();
}

}  // namespace reckon::train
