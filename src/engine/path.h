// One thought and its answer within a request that deliberates: a request of its own to the engine,
// side branches that try the answer where the thought turns, and, when one of them is convincing,
// the answer that follows from there. What is decided depends on the tokens alone, never on what
// else was in a batch: the path goes on while a branch is computed, and what it says beyond the
// branch's place is held back until that is decided.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/request.h"
#include "reasoning/turn_marks.h"

namespace reckon {

class Engine;

class Path {
 public:
  // request: that of all paths; index: which one this is. The engine must outlive the path, and the
  // path stay where it is until idle().
  Path(Engine& engine, const Request& request, int64_t index);
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

  // Takes in what the engine's step brought: submits, decides, lets go of what is decided.
  void poll();
  // The thought is to end now.
  void answer_now();
  // Everything is (why: for the report; kNone: cancelled). What was held back is let go.
  void end(ThoughtEnd why);

  // Its answer has come to an end, its own or end()'s.
  bool finished() const { return finished_; }
  // None of its requests is in the engine any more.
  bool idle() const;
  // However it goes on, it will have at least so many tokens.
  int64_t n_certain() const;

  // Output that is decided, in order, each but once.
  struct Output {
    int64_t n_tokens = 0;  // of the output up to and with it
    std::variant<TokenEvent, TextDelta> what;
  };
  std::vector<Output> take_released();

  // Valid when finished().
  FinishReason reason() const { return reason_; }
  const std::string& error() const { return error_; }
  const std::string& stop() const { return stop_; }      // FinishedEvent::stop
  const std::string& answer() const { return answer_; }  // all text of the answer
  bool ended_early() const { return ended_early_; }      // by end()
  // Of a cancelled path, once it is idle(), that of its thought if that had ended by then.
  ThoughtEnd thought_end() const {
    return thought_end_ == ThoughtEnd::kNone ? main_.thought_end : thought_end_;
  }
  int64_t n_tokens() const { return n_output_; }
  // The geometric mean probability of the tokens that were sampled; needs request.paths.weighted.
  double confidence() const;
  PartCounts counts() const;

  // What it has cost so far; whole when idle().
  int64_t n_generated() const;  // tokens, given up ones too, probes not
  int64_t n_computed() const;
  int64_t n_probe_computed() const;
  double joules() const;
  bool has_joules() const { return main_.usage.joules.has_value(); }
  int64_t n_probes() const { return n_probes_; }
  double probe_confidence() const { return probe_confidence_; }
  int64_t n_agreeing() const { return n_agreeing_; }

  const Usage& first_usage() const { return main_.usage; }  // of its request, which has the prompt
  const Timings& first_timings() const { return main_.timings; }
  const std::optional<PrefillEvent>& prefill() const { return prefill_; }

 private:
  // A request in the engine.
  struct Run {
    RequestId id = 0;
    bool submitted = false;
    bool ended = false;
    FinishReason reason = FinishReason::kStop;
    ThoughtEnd thought_end = ThoughtEnd::kNone;
    Usage usage;
    Timings timings;
    std::string error;
    std::string stop;
    int64_t n_tokens = 0;

    bool pending() const { return submitted && !ended; }
  };
  struct Probe {
    Run run;
    int64_t n_tokens = 0;   // of the path's output, before it
    bool at_start = false;  // before the thought's first word
    std::string text;
    double logprob_sum = 0;
    int64_t n_answer_tokens = 0;
    bool complete = false;  // its answer came to an end
  };

  void take_main(const Event& event);
  void take_answer(const Event& event);
  void take_probe(Probe& probe, const Event& event);
  bool take_common(Run& run, const Event& event);
  void take_output(const Event& event);
  void watch(const TokenEvent& token);
  void add_probe(int64_t first, int64_t place);
  bool submit(Run& run, Request request, EventSink sink);
  void submit_waiting();
  Request probe_request(const Probe& probe) const;
  Request continued(int64_t n_tokens, const std::vector<TokenId>& more) const;
  std::vector<TokenId> closing(int64_t n_tokens) const;
  void decide();
  ThoughtEnd verdict(const Probe& probe);
  void stop_at(const Probe& probe, ThoughtEnd why);
  void drop_probes();
  void release();
  void finish(const Run& last);

  Engine& engine_;
  Request request_;
  const ProbeStyle& style_;
  TurnMarks marks_;
  Run main_;
  Run answer_run_;                               // after an early stop
  std::optional<int64_t> stopped_at_;            // tokens kept of main_
  std::vector<TokenId> closing_tokens_;          // behind them
  std::deque<std::unique_ptr<Probe>> probes_;    // not decided yet, by place
  std::vector<std::unique_ptr<Probe>> dropped_;  // decided, in the engine still
  std::vector<TokenId> tokens_;                  // of main_
  std::vector<Part> parts_;                      // of tokens_
  std::deque<Output> held_;
  std::vector<Output> released_;
  int64_t n_output_ = 0;  // tokens in held_ and before
  std::optional<PrefillEvent> prefill_;

  bool finished_ = false;
  bool ended_early_ = false;
  FinishReason reason_ = FinishReason::kStop;
  ThoughtEnd thought_end_ = ThoughtEnd::kNone;  // a branch's or end()'s
  std::string error_;
  std::string stop_;
  std::string answer_;
  double logprob_sum_ = 0;
  int64_t n_sampled_ = 0;
  int64_t n_probes_ = 0;
  int64_t n_probe_computed_ = 0;  // of probes that have left
  double probe_joules_ = 0;
  std::string last_probe_answer_;
  double probe_confidence_ = 0;
  int64_t n_agreeing_ = 0;
};

}  // namespace reckon
