// Replies and the start of answers.
#include "server/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>
#include <new>
#include <utility>

#include "base/times.h"

namespace reckon::server {

namespace json = boost::json;

constexpr int kMaxPulls = 4;

std::string quoted(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

std::string Call::client() const {
  return key != nullptr ? "key " + key->name : "address " + request->peer;
}

PullSlot::PullSlot(ApiContext& context) : context_(context) {
  taken_ = ++context_.n_pulls <= kMaxPulls;
}

PullSlot::~PullSlot() { --context_.n_pulls; }

Headers reply_headers(const Call& call, std::string_view content_type) {
  Headers headers{{"Content-Type", std::string(content_type)},
                  {"Cache-Control", "no-store"},
                  {"X-Content-Type-Options", "nosniff"},
                  {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"}};
  if (!call.cors_origin.empty()) {
    headers.emplace_back("Access-Control-Allow-Origin", call.cors_origin);
    headers.emplace_back("Vary", "Origin");
  }
  return headers;
}

void reply_json(const Call& call, const json::value& value, int status) {
  call.exchange->reply({.status = status,
                        .headers = reply_headers(call, "application/json"),
                        .body = json::serialize(value)});
}

namespace {

std::string_view error_type(ErrorStyle style, int status) {
  const bool anthropic = style == ErrorStyle::kAnthropic;
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return anthropic ? "request_too_large" : "invalid_request_error";
    case 429: return "rate_limit_error";
    case 503: return anthropic ? "overloaded_error" : "server_error";
    default: break;
  }
  if (status < 500) return "invalid_request_error";
  return anthropic ? "api_error" : "server_error";
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

}  // namespace

json::object error_object(ErrorStyle style, const ApiError& error) {
  if (style == ErrorStyle::kOllama) return {{"error", error.message}};
  const std::string_view type = error_type(style, error.status);
  if (style == ErrorStyle::kAnthropic) {
    return {{"type", "error"}, {"error", {{"type", type}, {"message", error.message}}}};
  }
  return {{"error",
           {{"message", error.message},
            {"type", type},
            {"param", text_or_null(error.param)},
            {"code", text_or_null(error.code)}}}};
}

void log_refusal(const Call& call, const ApiError& error) {
  if (call.log == nullptr || !*call.log) return;
  json::object line{{"time", utc_now()},
                    {"event", "refused"},
                    {"peer", call.request->peer},
                    {"method", call.request->method},
                    {"status", error.status}};
  if (call.key != nullptr) line["key"] = call.key->name;
  // What is said of a field quotes what stood in it: of a bad request the log knows no more than
  // which field it was.
  if (error.status != 400) line["reason"] = error.message;
  if (!error.param.empty()) line["field"] = error.param;
  (*call.log)(json::serialize(line));
}

void reply_error(const Call& call, const ApiError& error) {
  log_refusal(call, error);
  send_error(call, error);
}

void send_error(const Call& call, const ApiError& error) {
  Headers headers = reply_headers(call, "application/json");
  if (error.retry_after_s > 0) {
    headers.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  }
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  call.exchange->reply({.status = error.status,
                        .headers = std::move(headers),
                        .body = json::serialize(error_object(call.style, error))});
}

void on_worker(ApiContext& context, const Call& call, std::function<void()> job) {
  boost::asio::post(*context.workers, [call, job = std::move(job)] {
    try {
      job();
    } catch (const std::bad_alloc&) {
      reply_error(call, {.status = 503, .message = "out of memory", .retry_after_s = 5});
    } catch (const std::exception& error) {
      reply_error(call, {.status = 500, .message = error.what()});
    }
  });
}

ApiResult<std::vector<LibraryModel>> usable_models(ApiContext& context, const Call& call) {
  Result<std::vector<LibraryModel>> models = context.library->list();
  if (!models.ok()) return from_error(models.error());
  if (call.key != nullptr && !call.key->models.empty()) {
    const std::vector<std::string> names = call.key->model_names(*context.library);
    std::erase_if(*models, [&](const LibraryModel& model) {
      return std::find(names.begin(), names.end(), model.name) == names.end();
    });
  }
  std::stable_partition(models->begin(), models->end(), [&](const LibraryModel& model) {
    return model.name == context.default_model;
  });
  return std::move(*models);
}

ApiResult<LibraryModel> find_model(ApiContext& context, const Call& call, const std::string& name) {
  const std::string& wanted = name.empty() ? context.default_model : name;
  if (wanted.empty()) {
    return bad_field("model", "expected a model's name, found none (GET /v1/models lists them)");
  }
  Result<LibraryModel> model = context.library->find(wanted);
  if (!model.ok()) {
    return ApiError{.status = model.error().kind == ErrorKind::kUsage ? 404 : 503,
                    .message = "model: " + model.error().message,
                    .param = "model",
                    .code = "model_not_found"};
  }
  if (call.key != nullptr && !call.key->may_use(*context.library, wanted, model->name)) {
    return ApiError{.status = 403,
                    .message = "model: this key may not use " + model->name,
                    .param = "model",
                    .code = "model_not_allowed"};
  }
  return std::move(*model);
}

void with_model(ApiContext& context, const Call& call, const std::string& name,
                std::optional<double> keep_alive_s,
                std::function<void(std::shared_ptr<HostLease>)> ready) {
  const ApiResult<LibraryModel> model = find_model(context, call, name);
  if (!model.ok()) {
    reply_error(call, model.error());
    return;
  }
  ApiResult<HostLease> acquired = context.pool->acquire((*model).name, keep_alive_s);
  if (!acquired.ok()) {
    reply_error(call, acquired.error());
    return;
  }
  auto lease = std::make_shared<HostLease>(std::move(*acquired));
  (*lease)->when_loaded([&context, call, lease, ready = std::move(ready)](const Status& status) {
    if (!status.ok() && context.stopping) {
      reply_error(call,
                  {.status = 503, .message = "the server is shutting down", .code = "shutdown"});
      return;
    }
    if (!status.ok()) {
      // A file that is no good stays so; memory may be free by and by.
      const bool is_bad = status.error().kind == ErrorKind::kBadFile;
      reply_error(call, {.status = is_bad ? 500 : 503,
                         .message = status.error().message,
                         .param = "model",
                         .code = "model_not_loaded",
                         .retry_after_s = is_bad ? 0 : 30});
      return;
    }
    on_worker(context, call, [lease, ready] { ready(lease); });
  });
}

void start_answer(ApiContext& context, const Call& call, GenerateSpec spec, AnswerPlan plan,
                  MakeWriter make_writer) {
  const std::string name = spec.model;
  const std::optional<double> keep_alive_s = spec.keep_alive_s;
  with_model(context, call, name, keep_alive_s,
             [&context, call, spec = std::move(spec), plan = std::move(plan),
              make_writer = std::move(make_writer)](std::shared_ptr<HostLease> lease) {
               const Engine& engine = (*lease)->engine();
               ApiResult<std::vector<Request>> requests = build_requests(
                   spec, engine, call.key == nullptr ? 0 : call.key->cache_salt, context.grammars);
               if (!requests.ok()) {
                 reply_error(call, requests.error());
                 return;
               }
               ModelHost& host = **lease;
               const auto generation = std::make_shared<Generation>(
                   *context.services, std::move(*lease),
                   Generation::Options{.id = plan.id,
                                       .api = plan.api,
                                       .key = call.key,
                                       .parse_tools = plan.parse_tools,
                                       .one_call = spec.one_call,
                                       .n_choices = requests->size(),
                                       .n_choices_per_prompt = static_cast<size_t>(spec.n),
                                       .n_paths = static_cast<size_t>(spec.paths.n)},
                   make_writer(engine));
               generation->client = call.client();
               generation->take(std::move(*requests));
               context.running.add(plan.id, generation);
               const ApiResult<bool> queued = host.enqueue(generation);
               if (!queued.ok()) {
                 if (queued.error().status == 429) ++context.metrics.refused_limit;
                 reply_error(call, queued.error());
                 return;
               }
               call.exchange->on_closed([weak = std::weak_ptr<Generation>(generation)] {
                 if (const auto running = weak.lock()) running->host().cancel(running);
               });
             });
}

}  // namespace reckon::server
