// Anthropic's API: /v1/messages with thinking blocks, tools, and count_tokens.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <limits>
#include <utility>

#include "base/json.h"
#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

constexpr double kAnyNumber = std::numeric_limits<double>::max();
constexpr int64_t kAnyCount = std::numeric_limits<int32_t>::max();

constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"prompt", "messages"}, {"stop", "stop_sequences"}, {"think_budget", "thinking.budget_tokens"}};

std::string_view stop_reason(const ChoiceEnd& end) {
  if (end.called_tools) return "tool_use";
  if (!end.stop.empty()) return "stop_sequence";
  return end.reason == FinishReason::kLength ? "max_tokens" : "end_turn";
}

json::value stop_sequence(const ChoiceEnd& end) {
  return end.stop.empty() ? json::value(nullptr) : json::value(end.stop);
}

json::object usage_object(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.output.total()}};
}

struct MessageHead {
  std::string id;
  std::string model;
  bool tells_thought = false;
};

// end: null while the answer is under way.
json::object message_object(const MessageHead& head, json::array content, const ChoiceEnd* end,
                            json::object usage) {
  json::object message{{"id", head.id},
                       {"type", "message"},
                       {"role", "assistant"},
                       {"model", head.model},
                       {"content", std::move(content)},
                       {"stop_reason", nullptr},
                       {"stop_sequence", nullptr},
                       {"usage", std::move(usage)}};
  if (end != nullptr) {
    message["stop_reason"] = stop_reason(*end);
    message["stop_sequence"] = stop_sequence(*end);
  }
  return message;
}

json::value call_input(const ToolCall& call) {
  Result<json::value> input = parse_json(call.arguments, "arguments", 64);
  return input.ok() ? std::move(*input) : json::value(json::object());
}

class MessageStream final : public AnswerWriter {
 public:
  MessageStream(Call call, MessageHead head) : call_(std::move(call)), head_(std::move(head)) {}

  // What of the prompt is cached is only known at the end.
  void begin(int64_t n_prompt_tokens) override {
    call_.exchange->begin(200, event_stream_headers(call_),
                          "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    Usage usage;
    usage.prompt_tokens = n_prompt_tokens;
    send("message_start", {{"message", message_object(head_, {}, nullptr, usage_object(usage))}});
  }

  void text(size_t, Part part, std::string_view text, std::vector<DrawnToken>) override {
    const bool thinking = part == Part::kThinking;
    if (thinking && !head_.tells_thought) return;
    if (thinking) {
      open(Block::kThinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
      delta({{"type", "thinking_delta"}, {"thinking", text}});
    } else {
      open(Block::kText, {{"type", "text"}, {"text", ""}});
      delta({{"type", "text_delta"}, {"text", text}});
    }
  }

  void tool_call(size_t, const ToolCall& call) override {
    close();
    open(Block::kTool, {{"type", "tool_use"},
                        {"id", random_id("toolu_")},
                        {"name", call.name},
                        {"input", json::object()}});
    delta({{"type", "input_json_delta"}, {"partial_json", call.arguments}});
    close();
  }

  void choice_end(size_t, const ChoiceEnd& end) override { end_ = end; }

  void done(const AnswerTotals& totals) override {
    close();
    send("message_delta",
         {{"delta", {{"stop_reason", stop_reason(end_)}, {"stop_sequence", stop_sequence(end_)}}},
          {"usage", usage_object(totals.usage)}});
    send("message_stop", {});
    call_.exchange->end();
  }

  void fail(const ApiError& error) override {
    call_.exchange->write(fmt::format("event: error\ndata: {}\n\n",
                                      json::serialize(error_object(call_.style, error))));
    call_.exchange->end();
  }

 private:
  enum class Block : uint8_t { kNone, kThinking, kText, kTool };

  void send(std::string_view type, json::object fields) {
    json::object event{{"type", type}};
    for (auto& field : fields) event[field.key()] = std::move(field.value());
    call_.exchange->write(fmt::format("event: {}\ndata: {}\n\n", type, json::serialize(event)));
  }

  void open(Block block, json::object start) {
    if (block_ == block) return;
    close();
    block_ = block;
    send("content_block_start", {{"index", index_}, {"content_block", std::move(start)}});
  }

  void delta(json::object delta) {
    send("content_block_delta", {{"index", index_}, {"delta", std::move(delta)}});
  }

  void close() {
    if (block_ == Block::kNone) return;
    if (block_ == Block::kThinking) {
      delta({{"type", "signature_delta"}, {"signature", kThoughtSignature}});
    }
    send("content_block_stop", {{"index", index_}});
    block_ = Block::kNone;
    ++index_;
  }

  const Call call_;
  const MessageHead head_;
  Block block_ = Block::kNone;
  int64_t index_ = 0;
  ChoiceEnd end_;
};

class MessageReply final : public AnswerWriter {
 public:
  MessageReply(Call call, MessageHead head) : call_(std::move(call)), head_(std::move(head)) {}

  void begin(int64_t) override {}
  void text(size_t, Part part, std::string_view text, std::vector<DrawnToken>) override {
    (part == Part::kThinking ? thinking_ : text_) += text;
  }
  void tool_call(size_t, const ToolCall& call) override {
    calls_.push_back(json::object{{"type", "tool_use"},
                                  {"id", random_id("toolu_")},
                                  {"name", call.name},
                                  {"input", call_input(call)}});
  }
  void choice_end(size_t, const ChoiceEnd& end) override { end_ = end; }
  void done(const AnswerTotals& totals) override {
    json::array content;
    if (!thinking_.empty() && head_.tells_thought) {
      content.push_back(json::object{
          {"type", "thinking"}, {"thinking", thinking_}, {"signature", kThoughtSignature}});
    }
    if (!text_.empty()) content.push_back(json::object{{"type", "text"}, {"text", text_}});
    for (json::value& call : calls_) content.push_back(std::move(call));
    reply_json(call_, message_object(head_, std::move(content), &end_, usage_object(totals.usage)));
  }
  void fail(const ApiError& error) override { send_error(call_, error); }

 private:
  const Call call_;
  const MessageHead head_;
  std::string thinking_;
  std::string text_;
  json::array calls_;
  ChoiceEnd end_;
};

// One block of a message's content; a message's blocks may become several messages (tool results).
void read_block(Fields& fields, const json::object& block, const std::string& name,
                Message& message, GenerateSpec& spec) {
  Fields f(block, name);
  const std::string type = f.text("type").value_or("");
  if (type == "text") {
    const std::string text = f.text("text").value_or("");
    if (!message.content.empty() && !text.empty()) message.content += "\n";
    message.content += text;
  } else if (type == "thinking" || type == "redacted_thinking") {
    // Dropped, as from every earlier turn.
  } else if (type == "tool_use") {
    const json::object* input = f.object("input");
    message.tool_calls.push_back({.name = f.text("name").value_or(""),
                                  .arguments = input == nullptr ? "{}" : json::serialize(*input),
                                  .id = f.text("id").value_or("")});
  } else if (type == "tool_result") {
    Message result{.role = Role::kTool, .content = "", .tool_calls = {}};
    if (const json::value* content = f.find("content")) {
      result.content = read_text_parts(f, *content, "content").value_or("");
    }
    // A template has no place for it beside the text.
    if (f.boolean("is_error").value_or(false)) result.content.insert(0, "Error: ");
    spec.messages.push_back(std::move(result));
  } else if (!f.error()) {
    f.fail("type", "expected text, thinking, tool_use or tool_result, found " + excerpt(type));
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
  const auto role = f.one_of("role", {"user", "assistant", "system"});
  if (!f.error() && !role) f.fail("role", "expected user or assistant, found none");
  Message message;
  message.role = role == "assistant" ? Role::kAssistant
                 : role == "system"  ? Role::kSystem
                                     : Role::kUser;
  const json::value* content = f.find("content");
  bool only_results = false;
  if (content == nullptr) {
    f.fail("content", "expected a text or blocks, found none");
  } else if (const json::string* text = content->if_string()) {
    message.content = std::string(*text);
  } else if (const json::array* blocks = content->if_array()) {
    for (size_t i = 0; i < blocks->size(); ++i) {
      const std::string block_name = fmt::format("{}.content[{}]", name, i);
      const json::object* block = (*blocks)[i].if_object();
      if (block == nullptr) {
        f.fail(fmt::format("content[{}]", i), "expected an object, found " + found((*blocks)[i]));
        break;
      }
      const size_t before = spec.messages.size();
      read_block(f, *block, block_name, message, spec);
      only_results = only_results || spec.messages.size() > before;
    }
  } else {
    f.fail("content", "expected a text or blocks, found " + found(*content));
  }
  fields.take_error(f);
  if (only_results && message.content.empty()) return;
  spec.messages.push_back(std::move(message));
}

void read_tools(Fields& fields, GenerateSpec& spec) {
  const json::array* tools = fields.array("tools");
  for (size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const std::string name = fmt::format("tools[{}]", i);
    const json::object* tool = (*tools)[i].if_object();
    if (tool == nullptr) {
      fields.fail(name, "expected an object, found " + found((*tools)[i]));
      return;
    }
    Fields f(*tool, name);
    const std::string type = f.text("type").value_or("custom");
    if (type != "custom") f.fail("type", "expected custom: no tool runs here, found " + type);
    const std::string function = read_function(f);
    const json::object* schema = f.object("input_schema");
    spec.tools.push_back(
        json::object{{"type", "function"},
                     {"function",
                      {{"name", function},
                       {"description", f.text("description").value_or("")},
                       {"parameters", schema == nullptr ? json::object() : *schema}}}});
    fields.take_error(f);
  }
  const json::object* choice = fields.object("tool_choice");
  if (choice == nullptr || fields.error()) return;
  Fields f(*choice, "tool_choice");
  const auto type = f.one_of("type", {"auto", "any", "tool", "none"});
  const std::string only = f.text("name").value_or("");
  fields.take_error(f);
  if (type == "none") spec.tools.clear();
  if (type == "any" && spec.tools.empty()) {
    fields.fail("tool_choice", "expected tools to choose from, found none");
  }
  if (type == "any") spec.must_call = true;
  if (type == "tool") choose_tool(fields, "tool_choice.name", only, spec);
  spec.one_call = f.boolean("disable_parallel_tool_use").value_or(false);
  fields.take_error(f);
}

// Whether the thought is to be told: where nothing is said, the model thinks for itself.
bool read_thinking(Fields& fields, GenerateSpec& spec) {
  const json::object* thinking = fields.object("thinking");
  if (thinking == nullptr) return false;
  Fields f(*thinking, "thinking");
  const auto type = f.one_of("type", {"enabled", "disabled", "adaptive"});
  if (type == "disabled") spec.effort = Effort::kNone;
  if (type == "enabled") {
    spec.think_budget = f.integer("budget_tokens", 0, kAnyCount);
    if (!f.error() && !spec.think_budget) {
      f.fail("budget_tokens", "expected a number of tokens, found none");
    }
  }
  fields.take_error(f);
  return type == "enabled" || type == "adaptive";
}

// output_config.effort and .format, which has been output_format.
void read_output(Fields& fields, GenerateSpec& spec) {
  if (const json::object* config = fields.object("output_config")) {
    Fields f(*config, "output_config");
    const auto effort = f.one_of("effort", {"low", "medium", "high", "xhigh", "max"});
    if (effort && !spec.effort) {
      spec.effort = effort == "max" ? Effort::kXhigh : parse_effort(*effort);
    }
    read_response_format(f, "format", SchemaPlace::kBesideType, spec);
    fields.take_error(f);
  }
  read_response_format(fields, "output_format", SchemaPlace::kBesideType, spec);
  if (!spec.schema.is_null() && !spec.tools.empty()) {
    fields.fail(spec.format_field, "expected no tools beside it: a call is no such answer");
  }
}

// The fields that /v1/messages and its count_tokens share; whether the thought is to be told.
bool read_prompt(Fields& fields, GenerateSpec& spec) {
  spec.field_names = kNames;
  spec.model = fields.text("model").value_or("");
  if (const json::value* system = fields.find("system")) {
    spec.messages.push_back({.role = Role::kSystem,
                             .content = read_text_parts(fields, *system, "system").value_or(""),
                             .tool_calls = {}});
  }
  const json::array* messages = fields.array("messages");
  if (!fields.error() && (messages == nullptr || messages->empty())) {
    fields.fail("messages", "expected at least one message, found none");
  }
  for (size_t i = 0; messages != nullptr && i < messages->size(); ++i) {
    read_message(fields, (*messages)[i], fmt::format("messages[{}]", i), spec);
  }
  if (!fields.error() && spec.messages.back().role == Role::kAssistant) {
    fields.fail(fmt::format("messages[{}].role", messages->size() - 1),
                "expected user in the last message: an answer is not gone on from");
  }
  read_tools(fields, spec);
  const bool tells_thought = read_thinking(fields, spec);
  read_output(fields, spec);
  return tells_thought;
}

void messages(ApiContext& context, Call call) {
  ApiResult<json::object> body = parse_body(*call.request);
  if (!body.ok()) return reply_error(call, body.error());
  Fields fields(*body);
  GenerateSpec spec;
  const bool tells_thought = read_prompt(fields, spec);
  const bool stream = fields.boolean("stream").value_or(false);
  spec.max_tokens = fields.integer("max_tokens", 1, kAnyCount);
  if (!spec.max_tokens) fields.fail("max_tokens", "expected a number of tokens, found none");
  spec.sampling.temperature = fields.number("temperature", 0, kAnyNumber);
  spec.sampling.top_p = fields.number("top_p", -kAnyNumber, kAnyNumber);
  spec.sampling.top_k = fields.integer("top_k", 0, kAnyCount);
  spec.stop = fields.texts("stop_sequences");
  if (fields.error()) return reply_error(call, *fields.error());
  const MessageHead head{.id = random_id("msg_"),
                         .model = spec.model.empty() ? context.default_model : spec.model,
                         .tells_thought = tells_thought};
  const AnswerPlan plan{
      .id = head.id, .api = "anthropic.messages", .parse_tools = !spec.tools.empty()};
  start_answer(context, call, std::move(spec), plan,
               [=](const Engine&) -> std::unique_ptr<AnswerWriter> {
                 if (stream) return std::make_unique<MessageStream>(call, head);
                 return std::make_unique<MessageReply>(call, head);
               });
}

void count_tokens(ApiContext& context, Call call) {
  ApiResult<json::object> body = parse_body(*call.request);
  if (!body.ok()) return reply_error(call, body.error());
  Fields fields(*body);
  auto spec = std::make_shared<GenerateSpec>();
  read_prompt(fields, *spec);
  if (fields.error()) return reply_error(call, *fields.error());
  with_model(context, call, spec->model, {}, [=](const std::shared_ptr<HostLease>& lease) {
    const ApiResult<int64_t> n = count_prompt(*spec, (*lease)->engine());
    if (!n.ok()) return reply_error(call, n.error());
    reply_json(call, json::object{{"input_tokens", *n}});
  });
}

}  // namespace

std::span<const Route> anthropic_routes() {
  static constexpr Route kRoutes[] = {
      {"POST", "/v1/messages", messages},
      {"POST", "/v1/messages/count_tokens", count_tokens},
  };
  return kRoutes;
}

}  // namespace reckon::server
