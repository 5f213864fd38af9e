// Ollama's API: chat and generate; ollama_models.cpp has what manages models.
#include "server/ollama.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/times.h"
#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

constexpr double kAnyNumber = std::numeric_limits<double>::max();
constexpr int64_t kAnyCount = std::numeric_limits<int32_t>::max();

int64_t nanoseconds(double ms) { return static_cast<int64_t>(ms * 1e6); }

void add_totals(json::object& line, const AnswerTotals& totals, FinishReason reason) {
  line["done"] = true;
  line["done_reason"] = reason == FinishReason::kLength ? "length" : "stop";
  line["total_duration"] = nanoseconds(totals.total_ms);
  line["load_duration"] = int64_t{0};
  line["prompt_eval_count"] = totals.usage.prompt_tokens;
  line["prompt_eval_duration"] = nanoseconds(totals.timings.prefill_ms);
  line["eval_count"] = totals.usage.output.total();
  line["eval_duration"] = nanoseconds(totals.timings.decode_ms);
}

// Both routes: /api/chat has a message, /api/generate a response and a thinking.
class OllamaWriter final : public AnswerWriter {
 public:
  struct Wish {
    bool is_chat = false;
    bool stream = false;
    bool tells_thought = true;
  };

  OllamaWriter(Call call, std::string model, const Wish& wish)
      : call_(std::move(call)),
        model_(std::move(model)),
        is_chat_(wish.is_chat),
        stream_(wish.stream),
        tells_thought_(wish.tells_thought) {}

  void begin(int64_t) override {
    if (stream_) call_.exchange->begin(200, reply_headers(call_, "application/x-ndjson"), "");
  }

  void text(size_t, Part part, std::string_view text, std::vector<DrawnToken>) override {
    const bool thinking = part == Part::kThinking;
    if (thinking && !tells_thought_) return;
    if (stream_) {
      send(thinking ? text : "", thinking ? "" : text, {});
    } else {
      (thinking ? thinking_ : answer_) += text;
    }
  }

  void tool_call(size_t, const ToolCall& call) override {
    json::object entry{{"function", {{"name", call.name}}}};
    Result<json::value> arguments = parse_json(call.arguments, "arguments", 64);
    entry["function"].as_object()["arguments"] =
        arguments.ok() ? std::move(*arguments) : json::value(json::object());
    if (stream_) {
      send("", "", json::array{std::move(entry)});
    } else {
      calls_.push_back(std::move(entry));
    }
  }

  void choice_end(size_t, const ChoiceEnd& end) override { reason_ = end.reason; }

  void done(const AnswerTotals& totals) override {
    json::object line = line_object(thinking_, answer_, std::move(calls_));
    add_totals(line, totals, reason_);
    if (stream_) {
      call_.exchange->write(json::serialize(line) + "\n");
      call_.exchange->end();
    } else {
      reply_json(call_, line);
    }
  }

  void fail(const ApiError& error) override {
    if (stream_) {
      call_.exchange->write(json::serialize(error_object(call_.style, error)) + "\n");
      call_.exchange->end();
    } else {
      send_error(call_, error);
    }
  }

 private:
  json::object line_object(std::string_view thinking, std::string_view answer, json::array calls) {
    json::object line{{"model", model_}, {"created_at", utc_now()}};
    if (is_chat_) {
      json::object message{{"role", "assistant"}, {"content", answer}};
      if (!thinking.empty()) message["thinking"] = thinking;
      if (!calls.empty()) message["tool_calls"] = std::move(calls);
      line["message"] = std::move(message);
    } else {
      line["response"] = answer;
      if (!thinking.empty()) line["thinking"] = thinking;
    }
    line["done"] = false;
    return line;
  }

  void send(std::string_view thinking, std::string_view answer, json::array calls) {
    call_.exchange->write(json::serialize(line_object(thinking, answer, std::move(calls))) + "\n");
  }

  const Call call_;
  const std::string model_;
  const bool is_chat_;
  const bool stream_;
  const bool tells_thought_;
  std::string thinking_;
  std::string answer_;
  json::array calls_;
  FinishReason reason_ = FinishReason::kStop;
};

void read_think(Fields& fields, GenerateSpec& spec) {
  const json::value* think = fields.find("think");
  if (think == nullptr) return;
  if (const bool* flag = think->if_bool()) {
    if (!*flag) spec.effort = Effort::kNone;
  } else if (const auto level = fields.one_of("think", {"low", "medium", "high", "max"})) {
    spec.effort = level == "max" ? Effort::kXhigh : parse_effort(*level);
  }
}

// The first only for /api/chat.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"prompt", "messages"},
    {"temperature", "options.temperature"},
    {"top_p", "options.top_p"},
    {"min_p", "options.min_p"},
    {"repetition_penalty", "options.repeat_penalty"},
    {"presence_penalty", "options.presence_penalty"},
    {"frequency_penalty", "options.frequency_penalty"},
    {"penalty_last_n", "options.repeat_last_n"},
    {"stop", "options.stop"}};

void read_options(Fields& fields, GenerateSpec& spec) {
  const json::object* object = fields.object("options");
  if (object == nullptr) return;
  Fields f(*object, "options");
  SamplingWishes& sampling = spec.sampling;
  sampling.temperature = f.number("temperature", 0, kAnyNumber);
  sampling.top_p = f.number("top_p", -kAnyNumber, kAnyNumber);
  sampling.min_p = f.number("min_p", -kAnyNumber, kAnyNumber);
  sampling.top_k = f.integer("top_k", 0, kAnyCount);
  sampling.repetition_penalty = f.number("repeat_penalty", -kAnyNumber, kAnyNumber);
  sampling.presence_penalty = f.number("presence_penalty", -kAnyNumber, kAnyNumber);
  sampling.frequency_penalty = f.number("frequency_penalty", -kAnyNumber, kAnyNumber);
  sampling.penalty_last_n = f.integer("repeat_last_n", -1, kAnyCount);
  sampling.seed = f.seed("seed");
  spec.stop = f.texts("stop");
  spec.context_wanted = f.integer("num_ctx", 1, kAnyCount);
  // -1: until the end of the context; -2 fills it, which is the same here.
  const auto n = f.integer("num_predict", -2, kAnyCount);
  if (n == 0) f.fail("num_predict", "expected at least 1, or -1 for no limit, found 0");
  if (n && *n > 0) spec.max_tokens = n;
  if (const auto mirostat = f.integer("mirostat", 0, 2); mirostat && *mirostat != 0) {
    f.fail("mirostat", "expected 0: there is no such sampling here");
  }
  if (const auto typical = f.number("typical_p", 0, 1); typical && *typical != 1) {
    f.fail("typical_p", "expected 1: there is no such sampling here");
  }
  fields.take_error(f);
}

void read_message(Fields& fields, const json::value& value, const std::string& name,
                  GenerateSpec& spec) {
  const json::object* object = value.if_object();
  if (object == nullptr) {
    fields.fail(name, "expected an object, found " + found(value));
    return;
  }
  Fields f(*object, name);
  Message message;
  const auto role = f.one_of("role", {"system", "user", "assistant", "tool"});
  if (!f.error() && !role) f.fail("role", "expected a role, found none");
  message.role = role == "system"      ? Role::kSystem
                 : role == "assistant" ? Role::kAssistant
                 : role == "tool"      ? Role::kTool
                                       : Role::kUser;
  message.content = f.text("content").value_or("");
  if (const json::array* images = f.array("images"); images != nullptr && !images->empty()) {
    f.fail("images", "expected none: these models read text");
  }
  if (const json::array* calls = f.array("tool_calls")) {
    for (const json::value& entry : *calls) {
      const json::value* inner =
          entry.is_object() ? entry.get_object().if_contains("function") : nullptr;
      if (inner == nullptr || !inner->is_object()) {
        f.fail("tool_calls", "expected objects with a function");
        break;
      }
      Fields function(inner->get_object(), name + ".tool_calls.function");
      const json::object* arguments = function.object("arguments");
      message.tool_calls.push_back(
          {.name = function.text("name").value_or(""),
           .arguments = arguments == nullptr ? "{}" : json::serialize(*arguments),
           .id = ""});
      f.take_error(function);
    }
  }
  fields.take_error(f);
  spec.messages.push_back(std::move(message));
}

// Models are loaded by a request without anything to answer, and let go by keep_alive 0 with it.
void only_load(ApiContext& context, const Call& call, const GenerateSpec& spec, bool is_chat) {
  const bool unload = spec.keep_alive_s == 0;
  const std::string name = spec.model.empty() ? context.default_model : spec.model;
  const auto reply = [call, is_chat, model = name, unload] {
    json::object line{{"model", model}, {"created_at", utc_now()}};
    if (is_chat) {
      line["message"] = json::object{{"role", "assistant"}, {"content", ""}};
    } else {
      line["response"] = "";
    }
    line["done"] = true;
    line["done_reason"] = unload ? "unload" : "load";
    reply_json(call, line);
  };
  if (unload) {
    const ApiResult<LibraryModel> model = find_model(context, call, spec.model);
    if (!model.ok()) {
      reply_error(call, model.error());
      return;
    }
    context.pool->release_soon((*model).name);
    reply();
    return;
  }
  with_model(context, call, spec.model, spec.keep_alive_s,
             [reply](const std::shared_ptr<HostLease>&) { reply(); });
}

struct OllamaBody {
  json::object object;
  GenerateSpec spec;
  bool stream = true;
};

void read_common(Fields& fields, OllamaBody& body) {
  body.spec.field_names = kNames;
  body.spec.model = fields.text("model").value_or("");
  body.stream = fields.boolean("stream").value_or(true);
  body.spec.keep_alive_s = read_keep_alive(fields);
  read_think(fields, body.spec);
  read_options(fields, body.spec);
  read_format(fields, body.spec);
  if (fields.boolean("logprobs").value_or(false)) {
    fields.fail("logprobs", "expected false: /v1/chat/completions gives them");
  }
}

void start(ApiContext& context, const Call& call, OllamaBody body, bool is_chat) {
  const std::string model = body.spec.model.empty() ? context.default_model : body.spec.model;
  const bool tools = !body.spec.tools.empty();
  const OllamaWriter::Wish wish{.is_chat = is_chat,
                                .stream = body.stream,
                                .tells_thought = body.spec.effort != Effort::kNone};
  start_answer(context, call, std::move(body.spec),
               {.id = random_id("ollama-"),
                .api = is_chat ? "ollama.chat" : "ollama.generate",
                .parse_tools = tools},
               [=](const Engine&) -> std::unique_ptr<AnswerWriter> {
                 return std::make_unique<OllamaWriter>(call, model, wish);
               });
}

}  // namespace

void ollama_chat(ApiContext& context, Call call) {
  ApiResult<json::object> object = parse_body(*call.request);
  if (!object.ok()) return reply_error(call, object.error());
  OllamaBody body;
  Fields fields(*object);
  read_common(fields, body);
  if (const json::array* messages = fields.array("messages")) {
    for (size_t i = 0; i < messages->size(); ++i) {
      read_message(fields, (*messages)[i], fmt::format("messages[{}]", i), body.spec);
    }
  }
  read_openai_tools(fields, body.spec);
  read_grammar(fields, body.spec);
  if (fields.error()) return reply_error(call, *fields.error());
  if (body.spec.messages.empty()) return only_load(context, call, body.spec, true);
  start(context, call, std::move(body), true);
}

void ollama_generate(ApiContext& context, Call call) {
  ApiResult<json::object> object = parse_body(*call.request);
  if (!object.ok()) return reply_error(call, object.error());
  OllamaBody body;
  Fields fields(*object);
  read_common(fields, body);
  body.spec.field_names = body.spec.field_names.subspan(1);
  const std::string prompt = fields.text("prompt").value_or("");
  const std::optional<std::string> system = fields.text("system");
  const bool raw = fields.boolean("raw").value_or(false);
  if (raw && system.value_or("") != "") fields.fail("system", "expected none beside raw");
  if (fields.text("suffix").value_or("") != "") fields.fail("suffix", "expected none");
  if (fields.text("template").value_or("") != "") {
    fields.fail("template", "expected none: a model's own is used");
  }
  if (const json::array* images = fields.array("images"); images != nullptr && !images->empty()) {
    fields.fail("images", "expected none: these models read text");
  }
  if (const json::array* past = fields.array("context"); past != nullptr && !past->empty()) {
    fields.fail("context", "expected none: /api/chat takes earlier turns");
  }
  if (fields.error()) return reply_error(call, *fields.error());
  if (prompt.empty()) return only_load(context, call, body.spec, false);
  if (raw) {
    body.spec.prompts.push_back(prompt);
  } else {
    if (system)
      body.spec.messages.push_back({.role = Role::kSystem, .content = *system, .tool_calls = {}});
    body.spec.messages.push_back({.role = Role::kUser, .content = prompt, .tool_calls = {}});
  }
  start(context, call, std::move(body), false);
}

}  // namespace reckon::server
