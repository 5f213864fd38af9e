// Programs that behave and programs that don't.
#include "base/sandboxed_child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace reckon {
namespace {

using ::testing::HasSubstr;

class SandboxedChildTest : public ::testing::Test {
 protected:
  SandboxedChildTest() {
    std::string name = ::testing::TempDir() + "/childXXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~SandboxedChildTest() override { std::filesystem::remove_all(folder_); }

  std::string program(const std::string& script) {
    const std::string path = folder_ + "/program";
    std::ofstream(path) << "#!/bin/sh\n" << script << '\n';
    chmod(path.c_str(), 0755);
    return path;
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
  expect_error("ulimit -c 0; exec /no/such/thing", "exit code");
  expect_error("yes", "wrote more than");
  expect_error("yes >&2", "did not end within", {.time_ms = 300});
  expect_error("sleep 100", "did not end within 300 ms", {.time_ms = 300});
  expect_error("trap '' TERM INT HUP; while :; do :; done", "did not end", {.time_ms = 300});
  expect_error("exec >&-; sleep 100", "did not end", {.time_ms = 300});
  expect_error("sleep 100 & exit 0", "did not end", {.time_ms = 300});
  EXPECT_FALSE(run(folder_ + "/absent", "x").ok());
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
  if (std::filesystem::exists("/usr/bin/python3")) {
    const std::string script = folder_ + "/net.py";
    std::ofstream(script) << "#!/usr/bin/python3\nimport socket\ntry:\n  socket.socket()\n"
                             "  print('open')\nexcept OSError:\n  print('shut')\n";
    chmod(script.c_str(), 0755);
    EXPECT_EQ(*run(script, ""), "shut\n");
  }
}

TEST_F(SandboxedChildTest, CantSignalUs) {
  const std::string pid = std::to_string(getpid());
  const Result<std::string> done = run(program("kill -9 " + pid + " && echo done; exit 0"), "");
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(*done, "");
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
