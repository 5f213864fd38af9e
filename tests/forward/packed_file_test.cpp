// Packed weights kept in a file: the same logits from it, and never anything from one that is
// stale, damaged, foreign or half written.
#include "model/packed_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/content_hash.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "forward/cpu_decoder.h"
#include "kernels/packed.h"
#include "tests/forward/tiny_model.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using State = KeptWeights::State;

class PackedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!(*kernels::default_table())->reads_packed) GTEST_SKIP() << "nothing is packed here";
    folder_ = ::testing::TempDir() + "reckon_packed_" + std::to_string(::getpid());
    fs::remove_all(folder_);
    write_source(7);
  }
  void TearDown() override {
    fs::remove_all(folder_);
    fs::remove(source_);
  }

  // Of another seed, it has the same size, names and shapes. The time is set apart: two writes can
  // fall into one tick of the file system's clock.
  void write_source(uint64_t seed) {
    const std::string path = test::write_tiny_model(spec_, seed);
    if (source_.empty()) source_ = path;
    fs::rename(path, source_);
    fs::last_write_time(source_, fs::file_time_type::clock::now() + std::chrono::seconds(seed));
  }

  // Loads and computes; the state that the load came to is expected.
  std::vector<float> logits(State expected, const std::string& folder) {
    const std::shared_ptr<Model> model = test::open_tiny_model(source_);
    const Result<KeptWeights> kept = model->read_weights(true, pool_, {}, folder);
    EXPECT_TRUE(kept.ok());
    EXPECT_EQ(kept->state, expected) << kept->problem;
    EXPECT_EQ(kept->problem.empty(), expected != State::kFailed);
    return run(model);
  }
  std::vector<float> logits(State expected) { return logits(expected, folder_); }

  std::vector<float> run(const std::shared_ptr<const Model>& model) {
    auto decoder = CpuDecoder::create(
        model, {.n_pages = 1, .n_threads = 2, .kernels = *kernels::default_table()});
    EXPECT_TRUE(decoder.ok());
    const std::vector<TokenId> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
    const std::vector<PageId> pages = {0};
    const SequenceStep step = {
        .tokens = tokens, .first_position = 0, .pages = pages, .n_logits = 8};
    std::vector<float> out(8 * static_cast<size_t>(spec_.vocab_size));
    EXPECT_TRUE((*decoder)->step({&step, 1}, out).ok());
    return out;
  }

  PackedFile file() { return {folder_, *source_file(), 1}; }
  std::shared_ptr<const GgufFile> source_file() { return *GgufFile::open(source_); }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  std::string only_packed() const {
    const std::vector<std::string> found = names();
    EXPECT_EQ(found.size(), 2u);
    EXPECT_EQ(found.back(), "lock");
    return folder_ + "/" + found.front();
  }

  test::TinyModelSpec spec_{.type = TensorType::kQ4_K};
  std::string folder_;
  std::string source_;
  ThreadPool pool_{2};
};

std::vector<std::byte> some_bytes(size_t n, uint64_t seed) {
  test::Random random(seed);
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.bits() >> 56);
  return bytes;
}

void overwrite(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

TEST_F(PackedFileTest, SameLogitsForEveryType) {
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ8_0,
                                TensorType::kQ4_1, TensorType::kIQ4_XS}) {
    for (const bool tied : {false, true}) {
      spec_.type = type;
      spec_.tied = tied;
      spec_.vocab_size = 100;  // 4 rows of the head fill no group
      write_source(static_cast<uint64_t>(type) + (tied ? 50 : 0));
      const std::vector<float> plain = run(test::open_tiny_model(source_));
      EXPECT_EQ(logits(State::kNotWanted, ""), plain);
      EXPECT_EQ(logits(State::kMade), plain);
      EXPECT_EQ(logits(State::kRead), plain);
    }
  }
}

TEST_F(PackedFileTest, NothingIsKeptWithoutPackedMatrices) {
  spec_.type = TensorType::kF16;
  write_source(1);
  logits(State::kNotWanted);
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(PackedFileTest, StaleIsMadeAnewAndTheOldRemoved) {
  const std::vector<float> before = logits(State::kMade);
  const std::string old = only_packed();
  write_source(8);
  const std::vector<float> after = logits(State::kMade);
  EXPECT_NE(after, before);
  EXPECT_EQ(after, logits(State::kRead));
  EXPECT_NE(only_packed(), old);
}

TEST_F(PackedFileTest, AnotherModelsUnderItsNameIsMadeAnew) {
  logits(State::kMade);
  const std::string foreign = *read_file(only_packed(), 1 << 24);
  write_source(8);
  const std::vector<float> expected = logits(State::kMade);
  overwrite(only_packed(), foreign);
  EXPECT_EQ(logits(State::kMade), expected);
  EXPECT_EQ(logits(State::kRead), expected);
}

TEST_F(PackedFileTest, DamagedIsMadeAnew) {
  const std::vector<float> expected = logits(State::kMade);
  std::string whole = *read_file(only_packed(), 1 << 24);
  for (const size_t at : {size_t{0}, whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    overwrite(only_packed(), damaged);
    EXPECT_EQ(logits(State::kMade), expected) << at;
    EXPECT_EQ(*read_file(only_packed(), 1 << 24), whole);
  }
}

TEST_F(PackedFileTest, NoTurnedBitAndNoCutIsTaken) {
  const std::vector<std::byte> bytes = some_bytes(300'000, 1);  // more than a slice
  std::vector<std::byte> found(bytes.size());
  const PackedFile packed = file();
  ASSERT_TRUE(packed.write(bytes, pool_).ok());
  ASSERT_TRUE(packed.read(found, pool_));
  EXPECT_EQ(found, bytes);
  std::string whole = *read_file(packed.path(), 1 << 24);
  for (size_t at = 0; at < whole.size(); at += at < bytes.size() - 100 ? 4099 : 1) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    overwrite(packed.path(), damaged);
    EXPECT_FALSE(packed.read(found, pool_)) << "bit " << at % 8 << " of byte " << at;
    overwrite(packed.path(), whole.substr(0, at));
    EXPECT_FALSE(packed.read(found, pool_)) << "cut at " << at;
  }
  overwrite(packed.path(), whole + whole);
  EXPECT_FALSE(packed.read(found, pool_));
  overwrite(packed.path(), whole);
  EXPECT_TRUE(packed.read(found, pool_));
  EXPECT_FALSE(packed.read(std::span(found).first(1), pool_));
  EXPECT_FALSE(PackedFile(folder_, *source_file(), 2).read(found, pool_));  // another layout
}

// What an older reckon kept must not be read as something else: whoever changes what the packed
// matrices look like raises kernels::kPackedLayoutVersion and writes the new hash here.
TEST_F(PackedFileTest, ContentsBelongToTheLayoutVersion) {
  uint64_t hashes = 0;
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kQ5_1}) {
    spec_.type = type;
    spec_.vocab_size = 100;
    write_source(7);
    logits(State::kMade);
    const std::string whole = *read_file(only_packed(), 1 << 24);
    uint64_t trailer_bytes = 0;  // without its last 24
    std::memcpy(&trailer_bytes, whole.data() + whole.size() - 24, sizeof(trailer_bytes));
    const std::string_view contents(whole.data(), whole.size() - 24 - trailer_bytes);
    hashes += content_hash(std::as_bytes(std::span(contents)));
  }
  EXPECT_EQ(kernels::kPackedLayoutVersion, 1u);
  EXPECT_EQ(hashes, 484699591830936785u);
}

TEST_F(PackedFileTest, ALinkOrAFolderIsNotTaken) {
  const std::vector<std::byte> bytes = some_bytes(1000, 1);
  std::vector<std::byte> found(bytes.size());
  const PackedFile packed = file();
  ASSERT_TRUE(packed.write(bytes, pool_).ok());
  const std::string elsewhere = folder_ + "/elsewhere";
  fs::rename(packed.path(), elsewhere);
  fs::create_symlink(elsewhere, packed.path());
  EXPECT_FALSE(packed.read(found, pool_));
  ASSERT_TRUE(packed.write(bytes, pool_).ok());
  EXPECT_TRUE(packed.read(found, pool_));
  fs::remove(packed.path());
  fs::create_directory(packed.path());
  EXPECT_FALSE(packed.read(found, pool_));
}

TEST_F(PackedFileTest, AFolderThatCantBeMadeIsToldAndTheModelWorks) {
  const std::string file = source_ + "/packed";
  EXPECT_EQ(logits(State::kFailed, file), run(test::open_tiny_model(source_)));
}

TEST_F(PackedFileTest, TwoWritersDontMeet) {
  const std::vector<std::byte> bytes = some_bytes(1000, 1);
  fs::create_directories(folder_);
  const Descriptor lock(::open((folder_ + "/lock").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  EXPECT_FALSE(file().write(bytes, pool_).ok());
}

// Killed at any moment, a writer leaves nothing that a reader takes for whole, and the next writer
// takes away what is left.
TEST_F(PackedFileTest, KilledWhileWriting) {
  const std::vector<std::byte> bytes = some_bytes(size_t{24} << 20, 1);
  std::vector<std::byte> found(bytes.size());
  const PackedFile packed = file();
  int n_unfinished = 0;
  int n_left = 0;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ThreadPool own(1);
      ::_exit(packed.write(bytes, own).ok() ? 0 : 1);
    }
    ::usleep(static_cast<useconds_t>(round * 1000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      ++n_unfinished;
    } else {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    }
    std::fill(found.begin(), found.end(), std::byte{0});
    const bool is_whole = packed.read(found, pool_);
    EXPECT_TRUE(!is_whole || found == bytes);
    if (fs::exists(folder_) && names().size() > 2) ++n_left;
  }
  EXPECT_GT(n_unfinished, 0);
  ASSERT_TRUE(packed.write(bytes, pool_).ok());
  EXPECT_TRUE(packed.read(found, pool_));
  EXPECT_TRUE(found == bytes);
  EXPECT_EQ(only_packed(), packed.path());
  RecordProperty("unfinished", n_unfinished);
  RecordProperty("left", n_left);
}

TEST_F(PackedFileTest, FilesWhoseSourceIsGoneAreRemoved) {
  logits(State::kMade);
  const std::string old_source = source_;
  const std::string old = only_packed();
  source_.clear();
  write_source(8);
  logits(State::kMade);
  EXPECT_TRUE(fs::exists(old));  // its source is still there
  fs::remove(old_source);
  write_source(9);
  logits(State::kMade);
  EXPECT_FALSE(fs::exists(old));
}

}  // namespace
}  // namespace reckon
