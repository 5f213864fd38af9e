// POST /v1/completions: going on from a text as it is, without a chat template.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/times.h"
#include "engine/control_table.h"
#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

struct CompletionHead {
  std::string id;
  int64_t created = 0;
  std::string model;
  std::vector<std::string> echoes = {};  // before each choice's text, or none
  const Tokenizer* tokenizer = nullptr;
};

// Clients count in a text's characters.
size_t n_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// The older shape of log-probabilities; offset: of the first token in the choice's text.
json::value old_logprobs(const Tokenizer& tokenizer, const std::vector<DrawnToken>& drawn,
                         size_t offset) {
  if (drawn.empty()) return nullptr;
  json::array tokens;
  json::array logprobs;
  json::array tops;
  json::array offsets;
  for (const DrawnToken& token : drawn) {
    const std::string text = token_text(tokenizer, token.token);
    tokens.push_back(json::value(text));
    logprobs.push_back(token.logprobs.chosen);
    json::object top;
    for (const TokenLogprob& other : token.logprobs.top) {
      top[token_text(tokenizer, other.token)] = other.logprob;
    }
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    offset += n_characters(text);
  }
  return json::object{{"tokens", std::move(tokens)},
                      {"token_logprobs", std::move(logprobs)},
                      {"top_logprobs", std::move(tops)},
                      {"text_offset", std::move(offsets)}};
}

class CompletionWriter final : public AnswerWriter {
 public:
  CompletionWriter(Call call, CompletionHead head, size_t n_choices, bool stream,
                   bool include_usage)
      : call_(std::move(call)),
        head_(std::move(head)),
        stream_(stream),
        include_usage_(include_usage),
        choices_(n_choices) {
    for (size_t i = 0; i < head_.echoes.size(); ++i) choices_[i].text = head_.echoes[i];
  }

  void begin(int64_t) override {
    if (!stream_) return;
    call_.exchange->begin(200, event_stream_headers(call_), std::string(kSsePing));
    for (size_t i = 0; i < head_.echoes.size(); ++i) {
      send(json::object{{"index", i},
                        {"text", head_.echoes[i]},
                        {"logprobs", nullptr},
                        {"finish_reason", nullptr}});
    }
  }

  void text(size_t choice, Part, std::string_view text, std::vector<DrawnToken> drawn) override {
    Choice& state = choices_[choice];
    if (stream_) {
      send(json::object{{"index", choice},
                        {"text", text},
                        {"logprobs", old_logprobs(*head_.tokenizer, drawn, state.n_characters)},
                        {"finish_reason", nullptr}});
      state.n_characters += n_characters(text);
    } else {
      state.text += text;
      state.drawn.insert(state.drawn.end(), drawn.begin(), drawn.end());
    }
  }

  void tool_call(size_t, const ToolCall&) override {}

  void choice_end(size_t choice, const ChoiceEnd& end) override {
    choices_[choice].end = end;
    if (!stream_) return;
    send(json::object{{"index", choice},
                      {"text", ""},
                      {"logprobs", nullptr},
                      {"finish_reason", openai_finish_reason(end)}});
  }

  void done(const AnswerTotals& totals) override {
    if (stream_) {
      if (include_usage_) {
        json::object last = head_object();
        last["choices"] = json::array();
        last["usage"] = openai_usage(totals.usage);
        last["timings"] = timings_object(totals.timings);
        call_.exchange->write(sse(json::serialize(last)));
      }
      call_.exchange->write("data: [DONE]\n\n");
      call_.exchange->end();
      return;
    }
    json::array list;
    for (size_t i = 0; i < choices_.size(); ++i) {
      const size_t offset = head_.echoes.empty() ? 0 : n_characters(head_.echoes[i]);
      list.push_back(
          json::object{{"index", i},
                       {"text", choices_[i].text},
                       {"logprobs", old_logprobs(*head_.tokenizer, choices_[i].drawn, offset)},
                       {"finish_reason", openai_finish_reason(choices_[i].end)}});
    }
    json::object reply = head_object();
    reply["choices"] = std::move(list);
    reply["usage"] = openai_usage(totals.usage);
    reply["timings"] = timings_object(totals.timings);
    reply_json(call_, reply);
  }

  void fail(const ApiError& error) override {
    if (!stream_) {
      send_error(call_, error);
      return;
    }
    call_.exchange->write(sse(json::serialize(error_object(call_.style, error))));
    call_.exchange->write("data: [DONE]\n\n");
    call_.exchange->end();
  }

 private:
  struct Choice {
    std::string text;
    size_t n_characters = 0;  // streamed so far
    std::vector<DrawnToken> drawn;
    ChoiceEnd end;
  };

  json::object head_object() const {
    return {{"id", head_.id},
            {"object", "text_completion"},
            {"created", head_.created},
            {"model", head_.model},
            {"system_fingerprint", kFingerprint}};
  }

  void send(json::object choice) {
    json::object chunk = head_object();
    chunk["choices"] = json::array{std::move(choice)};
    if (include_usage_) chunk["usage"] = nullptr;
    call_.exchange->write(sse(json::serialize(chunk)));
  }

  const Call call_;
  const CompletionHead head_;
  const bool stream_;
  const bool include_usage_;
  std::vector<Choice> choices_;
};

constexpr std::pair<std::string_view, std::string_view> kNames[] = {{"n_logprobs", "logprobs"}};

constexpr size_t kMaxPrompts = 64;
constexpr auto kMaxAnswers = static_cast<int64_t>(ControlTable::kSlots);

std::optional<std::vector<TokenId>> read_tokens(const json::array& list) {
  std::vector<TokenId> tokens;
  for (const json::value& item : list) {
    const int64_t* token = item.if_int64();
    if (token == nullptr || *token < 0 || *token > INT32_MAX) return std::nullopt;
    tokens.push_back(static_cast<TokenId>(*token));
  }
  return tokens;
}

// A text, texts, token ids, or several lists of them.
void read_prompts(Fields& fields, GenerateSpec& spec) {
  const json::value* prompt = fields.find("prompt");
  const auto fail = [&] {
    fields.fail("prompt", "expected a text, an array of texts, of token ids or of arrays of these");
  };
  if (prompt == nullptr) {
    fail();
  } else if (prompt->is_string()) {
    spec.prompts.emplace_back(prompt->get_string());
  } else if (const json::array* list = prompt->if_array(); list != nullptr && !list->empty()) {
    if (list->front().is_number()) {
      auto tokens = read_tokens(*list);
      if (!tokens) return fail();
      spec.token_prompts.push_back(std::move(*tokens));
      return;
    }
    if (list->size() > kMaxPrompts) {
      fields.fail("prompt",
                  fmt::format("expected at most {} prompts, found {}", kMaxPrompts, list->size()));
      return;
    }
    for (const json::value& item : *list) {
      if (const json::string* text = item.if_string()) {
        spec.prompts.emplace_back(*text);
      } else if (const json::array* inner = item.if_array()) {
        auto tokens = read_tokens(*inner);
        if (!tokens) return fail();
        spec.token_prompts.push_back(std::move(*tokens));
      } else {
        return fail();
      }
    }
    if (!spec.prompts.empty() && !spec.token_prompts.empty()) fail();
  } else {
    fail();
  }
}

}  // namespace

void completions(ApiContext& context, Call call) {
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
  read_prompts(fields, spec);
  read_openai_sampling(fields, spec);
  read_response_format(fields, "response_format", SchemaPlace::kWithin, spec);
  read_grammar(fields, spec);
  if (!spec.max_tokens) spec.max_tokens = 16;  // OpenAI's default here
  if (const auto top = fields.integer("logprobs", 0, 20)) {
    spec.sampling.n_logprobs = static_cast<int>(*top);
  }
  const auto n_prompts = static_cast<int64_t>(spec.prompts.size() + spec.token_prompts.size());
  if (n_prompts * spec.n > kMaxAnswers) {
    fields.fail("n", fmt::format("expected at most {} with {} prompts: {} answers in all, found {}",
                                 kMaxAnswers / n_prompts, n_prompts, kMaxAnswers, spec.n));
  }
  for (const std::string_view name :
       {"n_paths", "paths_window", "paths_stop", "paths_weighted", "early_stop", "reasoning_effort",
        "thinking", "thinking_budget_tokens", "thinking_token_budget", "min_thinking_tokens",
        "tools", "tool_choice"}) {
    if (fields.has(name)) fields.fail(name, "expected none: /v1/chat/completions has it");
  }
  const bool echo = fields.boolean("echo").value_or(false);
  if (echo && !spec.token_prompts.empty()) fields.fail("echo", "expected prompts that are texts");
  if (echo && spec.sampling.n_logprobs >= 0) {
    fields.fail("echo", "expected no logprobs beside it: a prompt's own are not computed");
  }
  if (fields.text("suffix").value_or("") != "") {
    fields.fail("suffix", "expected none: text is only gone on from");
  }
  if (const auto best_of = fields.integer("best_of", 1, INT32_MAX); best_of && *best_of != spec.n) {
    fields.fail("best_of", "expected as many as n: all answers are returned");
  }
  if (fields.error()) {
    reply_error(call, *fields.error());
    return;
  }
  CompletionHead head{.id = random_id("cmpl-"),
                      .created = seconds_since_1970(),
                      .model = spec.model.empty() ? context.default_model : spec.model};
  for (const std::string& prompt : spec.prompts) {
    for (int64_t i = 0; echo && i < spec.n; ++i) head.echoes.push_back(prompt);
  }
  const auto n_choices = static_cast<size_t>(n_prompts * spec.n);
  const AnswerPlan plan{.id = head.id, .api = "openai.completions"};
  start_answer(context, call, std::move(spec), plan,
               [=](const Engine& engine) -> std::unique_ptr<AnswerWriter> {
                 CompletionHead known = head;
                 known.tokenizer = &engine.tokenizer();
                 return std::make_unique<CompletionWriter>(call, known, n_choices, wanted.stream,
                                                           wanted.include_usage);
               });
}

}  // namespace reckon::server
