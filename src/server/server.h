// The HTTP server: OpenAI's, Ollama's and Anthropic's APIs over the models of a library, and the
// page. docs/server.md is its manual.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/connection.h"
#include "server/library.h"
#include "server/model_pool.h"

namespace reckon::server {

struct ApiContext;
class HttpServer;

struct ServerOptions {
  std::string host = "127.0.0.1";  // numeric
  uint16_t port = 8080;            // 0: any free one
  std::string default_model;       // for requests that name none
  bool keep_default = true;        // it stays loaded
  std::string keys_path;           // empty: no keys
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
  PoolOptions pool;
  HttpLimits limits = {};
  // Takes one line of JSON for every answer and refusal; may be empty. Thread-safe.
  std::function<void(const std::string& line)> log = {};
  bool log_content = false;  // of answers: what was asked, thought and answered
};

class Server {
 public:
  // Errors: kUsage for options that make no sense, such as an address beyond this machine without
  // keys; kBadFile for the keys' file; kFailed when the port is taken.
  static Result<std::unique_ptr<Server>> start(ServerOptions options,
                                               std::unique_ptr<ModelLibrary> library);
  ~Server();

  uint16_t port() const;
  // Begins to load the default model, rather than at the first request.
  void load_default();
  // Takes nothing new and waits this long for answers under way; then they end, saying why.
  void stop(std::chrono::milliseconds patience);

 private:
  Server();
  std::unique_ptr<ApiContext> context_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace reckon::server
