// A server within the test, over tiny models of random weights.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "model/synth.h"
#include "server/server.h"
#include "tests/server/http_client.h"

namespace reckon::testing {

// Written once a test program, removed at its end.
inline const std::string& model_folder() {
  struct Folder {
    Folder()
        : path((std::filesystem::temp_directory_path() /
                ("reckon-server-" + std::to_string(::getpid())))
                   .string()) {
      std::filesystem::create_directories(path);
      ThreadPool pool(1);
      for (const char* shape : {"tiny-qwen", "tiny-llama"}) {
        const Result<SynthType> type = parse_synth_type("f32");
        EXPECT_TRUE(type.ok());
        const Status written =
            write_synth_model(*find_synth_shape(shape), {.type = *type, .tokenizer_from = ""},
                              path + "/" + shape + ".gguf", pool);
        EXPECT_TRUE(written.ok());
      }
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
  };
  static const Folder folder;
  return folder.path;
}

// The tiny models, and what was asked of the library.
class TinyLibrary : public server::ModelLibrary {
 public:
  TinyLibrary() {
    for (const char* name : {"tiny-qwen", "tiny-llama"}) {
      const std::string path = model_folder() + "/" + name + ".gguf";
      models_[name] = {.name = name,
                       .path = path,
                       .bytes = std::filesystem::file_size(path),
                       .sha256 = std::string(64, 'a'),
                       .changed_at_s = 1'700'000'000};
    }
  }
  Result<std::vector<server::LibraryModel>> list() const override {
    const std::lock_guard lock(mutex_);
    std::vector<server::LibraryModel> list;
    for (const auto& [name, model] : models_) list.push_back(model);
    return list;
  }
  Result<server::LibraryModel> find(std::string_view name) const override {
    const std::lock_guard lock(mutex_);
    const auto model = models_.find(std::string(name));
    if (model == models_.end()) return usage_error("expected a model, found " + std::string(name));
    return model->second;
  }
  Result<std::string> resolve(std::string_view name, const JobControl&) const override {
    RECKON_ASSIGN(const server::LibraryModel model, find(name));
    return model.path;
  }
  Status pull(std::string_view reference, const JobControl& control) override {
    if (reference != "r1:1.5b") return usage_error("model: expected a known name");
    control.progress({.stage = StoreProgress::Stage::kDownloading,
                      .file = "r1.gguf",
                      .sha256 = "ab",
                      .done_bytes = 5,
                      .total_bytes = 10,
                      .bytes_per_s = 1});
    return {};
  }
  Status remove(std::string_view name) override {
    const std::lock_guard lock(mutex_);
    models_.erase(std::string(name));
    return {};
  }
  Status copy(std::string_view from, std::string_view to) override {
    const std::lock_guard lock(mutex_);
    server::LibraryModel model = models_.at(std::string(from));
    model.name = to;
    models_[model.name] = model;
    return {};
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, server::LibraryModel> models_;
};

// Waits (machines may be busy) for something that other threads bring about.
template <class Condition>
bool eventually(const Condition& condition, int seconds = 60) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::usleep(2000);
  }
  return true;
}

struct ServerRig {
  explicit ServerRig(server::ServerOptions options = {},
                     std::unique_ptr<server::ModelLibrary> library = {}) {
    if (library == nullptr) library = std::make_unique<TinyLibrary>();
    options.port = 0;
    if (options.default_model.empty()) options.default_model = "tiny-qwen";
    options.pool.load.n_threads = 1;
    options.pool.load.context_length = options.pool.load.context_length.value_or(512);
    options.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex);
      log += line + "\n";
    };
    Result<std::unique_ptr<server::Server>> started =
        server::Server::start(std::move(options), std::move(library));
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message);
    if (started.ok()) server = std::move(*started);
    port = server->port();
  }

  Reply chat(const std::string& more, const std::string& content = "hello") const {
    return post(
        port, "/v1/chat/completions",
        R"({"messages":[{"role":"user","content":")" + content + R"("}],"seed":1,)" + more + "}");
  }
  // A value of /metrics: "answers_started_total".
  double metric(const std::string& name) const {
    const std::string body = get(port, "/metrics").body;
    const size_t at = body.find("\nreckon_" + name);
    if (at == std::string::npos) return -1;
    const size_t space = body.find(' ', at);
    return std::stod(body.substr(space + 1));
  }
  std::string logged() const {
    const std::lock_guard lock(mutex);
    return log;
  }

  mutable std::mutex mutex;
  std::string log;
  std::unique_ptr<server::Server> server;
  uint16_t port = 0;
};

}  // namespace reckon::testing
