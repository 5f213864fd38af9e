// POST /v1/responses, without state: every request brings its whole conversation.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/times.h"
#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

constexpr int64_t kAnyCount = std::numeric_limits<int32_t>::max();

struct ResponseHead {
  std::string id;
  int64_t created = 0;
  std::string model;
  json::object asked = {};         // of the request, what the reply repeats
  bool encrypted_thought = false;  // include: reasoning.encrypted_content
};

json::object response_usage(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.output.total()},
          {"output_tokens_details", {{"reasoning_tokens", usage.output.thinking}}},
          {"total_tokens", usage.prompt_tokens + usage.output.total()}};
}

// Both ways: the items of the output are gathered, and in a stream told as they grow.
class ResponseWriter final : public AnswerWriter {
 public:
  ResponseWriter(Call call, ResponseHead head, bool stream)
      : call_(std::move(call)), head_(std::move(head)), stream_(stream) {}

  void begin(int64_t) override {
    if (!stream_) return;
    call_.exchange->begin(200, event_stream_headers(call_), std::string(kSsePing));
    send("response.created", {{"response", response("in_progress", nullptr)}});
    send("response.in_progress", {{"response", response("in_progress", nullptr)}});
  }

  void text(size_t, Part part, std::string_view text, std::vector<DrawnToken>) override {
    open(part == Part::kThinking ? Item::kReasoning : Item::kMessage);
    text_ += text;
    json::object event = place();
    event["delta"] = text;
    if (item_ == Item::kMessage) event["logprobs"] = json::array();
    send(item_ == Item::kReasoning ? "response.reasoning_text.delta" : "response.output_text.delta",
         std::move(event));
  }

  void tool_call(size_t, const ToolCall& call) override {
    close();
    const std::string id = random_id("fc_");
    json::object item{{"type", "function_call"}, {"id", id},        {"call_id", random_id("call_")},
                      {"name", call.name},       {"arguments", ""}, {"status", "in_progress"}};
    send("response.output_item.added", {{"output_index", output_.size()}, {"item", item}});
    send("response.function_call_arguments.delta",
         {{"item_id", id}, {"output_index", output_.size()}, {"delta", call.arguments}});
    send("response.function_call_arguments.done",
         {{"item_id", id}, {"output_index", output_.size()}, {"arguments", call.arguments}});
    item["arguments"] = call.arguments;
    item["status"] = "completed";
    send("response.output_item.done", {{"output_index", output_.size()}, {"item", item}});
    output_.push_back(std::move(item));
  }

  void choice_end(size_t, const ChoiceEnd& end) override { end_ = end; }

  void done(const AnswerTotals& totals) override {
    const bool whole = end_.reason != FinishReason::kLength;
    const std::string_view status = whole ? "completed" : "incomplete";
    close(status);
    json::object reply = response(status, response_usage(totals.usage));
    reply["reckon"] = reckon_object(totals, false);
    if (!whole) reply["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    if (!stream_) return reply_json(call_, reply);
    send(whole ? "response.completed" : "response.incomplete", {{"response", std::move(reply)}});
    call_.exchange->end();
  }

  void fail(const ApiError& error) override {
    if (!stream_) return send_error(call_, error);
    json::object reply = response("failed", nullptr);
    reply["error"] = json::object{{"code", "server_error"}, {"message", error.message}};
    send("response.failed", {{"response", std::move(reply)}});
    call_.exchange->end();
  }

 private:
  enum class Item : uint8_t { kNone, kReasoning, kMessage };

  json::object response(std::string_view status, json::value usage) const {
    json::object reply{
        {"id", head_.id},       {"object", "response"},     {"created_at", head_.created},
        {"status", status},     {"error", nullptr},         {"incomplete_details", nullptr},
        {"model", head_.model}, {"output", output_},        {"previous_response_id", nullptr},
        {"store", false},       {"truncation", "disabled"}, {"usage", std::move(usage)}};
    for (const auto& field : head_.asked) reply[field.key()] = field.value();
    return reply;
  }

  json::object place() const {
    return {{"item_id", item_id_}, {"output_index", output_.size()}, {"content_index", 0}};
  }

  json::object part() const {
    if (item_ == Item::kReasoning) return {{"type", "reasoning_text"}, {"text", text_}};
    return {{"type", "output_text"},
            {"text", text_},
            {"annotations", json::array()},
            {"logprobs", json::array()}};
  }

  json::object item(std::string_view status, json::array content) const {
    if (item_ == Item::kReasoning) {
      json::object thought{{"type", "reasoning"},
                           {"id", item_id_},
                           {"summary", json::array()},
                           {"content", std::move(content)},
                           {"status", status}};
      if (head_.encrypted_thought) thought["encrypted_content"] = kThoughtSignature;
      return thought;
    }
    return {{"type", "message"},
            {"id", item_id_},
            {"role", "assistant"},
            {"status", status},
            {"content", std::move(content)}};
  }

  void open(Item kind) {
    if (item_ == kind) return;
    close();
    item_ = kind;
    item_id_ = random_id(kind == Item::kReasoning ? "rs_" : "msg_");
    text_.clear();
    send("response.output_item.added",
         {{"output_index", output_.size()}, {"item", item("in_progress", {})}});
    json::object event = place();
    event["part"] = part();
    send("response.content_part.added", std::move(event));
  }

  // status: the item's, which a limit may have broken off.
  void close(std::string_view status = "completed") {
    if (item_ == Item::kNone) return;
    json::object text_done = place();
    text_done["text"] = text_;
    if (item_ == Item::kMessage) text_done["logprobs"] = json::array();
    send(item_ == Item::kReasoning ? "response.reasoning_text.done" : "response.output_text.done",
         std::move(text_done));
    json::object part_done = place();
    part_done["part"] = part();
    send("response.content_part.done", std::move(part_done));
    json::object whole = item(status, json::array{part()});
    send("response.output_item.done", {{"output_index", output_.size()}, {"item", whole}});
    output_.push_back(std::move(whole));
    item_ = Item::kNone;
  }

  void send(std::string_view type, json::object fields) {
    if (!stream_) return;
    json::object event{{"type", type}, {"sequence_number", sequence_++}};
    for (auto& field : fields) event[field.key()] = std::move(field.value());
    call_.exchange->write(fmt::format("event: {}\ndata: {}\n\n", type, json::serialize(event)));
  }

  const Call call_;
  const ResponseHead head_;
  const bool stream_;
  json::array output_;
  Item item_ = Item::kNone;
  std::string item_id_;
  std::string text_;
  int64_t sequence_ = 0;
  ChoiceEnd end_;
};

void read_item(Fields& fields, const json::value& value, const std::string& name,
               GenerateSpec& spec) {
  const json::object* object = value.if_object();
  if (object == nullptr) {
    fields.fail(name, "expected an object, found " + found(value));
    return;
  }
  Fields f(*object, name);
  const std::string type = f.text("type").value_or("message");
  Message message;
  if (type == "message") {
    const auto role = f.one_of("role", {"system", "developer", "user", "assistant"});
    if (!f.error() && !role) f.fail("role", "expected a role, found none");
    message.role = role == "assistant" ? Role::kAssistant
                   : role == "user"    ? Role::kUser
                                       : Role::kSystem;
    if (const json::value* content = f.find("content")) {
      message.content = read_text_parts(f, *content, "content").value_or("");
    }
  } else if (type == "function_call") {
    message.role = Role::kAssistant;
    message.tool_calls.push_back({.name = f.text("name").value_or(""),
                                  .arguments = f.text("arguments").value_or("{}"),
                                  .id = f.text("call_id").value_or("")});
    // Items of one turn: its text and its calls.
    if (!spec.messages.empty() && spec.messages.back().role == Role::kAssistant) {
      fields.take_error(f);
      spec.messages.back().tool_calls.push_back(std::move(message.tool_calls.back()));
      return;
    }
  } else if (type == "function_call_output") {
    message.role = Role::kTool;
    if (const json::value* output = f.find("output")) {
      message.content = read_text_parts(f, *output, "output").value_or("");
    }
  } else if (type == "reasoning") {
    fields.take_error(f);
    return;  // an earlier thought: dropped
  } else {
    f.fail("type", "expected message, function_call, function_call_output or reasoning, found " +
                       excerpt(type));
  }
  fields.take_error(f);
  spec.messages.push_back(std::move(message));
}

void read_input(Fields& fields, GenerateSpec& spec) {
  const json::value* input = fields.find("input");
  if (input == nullptr) {
    fields.fail("input", "expected a text or items, found none");
  } else if (const json::string* text = input->if_string()) {
    spec.messages.push_back({.role = Role::kUser, .content = std::string(*text), .tool_calls = {}});
  } else if (const json::array* items = input->if_array(); items && !items->empty()) {
    for (size_t i = 0; i < items->size(); ++i) {
      read_item(fields, (*items)[i], fmt::format("input[{}]", i), spec);
    }
  } else {
    fields.fail("input", "expected a text or items, found " + found(*input));
  }
  if (!fields.error() && spec.messages.empty()) fields.fail("input", "expected a message");
}

// Here a function's fields stand beside its type; elsewhere they are within "function".
void read_flat_tools(Fields& fields, json::object& body) {
  const json::array* tools = fields.array("tools");
  if (tools == nullptr) return;
  json::array nested;
  for (const json::value& value : *tools) {
    const json::object* tool = value.if_object();
    const json::value* type = tool == nullptr ? nullptr : tool->if_contains("type");
    if (type == nullptr || *type != "function") {
      fields.fail("tools", "expected functions: no other tool runs here");
      return;
    }
    Fields f(*tool, fmt::format("tools[{}]", nested.size()));
    read_function(f);
    fields.take_error(f);
    json::object function(*tool);
    function.erase("type");
    nested.push_back(json::object{{"type", "function"}, {"function", std::move(function)}});
  }
  body["tools"] = std::move(nested);
}

constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"prompt", "input"},
    {"messages", "input"},
    {"think_budget", "thinking_budget_tokens"},
    {"min_think_tokens", "min_thinking_tokens"},
    {"max_tokens", "max_output_tokens"}};

// What the reply repeats of the request, with what holds where the request is silent.
json::object asked_of(const json::object& body) {
  json::object asked{{"instructions", nullptr},
                     {"max_output_tokens", nullptr},
                     {"metadata", json::object()},
                     {"parallel_tool_calls", true},
                     {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                     {"text", {{"format", {{"type", "text"}}}}},
                     {"tool_choice", "auto"},
                     {"tools", json::array()}};
  for (auto& field : asked) {
    const json::value* given = body.if_contains(field.key());
    if (given != nullptr && !given->is_null()) field.value() = *given;
  }
  return asked;
}

// What is of other servers' answers, or of several.
void refuse_what_is_not_there(Fields& fields, const GenerateSpec& spec) {
  if (spec.n != 1) fields.fail("n", "expected 1: a response is one answer");
  if (spec.paths.n != 1) fields.fail("n_paths", "expected 1: a response is one answer");
  if (fields.integer("top_logprobs", 0, 20).value_or(0) != 0) {
    fields.fail("top_logprobs", "expected 0: /v1/chat/completions gives them");
  }
  if (fields.one_of("truncation", {"auto", "disabled"}) == "auto") {
    fields.fail("truncation", "expected disabled: no input is left out");
  }
  // Bounds the calls of tools that a server runs: here none.
  fields.integer("max_tool_calls", 0, kAnyCount);
}

// Thoughts are in the open anyway; a client that sends encrypted ones back gets something to send.
bool read_include(Fields& fields) {
  bool encrypted_thought = false;
  for (const std::string& item : fields.texts("include")) {
    if (item != "reasoning.encrypted_content") {
      fields.fail("include", "expected reasoning.encrypted_content alone, found " + excerpt(item));
    }
    encrypted_thought = true;
  }
  return encrypted_thought;
}

void refuse_state(Fields& fields) {
  for (const std::string_view name : {"previous_response_id", "conversation", "prompt"}) {
    if (fields.has(name)) {
      fields.fail(name, "expected none: nothing is kept between requests");
    }
  }
  if (fields.boolean("background").value_or(false)) {
    fields.fail("background", "expected false: answers are not kept");
  }
  if (fields.boolean("store").value_or(false)) {
    fields.fail("store", "expected false: answers are not kept");
  }
}

}  // namespace

void responses(ApiContext& context, Call call) {
  ApiResult<json::object> body = parse_body(*call.request);
  if (!body.ok()) return reply_error(call, body.error());
  Fields fields(*body);
  GenerateSpec spec;
  ResponseHead head;
  head.id = random_id("resp_");
  head.created = seconds_since_1970();
  head.asked = asked_of(*body);
  spec.field_names = kNames;
  spec.model = fields.text("model").value_or("");
  if (const auto instructions = fields.text("instructions")) {
    spec.messages.push_back({.role = Role::kSystem, .content = *instructions, .tool_calls = {}});
  }
  read_input(fields, spec);
  refuse_state(fields);
  read_flat_tools(fields, *body);
  if (!fields.error()) read_openai_tools(fields, spec);
  read_openai_sampling(fields, spec);
  read_openai_thinking(fields, spec);
  if (const auto most = fields.integer("max_output_tokens", 1, kAnyCount)) spec.max_tokens = most;
  if (const json::object* reasoning = fields.object("reasoning")) {
    Fields f(*reasoning, "reasoning");
    if (const auto effort =
            f.one_of("effort", {"none", "minimal", "low", "medium", "high", "xhigh"})) {
      spec.effort = parse_effort(*effort);
    }
    fields.take_error(f);
  }
  if (const json::object* text = fields.object("text")) {
    Fields f(*text, "text");
    read_response_format(f, "format", SchemaPlace::kBesideType, spec);
    fields.take_error(f);
  }
  read_grammar(fields, spec);
  refuse_what_is_not_there(fields, spec);
  head.encrypted_thought = read_include(fields);
  const bool stream = fields.boolean("stream").value_or(false);
  if (fields.error()) return reply_error(call, *fields.error());
  head.model = spec.model.empty() ? context.default_model : spec.model;
  const AnswerPlan plan{
      .id = head.id, .api = "openai.responses", .parse_tools = !spec.tools.empty()};
  const SamplingWishes wishes = spec.sampling;
  start_answer(context, call, std::move(spec), plan,
               [=](const Engine& engine) -> std::unique_ptr<AnswerWriter> {
                 ResponseHead known = head;
                 const SamplingParams sampling = sampling_of(wishes, engine);
                 known.asked["temperature"] = sampling.temperature;
                 known.asked["top_p"] = sampling.top_p;
                 return std::make_unique<ResponseWriter>(call, known, stream);
               });
}

}  // namespace reckon::server
