// fork, limits, a system call filter, exec. Between fork and exec only system calls are made: other
// threads may have held any lock.
#include "base/sandboxed_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <system_error>
#include <utility>

namespace reckon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kEndWaitMs = 2;
constexpr rlim_t kMaxFiles = 64;
constexpr rlim_t kMaxProcesses = 512;
constexpr rlim_t kMaxFileBytes = 16 << 20;

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

// Younger than the headers may be; the same on all architectures.
constexpr uint32_t kCallFchmodat2 = 452;
constexpr uint32_t kCallSetxattrat = 463;
constexpr uint32_t kCallRemovexattrat = 466;
constexpr uint32_t kCallFileSetattr = 469;
constexpr uint64_t kLandlockTruncate = uint64_t{1} << 14;
constexpr uint64_t kLandlockIoctlDev = uint64_t{1} << 15;

constexpr uint32_t kDeniedCalls[] = {
    // Sockets, and what makes them and opens files too.
    __NR_socket,
    __NR_io_uring_setup,
    // Leaving the process group.
    __NR_setsid,
    __NR_setpgid,
    // Other processes.
    __NR_ptrace,
    __NR_process_vm_readv,
    __NR_process_vm_writev,
    __NR_kcmp,
    __NR_pidfd_open,
    __NR_pidfd_send_signal,  // takes an open /proc/PID as well
    __NR_kill,
    __NR_tgkill,
    __NR_tkill,
    __NR_rt_sigqueueinfo,
    __NR_rt_tgsigqueueinfo,
    __NR_setpriority,
    __NR_ioprio_set,
    // What Landlock doesn't know about files: modes, owners, attributes, times.
    __NR_fchmod,
    __NR_fchmodat,
    kCallFchmodat2,
    __NR_fchown,
    __NR_fchownat,
    __NR_setxattr,
    __NR_lsetxattr,
    __NR_fsetxattr,
    kCallSetxattrat,
    __NR_removexattr,
    __NR_lremovexattr,
    __NR_fremovexattr,
    kCallRemovexattrat,
    kCallFileSetattr,
    __NR_utimensat,
#if defined(__x86_64__)
    __NR_chmod,
    __NR_chown,
    __NR_lchown,
    __NR_utime,
    __NR_utimes,
    __NR_futimesat,
#endif
    // Landlock before its version 3 lets files be cut. openat2's flags are out of a filter's sight.
    __NR_truncate,
    __NR_openat2,
};

constexpr uint32_t kSocketTypes = 0xf;  // beside flags

struct DeniedUse {
  uint32_t call;
  uint32_t argument;
  uint32_t mask;
  uint32_t value;
};
constexpr DeniedUse kDeniedUses[] = {
    // Cuts a file without opening it for writing; access mode 3 is for neither reading nor writing.
    {__NR_openat, 2, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY},
    {__NR_openat, 2, O_TRUNC | O_ACCMODE, O_TRUNC | 3},
#if defined(__x86_64__)
    {__NR_open, 1, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY},
    {__NR_open, 1, O_TRUNC | O_ACCMODE, O_TRUNC | 3},
#endif
    // Attributes once more.
    {__NR_ioctl, 1, ~0u, FS_IOC_SETFLAGS},
    {__NR_ioctl, 1, ~0u, FS_IOC_FSSETXATTR},
    // Signals to another process when there is news from a file.
    {__NR_fcntl, 1, ~0u, F_SETOWN},
    {__NR_fcntl, 1, ~0u, F_SETOWN_EX},
    {__NR_ioctl, 1, ~0u, FIOSETOWN},
    {__NR_ioctl, 1, ~0u, SIOCSPGRP},
    // Pairs whose ends can send elsewhere later; those of streams can't.
    {__NR_socketpair, 1, kSocketTypes, SOCK_DGRAM},
    {__NR_socketpair, 1, kSocketTypes, SOCK_RAW},
    {__NR_socketpair, 1, kSocketTypes, SOCK_RDM},
};

// With 0 as the first argument, itself, alone.
constexpr uint32_t kOwnCalls[] = {
    __NR_prlimit64,      __NR_sched_setaffinity, __NR_sched_setscheduler,
    __NR_sched_setparam, __NR_sched_setattr,
};

constexpr uint32_t kDenied = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kNumber = offsetof(seccomp_data, nr);

struct Filter {
  std::array<sock_filter, 256> code{};
  uint16_t size = 0;

  constexpr void load(uint32_t offset) {
    code[size++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
  }
  // The lower half of an argument: the kernel looks at no more of the numbers and flags above.
  constexpr void load_argument(uint32_t i) {
    load(static_cast<uint32_t>(offsetof(seccomp_data, args) + i * sizeof(uint64_t)));
  }
  constexpr void give(uint32_t verdict) { code[size++] = BPF_STMT(BPF_RET | BPF_K, verdict); }
  // The next n instructions run if the loaded word is this one.
  constexpr void if_equal(uint32_t value, uint8_t n) {
    code[size++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n);
  }
};

// Other architectures' calls, among them x32's, end the process.
constexpr Filter make_filter() {
  Filter filter;
  filter.load(offsetof(seccomp_data, arch));
  filter.code[filter.size++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0);
  filter.give(SECCOMP_RET_KILL_PROCESS);
  filter.load(kNumber);
#if defined(__x86_64__)
  filter.code[filter.size++] = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
  filter.give(SECCOMP_RET_KILL_PROCESS);
#endif
  for (const uint32_t call : kDeniedCalls) {
    filter.if_equal(call, 1);
    filter.give(kDenied);
  }
  for (const DeniedUse& use : kDeniedUses) {
    filter.if_equal(use.call, 5);
    filter.load_argument(use.argument);
    filter.code[filter.size++] = BPF_STMT(BPF_ALU | BPF_AND | BPF_K, use.mask);
    filter.if_equal(use.value, 1);
    filter.give(kDenied);
    filter.load(kNumber);
  }
  for (const uint32_t call : kOwnCalls) {
    filter.if_equal(call, 4);
    filter.load_argument(0);
    filter.if_equal(0, 1);
    filter.give(SECCOMP_RET_ALLOW);
    filter.give(kDenied);
  }
  filter.give(SECCOMP_RET_ALLOW);
  return filter;
}
constexpr Filter kFilter = make_filter();

void limit(int resource, rlim_t value) {
  const rlimit both{.rlim_cur = value, .rlim_max = value};
  setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

// Keeps the files as they are where the kernel knows Landlock: only /dev/null may be written.
// Moving and linking between folders is denied by any set of rules.
void protect_files() {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                            LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                            LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                            LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  if (version >= 3) rules.handled_access_fs |= kLandlockTruncate;
  if (version >= 5) rules.handled_access_fs |= kLandlockIoctlDev;  // a terminal's settings
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

// Whether RLIMIT_NPROC counts a user namespace's processes by themselves, as Linux does from 5.14
// on. Before, it counts all threads of the user, who may be running any number.
bool namespaces_count_processes() {
  utsname system{};
  if (uname(&system) != 0) return false;
  const char* const end = system.release + std::strlen(system.release);
  std::pair<int, int> version;
  const auto [dot, error] = std::from_chars(system.release, end, version.first);
  if (error != std::errc() || dot == end) return false;
  return std::from_chars(dot + 1, end, version.second).ec == std::errc() &&
         version >= std::pair(5, 14);
}

// What a child is to become.
struct Role {
  const char* program;
  int in;       // becomes its standard input
  int out;      // becomes its standard output
  int failure;  // where a StartFailure goes
  pid_t parent;
  rlim_t seconds;
  rlim_t memory_bytes;
  bool limits_processes;
};

// What a child says that could not become its program.
struct StartFailure {
  bool shut_in;
  int error;
};

// All files above the standard streams but one.
void close_others(int kept) {
  const auto fd = static_cast<unsigned>(kept);
  if ((fd == 3 || syscall(SYS_close_range, 3u, fd - 1, 0u) == 0) &&
      syscall(SYS_close_range, fd + 1, ~0u, 0u) == 0) {
    return;
  }
  for (int other = 3; other < 65536; ++other) {
    if (other != kept) close(other);
  }
}

// In the child. Returns only if that fails: whether it was shut in by then. errno says why.
bool become(const Role& role) {
  // A group of its own, and without our terminal, whose input and settings would be open to it.
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != role.parent) return false;  // too late for that signal
  if (dup2(role.in, 0) < 0 || dup2(role.out, 1) < 0) return false;
  const int nothing = open("/dev/null", O_WRONLY);
  if (nothing < 0 || dup2(nothing, 2) < 0) return false;
  close_others(role.failure);
  // Handlers go with exec; what is ignored or blocked would stay.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  limit(RLIMIT_CPU, role.seconds);
  limit(RLIMIT_AS, role.memory_bytes);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, kMaxFiles);
  limit(RLIMIT_FSIZE, kMaxFileBytes);
  if (chdir("/") != 0) return false;
  // An empty network where namespaces are to be had; the filter keeps sockets off everywhere.
  const bool apart = unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) == 0;
  if (apart && role.limits_processes) limit(RLIMIT_NPROC, kMaxProcesses);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  protect_files();
  const sock_fprog filter{.len = kFilter.size,
                          .filter = const_cast<sock_filter*>(kFilter.code.data())};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return false;
  char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
  char locale[] = "LC_ALL=C.UTF-8";
  char* environment[] = {path, locale, nullptr};
  char* arguments[] = {const_cast<char*>(role.program), nullptr};
  execve(role.program, arguments, environment);
  return true;
}

[[noreturn]] void live(const Role& role) {
  StartFailure failure{};
  failure.shut_in = become(role);
  failure.error = errno;
  [[maybe_unused]] const ssize_t n = write(role.failure, &failure, sizeof failure);
  _exit(1);
}

// Whether the child is there to be waited for. Where SIGCHLD is ignored one that has ended is not:
// its number may be another's by then. info: si_pid is 0 as long as it runs.
bool look_at(pid_t pid, siginfo_t& info) {
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
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
  std::array<int, 2> failure{-1, -1};
  SandboxedChild child;
  const bool opened = open_pipe(in) && open_pipe(out) && open_pipe(failure);
  child.in_ = in[1];
  child.out_ = out[0];
  child.failure_ = failure[0];
  if (!opened) {
    const int error = errno;
    for (int* fd : {&in[0], &out[1], &failure[1]}) close_fd(*fd);
    return failed(fmt::format("{}: no pipe: {}", program, std::strerror(error)));
  }
  child.input_ = std::move(input);
  child.limits_ = limits;
  child.deadline_ = Clock::now() + std::chrono::milliseconds(limits.time_ms);
  const Role role{.program = program.c_str(),
                  .in = in[0],
                  .out = out[1],
                  .failure = failure[1],
                  .parent = getpid(),
                  .seconds = static_cast<rlim_t>((limits.time_ms + 999) / 1000),
                  .memory_bytes = static_cast<rlim_t>(limits.memory_bytes),
                  .limits_processes = namespaces_count_processes()};
  const pid_t pid = fork();
  if (pid == 0) live(role);
  const int error = errno;
  for (const int fd : {in[0], out[1], failure[1]}) close(fd);
  if (pid < 0) return failed(fmt::format("{}: no process: {}", program, std::strerror(error)));
  child.pid_ = pid;
  for (const int fd : {child.in_, child.out_, child.failure_}) fcntl(fd, F_SETFL, O_NONBLOCK);
  return child;
}

SandboxedChild::SandboxedChild(SandboxedChild&& other) noexcept { *this = std::move(other); }

SandboxedChild& SandboxedChild::operator=(SandboxedChild&& other) noexcept {
  if (this == &other) return *this;
  kill_all();
  pid_ = std::exchange(other.pid_, -1);
  in_ = std::exchange(other.in_, -1);
  out_ = std::exchange(other.out_, -1);
  failure_ = std::exchange(other.failure_, -1);
  input_ = std::move(other.input_);
  n_fed_ = other.n_fed_;
  output_ = std::move(other.output_);
  limits_ = other.limits_;
  deadline_ = other.deadline_;
  return *this;
}

SandboxedChild::~SandboxedChild() { kill_all(); }

// The group's other members too. The leader is reaped after that, so its number is still its own.
// It may not have a group yet.
void SandboxedChild::kill_all() noexcept {
  close_fd(in_);
  close_fd(out_);
  close_fd(failure_);
  siginfo_t info{};
  if (pid_ >= 0 && look_at(pid_, info)) {
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
}

std::optional<Result<std::string>> SandboxedChild::poll(int wait_ms) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
  const auto wait =
      static_cast<int>(std::min<int64_t>(wait_ms, std::max<int64_t>(left.count(), 0)));
  std::array<pollfd, 2> fds{pollfd{.fd = out_, .events = POLLIN, .revents = 0},
                            pollfd{.fd = in_, .events = POLLOUT, .revents = 0}};
  ::poll(fds.data(), fds.size(), wait);
  feed();
  if (const Status drained = drain(); !drained.ok()) {
    kill_all();
    return drained.error();
  }
  if (out_ < 0) {
    // Its output is closed; it may take a moment to end.
    if (auto ended = ending()) return ended;
    ::poll(nullptr, 0, std::min(wait, kEndWaitMs));
  }
  // Only now: who polls may be late, and what came until then counts.
  if (Clock::now() < deadline_) return std::nullopt;
  kill_all();
  return child_error(fmt::format("did not end within {} ms", limits_.time_ms));
}

// What came of it, if it has ended. Whom it left behind ends too.
std::optional<Result<std::string>> SandboxedChild::ending() {
  siginfo_t info{};
  const bool known = look_at(pid_, info);
  if (known && info.si_pid == 0) return std::nullopt;
  StartFailure failure{};
  const bool started = read(failure_, &failure, sizeof failure) != sizeof failure;
  kill_all();
  if (!started) {
    return child_error(fmt::format("could not be {}: {}", failure.shut_in ? "started" : "shut in",
                                   std::strerror(failure.error)));
  }
  if (!known) return child_error("ended, but SIGCHLD is ignored and its exit code lost");
  if (info.si_code != CLD_EXITED) {
    return child_error(fmt::format("was ended by signal {}", info.si_status));
  }
  if (info.si_status != 0) {
    return child_error(fmt::format("ended with exit code {}", info.si_status));
  }
  return std::move(output_);
}

void SandboxedChild::feed() {
  while (in_ >= 0 && n_fed_ < input_.size()) {
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
  while (out_ >= 0) {
    const ssize_t n = read(out_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n <= 0) {
      close_fd(out_);
      break;
    }
    if (static_cast<int64_t>(output_.size()) + n > limits_.output_bytes) {
      return child_error(fmt::format("wrote more than {} bytes", limits_.output_bytes));
    }
    output_.append(buffer.data(), static_cast<size_t>(n));
  }
  return {};
}

}  // namespace reckon
