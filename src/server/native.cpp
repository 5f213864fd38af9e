// Routes of the server's own: health, metrics, tokens, the OpenAPI document, and what the page asks
// about the machine.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <span>
#include <thread>

#include "base/embedded_files.h"
#include "base/thread_pool.h"
#include "engine/conversation.h"
#include "engine/memory.h"
#include "kernels/kernels.h"
#include "server/api.h"
#include "server/fields.h"
#include "store/catalog.h"

std::span<const reckon::EmbeddedFile> reckon_embedded_openapi();

namespace reckon::server {
namespace {

namespace json = boost::json;

void health(ApiContext& context, Call call) {
  if (context.stopping) {
    reply_json(call, json::object{{"status", "stopping"}}, 503);
  } else {
    reply_json(call, json::object{{"status", "ok"}});
  }
}

void metrics(ApiContext& context, Call call) {
  call.exchange->reply({.headers = reply_headers(call, "text/plain; version=0.0.4"),
                        .body = context.metrics.text(*context.pool)});
}

void openapi(ApiContext&, Call call) {
  call.exchange->reply({.headers = reply_headers(call, "application/json"),
                        .static_body = reckon_embedded_openapi().front().bytes});
}

struct Body {
  json::object object;
  std::string model;
};

ApiResult<Body> read_model_body(const Call& call) {
  ApiResult<json::object> object = parse_body(*call.request);
  if (!object.ok()) return object.error();
  Body body{.object = std::move(*object), .model = ""};
  Fields fields(body.object);
  body.model = fields.text("model").value_or("");
  if (fields.error()) return *fields.error();
  return body;
}

void tokenize(ApiContext& context, Call call) {
  ApiResult<Body> body = read_model_body(call);
  if (!body.ok()) {
    reply_error(call, body.error());
    return;
  }
  Fields fields(body->object);
  const std::optional<std::string> content = fields.text("content");
  const bool add_special = fields.boolean("add_special").value_or(false);
  const bool parse_special = fields.boolean("parse_special").value_or(false);
  if (!content) fields.fail("content", "expected a text, found none");
  if (fields.error()) {
    reply_error(call, *fields.error());
    return;
  }
  with_model(context, call, body->model, {}, [=](const std::shared_ptr<HostLease>& lease) {
    const Tokenizer& tokenizer = (*lease)->engine().tokenizer();
    std::vector<TokenId> tokens;
    if (add_special && tokenizer.add_bos() && tokenizer.bos() != kNoToken) {
      tokens.push_back(tokenizer.bos());
    }
    tokenizer.encode(*content, parse_special ? SpecialTokens::kParse : SpecialTokens::kAsText,
                     tokens);
    json::array list;
    for (const TokenId token : tokens) list.push_back(token);
    reply_json(call, json::object{{"tokens", std::move(list)}});
  });
}

void detokenize(ApiContext& context, Call call) {
  ApiResult<Body> body = read_model_body(call);
  if (!body.ok()) {
    reply_error(call, body.error());
    return;
  }
  Fields fields(body->object);
  std::vector<int64_t> tokens;
  const json::array* list = fields.array("tokens");
  if (list == nullptr) fields.fail("tokens", "expected an array of token ids, found none");
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const int64_t* token = (*list)[i].if_int64();
    if (token == nullptr) {
      fields.fail("tokens", "expected token ids, found " + found((*list)[i]));
      break;
    }
    tokens.push_back(*token);
  }
  if (fields.error()) {
    reply_error(call, *fields.error());
    return;
  }
  with_model(context, call, body->model, {}, [=](const std::shared_ptr<HostLease>& lease) {
    const Engine& engine = (*lease)->engine();
    StreamDecoder decoder(engine.shared_tokenizer());
    std::string text;
    for (const int64_t token : tokens) {
      if (token < 0 || token >= engine.tokenizer().vocab_size()) {
        reply_error(call,
                    bad_field("tokens", fmt::format("expected ids from 0 to {}, found {}",
                                                    engine.tokenizer().vocab_size() - 1, token)));
        return;
      }
      text += decoder.push(static_cast<TokenId>(token));
    }
    text += decoder.finish();
    reply_json(call, json::object{{"content", text}});
  });
}

void machine(ApiContext&, Call call) {
  const Result<int64_t> memory = available_memory();
  const Result<const kernels::KernelTable*> table = kernels::default_table();
  reply_json(call, json::object{{"memory_bytes", memory.ok() ? *memory : 0},
                                {"threads", physical_core_count()},
                                {"isa", table.ok() ? (*table)->name : ""},
                                {"version", RECKON_VERSION}});
}

void show_catalog(ApiContext& context, Call call) {
  const Result<int64_t> memory = available_memory();
  json::array list;
  for (const CatalogModel& model : catalog()) {
    const bool installed = context.library->find(model.name).ok();
    list.push_back({{"name", model.name},
                    {"title", model.title},
                    {"size_bytes", model.bytes},
                    {"memory_bytes", model.memory_bytes()},
                    {"fits", memory.ok() && model.memory_bytes() <= *memory},
                    {"installed", installed}});
  }
  reply_json(call, json::object{{"models", std::move(list)}});
}

}  // namespace

std::span<const Route> native_routes() {
  static constexpr Route kRoutes[] = {
      {"GET", "/health", health, true, true},   {"GET", "/metrics", metrics},
      {"GET", "/openapi.json", openapi, true},  {"POST", "/tokenize", tokenize},
      {"POST", "/detokenize", detokenize},      {"GET", "/reckon/machine", machine},
      {"GET", "/reckon/catalog", show_catalog},
  };
  return kRoutes;
}

}  // namespace reckon::server
