// Ctrl-C. Jobs that poll end cleanly at the first one; an answer under way has its thought ended by
// the first and is ended itself by the next; a further one, or one that nobody waits for, ends the
// program with exit code 130.
#pragma once

#include "engine/engine.h"
#include "engine/request.h"
#include "reasoning/thinking_tracker.h"

namespace reckon::cli {

inline constexpr int kExitInterrupted = 130;

// Called once, by main. Writes to closed pipes become errors instead of signals; children that end
// can be waited for.
void install_signal_handlers();

// While one lives, the first Ctrl-C only makes interrupted() true: for jobs that ask now and then.
class PollsForInterrupts {
 public:
  PollsForInterrupts();
  ~PollsForInterrupts();
  PollsForInterrupts(const PollsForInterrupts&) = delete;
  PollsForInterrupts& operator=(const PollsForInterrupts&) = delete;

  bool interrupted() const;
};

// While one lives, Ctrl-C steers a request of this engine, named by started().
class SteersAnswer {
 public:
  explicit SteersAnswer(Engine& engine);
  ~SteersAnswer();
  SteersAnswer(const SteersAnswer&) = delete;
  SteersAnswer& operator=(const SteersAnswer&) = delete;

  void started(RequestId id, Part part);
  // The part that is being generated now: Ctrl-C does something else in each.
  void set_part(Part part);
  // Whether Ctrl-C has asked for the thought's end.
  bool answer_was_asked_for() const;
};

}  // namespace reckon::cli
