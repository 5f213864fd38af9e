// The handler of SIGINT and what it looks at: lock-free atomics only.
#include "cli/interrupts.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace reckon::cli {
namespace {

std::atomic<bool> polled{false};
std::atomic<bool> was_interrupted{false};
std::atomic<Engine*> steered_engine{nullptr};
std::atomic<RequestId> steered_request{0};
std::atomic<bool> in_thought{false};
std::atomic<bool> answer_asked_for{false};
std::atomic<bool> end_asked_for{false};
static_assert(std::atomic<Engine*>::is_always_lock_free &&
              std::atomic<RequestId>::is_always_lock_free);

void on_interrupt(int) {
  Engine* const engine = steered_engine;
  const RequestId id = steered_request;
  if (engine != nullptr && id != 0) {
    if (in_thought && !answer_asked_for.exchange(true)) {
      engine->answer_now(id);
      return;
    }
    if (!end_asked_for.exchange(true)) {
      engine->cancel(id);
      return;
    }
  }
  if (polled && !was_interrupted.exchange(true)) return;
  ::_exit(kExitInterrupted);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  action.sa_handler = SIG_IGN;
  // A closed pipe and a file that may not grow are errors of writing.
  ::sigaction(SIGPIPE, &action, nullptr);
  ::sigaction(SIGXFSZ, &action, nullptr);
  // Who started the program may ignore it, and children's exit codes would be lost.
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, nullptr);
}

PollsForInterrupts::PollsForInterrupts() {
  was_interrupted = false;
  polled = true;
}

PollsForInterrupts::~PollsForInterrupts() { polled = false; }

bool PollsForInterrupts::interrupted() const { return was_interrupted; }

SteersAnswer::SteersAnswer(Engine& engine) {
  steered_request = 0;
  answer_asked_for = false;
  end_asked_for = false;
  in_thought = false;
  steered_engine = &engine;
}

SteersAnswer::~SteersAnswer() { steered_engine = nullptr; }

void SteersAnswer::started(RequestId id, Part part) {
  set_part(part);
  steered_request = id;
}

void SteersAnswer::set_part(Part part) { in_thought = part == Part::kThinking; }

bool SteersAnswer::answer_was_asked_for() const { return answer_asked_for; }

}  // namespace reckon::cli
