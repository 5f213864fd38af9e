// Windows of paths, counted in the order of their lengths.
#include "engine/deliberation.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/engine.h"
#include "reasoning/answer.h"

namespace reckon {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

}  // namespace

Deliberation::Deliberation(Engine& engine, RequestId id, Request request, EventSink sink)
    : engine_(engine),
      id_(id),
      request_(std::move(request)),
      sink_(std::move(sink)),
      submitted_(std::chrono::steady_clock::now()) {}

void Deliberation::send(const Event& event) const {
  if (sink_) sink_(id_, event);
}

void Deliberation::poll(bool cancel, bool answer_now, int wait_ms) {
  if (finished_) {
    for (const auto& member : members_) member->path.poll();
    return;
  }
  if (!std::exchange(started_, true)) send(StartedEvent{});
  if (cancel && !cancelled_) this->cancel();
  if (members_.empty() && !cancelled_) begin_window();
  if (answer_now) {
    asked_ = true;
    for (const auto& member : members_) member->path.answer_now();
  }
  for (const auto& member : members_) {
    member->path.poll();
    for (Path::Output& output : member->path.take_released()) {
      if (const auto* text = std::get_if<TextDelta>(&output.what); text && request_.paths.n > 1) {
        send(PathTextEvent{.path = member->index, .part = text->part, .text = text->text});
      }
      member->output.push_back(std::move(output));
    }
    if (!decided_) verify(*member, wait_ms);
  }
  if (waiting_since_) {
    verify_ms_ += Milliseconds(std::chrono::steady_clock::now() - *waiting_since_).count();
    waiting_since_.reset();
  }
  if (request_.paths.n == 1) tell(*members_[0]);
  while (!decided_ && count_next()) {
  }
  const bool window_done = n_counted_ == std::ssize(members_);
  if (!decided_ && window_done) {
    const bool more = std::ssize(members_) < request_.paths.n && !asked_;
    if (more) {
      begin_window();
    } else {
      decide(ThoughtEnd::kOwn);
    }
  }
  if (decided_ && all_idle()) {
    finish();
  } else {
    tell_progress();
    if (waits_for_verifier()) waiting_since_ = std::chrono::steady_clock::now();
  }
}

void Deliberation::begin_window() {
  window_begin_ = members_.size();
  const int64_t end = std::min(request_.paths.n, std::ssize(members_) + request_.paths.window);
  while (std::ssize(members_) < end) {
    members_.push_back(std::make_unique<Member>(engine_, request_, std::ssize(members_)));
    members_.back()->path.poll();
  }
}

// Asks the verifier about a path that has ended, and takes its verdict. An answer that was broken
// off is nothing to judge.
void Deliberation::verify(Member& member, int wait_ms) {
  if (!member.path.finished() || member.verified) return;
  const std::string& text = member.path.answer();
  if (!member.verifier) {
    member.report.answer = voted_answer(text, request_.constraint != nullptr);
    if (request_.verification.program.empty() || member.path.reason() != FinishReason::kStop ||
        normalise_answer(member.report.answer).empty()) {
      member.verified = true;
      return;
    }
    Result<Verifier> started = Verifier::start(request_.verification, member.report.answer, text);
    if (!started.ok()) {
      member.report.verifier_error = started.error().message;
      member.verified = true;
      return;
    }
    member.verifier.emplace(std::move(*started));
  }
  const std::optional<Result<Verdict>> verdict = member.verifier->poll(wait_ms);
  if (!verdict) return;
  if (verdict->ok()) {
    member.report.passed = (*verdict)->passed;
    member.report.score = (*verdict)->score;
  } else {
    member.report.verifier_error = verdict->error().message;
  }
  member.verified = true;
  member.verifier.reset();
}

// Counts the shortest path that has not been counted, if no path that still runs can come to its
// end before it. Windows are counted one after the other.
bool Deliberation::count_next() {
  std::optional<std::tuple<int64_t, size_t>> next;
  for (size_t i = window_begin_; i < members_.size(); ++i) {
    const Member& member = *members_[i];
    if (member.counted) continue;
    const std::tuple place{member.path.n_certain(), i};
    if (!next || place < *next) next = place;
  }
  if (!next) return false;
  Member& member = *members_[std::get<1>(*next)];
  if (!member.path.finished() || !member.verified) return false;
  count(member, static_cast<int64_t>(std::get<1>(*next)));
  return true;
}

void Deliberation::count(Member& member, int64_t index) {
  member.counted = true;
  ++n_counted_;
  PathReport& report = member.report;
  report.finished = member.path.reason() == FinishReason::kStop;
  report.weight = request_.paths.weighted ? member.path.confidence() : 1.0;
  if (report.score) report.weight *= *report.score;
  // An answer that was broken off doesn't vote.
  if (report.finished && !normalise_answer(report.answer).empty()) {
    vote_.add(index, report.answer, report.weight);
  }
  const PathOptions& options = request_.paths;
  const int64_t n_left = options.n - n_counted_;
  if (report.passed.value_or(false)) {
    verified_ = index;
    return decide(n_left == 0 ? ThoughtEnd::kOwn : ThoughtEnd::kVerified);
  }
  // With a verifier an answer's pass ends the rest, nothing else.
  if (n_left == 0 || options.stop == PathOptions::Stop::kOff ||
      !request_.verification.program.empty()) {
    return;
  }
  const bool window_done = n_counted_ == std::ssize(members_);
  if (options.stop == PathOptions::Stop::kPosterior && options.confidence < 1 &&
      vote_.posterior() >= options.confidence) {
    vote_end_ = VoteEnd::kPosterior;
  } else if (options.stop == PathOptions::Stop::kWindow && window_done && window_agrees()) {
    vote_end_ = VoteEnd::kWindow;
  } else if (vote_.certain(n_left, 1.0)) {
    vote_end_ = VoteEnd::kCertain;
  }
  if (vote_end_ != VoteEnd::kNone) decide(ThoughtEnd::kVote);
}

bool Deliberation::window_agrees() const {
  const std::string first = normalise_answer(members_[window_begin_]->report.answer);
  return !first.empty() && std::all_of(members_.begin() + static_cast<ptrdiff_t>(window_begin_),
                                       members_.end(), [&](const auto& member) {
                                         return member->report.finished &&
                                                normalise_answer(member->report.answer) == first;
                                       });
}

void Deliberation::decide(ThoughtEnd why) {
  decided_ = why;
  for (const auto& member : members_) {
    member->path.end(why);
    member->verifier.reset();
  }
}

void Deliberation::cancel() {
  cancelled_ = true;
  if (members_.empty()) begin_window();  // there is a path to tell of
  decide(ThoughtEnd::kNone);
}

bool Deliberation::all_idle() const {
  return std::all_of(members_.begin(), members_.end(),
                     [](const auto& member) { return member->path.idle(); });
}

bool Deliberation::over() const { return finished_ && all_idle(); }

bool Deliberation::waits_for_verifier() const {
  return !finished_ && !decided_ && all_idle() &&
         std::any_of(members_.begin(), members_.end(),
                     [](const auto& member) { return member->verifier.has_value(); });
}

void Deliberation::fail(std::string_view message) noexcept {
  if (std::exchange(finished_, true)) return;
  try {
    for (const auto& member : members_) {
      member->path.end(ThoughtEnd::kNone);
      member->verifier.reset();
    }
    FinishedEvent event;
    event.reason = FinishReason::kError;
    event.error = message;
    send(event);
  } catch (const std::bad_alloc&) {
    // A sink that can't take it has at least been called.
  }
}

// --- what the caller hears

// One path's output, all that is decided.
void Deliberation::tell(Member& member) {
  if (!prefill_told_ && member.path.prefill()) {
    const PrefillEvent prefill = *member.path.prefill();
    send(prefill);
    prefill_told_ = prefill.done >= prefill.total;
  }
  for (const Path::Output& output : std::exchange(member.output, {})) {
    if (const auto* token = std::get_if<TokenEvent>(&output.what)) {
      TokenEvent told = *token;
      if (request_.sampling.n_logprobs < 0) told.logprobs.reset();
      send(told);
    } else {
      const auto& text = std::get<TextDelta>(output.what);
      send(TextEvent{.part = text.part, .text = text.text});
    }
  }
}

void Deliberation::tell_progress() {
  if (request_.paths.n == 1) return;
  PathsEvent event{.n_paths = request_.paths.n, .n_begun = std::ssize(members_), .leader = {}};
  for (const auto& member : members_) {
    event.n_ended += member->path.finished() ? 1 : 0;
    event.n_tokens += member->path.n_generated();
  }
  if (event.n_tokens == n_told_) return;
  n_told_ = event.n_tokens;
  const std::vector<Vote::Candidate> ranking = vote_.ranking();
  if (!ranking.empty()) {
    event.leader = ranking[0].answer;
    event.leader_votes = ranking[0].n_votes;
  }
  send(event);
}

// The path that is told: the one that passed, or the first that gave the winning answer, or the
// first that came to its end.
int64_t Deliberation::choose() const {
  if (verified_) return *verified_;
  const std::vector<Vote::Candidate> ranking = vote_.ranking();
  if (!ranking.empty()) return ranking[0].first_path;
  for (size_t i = 0; i < members_.size(); ++i) {
    const Path& path = members_[i]->path;
    if (path.finished() && !path.ended_early() && path.reason() != FinishReason::kError) {
      return static_cast<int64_t>(i);
    }
  }
  return 0;
}

void Deliberation::finish() {
  auto report = std::make_shared<DeliberationReport>(this->report());
  Member& chosen = *members_[static_cast<size_t>(report->chosen)];
  tell(chosen);
  FinishedEvent event;
  event.reason = cancelled_ ? FinishReason::kCancelled : chosen.path.reason();
  event.error = chosen.path.error();
  event.stop = chosen.path.stop();
  const bool early = *decided_ == ThoughtEnd::kVote || *decided_ == ThoughtEnd::kVerified;
  event.thought_end = early && request_.paths.n > 1 ? *decided_ : chosen.path.thought_end();
  event.usage = usage(*report);
  event.timings = timings();
  event.deliberation = std::move(report);
  finished_ = true;
  send(event);
}

DeliberationReport Deliberation::report() const {
  DeliberationReport report;
  report.n_asked = request_.paths.n;
  report.chosen = choose();
  for (const auto& member : members_) {
    PathReport path;
    if (member->counted) {
      path = member->report;
      path.end = member->path.thought_end();
      path.reason = member->path.reason();
    } else {  // even if it had come to its end by then
      path.end = cancelled_ ? member->path.thought_end() : *decided_;
      path.reason = FinishReason::kCancelled;
    }
    path.output = member->path.counts();
    path.n_tokens = member->path.n_tokens();
    path.n_probes = member->path.n_probes();
    report.paths.push_back(std::move(path));
  }
  double total = 0;
  const std::vector<Vote::Candidate> ranking = vote_.ranking();
  for (const Vote::Candidate& candidate : ranking) total += candidate.weight;
  for (const Vote::Candidate& candidate : ranking) {
    report.votes.push_back({.answer = candidate.answer,
                            .normalised = candidate.normalised,
                            .n_votes = candidate.n_votes,
                            .weight = candidate.weight,
                            .share = total > 0 ? candidate.weight / total : 0});
  }
  report.decided_early = n_counted_ < request_.paths.n && !cancelled_;
  report.vote_end = vote_end_;
  report.posterior = vote_.posterior();
  const Path& chosen = members_[static_cast<size_t>(report.chosen)]->path;
  report.probe_confidence = chosen.probe_confidence();
  report.n_agreeing = chosen.n_agreeing();
  return report;
}

Usage Deliberation::usage(const DeliberationReport& report) const {
  const Path& chosen = members_[static_cast<size_t>(report.chosen)]->path;
  Usage usage;
  usage.prompt_tokens = members_[0]->path.first_usage().prompt_tokens;
  usage.cached_tokens = members_[0]->path.first_usage().cached_tokens;
  usage.output = chosen.counts();
  int64_t n_generated = 0;
  int64_t n_of_whole = 0;  // tokens of paths that came to their end
  double joules = 0;
  for (const auto& member : members_) {
    const Path& path = member->path;
    usage.computed_tokens += path.n_computed();
    usage.probe_tokens += path.n_probe_computed();
    n_generated += path.n_generated();
    joules += path.joules();
    if (member->counted) n_of_whole += path.n_tokens();
  }
  usage.discarded_tokens = n_generated - usage.output.total();
  if (chosen.has_joules()) usage.joules = joules;
  if (cancelled_) return usage;
  if (request_.paths.n > 1 && n_counted_ > 0) {
    const int64_t n_all = n_of_whole * request_.paths.n / n_counted_;
    usage.saved_tokens = n_all - n_generated - usage.probe_tokens;
  } else if (request_.think_budget && request_.thinking != ThinkingStart::kPlain) {
    // What was thought beyond the stop was not saved.
    usage.saved_tokens = *request_.think_budget - usage.output.thinking - usage.discarded_tokens -
                         usage.probe_tokens;
  }
  return usage;
}

// From the first path's figures; behind its first token everything is decoding but for the waiting
// for verdicts.
Timings Deliberation::timings() const {
  Timings timings = members_[0]->path.first_timings();
  const double total_ms = Milliseconds(std::chrono::steady_clock::now() - submitted_).count();
  timings.verify_ms = verify_ms_;
  timings.decode_ms =
      std::max(0.0, total_ms - timings.wait_ms - timings.prefill_ms - timings.verify_ms);
  timings.decode_tokens = -1;
  for (const auto& member : members_) timings.decode_tokens += member->path.n_generated();
  timings.decode_tokens = std::max<int64_t>(timings.decode_tokens, 0);
  return timings;
}

}  // namespace reckon
