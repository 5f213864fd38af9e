// Names over a store and other programs' folders, all of them temporary; nothing is fetched.
#include "store/model_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "store/folder.h"
#include "store/record.h"
#include "store/sha256.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

class ModelStoreTest : public testing::Test {
 protected:
  ModelStoreTest() {
    std::string pattern = (fs::temp_directory_path() / "reckon-names-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    options_.folder = root_ + "/store";
    options_.ollama = {root_ + "/ollama-own", root_ + "/ollama-service"};
    options_.lm_studio = {root_ + "/lm-studio"};
  }
  ~ModelStoreTest() override { fs::remove_all(root_); }

  static void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }

  void add_pulled(const std::string& source, const std::vector<std::string>& names) {
    const ModelFolder folder = *ModelFolder::create(options_.folder, folder_name_of(source));
    const std::string path = folder.path() + "/f.gguf";
    write(path, source);
    const FileStat stat = *stat_file(path, Links::kRefuse);
    ModelRecord record;
    record.names = names;
    record.source = source;
    record.files = {{path, stat.bytes, sha256_of(source), stat.written_at_ns}};
    ASSERT_TRUE(write_record(folder.path(), record).ok());
  }

  // model: "tiny/1b".
  static void add_ollama(const std::string& folder, const std::string& model) {
    const std::string digest = sha256_of(folder + model);
    write(folder + "/blobs/sha256-" + digest, folder + model);
    write(folder + "/manifests/registry.ollama.ai/library/" + model,
          R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:)" +
              digest + R"("}]})");
  }

  std::vector<std::string> names() const {
    std::vector<std::string> list;
    const Result<ModelStore::Listing> listing = ModelStore(options_).list();
    for (const StoredModel& model : listing->models) {
      if (model.origin != ModelOrigin::kBundled) list.push_back(model.name);
    }
    return list;
  }

  std::string root_;
  StoreOptions options_;
};

TEST_F(ModelStoreTest, RemovesTheNameThatIsMeant) {
  add_pulled("hf:a/b/F.gguf", {"hf:a/b/F.gguf", "r1:7b:q4_k_m", "mine"});
  ModelStore store(options_);
  ASSERT_TRUE(store.remove("r1:7b").ok());
  EXPECT_EQ(names(), (std::vector<std::string>{"hf:a/b/F.gguf", "mine"}));
  ASSERT_TRUE(store.remove("hf:a/b").ok());
  EXPECT_EQ(names(), std::vector<std::string>{"mine"});
  ASSERT_TRUE(store.remove("mine").ok());
  EXPECT_TRUE(fs::is_empty(options_.folder));
}

TEST_F(ModelStoreTest, AllFoldersAreSearched) {
  add_ollama(options_.ollama[0], "tiny/1b");
  add_ollama(options_.ollama[1], "tiny/1b");
  add_ollama(options_.ollama[1], "tiny/latest");
  EXPECT_EQ(names(), (std::vector<std::string>{"ollama:tiny:1b", "ollama:tiny:latest"}));
  const ModelStore store(options_);
  EXPECT_TRUE(store.find("ollama:tiny:1b")->path().starts_with(options_.ollama[0]));
  EXPECT_EQ(store.find("ollama:tiny")->name, "ollama:tiny:latest");
  EXPECT_FALSE(store.find("tiny").ok());
}

TEST_F(ModelStoreTest, WhatWasPulledGoesFirst) {
  add_ollama(options_.ollama[0], "tiny/1b");
  add_pulled("hf:a/b/F.gguf", {"ollama:tiny:1b"});
  EXPECT_EQ(names(), std::vector<std::string>{"ollama:tiny:1b"});
  EXPECT_EQ(ModelStore(options_).find("ollama:tiny:1b")->origin, ModelOrigin::kPulled);
}

TEST_F(ModelStoreTest, FoundNamesMayHaveBlanksAndBrackets) {
  write(options_.lm_studio[0] + "/pub/repo/M Q4 (1)+.gguf", "x");
  write(options_.lm_studio[0] + "/pub/repo/a'b.gguf", "x");
  EXPECT_EQ(names(), std::vector<std::string>{"lmstudio:pub/repo/M Q4 (1)+.gguf"});
}

TEST_F(ModelStoreTest, WhatFindGaveIsNeverAnotherFile) {
  add_pulled("hf:a/b/F.gguf", {"mine"});
  const fs::path before = fs::current_path();
  write(root_ + "/here/mine", "of the working folder");
  fs::current_path(root_ + "/here");
  const ModelStore store(options_);
  EXPECT_EQ(*store.resolve("mine"), "mine");  // what a person types may be a file
  const StoredModel model = *store.find("mine");
  EXPECT_EQ(*store.resolve_stored(model), model.path());
  fs::current_path(before);
}

TEST_F(ModelStoreTest, HashingCanBeCancelled) {
  add_pulled("hf:a/b/F.gguf", {"mine"});
  const ModelStore store(options_);
  const StoredModel model = *store.find("mine");
  EXPECT_TRUE(is_as_stored(model));
  fs::last_write_time(model.path(), fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_FALSE(is_as_stored(model));
  const auto cancelled = store.resolve_stored(model, {.cancelled = [] { return true; }});
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().kind, ErrorKind::kInterrupted);
  EXPECT_TRUE(store.resolve_stored(model).ok());
  EXPECT_TRUE(is_as_stored(*store.find("mine")));  // the new time is noted
}

// The environment as it was, at the end.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST(StoreOptions, NameEveryFolderThereMayBe) {
  const Variable home("HOME", "/somebody");
  const Variable endpoint("HF_ENDPOINT", nullptr);
  {
    const Variable ollama("OLLAMA_MODELS", nullptr);
    const StoreOptions options = *StoreOptions::from_environment();
    EXPECT_EQ(options.ollama, (std::vector<std::string>{"/somebody/.ollama/models",
                                                        "/usr/share/ollama/.ollama/models"}));
    EXPECT_EQ(options.lm_studio, (std::vector<std::string>{"/somebody/.lmstudio/models",
                                                           "/somebody/.cache/lm-studio/models"}));
  }
  const Variable ollama("OLLAMA_MODELS", "/models");
  EXPECT_EQ(StoreOptions::from_environment()->ollama, std::vector<std::string>{"/models"});
}

}  // namespace
}  // namespace reckon
