// A request that is more than one sequence: its paths, the vote over their answers, the verifier.
// Answers are taken into account in an order that the tokens alone decide - a shorter path's before
// a longer one's, windows one after the other - so the result is the same whatever ran beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/path.h"
#include "engine/request.h"
#include "engine/verifier.h"
#include "reasoning/vote.h"

namespace reckon {

class Engine;

class Deliberation {
 public:
  // The request has been checked. The engine must outlive it; it must live until over().
  Deliberation(Engine& engine, RequestId id, Request request, EventSink sink);

  RequestId id() const { return id_; }
  // Between two steps of the engine: takes in what the last one brought and asks for more. Waits
  // for at most wait_ms when nothing but a verifier is awaited.
  void poll(bool cancel, bool answer_now, int wait_ms);
  // Nothing but a verifier is awaited.
  bool waits_for_verifier() const;
  // The last event was sent, and nothing of it is in the engine any more.
  bool over() const;
  // Ends with an error, without needing memory.
  void fail(std::string_view message) noexcept;

 private:
  struct Member {
    Member(Engine& engine, const Request& request, int64_t number)
        : index(number), path(engine, request, number) {}
    const int64_t index;
    Path path;
    PathReport report;
    std::optional<Verifier> verifier;
    bool verified = false;  // or not to be had
    bool counted = false;
    std::vector<Path::Output> output;  // until it is known whether it is told
  };

  void begin_window();
  void verify(Member& member, int wait_ms);
  bool count_next();
  void count(Member& member, int64_t index);
  bool window_agrees() const;
  void decide(ThoughtEnd why);
  void cancel();
  bool all_idle() const;
  void tell(Member& member);
  void tell_progress();
  void finish();
  int64_t choose() const;
  DeliberationReport report() const;
  Usage usage(const DeliberationReport& report) const;
  Timings timings() const;
  void send(const Event& event) const;

  Engine& engine_;
  const RequestId id_;
  const Request request_;
  const EventSink sink_;
  const std::chrono::steady_clock::time_point submitted_;
  // Since when nothing but a verdict is awaited, and how long that was so before.
  std::optional<std::chrono::steady_clock::time_point> waiting_since_;
  double verify_ms_ = 0;
  std::vector<std::unique_ptr<Member>> members_;  // those that have begun, by index
  size_t window_begin_ = 0;
  Vote vote_;
  int64_t n_counted_ = 0;
  std::optional<ThoughtEnd> decided_;  // the reason why no further answer counts
  VoteEnd vote_end_ = VoteEnd::kNone;
  std::optional<int64_t> verified_;  // the path that passed
  bool asked_ = false;
  bool cancelled_ = false;
  bool started_ = false;
  bool prefill_told_ = false;
  int64_t n_told_ = 0;     // tokens generated at the last PathsEvent
  bool finished_ = false;  // its last event was sent
};

}  // namespace reckon
