// Shows an answer while it is generated: the thought dim on standard error, the answer on standard
// output, progress while a long prompt is read, a line of figures at the end.
#pragma once

#include <optional>

#include "cli/interrupts.h"
#include "cli/progress.h"
#include "engine/engine.h"
#include "engine/request.h"

namespace reckon::cli {

class AnswerPrinter {
 public:
  // steering learns which part is being generated; thinking says how the request begins. quiet:
  // print nothing at all (for --json).
  AnswerPrinter(Engine& engine, SteersAnswer& steering, ThinkingStart thinking, bool show_thinking,
                bool quiet);

  // To be called for every event of the request.
  void operator()(RequestId id, const Event& event);

  // Ends the last line, tells why an answer broke off, if wanted why the thought ended, and gives
  // the figures (on a terminal).
  void finish(const Completion& completion, bool explain);

 private:
  void show(const TextEvent& text);
  void show(const PathsEvent& paths);

  Engine& engine_;
  SteersAnswer& steering_;
  const Part first_part_;
  const bool show_thinking_;
  const bool quiet_;
  RequestId id_ = 0;
  std::optional<Progress> prefill_;
  std::optional<Progress> paths_;
  bool thought_shown_ = false;
  bool answer_begun_ = false;
  bool ends_with_newline_ = true;  // of what stands on standard output
};

}  // namespace reckon::cli
