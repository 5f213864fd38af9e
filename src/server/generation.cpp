// Counting, tool calls and ends are dealt with here, so that writers only write.
#include "server/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "engine/conversation.h"

namespace reckon::server {

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
      writer_(std::move(writer)) {
  ++services_.metrics.answers_started;
}

Generation::~Generation() { services_.running.remove(options_.id); }

void Generation::on_event(size_t choice, const Event& event) {
  if (choices_.size() <= choice) choices_.resize(choice + 1);
  if (const auto* text = std::get_if<TextEvent>(&event)) {
    send_text(choice, text->part, text->text);
  } else if (const auto* token = std::get_if<TokenEvent>(&event)) {
    if (token->logprobs) choices_[choice].drawn.push_back({token->token, *token->logprobs});
  } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
    finish(choice, *finished);
  }
}

void Generation::send_text(size_t choice, Part part, std::string_view text) {
  Choice& state = choices_[choice];
  if (part == Part::kThinking || !options_.parse_tools) {
    writer_->text(choice, part, text, std::exchange(state.drawn, {}));
    return;
  }
  const ToolCallParser::Output output = state.tools.push(text);
  if (!output.text.empty()) {
    writer_->text(choice, part, output.text, std::exchange(state.drawn, {}));
  }
  for (const ToolCall& call : output.calls) {
    state.called_tools = true;
    writer_->tool_call(choice, call);
  }
}

void Generation::finish(size_t choice, const FinishedEvent& event) {
  Choice& state = choices_[choice];
  if (options_.parse_tools) {
    const ToolCallParser::Output output = state.tools.finish();
    if (!output.text.empty()) {
      writer_->text(choice, Part::kAnswer, output.text, std::exchange(state.drawn, {}));
    }
  }
  services_.metrics.count(event.reason, event.usage, event.timings);
  if (event.reason == FinishReason::kError) error_ = event.error;
  cancelled_ = cancelled_ || event.reason == FinishReason::kCancelled;
  writer_->choice_end(choice, {.reason = event.reason,
                               .called_tools = state.called_tools,
                               .usage = event.usage,
                               .timings = event.timings});

  // Several answers to one prompt count its tokens once.
  const bool new_prompt = choice % options_.n_choices_per_prompt == 0;
  Usage& usage = totals_.usage;
  if (new_prompt) {
    usage.prompt_tokens += event.usage.prompt_tokens;
    usage.cached_tokens += event.usage.cached_tokens;
    totals_.timings.wait_ms += event.timings.wait_ms;
    totals_.timings.prefill_ms += event.timings.prefill_ms;
    totals_.timings.prefill_tokens += event.timings.prefill_tokens;
  }
  usage.output.thinking += event.usage.output.thinking;
  usage.output.answer += event.usage.output.answer;
  usage.output.scaffold += event.usage.output.scaffold;
  totals_.timings.decode_ms = std::max(totals_.timings.decode_ms, event.timings.decode_ms);
  totals_.timings.decode_tokens += event.timings.decode_tokens;
  if (++n_ended_ < options_.n_choices) return;

  totals_.total_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began_).count();
  totals_.load_ms = host_->loaded().report.load_ms;
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

void Generation::on_refused(const ApiError& error) {
  services_.running.remove(options_.id);
  log("refused", totals_);
  writer_->fail(error);
}

// No content: neither what was asked nor what was answered.
void Generation::log(std::string_view outcome, const AnswerTotals& totals) const {
  if (!services_.log) return;
  boost::json::object line;
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
  services_.log(boost::json::serialize(line));
}

namespace {

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

// Definitions go into the system text, behind what the client says there.
std::vector<Message> with_tools(const GenerateSpec& spec) {
  std::vector<Message> messages = spec.messages;
  if (spec.tools.empty() || spec.tool_choice == ToolChoice::kNone) return messages;
  const std::string text = tools_system_text(spec.tools, spec.tool_choice, spec.only_tool);
  if (!messages.empty() && messages.front().role == Role::kSystem) {
    messages.front().content += "\n\n" + text;
  } else {
    messages.insert(messages.begin(),
                    Message{.role = Role::kSystem, .content = text, .tool_calls = {}});
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
    RECKON_ASSIGN(Request request, chat_request(engine.tokenizer(), *engine.chat_template(),
                                                with_tools(spec), render, spec.thought));
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

}  // namespace

ApiResult<std::vector<Request>> build_requests(const GenerateSpec& spec, const Engine& engine,
                                               uint64_t cache_salt) {
  if (spec.context_wanted && *spec.context_wanted > engine.context_length()) {
    return bad_field("options.num_ctx", fmt::format("expected at most {}, found {}",
                                                    engine.context_length(), *spec.context_wanted));
  }
  Result<std::vector<Request>> prompts = prompts_of(spec, engine);
  if (!prompts.ok()) return from_error(prompts.error());
  const SamplingParams sampling = sampling_of(spec.sampling, engine);
  std::vector<Request> requests;
  for (const Request& prompt : *prompts) {
    for (int64_t i = 0; i < spec.n; ++i) {
      Request request = prompt;
      request.sampling = sampling;
      request.sampling.seed += static_cast<uint64_t>(i);
      request.max_tokens = spec.max_tokens;
      if (request.thinking != ThinkingStart::kPlain) {
        request.think_budget = spec.think ? spec.think_budget : 0;
      }
      if (spec.context_wanted) {
        const int64_t room = *spec.context_wanted - static_cast<int64_t>(request.prompt.size());
        if (room < 1) {
          return bad_field("options.num_ctx",
                           fmt::format("expected more than the prompt's {} tokens, found {}",
                                       request.prompt.size(), *spec.context_wanted));
        }
        request.max_tokens = std::min(room, request.max_tokens.value_or(room));
      }
      request.stop = spec.stop;
      request.cache_salt = cache_salt;
      const Status status = engine.check(request);
      if (!status.ok()) return from_error(status.error());
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

}  // namespace reckon::server
