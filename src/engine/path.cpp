// The engine's events are noted as they come; decisions are made in poll(), between two steps.
#include "engine/path.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/engine.h"
#include "kernels/scalar_math.h"
#include "reasoning/answer.h"
#include "sampling/philox.h"

namespace reckon {
namespace {

// Where a brace that is open before text begins is closed in it; npos: not yet.
size_t closing_of_open_brace(std::string_view text) {
  int64_t depth = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

const ProbeStyle& style_for(const Engine& engine, const std::string& name) {
  const ProbeStyle* named = find_probe_style(name);
  if (named != nullptr) return *named;
  return default_probe_style(
      engine.chat_template() == nullptr ? "" : engine.chat_template()->name(), engine.model_name());
}

}  // namespace

Path::Path(Engine& engine, const Request& request, int64_t index)
    : engine_(engine),
      request_(request),
      style_(style_for(engine, request.early_stop.style)),
      marks_(style_, request.early_stop.min_gap) {
  request_.sampling.seed = path_seed(request.sampling.seed, static_cast<uint64_t>(index));
  // A vote's weight needs them; they are taken out of the events again.
  if (request.paths.weighted) {
    request_.sampling.n_logprobs = std::max(request_.sampling.n_logprobs, 0);
  }
}

void Path::poll() {
  submit_waiting();
  decide();
  release();
  if (finished_) return;
  if (answer_run_.ended) {
    finish(answer_run_);
  } else if (main_.ended && !stopped_at_ && probes_.empty()) {
    finish(main_);
  }
}

void Path::submit_waiting() {
  if (!finished_ && !main_.submitted) {
    Request request = request_;
    request.early_stop = {};
    request.paths = {};
    request.verification = {};
    submit(main_, std::move(request), [this](RequestId, const Event& e) { take_main(e); });
  }
  if (!finished_ && stopped_at_ && !answer_run_.submitted) {
    Request request = continued(*stopped_at_, closing_tokens_);
    request.thinking = ThinkingStart::kPlain;
    submit(answer_run_, std::move(request), [this](RequestId, const Event& e) { take_answer(e); });
  }
  for (const std::unique_ptr<Probe>& probe : probes_) {
    Probe* p = probe.get();
    if (p->run.submitted) continue;
    submit(p->run, probe_request(*p), [this, p](RequestId, const Event& e) { take_probe(*p, e); });
  }
}

// A request that the engine has no room for now is tried again at the next poll(); one that can't
// be has ended.
bool Path::submit(Run& run, Request request, EventSink sink) {
  const Result<RequestId> id = engine_.submit(std::move(request), std::move(sink));
  if (id.ok()) {
    run.id = *id;
    run.submitted = true;
    return true;
  }
  if (id.error().kind == ErrorKind::kUsage) {
    run.submitted = true;
    run.ended = true;
    run.reason = FinishReason::kError;
    run.error = id.error().message;
  }
  return false;
}

// The request that goes on behind the first n_tokens of the output, and `more`.
Request Path::continued(int64_t n_tokens, const std::vector<TokenId>& more) const {
  Request request = request_;
  request.early_stop = {};
  request.paths = {};
  request.verification = {};
  request.think_budget.reset();
  request.min_think_tokens = 0;
  request.thought_so_far.clear();
  request.prompt.insert(request.prompt.end(), tokens_.begin(), tokens_.begin() + n_tokens);
  request.prompt.insert(request.prompt.end(), more.begin(), more.end());
  const int64_t n_more = n_tokens + std::ssize(more);
  request.n_continued += n_more;
  if (request.max_tokens) *request.max_tokens -= n_more;
  request.parent = main_.id;
  return request;
}

Request Path::probe_request(const Probe& probe) const {
  std::vector<TokenId> lead = closing(probe.n_tokens);
  engine_.tokenizer().encode(style_.lead, SpecialTokens::kAsText, lead);
  const Request whole = continued(probe.n_tokens, lead);
  Request request;
  request.prompt = whole.prompt;
  request.cache_salt = whole.cache_salt;
  request.parent = whole.parent;
  request.sampling.temperature = 0;
  request.sampling.n_logprobs = 0;
  request.max_tokens = request_.early_stop.max_probe_tokens;
  if (!style_.lead.ends_with('{')) request.stop = {"\n"};
  return request;
}

// What closes the thought behind the first n_tokens. An empty one has a line of its own.
std::vector<TokenId> Path::closing(int64_t n_tokens) const {
  const bool at_line_start =
      n_tokens > 0 &&
      engine_.tokenizer().bytes(tokens_[static_cast<size_t>(n_tokens - 1)]).ends_with('\n');
  return thought_closing(engine_.tokenizer(), engine_.chat_template()->think_marks(), at_line_start,
                         {});
}

// --- events

// What all runs note; true for the last event.
bool Path::take_common(Run& run, const Event& event) {
  if (std::holds_alternative<TokenEvent>(event)) ++run.n_tokens;
  const auto* finished = std::get_if<FinishedEvent>(&event);
  if (finished == nullptr) return false;
  run.ended = true;
  run.reason = finished->reason;
  run.thought_end = finished->thought_end;
  run.usage = finished->usage;
  run.timings = finished->timings;
  run.error = finished->error;
  run.stop = finished->stop;
  return true;
}

void Path::take_main(const Event& event) {
  if (take_common(main_, event)) return;
  if (const auto* prefill = std::get_if<PrefillEvent>(&event)) prefill_ = *prefill;
  if (const auto* token = std::get_if<TokenEvent>(&event)) {
    tokens_.push_back(token->token);
    parts_.push_back(token->part);
    if (!stopped_at_) watch(*token);
  }
  if (!stopped_at_) take_output(event);
}

void Path::take_answer(const Event& event) {
  if (!take_common(answer_run_, event)) take_output(event);
}

void Path::take_output(const Event& event) {
  if (const auto* token = std::get_if<TokenEvent>(&event)) {
    held_.push_back({.n_tokens = ++n_output_, .what = *token});
  } else if (const auto* text = std::get_if<TextEvent>(&event)) {
    held_.push_back(
        {.n_tokens = n_output_, .what = TextDelta{text->part, std::string(text->text)}});
  }
}

// Looks for a place to branch.
void Path::watch(const TokenEvent& token) {
  const bool probes = request_.early_stop.rule != EarlyStop::Rule::kOff;
  if (!probes || token.part != Part::kThinking) return;
  // Marks are counted in tokens of the thought; before it stand those of an opening mark.
  const auto first = std::find(parts_.begin(), parts_.end(), Part::kThinking) - parts_.begin();
  const bool is_first = first + 1 == std::ssize(parts_);
  if (is_first && style_.at_start && request_.thought_so_far.empty()) add_probe(first, 0);
  const std::optional<int64_t> place = marks_.push(engine_.tokenizer().bytes(token.token));
  if (place) add_probe(first, *place);
}

// first: tokens before the thought; place: tokens of the thought before the branch.
void Path::add_probe(int64_t first, int64_t place) {
  if (place < request_.min_think_tokens) return;
  if (place > 0 && style_.at_start && request_.early_stop.rule == EarlyStop::Rule::kConfident) {
    return;  // it could decide nothing
  }
  auto probe = std::make_unique<Probe>();
  probe->n_tokens = first + place;
  probe->at_start = place == 0;
  probes_.push_back(std::move(probe));
  ++n_probes_;
}

void Path::take_probe(Probe& probe, const Event& event) {
  if (take_common(probe.run, event)) {
    // A turn or a line that came to its end.
    const bool in_box = style_.lead.ends_with('{');
    if (!in_box && probe.run.reason == FinishReason::kStop) probe.complete = true;
    return;
  }
  if (probe.complete) return;
  if (const auto* token = std::get_if<TokenEvent>(&event)) {
    if (token->logprobs) probe.logprob_sum += token->logprobs->chosen;
    ++probe.n_answer_tokens;
  } else if (const auto* text = std::get_if<TextEvent>(&event)) {
    probe.text += text->text;
    const size_t end =
        style_.lead.ends_with('{') ? closing_of_open_brace(probe.text) : std::string::npos;
    if (end == std::string::npos) return;
    probe.text.resize(end);
    probe.complete = true;
    engine_.cancel(probe.run.id);
  }
}

// --- decisions

void Path::decide() {
  while (!finished_ && !stopped_at_ && !probes_.empty() && probes_.front()->run.ended) {
    const std::unique_ptr<Probe> probe = std::move(probes_.front());
    probes_.pop_front();
    n_probe_computed_ += probe->run.usage.computed_tokens;
    probe_joules_ += probe->run.usage.joules.value_or(0);
    const ThoughtEnd why = verdict(*probe);
    if (why != ThoughtEnd::kNone) stop_at(*probe, why);
  }
  std::erase_if(dropped_, [this](const std::unique_ptr<Probe>& probe) {
    if (probe->run.pending()) return false;
    n_probe_computed_ += probe->run.usage.computed_tokens;
    probe_joules_ += probe->run.usage.joules.value_or(0);
    return true;
  });
}

// What this branch's answer, after those before it, says about the thought.
ThoughtEnd Path::verdict(const Probe& probe) {
  const EarlyStop& early = request_.early_stop;
  const std::string answer = probe.complete ? normalise_answer(probe.text) : "";
  if (answer.empty()) {
    last_probe_answer_.clear();
    n_agreeing_ = 0;
    return ThoughtEnd::kNone;
  }
  n_agreeing_ = answer == last_probe_answer_ ? n_agreeing_ + 1 : 1;
  last_probe_answer_ = answer;
  const double mean = probe.logprob_sum / static_cast<double>(probe.n_answer_tokens);
  probe_confidence_ = exact_exp(mean);
  const bool asks_confidence =
      early.rule != EarlyStop::Rule::kAgreed && (probe.at_start || !style_.at_start);
  const bool asks_agreement = early.rule != EarlyStop::Rule::kConfident;
  if (asks_confidence && probe_confidence_ >= early.confidence) return ThoughtEnd::kConfident;
  if (asks_agreement && n_agreeing_ >= early.agreeing) return ThoughtEnd::kAgreed;
  return ThoughtEnd::kNone;
}

// Everything beyond the branch's place is given up, unless no room for an answer is left there.
void Path::stop_at(const Probe& probe, ThoughtEnd why) {
  std::vector<TokenId> closing_tokens = closing(probe.n_tokens);
  const int64_t n_kept = probe.n_tokens + std::ssize(closing_tokens);
  const bool has_room = !request_.max_tokens || n_kept < *request_.max_tokens;
  if (!has_room || std::ssize(request_.prompt) + n_kept >= engine_.context_length()) return;
  stopped_at_ = probe.n_tokens;
  thought_end_ = why;
  closing_tokens_ = std::move(closing_tokens);
  if (main_.pending()) engine_.cancel(main_.id);
  drop_probes();
  while (!held_.empty() && held_.back().n_tokens > probe.n_tokens) held_.pop_back();
  n_output_ = probe.n_tokens;
  // The mark's token and all before it belong to the thought.
  const TokenId mark = engine_.tokenizer().find(engine_.chat_template()->think_marks().close);
  Part part = Part::kThinking;
  for (const TokenId token : closing_tokens_) {
    take_output(TokenEvent{.token = token, .part = part, .forced = true, .logprobs = {}});
    if (token == mark) part = Part::kAnswer;
  }
  submit_waiting();
}

void Path::drop_probes() {
  for (std::unique_ptr<Probe>& probe : probes_) {
    if (probe->run.pending()) engine_.cancel(probe->run.id);
    if (probe->run.submitted) dropped_.push_back(std::move(probe));
  }
  probes_.clear();
}

int64_t Path::n_certain() const {
  if (finished_) return n_output_;
  int64_t n = n_output_;
  if (!stopped_at_ && !probes_.empty()) n = std::min(n, probes_.front()->n_tokens);
  if (!stopped_at_ && !main_.ended && !parts_.empty() && parts_.back() == Part::kThinking &&
      request_.early_stop.rule != EarlyStop::Rule::kOff) {
    const auto first = std::find(parts_.begin(), parts_.end(), Part::kThinking) - parts_.begin();
    n = std::min(n, first + marks_.n_decided());
  }
  return n;
}

void Path::release() {
  const int64_t n_certain = this->n_certain();
  while (!held_.empty() && held_.front().n_tokens <= n_certain) {
    Output output = std::move(held_.front());
    held_.pop_front();
    if (auto* token = std::get_if<TokenEvent>(&output.what)) {
      if (token->logprobs) {
        logprob_sum_ += token->logprobs->chosen;
        ++n_sampled_;
      }
    } else if (const auto& text = std::get<TextDelta>(output.what); text.part == Part::kAnswer) {
      answer_ += text.text;
    }
    released_.push_back(std::move(output));
  }
}

std::vector<Path::Output> Path::take_released() { return std::exchange(released_, {}); }

void Path::finish(const Run& last) {
  finished_ = true;
  reason_ = last.reason;
  error_ = last.error;
  stop_ = last.stop;
}

void Path::answer_now() {
  if (main_.pending()) engine_.answer_now(main_.id);
}

void Path::end(ThoughtEnd why) {
  if (finished_) return;
  finished_ = true;
  ended_early_ = true;
  reason_ = FinishReason::kCancelled;
  if (why != ThoughtEnd::kNone) thought_end_ = why;
  if (main_.pending()) engine_.cancel(main_.id);
  if (answer_run_.pending()) engine_.cancel(answer_run_.id);
  drop_probes();
}

bool Path::idle() const {
  return !main_.pending() && !answer_run_.pending() && probes_.empty() && dropped_.empty();
}

// --- figures

double Path::confidence() const {
  return n_sampled_ == 0 ? 0 : exact_exp(logprob_sum_ / static_cast<double>(n_sampled_));
}

PartCounts Path::counts() const {
  if (!stopped_at_) return main_.usage.output;
  PartCounts counts = answer_run_.usage.output;
  const auto kept_end = parts_.begin() + *stopped_at_;
  counts.thinking = std::count(parts_.begin(), kept_end, Part::kThinking);
  counts.scaffold += *stopped_at_ - counts.thinking + std::ssize(closing_tokens_);
  return counts;
}

int64_t Path::n_generated() const {
  return main_.n_tokens + answer_run_.n_tokens + std::ssize(closing_tokens_);
}

int64_t Path::n_computed() const {
  return main_.usage.computed_tokens + answer_run_.usage.computed_tokens + n_probe_computed_;
}

int64_t Path::n_probe_computed() const { return n_probe_computed_; }

double Path::joules() const {
  return main_.usage.joules.value_or(0) + answer_run_.usage.joules.value_or(0) + probe_joules_;
}

}  // namespace reckon
