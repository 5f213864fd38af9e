// The real library over temporary folders, alone and within a server: the names that people and
// Ollama's clients use, keys that list them, and what a client may not reach.
#include "server/store_library.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/server.h"
#include "store/folder.h"
#include "store/record.h"
#include "store/sha256.h"
#include "tests/server/server_fixture.h"

namespace reckon::testing {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

class StoreLibraryTest : public ::testing::Test {
 protected:
  StoreLibraryTest() {
    std::string pattern = (fs::temp_directory_path() / "reckon-library-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    options_.folder = root_ + "/store";
    options_.ollama = {root_ + "/ollama"};
    options_.hub_endpoint = "http://127.0.0.1:1";  // nobody there
  }
  ~StoreLibraryTest() override { fs::remove_all(root_); }

  static std::string model() { return model_folder() + "/tiny-qwen.gguf"; }

  void add_pulled(const std::string& source, const std::vector<std::string>& names) {
    const ModelFolder folder = *ModelFolder::create(options_.folder, folder_name_of(source));
    const std::string path = folder.path() + "/f.gguf";
    fs::copy_file(model(), path);
    const FileStat stat = *stat_file(path, Links::kRefuse);
    ModelRecord record;
    record.names = names;
    record.source = source;
    record.files = {{path, stat.bytes, content_sha256(), stat.written_at_ns}};
    ASSERT_TRUE(write_record(folder.path(), record).ok());
  }

  // name: "tiny/1b".
  void add_ollama(const std::string& name) {
    const fs::path folder = options_.ollama.front();
    const fs::path manifest = folder / "manifests/registry.ollama.ai/library" / name;
    const fs::path blob = folder / "blobs" / ("sha256-" + content_sha256());
    fs::create_directories(manifest.parent_path());
    fs::create_directories(blob.parent_path());
    fs::copy_file(model(), blob, fs::copy_options::skip_existing);
    std::ofstream(manifest)
        << R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:)" +
               content_sha256() + R"("}]})";
  }

  static const std::string& content_sha256() {
    static const std::string sha256 = [] {
      std::ifstream file(model(), std::ios::binary);
      return sha256_of(std::string((std::istreambuf_iterator<char>(file)), {}));
    }();
    return sha256;
  }

  server::StoreLibrary library() const { return server::StoreLibrary(ModelStore(options_)); }

  // keys: of the file, empty: none. files: as given by -m.
  std::unique_ptr<server::Server> serve(const std::string& keys = "",
                                        const std::vector<std::string>& files = {}) {
    auto library = std::make_unique<server::StoreLibrary>(ModelStore(options_));
    for (const std::string& file : files) EXPECT_TRUE(library->add(file).ok());
    server::ServerOptions options;
    options.port = 0;
    if (!keys.empty()) {
      options.keys_path = root_ + "/keys.json";
      std::ofstream(options.keys_path) << keys;
      ::chmod(options.keys_path.c_str(), 0600);
    }
    auto started = server::Server::start(std::move(options), std::move(library));
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message);
    return std::move(*started);
  }

  std::string root_;
  StoreOptions options_;
};

constexpr const char* kKey = "sk-0123456789abcdef";

std::string one_key(const std::string& models) {
  return R"({"keys":[{"name":"lab","key":")" + std::string(kKey) + R"(","models":[)" + models +
         "]}]}";
}

Reply ask(const server::Server& server, std::string_view method, std::string_view path,
          const std::string& name = "") {
  const std::string body = name.empty() ? "" : json::serialize(json::object{{"model", name}});
  return call(server.port(), method, path, body,
              {{"Content-Type", "application/json"}, {"X-Api-Key", kKey}});
}

TEST_F(StoreLibraryTest, FindsByOllamasNames) {
  add_ollama("tiny/1b");
  add_ollama("tiny/latest");
  add_pulled("hf:owner/repo/M-Q8_0.gguf", {"hf:owner/repo/M-Q8_0.gguf"});
  add_pulled("hf:owner/r1/f.gguf", {"r1:7b:q4_k_m"});
  const server::StoreLibrary models = library();
  const std::vector<std::pair<std::string, std::string>> names = {
      {"tiny:1b", "ollama:tiny:1b"},
      {"ollama:tiny:1b", "ollama:tiny:1b"},
      {"tiny", "ollama:tiny:latest"},
      {"tiny:latest", "ollama:tiny:latest"},
      {"ollama:tiny", "ollama:tiny:latest"},
      {"r1:7b", "r1:7b:q4_k_m"},
      {"r1:7b:latest", "r1:7b:q4_k_m"},
      {"deepseek-r1:7b", "r1:7b:q4_k_m"},
      {"hf.co/owner/repo:Q8_0", "hf:owner/repo/M-Q8_0.gguf"},
      {"huggingface.co/owner/repo", "hf:owner/repo/M-Q8_0.gguf"}};
  for (const auto& [asked, name] : names) {
    const Result<server::LibraryModel> found = models.find(asked);
    ASSERT_TRUE(found.ok()) << asked;
    EXPECT_EQ(found->name, name) << asked;
  }
  for (const char* name : {"tiny:2b", "1b", "hf.co/owner/repo:Q4_0", "", ":latest", "ollama:"}) {
    EXPECT_FALSE(models.find(name).ok()) << name;
  }
}

// A name of the store is never taken for a file of the working folder, nor any path for a model.
TEST_F(StoreLibraryTest, NamesLeadToStoredFilesAlone) {
  add_pulled("hf:owner/repo/f.gguf", {"mine"});
  const server::StoreLibrary models = library();
  const fs::path before = fs::current_path();
  fs::create_directory(root_ + "/here");
  fs::copy_file(model(), root_ + "/here/mine");
  fs::copy_file(model(), root_ + "/here/other.gguf");
  fs::current_path(root_ + "/here");
  const Result<std::string> path = models.resolve("mine", {});
  for (const std::string& name : {std::string("other.gguf"), std::string("./other.gguf"),
                                  root_ + "/here/other.gguf", std::string("../here/other.gguf")}) {
    EXPECT_FALSE(models.find(name).ok()) << name;
    EXPECT_FALSE(models.resolve(name, {}).ok()) << name;
  }
  fs::current_path(before);
  ASSERT_TRUE(path.ok());
  EXPECT_TRUE(path->starts_with(options_.folder)) << *path;
}

TEST_F(StoreLibraryTest, HashingEndsWhenItIsCancelled) {
  add_pulled("hf:owner/repo/f.gguf", {"mine"});
  const server::StoreLibrary models = library();
  fs::last_write_time(models.find("mine")->path,
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  const auto cancelled = models.resolve("mine", {.cancelled = [] { return true; }});
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().kind, ErrorKind::kInterrupted);
  EXPECT_TRUE(models.resolve("mine", {}).ok());
}

TEST_F(StoreLibraryTest, PullsWhatItHasAndNoFilesOrUrls) {
  add_ollama("tiny/1b");
  add_pulled("hf:owner/repo/M-Q8_0.gguf", {"hf:owner/repo/M-Q8_0.gguf", "mine"});
  server::StoreLibrary models = library();
  ASSERT_TRUE(models.add(model()).ok());
  for (const char* name : {"tiny:1b", "mine", "mine:latest", "hf:owner/repo:q8_0",
                           "hf.co/owner/repo:Q8_0", "tiny-qwen"}) {
    const Status pulled = models.pull(name, {});
    EXPECT_TRUE(pulled.ok()) << name << ": " << (pulled.ok() ? "" : pulled.error().message);
  }
  for (const std::string& name :
       {model(), std::string("./x.gguf"), std::string("x.gguf"), std::string("/etc/passwd"),
        std::string("http://127.0.0.1:1/x.gguf"), std::string("https://hf.co/x.gguf"),
        std::string("hf.co/../x"), std::string("nothing:1b"), std::string()}) {
    const Status pulled = models.pull(name, {});
    ASSERT_FALSE(pulled.ok()) << name;
    EXPECT_EQ(pulled.error().kind, ErrorKind::kUsage) << name;
  }
  // What is the hub's goes there, and nobody answers.
  for (const char* name : {"hf.co/owner/other:Q4_0", "deepseek-r1:7b"}) {
    const Status pulled = models.pull(name, {});
    ASSERT_FALSE(pulled.ok()) << name;
    EXPECT_EQ(pulled.error().kind, ErrorKind::kFailed) << name;
    EXPECT_NE(pulled.error().message.find("127.0.0.1:1"), std::string::npos) << name;
  }
}

TEST_F(StoreLibraryTest, StandsInForOllama) {
  add_ollama("tiny/1b");
  const auto server = serve("", {model_folder() + "/tiny-llama.gguf"});
  const Reply shown = post(server->port(), "/api/show", R"({"model":"tiny:1b"})");
  ASSERT_EQ(shown.status, 200) << shown.body;
  const json::object info = shown.json().at("model_info").as_object();
  const std::string family(info.at("general.architecture").as_string());
  EXPECT_GT(info.at("general.parameter_count").to_number<int64_t>(), 1000);
  for (const char* field : {".context_length", ".embedding_length", ".block_count",
                            ".attention.head_count", ".attention.head_count_kv"}) {
    EXPECT_GT(info.at(family + field).to_number<int64_t>(), 0) << field;
  }
  EXPECT_TRUE(post(server->port(), "/api/pull", R"({"model":"tiny:1b"})").has("success"));
  // Bare hexadecimal, also of a file whose hash nobody knows, and the same each time.
  const json::value tags = get(server->port(), "/api/tags").json();
  std::map<std::string, std::string> digests;
  for (const json::value& model : tags.at("models").as_array()) {
    const std::string digest(model.at("digest").as_string());
    EXPECT_TRUE(is_sha256(digest)) << digest;
    digests[std::string(model.at("name").as_string())] = digest;
  }
  EXPECT_EQ(digests["ollama:tiny:1b"], content_sha256());
  EXPECT_TRUE(digests.contains("tiny-llama"));
  EXPECT_EQ(get(server->port(), "/api/tags").json(), tags);
}

TEST_F(StoreLibraryTest, KeysListTheNamesThatPeopleUse) {
  add_pulled("hf:owner/r1/f.gguf", {"r1:7b:q4_k_m"});
  add_pulled("hf:owner/other/f.gguf", {"other", "r1:7b:q8_0"});
  add_ollama("tiny/1b");
  const auto server = serve(one_key(R"("r1:7b","tiny:1b","r1:1.5b")"));
  const json::value list = ask(*server, "GET", "/v1/models").json();
  std::vector<std::string> listed;
  for (const json::value& entry : list.at("data").as_array()) {
    listed.emplace_back(entry.at("id").as_string());
  }
  std::sort(listed.begin(), listed.end());
  EXPECT_EQ(listed, (std::vector<std::string>{"ollama:tiny:1b", "r1:7b:q4_k_m"}));
  for (const char* name :
       {"r1:7b", "r1:7b:q4_k_m", "deepseek-r1:7b", "tiny:1b", "ollama:tiny:1b"}) {
    EXPECT_EQ(ask(*server, "POST", "/api/show", name).status, 200) << name;
    EXPECT_EQ(ask(*server, "POST", "/api/pull", name).status, 200) << name;
  }
  for (const char* name : {"other", "r1:7b:q8_0"}) {
    EXPECT_EQ(ask(*server, "POST", "/api/show", name).status, 403) << name;
    EXPECT_EQ(ask(*server, "POST", "/api/pull", name).status, 403) << name;
    EXPECT_EQ(ask(*server, "GET", std::string("/v1/models/") + name).status, 403) << name;
  }
  // Not here yet: the same pull under another spelling may be tried, another one not.
  for (const char* name : {"r1:1.5b", "r1:1.5b:q4_k_m", "deepseek-r1:1.5b"}) {
    EXPECT_TRUE(ask(*server, "POST", "/api/pull", name).has("127.0.0.1:1")) << name;
  }
  for (const char* name : {"r1:1.5b:q8_0", "r1:14b", "hf:owner/new", "/etc/passwd", "nothing"}) {
    EXPECT_EQ(ask(*server, "POST", "/api/pull", name).status, 403) << name;
  }
}

TEST_F(StoreLibraryTest, KeysListWhatOllamaHolds) {
  add_ollama("deepseek-r1/7b");
  add_ollama("tiny/1b");
  const auto server = serve(one_key(R"("r1:7b")"));
  EXPECT_EQ(ask(*server, "POST", "/api/show", "r1:7b").status, 200);
  EXPECT_EQ(ask(*server, "POST", "/api/show", "deepseek-r1:7b").status, 200);
  EXPECT_EQ(ask(*server, "POST", "/api/show", "tiny:1b").status, 403);
  EXPECT_TRUE(ask(*server, "GET", "/v1/models").has("ollama:deepseek-r1:7b"));
  EXPECT_FALSE(ask(*server, "GET", "/api/tags").has("tiny:1b"));
}

}  // namespace
}  // namespace reckon::testing
