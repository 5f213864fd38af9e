// POST /v1/chat/completions with DeepSeek's reasoning_content, and the control of a running answer.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/times.h"
#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

struct ChatHead {
  std::string id;
  int64_t created = 0;
  std::string model;
  size_t n_choices = 1;  // paths too
  size_t n_first = 1;    // of them, those that begin at once
  bool votes = false;
  const Tokenizer* tokenizer = nullptr;
};

json::object call_object(const ToolCall& call) {
  return {{"id", random_id("call_")},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

class ChatStream final : public AnswerWriter {
 public:
  ChatStream(Call call, ChatHead head, bool include_usage)
      : call_(std::move(call)),
        head_(std::move(head)),
        include_usage_(include_usage),
        begun_(head_.n_choices),
        n_calls_(head_.n_choices) {
    before_ =
        fmt::format(R"(data: {{"id":{},"object":"chat.completion.chunk","created":{},"model":{},)"
                    R"("system_fingerprint":{},"choices":[)",
                    quoted(head_.id), head_.created, quoted(head_.model), quoted(kFingerprint));
  }

  void begin(int64_t) override {
    call_.exchange->begin(200, event_stream_headers(call_), std::string(kSsePing));
    for (size_t i = 0; i < head_.n_first; ++i) begin_choice(i);
  }

  void text(size_t choice, Part part, std::string_view text,
            std::vector<DrawnToken> drawn) override {
    const std::string_view field = part == Part::kThinking ? "reasoning_content" : "content";
    std::string logprobs = "null";
    if (!drawn.empty()) {
      logprobs = json::serialize(json::object{{field, logprobs_array(*head_.tokenizer, drawn)}});
    }
    send(choice, fmt::format(R"({{"{}":{}}})", field, quoted(text)), logprobs, "null", {});
  }

  void tool_call(size_t choice, const ToolCall& call) override {
    json::object entry = call_object(call);
    entry["index"] = n_calls_[choice]++;
    send(choice, json::serialize(json::object{{"tool_calls", json::array{std::move(entry)}}}),
         "null", "null", {});
  }

  void choice_end(size_t choice, const ChoiceEnd& end) override {
    send(choice, "{}", "null", fmt::format("\"{}\"", openai_finish_reason(end)),
         ",\"timings\":" + json::serialize(timings_object(end.timings)));
  }

  void done(const AnswerTotals& totals) override {
    if (include_usage_ || head_.votes) {
      std::string last = before_ + "]";
      if (include_usage_) last += ",\"usage\":" + json::serialize(openai_usage(totals.usage));
      call_.exchange->write(
          last + ",\"timings\":" + json::serialize(timings_object(totals.timings)) +
          ",\"reckon\":" + json::serialize(reckon_object(totals, head_.votes)) + "}\n\n");
    }
    call_.exchange->write("data: [DONE]\n\n");
    call_.exchange->end();
  }

  void fail(const ApiError& error) override {
    call_.exchange->write(sse(json::serialize(error_object(call_.style, error))));
    call_.exchange->write("data: [DONE]\n\n");
    call_.exchange->end();
  }

 private:
  void begin_choice(size_t choice) {
    begun_[choice] = true;
    send(choice, R"({"role":"assistant","content":""})", "null", "null", {});
  }

  void send(size_t choice, std::string_view delta, std::string_view logprobs,
            std::string_view finish_reason, std::string_view more) {
    if (!begun_[choice]) begin_choice(choice);
    call_.exchange->write(
        fmt::format(R"({}{{"index":{},"delta":{},"logprobs":{},"finish_reason":{}}}]{}{}}})"
                    "\n\n",
                    before_, choice, delta, logprobs, finish_reason,
                    include_usage_ ? R"(,"usage":null)" : "", more));
  }

  const Call call_;
  const ChatHead head_;
  const bool include_usage_;
  std::string before_;
  std::vector<bool> begun_;
  std::vector<int64_t> n_calls_;
};

class ChatReply final : public AnswerWriter {
 public:
  ChatReply(Call call, ChatHead head)
      : call_(std::move(call)), head_(std::move(head)), choices_(head_.n_choices) {}

  void begin(int64_t) override {}
  void text(size_t choice, Part part, std::string_view text,
            std::vector<DrawnToken> drawn) override {
    Choice& state = choices_[choice];
    const bool thinking = part == Part::kThinking;
    (thinking ? state.thinking : state.content) += text;
    std::vector<DrawnToken>& all = thinking ? state.thinking_drawn : state.content_drawn;
    all.insert(all.end(), drawn.begin(), drawn.end());
  }
  void tool_call(size_t choice, const ToolCall& call) override {
    choices_[choice].calls.push_back(call_object(call));
  }
  void choice_end(size_t choice, const ChoiceEnd& end) override { choices_[choice].end = end; }

  void done(const AnswerTotals& totals) override {
    json::array list;
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (choices_[i].end) list.push_back(choice_object(i));
    }
    reply_json(call_, json::object{{"id", head_.id},
                                   {"object", "chat.completion"},
                                   {"created", head_.created},
                                   {"model", head_.model},
                                   {"system_fingerprint", kFingerprint},
                                   {"choices", std::move(list)},
                                   {"usage", openai_usage(totals.usage)},
                                   {"timings", timings_object(totals.timings)},
                                   {"reckon", reckon_object(totals, head_.votes)}});
  }
  void fail(const ApiError& error) override { send_error(call_, error); }

 private:
  struct Choice {
    std::string thinking;
    std::string content;
    json::array calls;
    std::vector<DrawnToken> thinking_drawn;
    std::vector<DrawnToken> content_drawn;
    std::optional<ChoiceEnd> end;  // empty: a path that never began
  };

  json::object choice_object(size_t index) {
    Choice& choice = choices_[index];
    json::object message{{"role", "assistant"}};
    if (!choice.thinking.empty()) message["reasoning_content"] = choice.thinking;
    if (choice.content.empty() && !choice.calls.empty()) {
      message["content"] = nullptr;
    } else {
      message["content"] = choice.content;
    }
    if (!choice.calls.empty()) message["tool_calls"] = std::move(choice.calls);
    json::value logprobs = nullptr;
    if (!choice.thinking_drawn.empty() || !choice.content_drawn.empty()) {
      logprobs = json::object{
          {"content", logprobs_array(*head_.tokenizer, choice.content_drawn)},
          {"reasoning_content", logprobs_array(*head_.tokenizer, choice.thinking_drawn)}};
    }
    return {{"index", index},
            {"message", std::move(message)},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", openai_finish_reason(*choice.end)}};
  }

  const Call call_;
  const ChatHead head_;
  std::vector<Choice> choices_;
};

void read_logprobs(Fields& fields, GenerateSpec& spec) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const std::optional<int64_t> top = fields.integer("top_logprobs", 0, 20);
  if (top && !wanted) fields.fail("top_logprobs", "expected logprobs: true beside it");
  if (wanted && spec.paths.n > 1) fields.fail("logprobs", "expected false beside n_paths");
  if (wanted) spec.sampling.n_logprobs = static_cast<int>(top.value_or(0));
}

constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"prompt", "messages"},
    {"thought", "messages"},
    {"think_budget", "thinking_budget_tokens"},
    {"min_think_tokens", "min_thinking_tokens"},
    {"paths.window", "paths_window"}};

void refuse_what_is_not_there(Fields& fields) {
  if (const json::array* modalities = fields.array("modalities")) {
    for (const json::value& item : *modalities) {
      if (item != "text") fields.fail("modalities", "expected text alone");
    }
  }
  if (fields.has("audio")) fields.fail("audio", "expected none: the models write text");
  if (fields.has("web_search_options")) {
    fields.fail("web_search_options", "expected none: nothing is looked up");
  }
  if (fields.boolean("store").value_or(false)) {
    fields.fail("store", "expected false: answers are not kept");
  }
}

}  // namespace

void chat_completions(ApiContext& context, Call call) {
  ApiResult<json::object> body = parse_body(*call.request);
  if (!body.ok()) {
    reply_error(call, body.error());
    return;
  }
  Fields fields(*body);
  GenerateSpec spec;
  spec.field_names = kNames;
  spec.model = fields.text("model").value_or("");
  const StreamWish wanted = read_openai_stream(fields);
  read_openai_messages(fields, spec);
  read_openai_sampling(fields, spec);
  read_openai_thinking(fields, spec);
  read_openai_tools(fields, spec);
  read_response_format(fields, "response_format", SchemaPlace::kWithin, spec);
  read_grammar(fields, spec);
  read_logprobs(fields, spec);
  refuse_what_is_not_there(fields);
  if (fields.error()) {
    reply_error(call, *fields.error());
    return;
  }
  ChatHead head{
      .id = random_id("chatcmpl-"),
      .created = seconds_since_1970(),
      .model = spec.model.empty() ? context.default_model : spec.model,
      .n_choices = static_cast<size_t>(std::max(spec.n, spec.paths.n)),
      .n_first = static_cast<size_t>(std::max(spec.n, std::min(spec.paths.n, spec.paths.window))),
      .votes = spec.paths.n > 1};
  const AnswerPlan plan{.id = head.id, .api = "openai.chat", .parse_tools = !spec.tools.empty()};
  start_answer(context, call, std::move(spec), plan,
               [=](const Engine& engine) -> std::unique_ptr<AnswerWriter> {
                 ChatHead known = head;
                 known.tokenizer = &engine.tokenizer();
                 if (wanted.stream) {
                   return std::make_unique<ChatStream>(call, known, wanted.include_usage);
                 }
                 return std::make_unique<ChatReply>(call, known);
               });
}

void control_answer(ApiContext& context, Call call) {
  ApiResult<json::object> body = parse_body(*call.request);
  if (!body.ok()) {
    reply_error(call, body.error());
    return;
  }
  Fields fields(*body);
  const std::string id = fields.text("id").value_or("");
  const auto action = fields.one_of("action", {"reasoning_end", "stop"});
  if (!fields.error() && id.empty()) fields.fail("id", "expected an answer's id, found none");
  if (!fields.error() && !action) {
    fields.fail("action", "expected reasoning_end or stop, found none");
  }
  if (fields.error()) {
    reply_error(call, *fields.error());
    return;
  }
  const std::shared_ptr<Generation> generation = context.running.find(id);
  // Nobody learns of another key's answers.
  if (generation == nullptr || generation->options().key != call.key) {
    reply_error(call, {.status = 404,
                       .message = "id: expected that of an answer under way",
                       .param = "id",
                       .code = "not_found"});
    return;
  }
  if (action == "stop") {
    generation->stop();
  } else {
    generation->host().answer_now(generation);
  }
  reply_json(call, json::object{{"id", id}, {"action", *action}, {"status", "ok"}});
}

}  // namespace reckon::server
