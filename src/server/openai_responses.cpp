// POST /v1/responses, without state: every request brings its whole conversation.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <limits>
#include <utility>

#include "base/json.h"
#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

constexpr int64_t kAnyCount = std::numeric_limits<int32_t>::max();

struct ResponseHead {
  std::string id;
  int64_t created = 0;
  std::string model;
  json::value instructions;
  json::array tools;
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

  void begin() override {
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
    close();
    const bool whole = end_.reason != FinishReason::kLength;
    const std::string_view status = whole ? "completed" : "incomplete";
    json::object reply = response(status, response_usage(totals.usage));
    if (!whole) reply["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    if (!stream_) return reply_json(call_, reply);
    send(whole ? "response.completed" : "response.incomplete", {{"response", std::move(reply)}});
    call_.exchange->end();
  }

  void fail(const ApiError& error) override {
    if (!stream_) return reply_error(call_, error);
    json::object reply = response("failed", nullptr);
    reply["error"] = json::object{{"code", "server_error"}, {"message", error.message}};
    send("response.failed", {{"response", std::move(reply)}});
    call_.exchange->end();
  }

 private:
  enum class Item : uint8_t { kNone, kReasoning, kMessage };

  json::object response(std::string_view status, json::value usage) const {
    return {{"id", head_.id},
            {"object", "response"},
            {"created_at", head_.created},
            {"status", status},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", head_.instructions},
            {"metadata", json::object()},
            {"model", head_.model},
            {"output", output_},
            {"parallel_tool_calls", true},
            {"previous_response_id", nullptr},
            {"store", false},
            {"temperature", nullptr},
            {"tool_choice", "auto"},
            {"tools", head_.tools},
            {"top_p", nullptr},
            {"usage", std::move(usage)}};
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
      return {{"type", "reasoning"},
              {"id", item_id_},
              {"summary", json::array()},
              {"content", std::move(content)},
              {"status", status}};
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

  void close() {
    if (item_ == Item::kNone) return;
    json::object text_done = place();
    text_done["text"] = text_;
    if (item_ == Item::kMessage) text_done["logprobs"] = json::array();
    send(item_ == Item::kReasoning ? "response.reasoning_text.done" : "response.output_text.done",
         std::move(text_done));
    json::object part_done = place();
    part_done["part"] = part();
    send("response.content_part.done", std::move(part_done));
    json::object whole = item("completed", json::array{part()});
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
    json::object function(*tool);
    function.erase("type");
    nested.push_back(json::object{{"type", "function"}, {"function", std::move(function)}});
  }
  body["tools"] = std::move(nested);
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
  ApiResult<json::object> body = parse_body(call.request->body);
  if (!body.ok()) return reply_error(call, body.error());
  Fields fields(*body);
  GenerateSpec spec;
  ResponseHead head;
  head.id = random_id("resp_");
  head.created = seconds_since_1970();
  spec.model = fields.text("model").value_or("");
  if (const auto instructions = fields.text("instructions")) {
    head.instructions = *instructions;
    spec.messages.push_back({.role = Role::kSystem, .content = *instructions, .tool_calls = {}});
  }
  read_input(fields, spec);
  refuse_state(fields);
  if (const json::array* tools = fields.array("tools")) head.tools = *tools;
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
    read_response_format(f, "format", spec);
    fields.take_error(f);
  }
  read_grammar(fields, spec);
  const bool stream = fields.boolean("stream").value_or(false);
  if (fields.error()) return reply_error(call, *fields.error());
  spec.n = 1;
  spec.paths = {};
  head.model = spec.model.empty() ? context.default_model : spec.model;
  const AnswerPlan plan{
      .id = head.id, .api = "openai.responses", .parse_tools = !spec.tools.empty()};
  start_answer(context, call, std::move(spec), plan,
               [=](const Engine&) -> std::unique_ptr<AnswerWriter> {
                 return std::make_unique<ResponseWriter>(call, head, stream);
               });
}

}  // namespace reckon::server
