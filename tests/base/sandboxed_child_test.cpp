// Programs that behave and programs that don't.
#include "base/sandboxed_child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

namespace reckon {
namespace {

using ::testing::HasSubstr;

const std::string kPython = "/usr/bin/python3";

// 0 where the kernel has none.
long landlock_version() {
  return std::max(
      0L, syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

class SandboxedChildTest : public ::testing::Test {
 protected:
  SandboxedChildTest() {
    std::string name = ::testing::TempDir() + "/childXXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~SandboxedChildTest() override { std::filesystem::remove_all(folder_); }

  std::string program(const std::string& script, const std::string& interpreter = "/bin/sh") {
    const std::string path = folder_ + "/program";
    std::ofstream(path) << "#!" << interpreter << '\n' << script << '\n';
    chmod(path.c_str(), 0755);
    return path;
  }
  static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static Result<std::string> run(const std::string& path, const std::string& input,
                                 const ChildLimits& limits = {.time_ms = 20'000}) {
    Result<SandboxedChild> child = SandboxedChild::start(path, input, limits);
    if (!child.ok()) return child.error();
    for (;;) {
      if (auto done = child->poll(50)) return *std::move(done);
    }
  }
  void expect_error(const std::string& script, const std::string& what,
                    const ChildLimits& limits = {.time_ms = 20'000}) {
    const Result<std::string> done = run(program(script), "x\n", limits);
    ASSERT_FALSE(done.ok()) << script << ": " << *done;
    EXPECT_THAT(done.error().message, HasSubstr(what)) << script;
  }
  std::string folder_;
};

TEST_F(SandboxedChildTest, GetsATextAndGivesOne) {
  EXPECT_EQ(*run(program("read line; echo \"got $line\""), "a question\n"), "got a question\n");
  EXPECT_EQ(*run(program("exit 0"), "unread\n"), "");
  const std::string large(200'000, 'x');
  EXPECT_EQ(*run(program("wc -c"), large), "200000\n");
  EXPECT_EQ(*run(program("exit 0"), large), "") << "nobody reads: no signal";
}

TEST_F(SandboxedChildTest, HangsCrashesFloods) {
  expect_error("exit 3", "exit code 3");
  expect_error("exit 126", "exit code 126");
  expect_error("ulimit -c 0; exec /no/such/thing", "ended with exit code 127");
  expect_error("yes", "wrote more than");
  expect_error("yes >&2", "did not end within", {.time_ms = 300});
  expect_error("sleep 100", "did not end within 300 ms", {.time_ms = 300});
  expect_error("trap '' TERM INT HUP; while :; do :; done", "did not end", {.time_ms = 300});
  expect_error("exec >&-; sleep 100", "did not end", {.time_ms = 300});
  expect_error("sleep 100 & exit 0", "did not end", {.time_ms = 300});
}

TEST_F(SandboxedChildTest, IsEndedByASignal) {
  if (!std::filesystem::exists(kPython)) GTEST_SKIP() << "no python";
  const Result<std::string> done = run(program("import os\nos.abort()", kPython), "");
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().message, HasSubstr("was ended by signal"));
}

TEST_F(SandboxedChildTest, CantBeStarted) {
  const auto expect_not_started = [](const std::string& path, const std::string& why) {
    const Result<std::string> done = run(path, "x\n");
    ASSERT_FALSE(done.ok()) << path;
    EXPECT_THAT(done.error().message, HasSubstr("could not be started: " + why)) << path;
  };
  expect_not_started(folder_ + "/absent", "No such file");
  expect_not_started(folder_, "Permission denied");
  expect_not_started(program("exit 0", "/no/such/interpreter"), "No such file");
}

TEST_F(SandboxedChildTest, AskedLate) {
  Result<SandboxedChild> child =
      SandboxedChild::start(program("read line; echo \"got $line\""), "x\n", {.time_ms = 2000});
  ASSERT_TRUE(child.ok());
  EXPECT_FALSE(child->poll(0).has_value()) << "gives it its input";
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  const auto done = child->poll(0);
  ASSERT_TRUE(done.has_value());
  ASSERT_TRUE(done->ok()) << done->error().message;
  EXPECT_EQ(**done, "got x\n");
}

TEST_F(SandboxedChildTest, AmongProcessesThatAreNotWaitedFor) {
  struct Ignoring {
    Ignoring() { signal(SIGCHLD, SIG_IGN); }
    ~Ignoring() { signal(SIGCHLD, SIG_DFL); }
  } ignoring;
  expect_error("exit 0", "exit code lost");
  expect_error("sleep 100", "did not end within 300 ms", {.time_ms = 300});
  // Its end goes unnoticed while another holds its output.
  expect_error("sleep 1 & exit 0", "did not end", {.time_ms = 300});
  const Result<std::string> absent = run(folder_ + "/absent", "");
  EXPECT_THAT(absent.error().message, HasSubstr("could not be started"));
}

TEST_F(SandboxedChildTest, EndsWhateverItLeftBehind) {
  const std::string mark = "77" + std::to_string(getpid());
  expect_error("setsid sleep " + mark + " & nohup sleep " + mark + " & sleep 100", "did not end",
               {.time_ms = 500});
  // Killed, though perhaps not gone yet.
  for (int i = 0; i < 100; ++i) {
    if (std::system(("pgrep -f 'sleep " + mark + "' | grep -v $$ > /dev/null").c_str()) != 0)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ADD_FAILURE() << "still running";
}

TEST_F(SandboxedChildTest, MemoryIsLimited) {
  const ChildLimits limits{.time_ms = 20'000, .memory_bytes = int64_t{64} << 20};
  // dd wants a buffer of 256 MiB.
  const Result<std::string> done =
      run(program("dd if=/dev/zero of=/dev/null bs=256M count=1"), "", limits);
  EXPECT_FALSE(done.ok());
  EXPECT_TRUE(run(program("dd if=/dev/zero of=/dev/null bs=1M count=1"), "", limits).ok());
}

TEST_F(SandboxedChildTest, HasNoNetworkNoEnvironmentNoFiles) {
  setenv("RECKON_SECRET", "42", 1);
  const std::string environment = *run(program("env"), "");
  unsetenv("RECKON_SECRET");
  EXPECT_THAT(environment, Not(HasSubstr("SECRET")));
  const std::string files = *run(program("ls /proc/self/fd | wc -l; pwd"), "");
  EXPECT_EQ(files, "4\n/\n") << "0, 1, 2 and ls's own";
}

TEST_F(SandboxedChildTest, HasASessionOfItsOwn) {
  // pid (name) state parent group session terminal
  const std::string script =
      "set -- $(cat /proc/$$/stat); [ $5 = $1 ] && [ $6 = $1 ] && [ $7 = 0 ] && echo yes";
  EXPECT_EQ(*run(program(script), ""), "yes\n");
}

TEST_F(SandboxedChildTest, HasNoSockets) {
  if (!std::filesystem::exists(kPython)) GTEST_SKIP() << "no python";
  const std::string script = R"(import socket
def attempt(what):
  try:
    what()
    print('open')
  except OSError:
    print('shut')
attempt(socket.socket)
attempt(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt(socket.socketpair))";
  EXPECT_EQ(*run(program(script, kPython), ""), "shut\nshut\nopen\n") << "streams within itself";
}

TEST_F(SandboxedChildTest, CantSignalUs) {
  const std::string pid = std::to_string(getpid());
  const Result<std::string> done = run(program("kill -9 " + pid + " && echo done; exit 0"), "");
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(*done, "");
}

TEST_F(SandboxedChildTest, CantSignalUsInOtherWays) {
  if (!std::filesystem::exists(kPython)) GTEST_SKIP() << "no python";
  // 424 is pidfd_send_signal everywhere; signal 0 asks whether one might.
  const std::string script = R"(import ctypes, fcntl, os
us = PID
call = ctypes.CDLL(None, use_errno=True).syscall
print(call(424, os.open(f'/proc/{us}', os.O_RDONLY), 0, None, 0), ctypes.get_errno())
try:
  fcntl.fcntl(0, 8, us)  # F_SETOWN
  print('owned')
except PermissionError:
  print('shut'))";
  std::string ours = script;
  ours.replace(ours.find("PID"), 3, std::to_string(getpid()));
  EXPECT_EQ(*run(program(ours, kPython), ""), "-1 1\nshut\n");
}

TEST_F(SandboxedChildTest, CantChangeFiles) {
  if (landlock_version() == 0) GTEST_SKIP() << "the kernel has no Landlock";
  const std::string file = folder_ + "/file";
  std::ofstream(file) << "text";
  std::filesystem::create_directory(folder_ + "/empty");
  const std::string script =
      "cd " + folder_ +
      "; for c in 'echo x > file' 'echo x >> file' 'echo x > new' 'truncate -s 0 file' 'rm file' "
      "'mv file moved' 'mv file empty' 'ln file linked' 'ln file empty/linked' 'ln -s file soft' "
      "'mkdir folder' 'rmdir empty' 'mkfifo pipe'; do sh -c \"$c\" && echo \"$c\"; done; exit 0";
  EXPECT_EQ(*run(program(script), ""), "");
  EXPECT_EQ(content(file), "text");
  EXPECT_EQ(*run(program("echo x > /dev/null && echo yes"), ""), "yes\n");
}

TEST_F(SandboxedChildTest, CantCutFilesThatItReads) {
  if (!std::filesystem::exists(kPython)) GTEST_SKIP() << "no python";
  const std::string file = folder_ + "/file";
  std::ofstream(file) << "text";
  const std::string script = "name = '" + file + R"('
import os
def attempt(what):
  try:
    what()
  except OSError:
    print('shut')
attempt(lambda: os.truncate(name, 0))
attempt(lambda: os.open(name, os.O_RDONLY | os.O_TRUNC))
attempt(lambda: os.open(name, 3 | os.O_TRUNC)))";
  EXPECT_EQ(*run(program(script, kPython), ""), "shut\nshut\nshut\n");
  EXPECT_EQ(content(file), "text");
}

// By the filter, whether there is Landlock or not.
TEST_F(SandboxedChildTest, CantChangeWhatIsKnownAboutFiles) {
  const std::string file = folder_ + "/file";
  std::ofstream(file) << "text";
  struct stat before{};
  ASSERT_EQ(stat(file.c_str(), &before), 0);
  const std::string script =
      "cd " + folder_ +
      "; for c in 'chmod 777 file' 'chmod 777 .' 'chown $(id -u) file' 'touch -d @1 file' "
      "'setfattr -n user.x -v 1 file' 'chattr +d file'; do sh -c \"$c\" && echo \"$c\"; done; exit "
      "0";
  EXPECT_EQ(*run(program(script), ""), "");
  struct stat after{};
  ASSERT_EQ(stat(file.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
  EXPECT_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
}

TEST_F(SandboxedChildTest, HasProcessesWhateverElseTheUserRuns) {
  constexpr int kThreads = 600;
  std::latch done(1);
  std::vector<std::jthread> threads;
  try {
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([&] { done.wait(); });
  } catch (const std::system_error&) {
    done.count_down();
    GTEST_SKIP() << "so many threads are not to be had";
  }
  const Result<std::string> result = run(program("(echo a) | cat; echo b | cat"), "");
  done.count_down();
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(*result, "a\nb\n");
}

TEST_F(SandboxedChildTest, CanBeGivenUp) {
  Result<SandboxedChild> child = SandboxedChild::start(program("sleep 100"), "", {});
  ASSERT_TRUE(child.ok());
  EXPECT_FALSE(child->poll(1).has_value());
  SandboxedChild other = *std::move(child);
  EXPECT_FALSE(other.poll(1).has_value());
}

}  // namespace
}  // namespace reckon
