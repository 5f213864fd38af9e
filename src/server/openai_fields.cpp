// Requests in OpenAI's shape -> what is to be generated.
#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "base/json.h"
#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

constexpr int64_t kMaxChoices = 64;
constexpr double kAnyNumber = std::numeric_limits<double>::max();
constexpr int64_t kAnyCount = std::numeric_limits<int32_t>::max();

void read_logit_bias(Fields& fields, GenerateSpec& spec) {
  const json::object* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  for (const auto& entry : *biases) {
    LogitBias bias;
    const std::string_view key = entry.key();
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), bias.token);
    if (error != std::errc{} || end != key.data() + key.size() || !entry.value().is_number()) {
      fields.fail("logit_bias",
                  fmt::format("expected token ids and numbers, found {}", excerpt(key)));
      return;
    }
    bias.bias = entry.value().to_number<double>();
    spec.sampling.logit_bias.push_back(bias);
  }
}

void read_call(Fields& fields, const json::value& value, const std::string& name,
               Message& message) {
  const json::object* call = value.if_object();
  const json::value* inner = call == nullptr ? nullptr : call->if_contains("function");
  const json::object* function = inner == nullptr ? nullptr : inner->if_object();
  if (function == nullptr) {
    fields.fail(name, "expected an object with a function, found " + found(value));
    return;
  }
  Fields f(*function, name + ".function");
  ToolCall tool_call;
  tool_call.name = f.text("name").value_or("");
  tool_call.arguments = f.text("arguments").value_or("{}");
  if (const json::value* id = call->if_contains("id"); id != nullptr && id->is_string()) {
    tool_call.id = std::string(id->get_string());
  }
  if (!f.error() && tool_call.name.empty()) f.fail("name", "expected a name, found none");
  fields.take_error(f);
  message.tool_calls.push_back(std::move(tool_call));
}

std::optional<Role> role_of(std::string_view name) {
  if (name == "system" || name == "developer") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  if (name == "tool") return Role::kTool;
  return std::nullopt;
}

void read_message(Fields& fields, const json::value& value, const std::string& name, bool is_last,
                  GenerateSpec& spec) {
  const json::object* object = value.if_object();
  if (object == nullptr) {
    fields.fail(name, "expected an object, found " + found(value));
    return;
  }
  Fields f(*object, name);
  const std::string role_name = f.text("role").value_or("");
  const std::optional<Role> role = role_of(role_name);
  if (!f.error() && !role) {
    f.fail("role", fmt::format("expected system, developer, user, assistant or tool, found {}",
                               excerpt(role_name)));
  }
  Message message;
  message.role = role.value_or(Role::kUser);
  if (const json::value* content = f.find("content")) {
    if (const auto text = read_text_parts(f, *content, "content")) message.content = *text;
  } else if (message.role != Role::kAssistant && !f.error()) {
    f.fail("content", "expected a text, found none");
  }
  if (const json::array* calls = f.array("tool_calls")) {
    for (size_t i = 0; i < calls->size(); ++i) {
      read_call(f, (*calls)[i], fmt::format("tool_calls[{}]", i), message);
    }
  }
  const bool goes_on = f.boolean("prefix").value_or(false);
  std::optional<std::string> thought = f.text("reasoning_content");
  if (!thought) thought = f.text("reasoning");
  if (goes_on && (!is_last || message.role != Role::kAssistant || !message.content.empty())) {
    f.fail("prefix", "expected only with the last message, of the assistant, without content");
  }
  fields.take_error(f);
  if (goes_on) {
    spec.thought = thought.value_or("");  // the turn that is to come
  } else {
    spec.messages.push_back(std::move(message));
  }
}

}  // namespace

std::optional<std::string> read_text_parts(Fields& fields, const json::value& content,
                                           const std::string& name) {
  if (const json::string* text = content.if_string()) return std::string(*text);
  const json::array* parts = content.if_array();
  if (parts == nullptr) {
    fields.fail(name, "expected a text or an array of parts, found " + found(content));
    return std::nullopt;
  }
  std::string text;
  for (size_t i = 0; i < parts->size(); ++i) {
    const std::string part_name = fmt::format("{}[{}]", name, i);
    const json::object* part = (*parts)[i].if_object();
    if (part == nullptr) {
      fields.fail(part_name, "expected an object, found " + found((*parts)[i]));
      return std::nullopt;
    }
    Fields f(*part, fields.full_name(part_name));
    const std::string type = f.text("type").value_or("text");
    const bool is_text = type == "text" || type == "input_text" || type == "output_text";
    if (!f.error() && !is_text) {
      f.fail("type", fmt::format("expected text (these models read nothing else), found {}",
                                 excerpt(type)));
    }
    const std::optional<std::string> part_text = f.text("text");
    if (!f.error() && !part_text) f.fail("text", "expected a text, found none");
    fields.take_error(f);
    if (f.error()) return std::nullopt;
    if (!text.empty()) text += "\n";
    text += *part_text;
  }
  return text;
}

StreamWish read_openai_stream(Fields& fields) {
  StreamWish wanted{.stream = fields.boolean("stream").value_or(false)};
  if (const json::object* options = fields.object("stream_options")) {
    Fields f(*options, "stream_options");
    wanted.include_usage = f.boolean("include_usage").value_or(false);
    fields.take_error(f);
  }
  return wanted;
}

void read_openai_sampling(Fields& fields, GenerateSpec& spec) {
  SamplingWishes& sampling = spec.sampling;
  sampling.temperature = fields.number("temperature", 0, kAnyNumber);
  sampling.top_p = fields.number("top_p", -kAnyNumber, kAnyNumber);
  sampling.min_p = fields.number("min_p", -kAnyNumber, kAnyNumber);
  sampling.top_k = fields.integer("top_k", -1, kAnyCount);
  if (sampling.top_k && *sampling.top_k < 0) sampling.top_k = 0;
  sampling.presence_penalty = fields.number("presence_penalty", -kAnyNumber, kAnyNumber);
  sampling.frequency_penalty = fields.number("frequency_penalty", -kAnyNumber, kAnyNumber);
  sampling.repetition_penalty = fields.number("repetition_penalty", -kAnyNumber, kAnyNumber);
  sampling.seed = fields.seed("seed");
  read_logit_bias(fields, spec);
  spec.stop = fields.texts("stop");
  spec.n = fields.integer("n", 1, kMaxChoices).value_or(1);
  spec.max_tokens = fields.integer("max_tokens", 1, kAnyCount);
  if (const auto newer = fields.integer("max_completion_tokens", 1, kAnyCount)) {
    spec.max_tokens = newer;
  }
}

void read_openai_thinking(Fields& fields, GenerateSpec& spec) {
  if (const auto effort = fields.one_of("reasoning_effort",
                                        {"none", "minimal", "low", "medium", "high", "xhigh"})) {
    spec.effort = parse_effort(*effort);
  }
  spec.think_budget = fields.integer("thinking_budget_tokens", -1, kAnyCount);
  if (!spec.think_budget) {
    spec.think_budget = fields.integer("thinking_token_budget", -1, kAnyCount);
  }
  if (const json::object* thinking = fields.object("thinking")) {
    Fields f(*thinking, "thinking");
    const auto type = f.one_of("type", {"enabled", "disabled", "auto"});
    if (type == "disabled") spec.effort = Effort::kNone;
    if (const auto budget = f.integer("budget_tokens", 0, kAnyCount)) spec.think_budget = budget;
    fields.take_error(f);
  }
  if (const json::object* arguments = fields.object("chat_template_kwargs")) {
    Fields f(*arguments, "chat_template_kwargs");
    if (f.boolean("enable_thinking") == false) spec.effort = Effort::kNone;
    if (f.boolean("thinking") == false) spec.effort = Effort::kNone;
    fields.take_error(f);
  }
  if (spec.think_budget && *spec.think_budget < 0) spec.think_budget.reset();
  spec.min_think_tokens = fields.integer("min_thinking_tokens", 0, kAnyCount).value_or(0);
  const auto rule = fields.one_of("early_stop", {"off", "confident", "agreed", "either"});
  if (rule == "confident") spec.early_stop.rule = EarlyStop::Rule::kConfident;
  if (rule == "agreed") spec.early_stop.rule = EarlyStop::Rule::kAgreed;
  if (rule == "either") spec.early_stop.rule = EarlyStop::Rule::kEither;
  spec.paths.n = fields.integer("n_paths", 1, kMaxChoices).value_or(1);
  spec.paths.window = fields.integer("paths_window", 1, kMaxChoices).value_or(spec.paths.window);
  const auto stop = fields.one_of("paths_stop", {"off", "posterior", "window"});
  if (stop == "off") spec.paths.stop = PathOptions::Stop::kOff;
  if (stop == "window") spec.paths.stop = PathOptions::Stop::kWindow;
  spec.paths.weighted = fields.boolean("paths_weighted").value_or(false);
  if (spec.paths.n > 1 && fields.integer("n", 1, kMaxChoices).value_or(1) > 1) {
    fields.fail("n_paths", "expected n: 1 beside it");
  }
}

void read_openai_messages(Fields& fields, GenerateSpec& spec) {
  const json::array* messages = fields.array("messages");
  if (fields.error()) return;
  if (messages == nullptr || messages->empty()) {
    fields.fail("messages", "expected at least one message, found none");
    return;
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    read_message(fields, (*messages)[i], fmt::format("messages[{}]", i), i + 1 == messages->size(),
                 spec);
  }
  if (!fields.error() && spec.messages.empty()) {
    fields.fail("messages", "expected a message before the one that is gone on from");
  }
}

namespace {

// One of OpenAI's tools, {"type": "function", "function": {"name", "description", "parameters"}}.
void read_tool(Fields& fields, const json::value& value, const std::string& name) {
  const json::object* tool = value.if_object();
  const json::value* inner = tool == nullptr ? nullptr : tool->if_contains("function");
  if (inner == nullptr || !inner->is_object()) {
    fields.fail(name, "expected {\"type\": \"function\", \"function\": {…}}");
    return;
  }
  Fields f(inner->get_object(), fields.full_name(name) + ".function");
  read_function(f);
  fields.take_error(f);
}

}  // namespace

std::string read_function(Fields& fields) {
  std::string name = fields.text("name").value_or("");
  static constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  if (!fields.error() && (name.empty() || name.size() > 128 ||
                          name.find_first_not_of(kAllowed) != std::string::npos)) {
    fields.fail("name", fmt::format("expected 1 to 128 letters, digits, _, - and ., found {}",
                                    excerpt(name)));
  }
  fields.text("description");
  fields.object("parameters");
  return name;
}

void choose_tool(Fields& fields, const std::string& field, const std::string& name,
                 GenerateSpec& spec) {
  json::array chosen;
  for (const json::value& tool : spec.tools) {
    if (tool.at("function").at("name") == json::value(name)) chosen.push_back(tool);
  }
  if (chosen.empty()) fields.fail(field, "expected the name of one of the tools");
  spec.tools = std::move(chosen);
  spec.must_call = true;
}

namespace {

void read_tool_choice(Fields& fields, GenerateSpec& spec) {
  const json::value* choice = fields.find("tool_choice");
  if (choice == nullptr || fields.error()) return;
  if (const json::object* object = choice->if_object()) {
    Fields f(*object, "tool_choice");
    const json::object* function = f.object("function");
    Fields named(function == nullptr ? *object : *function, "tool_choice.function");
    const std::string name = named.text("name").value_or("");
    fields.take_error(f);
    fields.take_error(named);
    if (!fields.error()) choose_tool(fields, "tool_choice", name, spec);
    return;
  }
  const auto word = fields.one_of("tool_choice", {"none", "auto", "required"});
  if (word == "none") spec.tools.clear();
  if (word == "required" && spec.tools.empty()) {
    fields.fail("tool_choice", "expected tools to choose from, found none");
  }
  spec.must_call = word == "required";
}

}  // namespace

void read_openai_tools(Fields& fields, GenerateSpec& spec) {
  if (const json::array* tools = fields.array("tools")) {
    for (size_t i = 0; i < tools->size(); ++i) {
      read_tool(fields, (*tools)[i], fmt::format("tools[{}]", i));
    }
    spec.tools = *tools;
  }
  if (fields.has("functions")) fields.fail("functions", "expected tools in their place");
  read_tool_choice(fields, spec);
  spec.one_call = fields.boolean("parallel_tool_calls") == false;
}

void read_response_format(Fields& fields, std::string_view name, SchemaPlace place,
                          GenerateSpec& spec) {
  const json::object* format = fields.object(name);
  if (format == nullptr) return;
  Fields f(*format, fields.full_name(name));
  const auto type = f.one_of("type", {"text", "json_object", "json_schema"});
  if (!f.error() && !type) f.fail("type", "expected text, json_object or json_schema, found none");
  spec.format_field = fields.full_name(name);
  if (type == "json_object") spec.schema = json::object{{"type", "object"}};
  if (type == "json_schema") {
    const json::object* inner = f.object("json_schema");
    const json::value* schema = (inner == nullptr ? *format : *inner).if_contains("schema");
    if (schema == nullptr || !schema->is_object()) {
      f.fail(place == SchemaPlace::kBesideType ? "schema" : "json_schema.schema",
             "expected a schema, found none");
    } else {
      spec.schema = *schema;
    }
  }
  fields.take_error(f);
}

void read_grammar(Fields& fields, GenerateSpec& spec) {
  if (const auto grammar = fields.text("grammar"); grammar && !grammar->empty()) {
    if (!spec.schema.is_null()) fields.fail("grammar", "expected no response_format beside it");
    spec.grammar = *grammar;
    spec.format_field = "grammar";
  }
  const bool held = !spec.schema.is_null() || !spec.grammar.empty();
  if (held && !spec.tools.empty()) {
    fields.fail(spec.format_field, "expected no tools beside it: a call is no such answer");
  }
  if ((held || spec.must_call) && spec.early_stop.rule != EarlyStop::Rule::kOff) {
    fields.fail("early_stop", "expected off where the answer is held to a format");
  }
}

}  // namespace reckon::server
