// Files: what is no readable regular file is refused, a write that fails leaves the target and the
// folder as they were, and a mapped file that shrinks ends the program with a message.
#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace reckon {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "reckon-file-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string contents(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_))
      names.push_back(entry.path().filename());
    return names;
  }

  fs::path folder_;
};

std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(FileTest, ReadsAndMapsTheSameBytes) {
  const std::string text("a\0b\xff\n", 5);
  ASSERT_TRUE(write_file(path("f"), text).ok());
  EXPECT_EQ(*read_file(path("f"), 5), text);
  const MappedFile mapped = std::move(MappedFile::open(path("f"))).value();
  EXPECT_EQ(as_text(mapped.bytes()), text);
  EXPECT_EQ(mapped.path(), path("f"));
}

TEST_F(FileTest, MapsAnEmptyFileToAnEmptySpan) {
  ASSERT_TRUE(write_file(path("f"), "").ok());
  EXPECT_TRUE(std::move(MappedFile::open(path("f"))).value().bytes().empty());
  EXPECT_EQ(*read_file(path("f"), 0), "");
}

TEST_F(FileTest, RefusesMissingFilesFoldersAndPipes) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  for (const std::string& name : {path("missing"), folder_.string(), path("pipe")}) {
    const auto mapped = MappedFile::open(name);
    ASSERT_FALSE(mapped.ok());
    EXPECT_EQ(mapped.error().kind, ErrorKind::kBadFile);
    EXPECT_EQ(mapped.error().message.rfind(name + ": ", 0), 0u) << mapped.error().message;
    EXPECT_FALSE(read_file(name, 100).ok());
  }
}

TEST_F(FileTest, NothingButAFileIsReplaced) {
  const std::string pipe = path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string link = path("link");
  ASSERT_EQ(::symlink(pipe.c_str(), link.c_str()), 0);
  for (const std::string& name : {pipe, link}) {
    const Status written = write_file(name, "x");
    ASSERT_FALSE(written.ok());
    EXPECT_NE(written.error().message.find("found a device or a pipe"), std::string::npos);
  }
  const Status written = write_file(path("."), "x");
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find("found a folder"), std::string::npos);
}

TEST_F(FileTest, RefusesToReadMoreThanTheLimit) {
  ASSERT_TRUE(write_file(path("f"), "123456").ok());
  const auto text = read_file(path("f"), 5);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().message, path("f") + ": expected at most 5 bytes, found 6");
}

TEST_F(FileTest, AdviceOutsideTheFileDoesNoHarm) {
  ASSERT_TRUE(write_file(path("f"), std::string(10000, 'x')).ok());
  const MappedFile mapped = std::move(MappedFile::open(path("f"))).value();
  mapped.advise(5000, SIZE_MAX, MappedFile::Advice::kWillNeed);
  mapped.advise(SIZE_MAX, 1, MappedFile::Advice::kDontNeed);
  mapped.advise(0, 0, MappedFile::Advice::kRandom);
  EXPECT_EQ(mapped.bytes()[9999], std::byte{'x'});
}

TEST_F(FileTest, WritesLargeAndSmallPiecesInOrder) {
  std::string expected;
  AtomicFileWriter writer = std::move(AtomicFileWriter::create(path("f"))).value();
  for (int i = 0; i < 40; ++i) {
    const std::string piece(static_cast<size_t>(i) * 7001, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(writer.write(piece).ok());
    expected += piece;
    EXPECT_EQ(writer.offset(), expected.size());
  }
  ASSERT_TRUE(writer.commit().ok());
  EXPECT_EQ(contents("f"), expected);
  EXPECT_EQ(names(), std::vector<std::string>{"f"});
}

TEST_F(FileTest, WithoutCommitTheTargetStays) {
  ASSERT_TRUE(write_file(path("f"), "old").ok());
  {
    AtomicFileWriter writer = std::move(AtomicFileWriter::create(path("f"))).value();
    ASSERT_TRUE(writer.write(std::string(3 << 20, 'n')).ok());
    EXPECT_EQ(names().size(), 2u);
    EXPECT_EQ(contents("f"), "old");
  }
  EXPECT_EQ(contents("f"), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"f"});
}

TEST_F(FileTest, TwoWritersOfOneTargetDoNotMix) {
  AtomicFileWriter first = std::move(AtomicFileWriter::create(path("f"))).value();
  AtomicFileWriter second = std::move(AtomicFileWriter::create(path("f"))).value();
  ASSERT_TRUE(first.write("first").ok());
  ASSERT_TRUE(second.write("second").ok());
  ASSERT_TRUE(first.commit().ok());
  EXPECT_EQ(contents("f"), "first");
  ASSERT_TRUE(second.commit().ok());
  EXPECT_EQ(contents("f"), "second");
  EXPECT_EQ(names(), std::vector<std::string>{"f"});
}

TEST_F(FileTest, TheRightsAreThoseOfTheUsersMask) {
  const mode_t before = ::umask(027);
  const bool written = write_file(path("f"), "x").ok();
  ::umask(before);
  ASSERT_TRUE(written);
  struct stat info{};
  ASSERT_EQ(::stat(path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

// A full disk, played by the limit on a file's size: every later call fails as well, nothing stays.
TEST_F(FileTest, AFailedWriteStaysFailedAndLeavesNothing) {
  ASSERT_TRUE(write_file(path("f"), "old").ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 100000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  AtomicFileWriter writer = std::move(AtomicFileWriter::create(path("f"))).value();
  const Status written = writer.write(std::string(4 << 20, 'n'));
  const Status again = writer.write("more");
  const Status committed = writer.commit();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, path("f") + ": can't be written: File too large");
  EXPECT_FALSE(again.ok());
  EXPECT_FALSE(committed.ok());
  EXPECT_EQ(contents("f"), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"f"});
}

TEST_F(FileTest, AMissingFolderIsAnErrorThatNamesTheFile) {
  const Status written = write_file(path("no/such/f"), "x");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message.rfind(path("no/such/f") + ": ", 0), 0u);
}

// The last page of a shortened file reads as zeros and raises nothing: only this check can tell.
TEST_F(FileTest, AChangedFileIsNoticed) {
  ASSERT_TRUE(write_file(path("f"), std::string(10000, 'x')).ok());
  MappedFile mapped = std::move(MappedFile::open(path("f"))).value();
  EXPECT_TRUE(mapped.check_unchanged().ok());
  fs::resize_file(path("f"), 9999);
  EXPECT_EQ(mapped.bytes()[9999], std::byte{0});
  const Status shortened = mapped.check_unchanged();
  ASSERT_FALSE(shortened.ok());
  EXPECT_EQ(shortened.error().message,
            path("f") + ": its size changed while in use: expected 10000 bytes, found 9999");

  mapped = std::move(MappedFile::open(path("f"))).value();
  EXPECT_TRUE(mapped.check_unchanged().ok());
  fs::last_write_time(path("f"), fs::last_write_time(path("f")) + std::chrono::seconds(2));
  EXPECT_FALSE(mapped.check_unchanged().ok());

  // Replacing the name, as writers do, leaves the mapped file alone.
  mapped = std::move(MappedFile::open(path("f"))).value();
  ASSERT_TRUE(write_file(path("f"), "new").ok());
  EXPECT_TRUE(mapped.check_unchanged().ok());
  EXPECT_TRUE(MappedFile().check_unchanged().ok());
}

TEST_F(FileTest, AMappedFileThatShrinksEndsTheProgramWithAMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ASSERT_TRUE(write_file(path("f"), std::string(1 << 20, 'x')).ok());
  const auto read_the_end = [&] {
    install_mapped_file_guard();
    const MappedFile mapped = std::move(MappedFile::open(path("f"))).value();
    fs::resize_file(path("f"), 4096);
    const volatile std::byte* last = &mapped.bytes()[(1 << 20) - 1];
    std::fprintf(stderr, "read %d", static_cast<int>(*last));
  };
  EXPECT_EXIT(read_the_end(), testing::ExitedWithCode(1), "shortened or its disk failed");
}

// A writer that was killed left its half beside the file; the next writer of that file takes it
// away, but not that of one that is still at work, in this process or (told by the lock) in a
// container whose process numbers are others.
TEST_F(FileTest, WhatKilledWritersLeftIsRemoved) {
  const pid_t child = ::fork();
  if (child == 0) {
    const Result<AtomicFileWriter> killed = AtomicFileWriter::create(path("a"));
    ::_exit(killed.ok() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  const std::string left = "a.tmp-" + std::to_string(child) + "-0";
  ASSERT_EQ(names(), std::vector<std::string>{left});

  const std::string locked = "a.tmp-" + std::to_string(child) + "-1";
  std::ofstream(path(locked)) << "half";
  const int fd = ::open(path(locked).c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  Result<AtomicFileWriter> at_work = AtomicFileWriter::create(path("a"));
  ASSERT_TRUE(at_work.ok());
  ASSERT_TRUE(write_file(path("a"), "whole").ok());
  EXPECT_FALSE(fs::exists(path(left)));
  EXPECT_TRUE(fs::exists(path(locked)));
  ASSERT_TRUE(at_work->commit().ok());
  ::close(fd);
  remove_abandoned_writes(path("a"));
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace reckon
