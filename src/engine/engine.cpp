// One step: take in new requests, obey controls, let the scheduler plan a batch, run it, sample,
// and pass each token through the reasoning tracker to the request's sink.
#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "engine/ngram_guesser.h"
#include "reasoning/stop_strings.h"

namespace reckon {
namespace {

constexpr size_t kMaxStopStrings = 64;
constexpr size_t kMaxStopBytes = 1024;

// With more sequences than that a step's time grows with every token: a guess doesn't pay.
constexpr int64_t kMaxGuessing = Draft::kSequences;

using Milliseconds = std::chrono::duration<double, std::milli>;

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
    case FinishReason::kError: return "error";
  }
  return "error";
}

// A request on its way, from submission to its end.
struct Engine::Active {
  Active(Request r, EventSink s, ThinkingOptions thinking, std::vector<std::string> stops_wanted,
         std::shared_ptr<const Tokenizer> tokenizer)
      : request(std::move(r)),
        sink(std::move(s)),
        tracker(std::move(tokenizer), std::move(thinking)),
        stops(std::move(stops_wanted)),
        submitted(Clock::now()) {}

  void send(const Event& event) const {
    if (sink) sink(id, event);
  }

  RequestId id = 0;
  Request request;  // its prompt has moved into sequence
  EventSink sink;
  Sequence sequence;
  NgramGuesser guesser;
  int64_t n_prompt = 0;
  int64_t n_generated = 0;
  ThinkingTracker tracker;
  StopStrings stops;
  ThoughtEnd thought_end = ThoughtEnd::kNone;
  int64_t n_computed = 0;  // tokens that went through the model for it
  double joules = 0;
  std::optional<AnswerConstraint> constraint;  // from the time when it is known to the engine
  bool finished = false;
  bool reported = false;  // its FinishedEvent has been taken

  Clock::time_point submitted;
  std::optional<Clock::time_point> first_step;
  std::optional<Clock::time_point> first_logits;
  int64_t n_prefilled = 0;  // computed before the first logits
  int64_t n_generated_by_first_logits = 0;
};

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<Decoder> decoder,
                                               std::shared_ptr<const Tokenizer> tokenizer,
                                               std::shared_ptr<const ChatTemplate> chat_template,
                                               const EngineOptions& options) try {
  RECKON_CHECK(decoder != nullptr && tokenizer != nullptr);
  const DecoderShape& shape = decoder->shape();
  if (tokenizer->vocab_size() < 1 || tokenizer->vocab_size() > shape.vocab_size) {
    return bad_file(
        fmt::format("tokenizer: expected 1 to {} tokens, as many as the model has, "
                    "found {}",
                    shape.vocab_size, tokenizer->vocab_size()));
  }
  const int64_t limit = std::min(shape.context_length, shape.n_pages * shape.page_positions);
  if (options.context_length < 0 || options.context_length > limit) {
    return usage_error(fmt::format("context length: expected at most {}, found {}", limit,
                                   options.context_length));
  }
  if (options.max_batch_tokens < 0 || options.max_batch_tokens > shape.max_batch_tokens) {
    return usage_error(fmt::format("tokens of a batch: expected at most {}, found {}",
                                   shape.max_batch_tokens, options.max_batch_tokens));
  }
  if (options.max_running < 1) {
    return usage_error(
        fmt::format("sequences at once: expected at least 1, found {}", options.max_running));
  }
  const int64_t context = options.context_length == 0 ? limit : options.context_length;
  std::unique_ptr<Engine> engine(new Engine(std::move(decoder), std::move(tokenizer),
                                            std::move(chat_template), options, context));
  engine->constraints_ =
      std::make_unique<AnswerConstraints>(engine->tokenizer_, engine->marks_, engine->stop_tokens_);
  return engine;
} catch (const std::bad_alloc&) {
  return failed("out of memory for the engine");
}

Engine::Engine(std::unique_ptr<Decoder> decoder, std::shared_ptr<const Tokenizer> tokenizer,
               std::shared_ptr<const ChatTemplate> chat_template, const EngineOptions& options,
               int64_t context_length)
    : decoder_(std::move(decoder)),
      tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      context_length_(context_length),
      guess_ngrams_(options.guess_ngrams),
      model_name_(options.model_name),
      scheduler_(*decoder_, {.max_batch_tokens = options.max_batch_tokens == 0
                                                     ? decoder_->shape().max_batch_tokens
                                                     : options.max_batch_tokens,
                             .max_running = options.max_running}),
      sampler_(tokenizer_->vocab_size()) {
  if (chat_template_ == nullptr) return;
  marks_ = chat_template_->think_marks();
  for (const std::string& spelling : chat_template_->stop_spellings()) {
    const TokenId token = tokenizer_->find(spelling);
    if (token != kNoToken) {
      stop_tokens_.push_back(token);
    } else {
      stop_spellings_.push_back(spelling);
    }
  }
}

Engine::~Engine() = default;

Status Engine::check(const Request& request) const {
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  if (n_prompt == 0) return usage_error("prompt: expected at least one token, found none");
  if (n_prompt >= context_length_) {
    return usage_error(fmt::format(
        "prompt: expected at most {} tokens (the context holds {} and the answer needs room), "
        "found {}",
        context_length_ - 1, context_length_, n_prompt));
  }
  for (const TokenId token : request.prompt) {
    if (token < 0 || token >= tokenizer_->vocab_size()) {
      return usage_error(fmt::format("prompt: expected token ids from 0 to {}, found {}",
                                     tokenizer_->vocab_size() - 1, token));
    }
  }
  RECKON_RETURN_IF_ERROR(validate(request.sampling, tokenizer_->vocab_size()));
  if (request.max_tokens && *request.max_tokens < 1) {
    return usage_error(
        fmt::format("max_tokens: expected at least 1, found {}", *request.max_tokens));
  }
  if (request.think_budget && *request.think_budget < 0) {
    return usage_error(
        fmt::format("think_budget: expected 0 or more tokens, found {}", *request.think_budget));
  }
  RECKON_RETURN_IF_ERROR(check_thinking(request));
  if (request.thinking != ThinkingStart::kPlain && marks_.close.empty()) {
    return usage_error("thinking: expected a model whose chat template has thoughts");
  }
  if (request.stop.size() > kMaxStopStrings) {
    return usage_error(fmt::format("stop: expected at most {} strings, found {}", kMaxStopStrings,
                                   request.stop.size()));
  }
  for (const std::string& stop : request.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return usage_error(fmt::format("stop: expected strings of 1 to {} bytes, found one of {}",
                                     kMaxStopBytes, stop.size()));
    }
  }
  return {};
}

Result<RequestId> Engine::submit(Request request, EventSink sink) try {
  RECKON_RETURN_IF_ERROR(check(request));
  if (request.constraint != nullptr) constraints_->prepare();
  if (request.deliberates()) return submit_deliberation(std::move(request), std::move(sink));
  ThinkingOptions thinking{.start = request.thinking,
                           .marks = marks_,
                           .thought_so_far = request.thought_so_far,
                           .budget = request.think_budget,
                           .soft_share = request.soft_share,
                           .min_tokens = request.min_think_tokens,
                           .closing_sentence = request.closing_sentence};
  std::vector<std::string> stops = request.stop;
  stops.insert(stops.end(), stop_spellings_.begin(), stop_spellings_.end());
  auto active = std::make_unique<Active>(std::move(request), std::move(sink), std::move(thinking),
                                         std::move(stops), tokenizer_);
  active->sequence.tokens = std::move(active->request.prompt);
  active->sequence.salt = active->request.cache_salt;
  active->n_prompt = active->sequence.n_tokens();

  const std::lock_guard lock(mutex_);
  submitted_.reserve(submitted_.size() + 1);
  const RequestId id = controls_.claim();
  if (id == 0) {
    return failed(
        fmt::format("too many requests: expected at most {} at once", ControlTable::kSlots));
  }
  active->id = id;
  active->sequence.order = id;
  submitted_.push_back(std::move(active));
  return id;
} catch (const std::bad_alloc&) {
  return failed("out of memory for the request");
}

bool Engine::step() {
  try {
    deliberate();
    accept_submitted();
    obey_controls();
    run_batch();
  } catch (const std::bad_alloc&) {
    fail_all("out of memory");  // so short that a string holds it in itself
  }
  sweep_finished();
  const std::lock_guard lock(mutex_);
  return !active_.empty() || !submitted_.empty() || n_deliberations_ > 0;
}

void Engine::accept_submitted() {
  for (;;) {
    Active* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (submitted_.empty()) return;
      next = submitted_.front().get();
      // Where memory is short it stays submitted.
      active_.emplace(next->id, std::move(submitted_.front()));
      submitted_.erase(submitted_.begin());
    }
    Active& active = *next;
    const auto parent = active_.find(active.request.parent);
    if (parent != active_.end() && !parent->second->finished) {
      scheduler_.publish(&parent->second->sequence);
    }
    scheduler_.add(&active.sequence);
    if (active.request.constraint != nullptr) {
      active.constraint.emplace(*constraints_, active.request.constraint, active.tracker);
    }
    active.send(StartedEvent{});
    close_thought_if_due(active);  // a budget of 0
  }
}

void Engine::obey_controls() {
  for (auto& [id, active] : active_) {
    if (active->finished) continue;
    const uint64_t flags = controls_.flags(id);
    if (flags & ControlTable::kCancel) {
      finish(*active, FinishReason::kCancelled);
    } else if (flags & ControlTable::kAnswerNow) {
      active->tracker.request_answer();
      close_thought_if_due(*active);
    }
  }
}

void Engine::guess() {
  const bool few = std::ssize(active_) <= kMaxGuessing;
  for (auto& [id, active] : active_) {
    Sequence& sequence = active->sequence;
    sequence.guess.clear();
    if (!few || active->finished || sequence.n_pending() != 1) continue;
    // The last token of a context or of max_tokens is sampled and not computed.
    int64_t room = context_length_ - sequence.n_tokens() - 1;
    if (active->request.max_tokens) {
      room = std::min(room, *active->request.max_tokens - active->n_generated - 1);
    }
    const std::span<const TokenId> guess = guess_for(*active, room);
    sequence.guess.assign(guess.begin(), guess.end());
  }
}

std::span<const TokenId> Engine::guess_for(Active& active, int64_t n_max) {
  if (draft_ == nullptr) return active.guesser.guess(active.sequence.tokens, n_max);
  return draft_->guess({.id = active.id,
                        .tokens = active.sequence.tokens,
                        .n_prompt = active.n_prompt,
                        .sampling = &active.request.sampling,
                        .n_max = n_max},
                       sampler_, tokenizer_->vocab_size());
}

void Engine::run_batch() {
  if (guess_ngrams_ || draft_ != nullptr) guess();
  const std::vector<Scheduler::Share> batch = scheduler_.plan();
  if (batch.empty()) return;
  steps_.clear();
  step_tokens_.clear();
  int64_t n_wanted = 0;
  int64_t n_tokens = 0;
  for (const Scheduler::Share& share : batch) n_tokens += share.n_tokens + share.n_guessed;
  step_tokens_.reserve(static_cast<size_t>(n_tokens));  // steps_ point into it
  for (const Scheduler::Share& share : batch) {
    const Sequence& sequence = *share.sequence;
    const int64_t n_logits = share.wants_logits ? 1 + share.n_guessed : 0;
    const size_t first = step_tokens_.size();
    const auto pending = sequence.tokens.begin() + sequence.n_computed;
    step_tokens_.insert(step_tokens_.end(), pending, pending + share.n_tokens);
    step_tokens_.insert(step_tokens_.end(), sequence.guess.begin(),
                        sequence.guess.begin() + share.n_guessed);
    steps_.push_back({.tokens = std::span(step_tokens_).subspan(first),
                      .first_position = sequence.n_computed,
                      .pages = sequence.pages,
                      .n_logits = n_logits});
    n_wanted += n_logits;
    Active& active = *find(share.sequence);
    if (!active.first_step) active.first_step = Clock::now();
  }
  const auto vocab_size = static_cast<size_t>(decoder_->shape().vocab_size);
  logits_.resize(static_cast<size_t>(n_wanted) * vocab_size);
  energy_.take();
  const Status status = decoder_->step(steps_, logits_);
  const double joules_per_token = energy_.take() / static_cast<double>(n_tokens);
  if (!status.ok()) {
    for (const Scheduler::Share& share : batch) {
      finish(*find(share.sequence), FinishReason::kError, status.error().message);
    }
    return;
  }
  scheduler_.commit();
  std::span<const float> rows = logits_;
  for (const Scheduler::Share& share : batch) {
    Active& active = *find(share.sequence);
    const int64_t n_share = share.n_tokens + share.n_guessed;
    active.n_computed += n_share;
    active.joules += joules_per_token * static_cast<double>(n_share);
    if (!active.first_logits) {
      active.send(PrefillEvent{.done = std::min(active.sequence.n_computed, active.n_prompt),
                               .total = active.n_prompt});
    }
    if (!share.wants_logits) continue;
    const size_t n_values = static_cast<size_t>(1 + share.n_guessed) * vocab_size;
    take_logits(active, rows.first(n_values), share.n_guessed);
    rows = rows.subspan(n_values);
  }
}

// What the next token may be, empty for anything; false when the request has ended instead.
bool Engine::constrain(Active& active, std::span<const uint64_t>& allowed) {
  if (!active.constraint) return true;
  const auto bits = active.constraint->allowed(active.tracker);
  if (!bits.ok()) {
    finish(active, FinishReason::kError, bits.error().message);
    return false;
  }
  allowed = *bits;
  // A vocabulary without an end token: the answer is whole and nothing may follow.
  const bool over = !allowed.empty() && std::all_of(allowed.begin(), allowed.end(),
                                                    [](uint64_t word) { return word == 0; });
  if (over) finish(active, FinishReason::kStop);
  return !over;
}

// A constrained request is owed an answer: where the model would end its turn inside its thought,
// the thought is closed in place of that token.
bool Engine::closes_thought_instead(Active& active, TokenId token) {
  const bool ends =
      active.constraint && active.tracker.part() == Part::kThinking && ends_turn(token);
  if (!ends) return false;
  active.thought_end = ThoughtEnd::kOwn;
  force(active, active.tracker.closing_tokens());
  return true;
}

// logits [1 + n_guessed, vocab_size of the model]: a token is sampled from each row as long as all
// that the row's computation took for granted has come true.
void Engine::take_logits(Active& active, std::span<const float> logits, int64_t n_guessed) {
  const bool first = !active.first_logits;
  if (first) {
    active.first_logits = Clock::now();
    active.n_prefilled = active.sequence.n_tokens() - active.sequence.n_reused;
  }
  Sequence& sequence = active.sequence;
  const size_t row_size = logits.size() / static_cast<size_t>(1 + n_guessed);
  int64_t n_true = 0;
  do {
    const std::span<const float> row = logits.subspan(static_cast<size_t>(n_true) * row_size)
                                           .first(static_cast<size_t>(tokenizer_->vocab_size()));
    std::span<const uint64_t> allowed;
    if (!constrain(active, allowed)) break;
    SampledToken sampled = sample(active, row, allowed);
    if (active.tracker.below_minimum() &&
        (sampled.token == active.tracker.close_token() || ends_turn(sampled.token))) {
      // Too early: it must go on, unless its budget has no room for that.
      const std::vector<TokenId> more = active.tracker.lengthening_tokens();
      if (more.empty()) active.thought_end = ThoughtEnd::kBudget;
      force(active, more.empty() ? active.tracker.closing_tokens() : more);
      close_thought_if_due(active);
      break;
    }
    if (closes_thought_instead(active, sampled.token)) break;
    const bool came_true =
        n_true < n_guessed && sequence.guess[static_cast<size_t>(n_true)] == sampled.token;
    if (came_true) {
      scheduler_.accept(&sequence, sampled.token);
      ++n_true;
    } else {
      sequence.tokens.push_back(sampled.token);
    }
    take_token(active, sampled.token, false, std::move(sampled.logprobs));
    if (first) active.n_generated_by_first_logits = active.n_generated;
    close_thought_if_due(active);
  } while (!active.finished && sequence.n_pending() == 0);  // forced ones would be pending
  if (draft_ != nullptr) {
    draft_->learn(active.id, n_guessed, n_true);
  } else {
    active.guesser.learn(n_guessed, n_true);
  }
  n_guessed_ += n_guessed;
  n_accepted_ += n_true;
}

// The next token of a sequence, with the thought's end made likelier when its budget runs out.
SampledToken Engine::sample(Active& active, std::span<const float> logits,
                            std::span<const uint64_t> allowed) {
  const SamplingParams& params = active.request.sampling;
  const SamplingHistory history{.tokens = active.sequence.tokens,
                                .n_prompt = active.n_prompt - active.request.n_continued};
  const double bias = active.tracker.close_bias();
  if (bias == 0) return sampler_.sample(params, logits, history, allowed);
  SamplingParams biased = params;
  biased.logit_bias.push_back({active.tracker.close_token(), bias});
  SampledToken sampled = sampler_.sample(biased, logits, history, allowed);
  if (sampled.token == active.tracker.close_token()) {
    const bool own = sampler_.sample(params, logits, history, allowed).token == sampled.token;
    active.thought_end = own ? ThoughtEnd::kOwn : ThoughtEnd::kBudget;
  }
  return sampled;
}

// The token has joined the sequence.
void Engine::take_token(Active& active, TokenId token, bool forced,
                        std::optional<TokenLogprobs> logprobs) {
  ++active.n_generated;
  active.send(TokenEvent{.token = token,
                         .part = active.tracker.part(),
                         .forced = forced,
                         .logprobs = std::move(logprobs)});
  if (!forced && ends_turn(token)) {
    const bool thinking = active.tracker.part() == Part::kThinking;
    if (thinking) active.thought_end = ThoughtEnd::kOwn;
    active.tracker.push_end();
    finish(active, FinishReason::kStop);
    return;
  }
  std::vector<TextDelta> deltas;
  const bool was_thinking = active.tracker.part() == Part::kThinking;
  active.tracker.push(token, forced, deltas);
  const bool thought_ended = was_thinking && active.tracker.part() == Part::kAnswer;
  if (thought_ended && active.thought_end == ThoughtEnd::kNone) {
    active.thought_end = ThoughtEnd::kOwn;
  }
  send_text(active, deltas);
  if (active.stops.stopped()) {
    finish(active, FinishReason::kStop);
  } else if (active.constraint && !active.constraint->follow(token, active.tracker)) {
    // Only where a thought ends and goes on in one token, or its end was forced.
    finish(active, FinishReason::kError,
           "grammar: the text right behind the thought's end isn't what the grammar allows");
  } else if ((active.request.max_tokens && active.n_generated >= *active.request.max_tokens) ||
             active.sequence.n_tokens() >= context_length_) {
    finish(active, FinishReason::kLength);
  }
}

// The closing tokens join the sequence at once and are computed like a short prefill.
void Engine::close_thought_if_due(Active& active) {
  if (active.finished || !active.tracker.close_due()) return;
  active.thought_end = active.tracker.answer_requested() ? ThoughtEnd::kAsked : ThoughtEnd::kBudget;
  force(active, active.tracker.closing_tokens());
}

void Engine::force(Active& active, const std::vector<TokenId>& tokens) {
  for (const TokenId token : tokens) {
    active.sequence.tokens.push_back(token);
    take_token(active, token, true, std::nullopt);
    if (active.finished) return;
  }
}

void Engine::send_text(Active& active, std::vector<TextDelta>& deltas) {
  for (TextDelta& delta : deltas) {
    if (delta.part == Part::kAnswer) {
      std::string text;
      active.stops.push(delta.text, text);
      delta.text = std::move(text);
    }
    if (!delta.text.empty()) active.send(TextEvent{.part = delta.part, .text = delta.text});
  }
}

bool Engine::ends_turn(TokenId token) const {
  return tokenizer_->ends_generation(token) ||
         std::find(stop_tokens_.begin(), stop_tokens_.end(), token) != stop_tokens_.end();
}

void Engine::finish(Active& active, FinishReason reason, std::string error) {
  if (active.finished) return;
  active.finished = true;
  scheduler_.remove(&active.sequence);

  std::vector<TextDelta> deltas;
  active.tracker.finish(deltas);
  send_text(active, deltas);
  const std::string held = active.stops.finish();
  if (!held.empty()) active.send(TextEvent{.part = Part::kAnswer, .text = held});

  const Clock::time_point now = Clock::now();
  const Clock::time_point first_step = active.first_step.value_or(now);
  const Clock::time_point first_logits = active.first_logits.value_or(now);
  FinishedEvent event;
  event.reason = reason;
  event.thought_end = active.thought_end;
  event.error = std::move(error);
  // Behind the request's own stand the model's.
  const std::optional<size_t> met = active.stops.met();
  if (met && *met < active.request.stop.size()) event.stop = active.request.stop[*met];
  event.usage.computed_tokens = active.n_computed;
  if (energy_.readable()) event.usage.joules = active.joules;
  event.usage.prompt_tokens = active.n_prompt;
  event.usage.cached_tokens = std::min(active.sequence.n_reused, active.n_prompt);
  event.usage.output = active.tracker.counts();
  if (active.request.think_budget && active.thought_end != ThoughtEnd::kNone) {
    const int64_t left = *active.request.think_budget - event.usage.output.thinking;
    event.usage.saved_tokens = std::max<int64_t>(left, 0);
  }
  event.timings.wait_ms = Milliseconds(first_step - active.submitted).count();
  event.timings.prefill_ms = Milliseconds(first_logits - first_step).count();
  event.timings.decode_ms = Milliseconds(now - first_logits).count();
  event.timings.prefill_tokens = active.n_prefilled;
  event.timings.decode_tokens =
      active.first_logits ? active.n_generated - active.n_generated_by_first_logits : 0;
  active.send(event);
  active.reported = true;
}

// Memory is short: nothing here may need any. Whoever waits learns of the end, also of one that was
// on its way when memory ran out.
void Engine::fail_all(std::string_view message) {
  for (auto& [id, active] : active_) {
    if (active->reported) continue;
    if (!active->finished) scheduler_.remove(&active->sequence);
    active->finished = true;
    active->reported = true;
    FinishedEvent event;
    event.reason = FinishReason::kError;
    event.usage.prompt_tokens = active->n_prompt;
    try {
      event.error = message;
      active->send(event);
    } catch (const std::bad_alloc&) {
      // A sink that can't take it has at least been called.
    }
  }
  for (const auto& deliberation : deliberations_) deliberation->fail(message);
}

void Engine::sweep_finished() {
  for (auto entry = active_.begin(); entry != active_.end();) {
    if (!entry->second->finished) {
      ++entry;
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      controls_.release(entry->first);
    }
    if (draft_ != nullptr) draft_->forget(entry->first);
    entry = active_.erase(entry);
  }
}

Engine::Active* Engine::find(const Sequence* sequence) {
  const auto entry = active_.find(sequence->order);
  RECKON_CHECK(entry != active_.end());
  return entry->second.get();
}

Result<Completion> Engine::generate(Request request, EventSink sink) try {
  Completion completion;
  std::string error = "out of memory";  // should there be none for the true one
  bool failed_to_end = false;
  bool ended = false;
  const auto gather = [&](RequestId id, const Event& event) {
    if (const auto* text = std::get_if<TextEvent>(&event)) {
      (text->part == Part::kThinking ? completion.thinking : completion.answer) += text->text;
    } else if (const auto* token = std::get_if<TokenEvent>(&event)) {
      completion.tokens.push_back(token->token);
      if (token->logprobs) completion.logprobs.push_back(*token->logprobs);
    } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
      ended = true;
      completion.finish_reason = finished->reason;
      completion.thought_end = finished->thought_end;
      completion.deliberation = finished->deliberation;
      completion.usage = finished->usage;
      completion.timings = finished->timings;
      failed_to_end = finished->reason == FinishReason::kError;
      if (failed_to_end) error = finished->error;
    }
    if (sink) sink(id, event);
  };
  RECKON_RETURN_IF_ERROR(submit(std::move(request), gather));
  while (!ended) step();
  if (failed_to_end) return failed(std::move(error));
  return completion;
} catch (const std::bad_alloc&) {
  return failed("out of memory for the answer");
}

EngineStats Engine::stats() const {
  return {.n_waiting = scheduler_.n_waiting(),
          .n_running = scheduler_.n_running(),
          .n_pages = scheduler_.pool().n_pages(),
          .n_free_pages = scheduler_.pool().n_free(),
          .n_cached_pages = scheduler_.cache().n_nodes(),
          .n_preemptions = scheduler_.n_preemptions(),
          .n_guessed = n_guessed_,
          .n_accepted = n_accepted_};
}

}  // namespace reckon
