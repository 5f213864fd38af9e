// fork, limits, a system call filter, exec. Between fork and exec only system calls are made: other
// threads may have held any lock.
#include "base/sandboxed_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>

namespace reckon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kExitNoSandbox = 126;
constexpr int kExitNoProgram = 127;
constexpr int kEndWaitMs = 2;
constexpr rlim_t kMaxFiles = 64;
constexpr rlim_t kMaxProcesses = 512;  // of the user's, who may be running others
constexpr rlim_t kMaxFileBytes = 16 << 20;

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

constexpr sock_filter load(uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
constexpr sock_filter give(uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }
// The next instruction runs if the loaded word is this one, else the one behind it.
constexpr sock_filter if_equal(uint32_t value) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
}

constexpr uint32_t kDenied = SECCOMP_RET_ERRNO | EPERM;

// No sockets (and no io_uring, which makes them too), no leaving the process group, no looking into
// other processes. Other architectures' calls, among them x32's, end the process.
constexpr sock_filter kFilter[] = {
    load(offsetof(seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0),
    give(SECCOMP_RET_KILL_PROCESS),
    load(offsetof(seccomp_data, nr)),
    if_equal(__NR_socket),
    give(kDenied),
    if_equal(__NR_io_uring_setup),
    give(kDenied),
    if_equal(__NR_setsid),
    give(kDenied),
    if_equal(__NR_setpgid),
    give(kDenied),
    if_equal(__NR_ptrace),
    give(kDenied),
    if_equal(__NR_process_vm_readv),
    give(kDenied),
    if_equal(__NR_process_vm_writev),
    give(kDenied),
    if_equal(__NR_kcmp),
    give(kDenied),
    if_equal(__NR_pidfd_open),
    give(kDenied),
    if_equal(__NR_kill),
    give(kDenied),
    if_equal(__NR_tgkill),
    give(kDenied),
    if_equal(__NR_tkill),
    give(kDenied),
    if_equal(__NR_rt_sigqueueinfo),
    give(kDenied),
    if_equal(__NR_rt_tgsigqueueinfo),
    give(kDenied),
    if_equal(__NR_setpriority),
    give(kDenied),
    // Its own limits alone.
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prlimit64, 0, 4),
    load(offsetof(seccomp_data, args)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
    give(SECCOMP_RET_ALLOW),
    give(kDenied),
#if defined(__x86_64__)
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1),
    give(SECCOMP_RET_KILL_PROCESS),
#endif
    give(SECCOMP_RET_ALLOW),
};

void limit(int resource, rlim_t value) {
  const rlimit both{.rlim_cur = value, .rlim_max = value};
  setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

// Keeps the files as they are where the kernel knows Landlock: only /dev/null may be written.
void protect_files() {
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                            LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                            LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                            LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  const auto fd = static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0));
  if (fd < 0) return;
  landlock_path_beneath_attr nothing{};
  nothing.allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE;
  nothing.parent_fd = open("/dev/null", O_PATH);
  syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &nothing, 0);
  syscall(SYS_landlock_restrict_self, fd, 0);
  close(nothing.parent_fd);
  close(fd);
}

// In the child; returns only if the sandbox can't be had.
void become(const char* program, int in, int out, const ChildLimits& limits, rlim_t seconds) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nothing = open("/dev/null", O_WRONLY);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || nothing < 0 || dup2(nothing, 2) < 0) return;
  if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0) {
    for (int fd = 3; fd < 65536; ++fd) close(fd);
  }
  // Handlers go with exec; what is ignored or blocked would stay.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  limit(RLIMIT_CPU, seconds);
  limit(RLIMIT_AS, static_cast<rlim_t>(limits.memory_bytes));
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, kMaxFiles);
  limit(RLIMIT_NPROC, kMaxProcesses);
  limit(RLIMIT_FSIZE, kMaxFileBytes);
  if (chdir("/") != 0) return;
  // An empty network where namespaces are to be had; the filter keeps sockets off everywhere.
  (void)unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return;
  protect_files();
  const sock_fprog filter{.len = std::size(kFilter), .filter = const_cast<sock_filter*>(kFilter)};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return;
  char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
  char locale[] = "LC_ALL=C.UTF-8";
  char* environment[] = {path, locale, nullptr};
  char* arguments[] = {const_cast<char*>(program), nullptr};
  execve(program, arguments, environment);
  _exit(kExitNoProgram);
}

// write(), with an error instead of a signal when nobody reads, whatever the process does about it.
ssize_t write_quietly(int fd, std::string_view text) {
  sigset_t pipe;
  sigset_t old;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &old);
  const ssize_t n = write(fd, text.data(), text.size());
  const int error = errno;
  if (n < 0 && error == EPIPE) {
    const timespec now{};
    sigtimedwait(&pipe, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  errno = error;
  return n;
}

// Both ends above the standard streams, which may be closed: the child puts its own there.
bool open_pipe(std::array<int, 2>& ends) {
  std::array<int, 2> low{-1, -1};
  if (pipe2(low.data(), O_CLOEXEC) != 0) return false;
  for (size_t i = 0; i < low.size(); ++i) ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 3);
  const int error = errno;
  for (const int fd : low) close(fd);
  errno = error;
  return ends[0] >= 0 && ends[1] >= 0;
}

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

Error child_error(std::string_view what) { return failed(fmt::format("the program {}", what)); }

}  // namespace

Result<SandboxedChild> SandboxedChild::start(const std::string& program, std::string input,
                                             const ChildLimits& limits) {
  std::array<int, 2> in{-1, -1};
  std::array<int, 2> out{-1, -1};
  SandboxedChild child;
  const bool opened = open_pipe(in) && open_pipe(out);
  child.in_ = in[1];
  child.out_ = out[0];
  if (!opened) {
    const int error = errno;
    close_fd(in[0]);
    close_fd(out[1]);
    return failed(fmt::format("{}: no pipe: {}", program, std::strerror(error)));
  }
  child.input_ = std::move(input);
  child.limits_ = limits;
  child.deadline_ = Clock::now() + std::chrono::milliseconds(limits.time_ms);
  const auto seconds = static_cast<rlim_t>((limits.time_ms + 999) / 1000);
  const pid_t pid = fork();
  if (pid == 0) {
    become(program.c_str(), in[0], out[1], limits, seconds);
    _exit(kExitNoSandbox);
  }
  close(in[0]);
  close(out[1]);
  if (pid < 0) return failed(fmt::format("{}: no process: {}", program, std::strerror(errno)));
  setpgid(pid, pid);  // whoever comes first: kill_all() needs it
  child.pid_ = pid;
  fcntl(child.in_, F_SETFL, O_NONBLOCK);
  fcntl(child.out_, F_SETFL, O_NONBLOCK);
  return child;
}

SandboxedChild::SandboxedChild(SandboxedChild&& other) noexcept { *this = std::move(other); }

SandboxedChild& SandboxedChild::operator=(SandboxedChild&& other) noexcept {
  if (this == &other) return *this;
  kill_all();
  pid_ = std::exchange(other.pid_, -1);
  in_ = std::exchange(other.in_, -1);
  out_ = std::exchange(other.out_, -1);
  input_ = std::move(other.input_);
  n_fed_ = other.n_fed_;
  output_ = std::move(other.output_);
  limits_ = other.limits_;
  deadline_ = other.deadline_;
  return *this;
}

SandboxedChild::~SandboxedChild() { kill_all(); }

// The group's other members too. The leader is reaped after that, so its number is still its own.
void SandboxedChild::kill_all() noexcept {
  close_fd(in_);
  close_fd(out_);
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

std::optional<Result<std::string>> SandboxedChild::poll(int wait_ms) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
  if (left.count() <= 0) {
    kill_all();
    return child_error(fmt::format("did not end within {} ms", limits_.time_ms));
  }
  const auto wait = static_cast<int>(std::min<int64_t>(wait_ms, left.count()));
  std::array<pollfd, 2> fds{pollfd{.fd = out_, .events = POLLIN, .revents = 0},
                            pollfd{.fd = in_, .events = POLLOUT, .revents = 0}};
  ::poll(fds.data(), fds.size(), wait);
  if (fds[1].revents != 0) feed();
  if (fds[0].revents != 0) {
    if (const Status drained = drain(); !drained.ok()) {
      kill_all();
      return drained.error();
    }
  }
  if (out_ >= 0) return std::nullopt;
  // Its output is closed; it may take a moment to end.
  int status = 0;
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0) {
    ::poll(nullptr, 0, std::min(wait, kEndWaitMs));
    return std::nullopt;
  }
  kill(-pid_, SIGKILL);  // whom it left behind
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    return child_error(fmt::format("was ended by signal {}", WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) == kExitNoSandbox) return child_error("could not be shut in");
  if (WEXITSTATUS(status) != 0) {
    return child_error(fmt::format("ended with exit code {}", WEXITSTATUS(status)));
  }
  return std::move(output_);
}

void SandboxedChild::feed() {
  while (n_fed_ < input_.size()) {
    const ssize_t n = write_quietly(in_, std::string_view(input_).substr(n_fed_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) break;  // it doesn't want to read
    n_fed_ += static_cast<size_t>(n);
  }
  close_fd(in_);
}

Status SandboxedChild::drain() {
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = read(out_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n <= 0) {
      close_fd(out_);
      return {};
    }
    if (static_cast<int64_t>(output_.size()) + n > limits_.output_bytes) {
      return child_error(fmt::format("wrote more than {} bytes", limits_.output_bytes));
    }
    output_.append(buffer.data(), static_cast<size_t>(n));
  }
}

}  // namespace reckon
