// What the routes share: the server's parts, a call that one of them answers, and how an answer is
// started. Internal to server/.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/access.h"
#include "server/api_error.h"
#include "server/api_keys.h"
#include "server/generation.h"
#include "server/http.h"
#include "server/library.h"
#include "server/metrics.h"
#include "server/model_pool.h"

namespace reckon::server {

enum class ErrorStyle : uint8_t { kOpenAi, kOllama, kAnthropic };

struct ApiContext {
  std::unique_ptr<ModelLibrary> library;
  std::string default_model;  // empty: a request has to name one
  Access access;
  std::shared_ptr<ApiKeys> keys;  // null: nobody needs one
  Metrics metrics;
  RunningAnswers running;
  GrammarCache grammars;
  std::atomic<bool> stopping{false};
  std::function<void(const std::string&)> log;
  int64_t started_at_s = 0;
  bool keep_default = true;
  std::unique_ptr<ModelPool> pool;
  std::unique_ptr<AnswerServices> services;
  // Reads requests, renders, tokenises: what would hold up the HTTP thread.
  std::unique_ptr<boost::asio::thread_pool> workers;
  std::atomic<int> n_pulls{0};  // threads of their own, which end soon once stopping is set
};

// One request on its way to one reply.
struct Call {
  std::shared_ptr<HttpRequest> request;
  std::shared_ptr<Exchange> exchange;
  const ApiKey* key = nullptr;
  std::string cors_origin = {};
  ErrorStyle style = ErrorStyle::kOpenAi;
  std::string rest = {};  // of a path that a route's ends before
  const std::function<void(const std::string&)>* log = nullptr;  // the context's

  // Who takes turns with whom: the key, or the address.
  std::string client() const;
};

// A place among the few models that are pulled at once.
class PullSlot {
 public:
  explicit PullSlot(ApiContext& context);
  ~PullSlot();
  PullSlot(const PullSlot&) = delete;
  PullSlot& operator=(const PullSlot&) = delete;
  bool taken() const { return taken_; }

 private:
  ApiContext& context_;
  bool taken_ = false;
};

// Headers of every reply, and what else is given.
Headers reply_headers(const Call& call, std::string_view content_type);
void reply_json(const Call& call, const boost::json::value& value, int status = 200);
// Logs what isn't answered; send_error is for answers, which have a line of their own.
void reply_error(const Call& call, const ApiError& error);
void send_error(const Call& call, const ApiError& error);
void log_refusal(const Call& call, const ApiError& error);
// The error as this API spells it.
boost::json::object error_object(ErrorStyle style, const ApiError& error);

// Runs job on a worker; what it throws for want of memory becomes a 503.
void on_worker(ApiContext& context, const Call& call, std::function<void()> job);

// The models that the call may use, the one that answers where none is named before the others:
// clients take the first when they have no choice of their own.
ApiResult<std::vector<LibraryModel>> usable_models(ApiContext& context, const Call& call);

// A model's name as clients may write it -> the library's. Errors: 404, 403.
ApiResult<LibraryModel> find_model(ApiContext& context, const Call& call, const std::string& name);
// Calls ready on a worker with the model loaded and held; replies with the error else.
void with_model(ApiContext& context, const Call& call, const std::string& name,
                std::optional<double> keep_alive_s,
                std::function<void(std::shared_ptr<HostLease>)> ready);

struct AnswerPlan {
  std::string id;
  std::string api;
  bool parse_tools = false;
};
using MakeWriter = std::function<std::unique_ptr<AnswerWriter>(const Engine&)>;
// Loads, renders, queues; the writer does the rest.
void start_answer(ApiContext& context, const Call& call, GenerateSpec spec, AnswerPlan plan,
                  MakeWriter make_writer);

using Handler = void (*)(ApiContext&, Call);
struct Route {
  std::string_view method;
  std::string_view path;  // one that ends in '/' also stands for what follows, in Call::rest
  Handler handler;
  bool quick = false;  // answered on the HTTP thread
  bool open = false;   // without a key
};
std::span<const Route> openai_routes();
std::span<const Route> ollama_routes();
std::span<const Route> anthropic_routes();
std::span<const Route> native_routes();

// text as a JSON string.
std::string quoted(std::string_view text);

}  // namespace reckon::server
