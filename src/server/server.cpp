// Every request comes through handle(): Host and Origin, the route, the key, then its handler.
#include "server/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/json/serialize.hpp>
#include <thread>
#include <utility>

#include "base/ascii.h"
#include "base/times.h"
#include "server/api.h"
#include "server/http_server.h"
#include "server/page.h"

namespace reckon::server {
namespace {

constexpr int kWorkers = 2;

ErrorStyle style_of(std::string_view path) {
  if (path.starts_with("/api/")) return ErrorStyle::kOllama;
  if (path.starts_with("/v1/messages")) return ErrorStyle::kAnthropic;
  return ErrorStyle::kOpenAi;
}

struct Found {
  const Route* route = nullptr;
  std::string_view rest;
  std::string allowed;  // methods of the path, where the request's isn't among them
};

bool matches(const Route& route, std::string_view path, std::string_view& rest) {
  if (route.path.size() > 1 && route.path.ends_with('/')) {
    if (!path.starts_with(route.path) || path.size() == route.path.size()) return false;
    rest = path.substr(route.path.size());
    return true;
  }
  return path == route.path;
}

Found find_route(const HttpRequest& request) {
  Found result;
  for (const std::span<const Route> routes :
       {openai_routes(), ollama_routes(), anthropic_routes(), native_routes()}) {
    for (const Route& route : routes) {
      std::string_view rest;
      if (!matches(route, request.path, rest)) continue;
      const bool head = request.method == "HEAD" && route.method == "GET";
      if (request.method == route.method || head) {
        result.route = &route;
        result.rest = rest;
        return result;
      }
      if (!result.allowed.empty()) result.allowed += ", ";
      result.allowed += route.method;
    }
  }
  return result;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = static_cast<char>(c | 0x20);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

// Names of models have colons and slashes, which clients write as %3A and %2F.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    decoded += low >= 0 ? static_cast<char>(high * 16 + low) : text[i];
    if (low >= 0) i += 2;
  }
  return decoded;
}

// A page of another origin may send a form or plain text without asking; those have a Sec-Fetch
// header or an Origin and were judged by them. Programs may leave the type out.
bool takes_type(const HttpRequest& request) {
  std::string type(request.header("content-type"));
  type.resize(std::min(type.find(';'), type.size()));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  for (char& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (type == "application/json") return true;
  const bool browser =
      request.header_count("origin") > 0 || request.header_count("sec-fetch-site") > 0;
  return !browser &&
         (request.header_count("content-type") == 0 || type == "application/x-www-form-urlencoded");
}

std::string_view given_key(const HttpRequest& request) {
  const std::string_view authorization = request.header("authorization");
  static constexpr std::string_view kBearer = "Bearer ";
  const std::string_view scheme = authorization.substr(0, kBearer.size());
  const bool has_key = authorization.size() > kBearer.size();
  // Schemes have no case.
  if (has_key && equal_ignoring_case(scheme, kBearer)) {
    return authorization.substr(kBearer.size());
  }
  return request.header("x-api-key");
}

void answer_preflight(const Call& call) {
  Headers headers = reply_headers(call, "text/plain");
  headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE");
  // Of an origin that is let in: clients send headers of their own, X-Stainless-Lang and the like.
  const std::string_view asked = call.request->header("access-control-request-headers");
  if (!asked.empty()) headers.emplace_back("Access-Control-Allow-Headers", std::string(asked));
  headers.emplace_back("Access-Control-Max-Age", "600");
  call.exchange->reply({.status = 204, .headers = std::move(headers)});
}

// Whether the request's key lets it in; counts it.
bool check_key(ApiContext& context, Call& call, const Route& route) {
  if (context.keys == nullptr || route.open) return true;
  call.key = context.keys->find(given_key(*call.request));
  if (call.key == nullptr) {
    ++context.metrics.refused_key;
    reply_error(call, {.status = 401,
                       .message = "expected a valid key (Authorization: Bearer …)",
                       .code = "invalid_api_key"});
    return false;
  }
  if (route.method == "GET") return true;
  if (const auto error = context.keys->count_request(*call.key)) {
    ++context.metrics.refused_limit;
    reply_error(call, *error);
    return false;
  }
  return true;
}

void handle(ApiContext& context, Call call) {
  const HttpRequest& request = *call.request;
  ++context.metrics.requests;
  call.style = style_of(request.path);
  const Access::Verdict verdict = context.access.judge(request);
  if (!verdict.allowed) {
    ++context.metrics.refused_foreign;
    reply_error(call, {.status = 403, .message = verdict.why, .code = "foreign"});
    return;
  }
  call.cors_origin = verdict.cors_origin;
  if (request.method == "OPTIONS" && !call.cors_origin.empty()) {
    answer_preflight(call);
    return;
  }
  const Found found = find_route(request);
  if (found.route == nullptr) {
    if (serve_page(call)) return;  // also where another method has a route: HEAD /
    ApiError error{.status = 404, .message = "there is nothing under this path"};
    if (!found.allowed.empty()) error = {.status = 405, .message = "expected " + found.allowed};
    Headers headers = reply_headers(call, "application/json");
    if (!found.allowed.empty()) headers.emplace_back("Allow", found.allowed);
    log_refusal(call, error);
    call.exchange->reply({.status = error.status,
                          .headers = std::move(headers),
                          .body = boost::json::serialize(error_object(call.style, error))});
    return;
  }
  if (verdict.cross_site) {
    ++context.metrics.refused_foreign;
    reply_error(call, {.status = 403,
                       .message = "Sec-Fetch-Site: expected same-origin or none",
                       .code = "foreign"});
    return;
  }
  if (!check_key(context, call, *found.route)) return;
  if (!request.body.empty() && !takes_type(request)) {
    reply_error(call, {.status = 415, .message = "Content-Type: expected application/json"});
    return;
  }
  if (context.stopping && found.route->method != "GET") {
    reply_error(call,
                {.status = 503, .message = "the server is shutting down", .code = "shutdown"});
    return;
  }
  call.rest = percent_decoded(found.rest);
  const Handler handler = found.route->handler;
  if (found.route->quick) {
    handler(context, std::move(call));
  } else {
    on_worker(context, call, [&context, call, handler] { handler(context, call); });
  }
}

Status check_address(const ServerOptions& options) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(options.host, error);
  if (error) {
    return usage_error(fmt::format("--host: expected a numeric address such as 127.0.0.1, found {}",
                                   options.host));
  }
  if (!address.is_loopback() && options.keys_path.empty()) {
    return usage_error(fmt::format(
        "--host {}: others could use this server; expected --keys FILE with it", options.host));
  }
  return {};
}

}  // namespace

Server::Server() = default;

Result<std::unique_ptr<Server>> Server::start(ServerOptions options,
                                              std::unique_ptr<ModelLibrary> library) {
  RECKON_RETURN_IF_ERROR(check_address(options));
  std::unique_ptr<Server> server(new Server());
  RECKON_ASSIGN(Access access,
                Access::create(options.host, options.allow_hosts, options.allow_origins));
  server->context_ = std::make_unique<ApiContext>();
  ApiContext& context = *server->context_;
  context.access = std::move(access);
  if (!options.keys_path.empty()) {
    RECKON_ASSIGN(context.keys, ApiKeys::load(options.keys_path));
  }
  context.library = std::move(library);
  context.default_model = options.default_model;
  context.log = options.log;
  context.started_at_s = seconds_since_1970();
  context.pool = std::make_unique<ModelPool>(options.pool, [&context](const std::string& name) {
    const JobControl control{.cancelled = [&context] { return context.stopping.load(); }};
    return context.library->resolve(name, control);
  });
  context.keep_default = options.keep_default;
  context.services = std::make_unique<AnswerServices>(
      AnswerServices{context.metrics, context.running, context.keys, context.stopping, context.log,
                     options.log_content});
  context.workers = std::make_unique<boost::asio::thread_pool>(kWorkers);
  const auto on_request = [&context](std::shared_ptr<HttpRequest> request,
                                     std::shared_ptr<Exchange> exchange) {
    handle(context,
           {.request = std::move(request), .exchange = std::move(exchange), .log = &context.log});
  };
  const auto error_body = [](std::string_view path, int status, std::string_view message) {
    return boost::json::serialize(
        error_object(style_of(path), {.status = status, .message = std::string(message)}));
  };
  RECKON_ASSIGN(server->http_, HttpServer::start(options.host, options.port, options.limits,
                                                 on_request, error_body));
  return server;
}

Server::~Server() {
  if (context_ == nullptr) return;
  context_->stopping = true;
  if (http_ != nullptr) http_->stop_accepting();
  if (context_->pool != nullptr) context_->pool->stop();
  // Connections end first: what they started is cancelled. Then nobody posts to the workers.
  http_.reset();
  if (context_->workers != nullptr) context_->workers->join();
  while (context_->n_pulls > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  context_->pool.reset();
}

uint16_t Server::port() const { return http_->port(); }

void Server::load_default() {
  if (context_->default_model.empty()) return;
  const Result<LibraryModel> model = context_->library->find(context_->default_model);
  if (model.ok()) {
    if (context_->keep_default) context_->pool->pin(model->name);
    const ApiResult<HostLease> lease = context_->pool->acquire(model->name);
  }
}

void Server::stop(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  context_->stopping = true;
  http_->stop_accepting();
  while (!http_->is_quiet() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  context_->pool->stop();
  // What was cancelled has its last words on their way.
  const auto last_words = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!http_->is_quiet() && std::chrono::steady_clock::now() < last_words) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace reckon::server
