// Counting, tool calls and ends are dealt with here, so that writers only write.
#include "server/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/times.h"
#include "engine/conversation.h"
#include "reasoning/thinking_tracker.h"

namespace reckon::server {
namespace {

// Tokens as text that is UTF-8.
std::string spelt(const std::vector<TokenId>& tokens,
                  const std::shared_ptr<const Tokenizer>& tokenizer) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const TokenId token : tokens) text += decoder.push(token);
  return text + decoder.finish();
}

}  // namespace

void RunningAnswers::add(const std::string& id, std::weak_ptr<Generation> generation) {
  const std::lock_guard lock(mutex_);
  answers_[id] = std::move(generation);
}

void RunningAnswers::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  answers_.erase(id);
}

std::shared_ptr<Generation> RunningAnswers::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto entry = answers_.find(id);
  return entry == answers_.end() ? nullptr : entry->second.lock();
}

Generation::Generation(AnswerServices& services, HostLease host, Options options,
                       std::unique_ptr<AnswerWriter> writer)
    : services_(services),
      host_(std::move(host)),
      options_(std::move(options)),
      format_(host_->engine().chat_template() == nullptr
                  ? ToolFormat::kR1
                  : tool_format(host_->engine().chat_template()->name())),
      writer_(std::move(writer)) {}

void Generation::take(std::vector<Request> taken) {
  requests = std::move(taken);
  if (!services_.log_content) return;
  for (size_t i = 0; i < requests.size(); i += options_.n_choices_per_prompt) {
    logged_prompts_.emplace_back(spelt(requests[i].prompt, host_->engine().shared_tokenizer()));
  }
}

void Generation::on_queued() {
  services_.metrics.answers_started += std::ssize(requests);
  int64_t n_prompt_tokens = 0;
  for (size_t i = 0; i < requests.size(); i += options_.n_choices_per_prompt) {
    n_prompt_tokens += std::ssize(requests[i].prompt);
  }
  writer_->begin(n_prompt_tokens);
}

Generation::~Generation() { services_.running.remove(options_.id); }

void Generation::on_event(size_t choice, const Event& event) {
  while (choices_.size() < std::max(choice + 1, options_.n_paths)) choices_.emplace_back(format_);
  if (const auto* path = std::get_if<PathTextEvent>(&event)) {
    if (options_.n_paths > 1) send_text(static_cast<size_t>(path->path), path->part, path->text);
  } else if (options_.n_paths > 1 && !std::holds_alternative<FinishedEvent>(event)) {
    // The path that won is told again after the vote: its text has gone out already.
  } else if (const auto* text = std::get_if<TextEvent>(&event)) {
    drop_silent_tokens(choices_[choice], *text);
    send_text(choice, text->part, text->text);
  } else if (const auto* token = std::get_if<TokenEvent>(&event)) {
    if (token->logprobs) choices_[choice].drawn.push_back({token->token, *token->logprobs});
  } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
    FinishedEvent ended = *finished;
    const bool is_whole = options_.one_call && choices_[choice].called;
    if (is_whole && ended.reason == FinishReason::kCancelled && !stopped_) {
      ended.reason = FinishReason::kStop;
    }
    finish(choice, ended);
  }
}

// A part's first text comes behind tokens that are no text of it: marks and blanks around them.
void Generation::drop_silent_tokens(Choice& choice, const TextEvent& text) const {
  if (std::exchange(choice.part, text.part) == text.part || choice.drawn.empty()) return;
  const Tokenizer& tokenizer = host_->engine().tokenizer();
  std::string bytes;
  for (const DrawnToken& token : choice.drawn) bytes += tokenizer.bytes(token.token);
  size_t begin = bytes.rfind(text.text);
  if (begin == std::string::npos) return;  // not what the tokens spell: bytes were replaced
  auto first = choice.drawn.begin();
  for (size_t n; (n = tokenizer.bytes(first->token).size()) <= begin; ++first) begin -= n;
  choice.drawn.erase(choice.drawn.begin(), first);
}

void Generation::send_text(size_t choice, Part part, std::string_view text) {
  Choice& state = choices_[choice];
  if (services_.log_content) (part == Part::kThinking ? state.thinking : state.answer) += text;
  if (part == Part::kThinking || !options_.parse_tools) {
    writer_->text(choice, part, text, std::exchange(state.drawn, {}));
    return;
  }
  std::vector<ToolEvent> events;
  state.tools.push(text, events);
  send_tool_events(choice, std::move(events));
}

void Generation::send_tool_events(size_t choice, std::vector<ToolEvent> events) {
  for (const ToolEvent& event : events) {
    // What is written behind the one call that is wanted counts for nothing.
    if (options_.one_call && choices_[choice].called) return;
    if (const auto* call = std::get_if<ToolCall>(&event)) {
      choices_[choice].drawn.clear();  // they spelt the call
      choices_[choice].called = true;
      writer_->tool_call(choice, *call);
      // Other answers of the request go on to their own ends.
      if (options_.one_call && options_.n_choices * options_.n_paths == 1) {
        host_->cancel(shared_from_this());
      }
    } else if (const auto& text = std::get<std::string>(event); !text.empty()) {
      writer_->text(choice, Part::kAnswer, text, std::exchange(choices_[choice].drawn, {}));
    }
  }
}

// A path's own end, unless all were ended from outside.
ChoiceEnd Generation::end_of(size_t choice, size_t path, const FinishedEvent& event) const {
  ChoiceEnd end{.reason = event.reason,
                .called_tools = choices_[choice].tools.any_call(),
                .stop = event.stop,
                .usage = event.usage,
                .timings = event.timings,
                .thought_end = event.thought_end};
  const bool all_ended =
      event.reason == FinishReason::kCancelled || event.reason == FinishReason::kError;
  if (options_.n_paths == 1 || event.deliberation == nullptr || all_ended) return end;
  const PathReport& report = event.deliberation->paths[path];
  end.reason = report.reason;
  end.cut = report.reason == FinishReason::kCancelled;
  end.usage.output = report.output;
  end.thought_end = report.end;
  return end;
}

void Generation::finish(size_t choice, const FinishedEvent& event) {
  Usage answer = event.usage;
  size_t n_begun = options_.n_paths;
  if (options_.n_paths > 1 && event.deliberation != nullptr) {
    n_begun = event.deliberation->paths.size();
    answer.output = {};
    for (const PathReport& path : event.deliberation->paths) {
      answer.output.thinking += path.output.thinking;
      answer.output.answer += path.output.answer;
      answer.output.scaffold += path.output.scaffold;
    }
  }
  for (size_t i = choice; i < choice + n_begun; ++i) {
    std::vector<ToolEvent> events;
    if (options_.parse_tools) choices_[i].tools.finish(events);
    send_tool_events(i, std::move(events));
  }
  if (event.reason == FinishReason::kError) error_ = event.error;
  cancelled_ = cancelled_ || event.reason == FinishReason::kCancelled;
  for (size_t i = 0; i < n_begun; ++i) {
    writer_->choice_end(choice + i, end_of(choice + i, i, event));
  }
  totals_.thought_end = event.thought_end;
  totals_.deliberation = event.deliberation;

  // Several answers to one prompt count its tokens once.
  const bool new_prompt = choice % options_.n_choices_per_prompt == 0;
  if (!new_prompt) answer.prompt_tokens = answer.cached_tokens = 0;
  services_.metrics.count(event.reason, answer, event.timings);
  Usage& usage = totals_.usage;
  if (new_prompt) {
    usage.prompt_tokens += answer.prompt_tokens;
    usage.cached_tokens += answer.cached_tokens;
    totals_.timings.wait_ms += event.timings.wait_ms;
    totals_.timings.prefill_ms += event.timings.prefill_ms;
    totals_.timings.prefill_tokens += event.timings.prefill_tokens;
  }
  usage.output.thinking += answer.output.thinking;
  usage.output.answer += answer.output.answer;
  usage.output.scaffold += answer.output.scaffold;
  usage.probe_tokens += answer.probe_tokens;
  usage.computed_tokens += answer.computed_tokens;
  usage.discarded_tokens += answer.discarded_tokens;
  if (answer.joules) usage.joules = usage.joules.value_or(0) + *answer.joules;
  if (answer.saved_tokens) {
    usage.saved_tokens = usage.saved_tokens.value_or(0) + *answer.saved_tokens;
  }
  totals_.timings.decode_ms = std::max(totals_.timings.decode_ms, event.timings.decode_ms);
  totals_.timings.decode_tokens += event.timings.decode_tokens;
  if (++n_ended_ < options_.n_choices) return;

  totals_.total_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began_).count();
  if (options_.key != nullptr) {
    services_.keys->count_tokens(*options_.key, usage.prompt_tokens + usage.output.total());
  }
  services_.running.remove(options_.id);
  if (!error_.empty()) {
    log("error", totals_);
    writer_->fail({.status = 500, .message = error_, .code = "engine"});
  } else if (cancelled_ && services_.stopping) {
    log("shutdown", totals_);
    writer_->fail({.status = 503, .message = "the server is shutting down", .code = "shutdown"});
  } else {
    log(cancelled_ ? "cancelled" : "finished", totals_);
    writer_->done(totals_);
  }
}

void Generation::stop() {
  stopped_ = true;
  host_->cancel(shared_from_this());
}

void Generation::on_refused(const ApiError& error) {
  services_.running.remove(options_.id);
  services_.metrics.answers_cancelled += std::ssize(requests);
  if (error.status == 429) ++services_.metrics.refused_limit;
  log("refused", totals_);
  if (stopped_) {
    for (size_t i = 0; i < options_.n_choices * options_.n_paths; ++i) {
      writer_->choice_end(i, {.reason = FinishReason::kCancelled, .usage = {}, .timings = {}});
    }
    writer_->done(totals_);
    return;
  }
  writer_->fail(error);
}

// What was asked and answered stands in it only where that was asked for.
void Generation::log(std::string_view outcome, const AnswerTotals& totals) const {
  if (!services_.log) return;
  boost::json::object line;
  line["time"] = utc_now();
  line["event"] = "answer";
  line["id"] = options_.id;
  line["api"] = options_.api;
  line["model"] = host_->name();
  if (options_.key != nullptr) line["key"] = options_.key->name;
  line["outcome"] = outcome;
  line["prompt_tokens"] = totals.usage.prompt_tokens;
  line["cached_tokens"] = totals.usage.cached_tokens;
  line["completion_tokens"] = totals.usage.output.total();
  line["reasoning_tokens"] = totals.usage.output.thinking;
  line["wait_ms"] = static_cast<int64_t>(totals.timings.wait_ms);
  line["total_ms"] = static_cast<int64_t>(totals.total_ms);
  if (services_.log_content) {
    line["prompts"] = logged_prompts_;
    line["choices"] = logged_choices();
  }
  services_.log(boost::json::serialize(line));
}

boost::json::array Generation::logged_choices() const {
  boost::json::array choices;
  for (const Choice& choice : choices_) {
    choices.push_back({{"thinking", choice.thinking}, {"answer", choice.answer}});
  }
  return choices;
}

SamplingParams sampling_of(const SamplingWishes& wishes, const Engine& engine) {
  const std::string_view name =
      engine.chat_template() == nullptr ? "" : engine.chat_template()->name();
  SamplingParams params = default_sampling(name);
  params.temperature = wishes.temperature.value_or(params.temperature);
  params.top_p = wishes.top_p.value_or(params.top_p);
  params.min_p = wishes.min_p.value_or(params.min_p);
  params.top_k = wishes.top_k.value_or(params.top_k);
  params.repetition_penalty = wishes.repetition_penalty.value_or(params.repetition_penalty);
  params.presence_penalty = wishes.presence_penalty.value_or(params.presence_penalty);
  params.frequency_penalty = wishes.frequency_penalty.value_or(params.frequency_penalty);
  params.penalty_last_n = wishes.penalty_last_n.value_or(params.penalty_last_n);
  params.logit_bias = wishes.logit_bias;
  params.n_logprobs = wishes.n_logprobs;
  params.seed = wishes.seed ? *wishes.seed : random_u64();
  return params;
}

namespace {

// An error of the engine's in the words of the request.
ApiError error_for(const GenerateSpec& spec, const Error& error) {
  ApiError named = from_error(error);
  for (const auto& [engine_name, name] : spec.field_names) {
    if (named.param != engine_name) continue;
    named.message.replace(0, engine_name.size(), name);
    named.param = name;
    break;
  }
  return named;
}

// Where the template doesn't print definitions, they go into the system text.
Result<std::vector<Message>> with_tools(const GenerateSpec& spec, const ChatTemplate& chat_template,
                                        RenderOptions& render) {
  std::vector<Message> messages = spec.messages;
  if (spec.tools.empty()) return messages;
  const std::string tools = boost::json::serialize(spec.tools);
  if (chat_template.renders_tools()) {
    render.tools = tools;
    return messages;
  }
  const bool has_system = messages.front().role == Role::kSystem;
  RECKON_ASSIGN(std::string text, system_text_with_tools(has_system ? messages.front().content : "",
                                                         tools, tool_format(chat_template.name())));
  if (spec.must_call) text += "\nCall a function now.";
  if (has_system) {
    messages.front().content = std::move(text);
  } else {
    messages.insert(messages.begin(),
                    Message{.role = Role::kSystem, .content = std::move(text), .tool_calls = {}});
  }
  return messages;
}

Result<std::vector<Request>> prompts_of(const GenerateSpec& spec, const Engine& engine) {
  std::vector<Request> requests;
  if (!spec.messages.empty()) {
    if (engine.chat_template() == nullptr) {
      return usage_error("messages: expected a model with a chat template that is known, found " +
                         spec.model + ", which has none");
    }
    RenderOptions render;
    render.date = spec.date;
    RECKON_ASSIGN(const std::vector<Message> messages,
                  with_tools(spec, *engine.chat_template(), render));
    RECKON_ASSIGN(Request request, chat_request(engine.tokenizer(), *engine.chat_template(),
                                                messages, render, spec.thought));
    requests.push_back(std::move(request));
  }
  for (const std::string& prompt : spec.prompts) {
    requests.push_back(raw_request(engine.tokenizer(), prompt));
  }
  for (const std::vector<TokenId>& prompt : spec.token_prompts) {
    Request request;
    request.prompt = prompt;
    requests.push_back(std::move(request));
  }
  return requests;
}

Result<std::shared_ptr<const Grammar>> constraint_of(const GenerateSpec& spec, const Engine& engine,
                                                     GrammarCache& grammars) {
  if (!spec.grammar.empty()) return grammars.gbnf(spec.grammar);
  if (!spec.schema.is_null()) return grammars.schema(spec.schema);
  if (!spec.must_call || engine.chat_template() == nullptr) {
    return std::shared_ptr<const Grammar>();
  }
  return grammars.tool_call(spec.tools, tool_format(engine.chat_template()->name()));
}

// Models that don't think have nothing to limit: a client may say how much all the same.
void set_thinking(const GenerateSpec& spec, const Engine& engine, Request& request) {
  if (spec.effort) apply_effort(*spec.effort, engine.context_length(), request);
  if (spec.effort == Effort::kNone && request.max_tokens) {
    // What closes the thought is none of the tokens that the answer may have.
    *request.max_tokens += std::ssize(thought_closing(
        engine.tokenizer(), engine.chat_template()->think_marks(), true, request.closing_sentence));
  }
  if (spec.think_budget) {
    request.think_budget =
        std::min(*spec.think_budget, request.think_budget.value_or(*spec.think_budget));
  }
  request.min_think_tokens = spec.min_think_tokens;
  request.early_stop = spec.early_stop;
}

}  // namespace

ApiResult<std::vector<Request>> build_requests(const GenerateSpec& spec, const Engine& engine,
                                               uint64_t cache_salt, GrammarCache& grammars) {
  Result<std::vector<Request>> prompts = prompts_of(spec, engine);
  if (!prompts.ok()) return error_for(spec, prompts.error());
  const SamplingParams sampling = sampling_of(spec.sampling, engine);
  Result<std::shared_ptr<const Grammar>> constraint = constraint_of(spec, engine, grammars);
  if (!constraint.ok()) {
    const std::string field = spec.format_field.empty() ? "tools" : spec.format_field;
    const std::string& message = constraint.error().message;
    if (message.starts_with(field)) return ApiError{.message = message, .param = field};
    return bad_field(field, message);
  }
  std::vector<Request> requests;
  for (const Request& prompt : *prompts) {
    for (int64_t i = 0; i < spec.n; ++i) {
      Request request = prompt;
      request.sampling = sampling;
      request.sampling.seed += static_cast<uint64_t>(i);
      request.max_tokens = spec.max_tokens;
      if (spec.context_wanted) {
        const int64_t room = *spec.context_wanted - static_cast<int64_t>(request.prompt.size());
        if (room < 1) {
          return bad_field("options.num_ctx",
                           fmt::format("expected more than the prompt's {} tokens, found {}",
                                       request.prompt.size(), *spec.context_wanted));
        }
        request.max_tokens = std::min(room, request.max_tokens.value_or(room));
      }
      if (request.thinking != ThinkingStart::kPlain) set_thinking(spec, engine, request);
      request.stop = spec.stop;
      request.paths = spec.paths;
      request.constraint = *constraint;
      request.cache_salt = cache_salt;
      if (std::ssize(request.prompt) >= engine.context_length()) {
        // In words and by a code that clients look for, so that they shorten the conversation.
        ApiError too_long = error_for(
            spec,
            usage_error(fmt::format("prompt: prompt is too long: {} tokens > {} maximum (this "
                                    "model's maximum context length is {} tokens)",
                                    request.prompt.size(), engine.context_length() - 1,
                                    engine.context_length())));
        too_long.code = "context_length_exceeded";
        return too_long;
      }
      const Status status = engine.check(request);
      if (!status.ok()) return error_for(spec, status.error());
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

ApiResult<int64_t> count_prompt(const GenerateSpec& spec, const Engine& engine) {
  const Result<std::vector<Request>> prompts = prompts_of(spec, engine);
  if (!prompts.ok()) return error_for(spec, prompts.error());
  return static_cast<int64_t>(prompts->front().prompt.size());
}

}  // namespace reckon::server
