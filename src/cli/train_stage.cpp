// The line that a stage begins with.
#include "cli/train_stage.h"

#include <fmt/format.h>

#include <string>

#include "cli/output.h"
#include "engine/memory.h"

namespace reckon::cli {

void tell_plan(const train::RunPlan& plan, const char* what) {
  std::string text = fmt::format("{} parameters, {} {}, {} held out, {} steps, {} of memory",
                                 plan.n_parameters, plan.n_examples, what, plan.n_held_out,
                                 plan.n_steps, format_bytes(plan.memory_bytes));
  if (plan.n_skipped > 0) text += fmt::format(", {} too long", plan.n_skipped);
  if (plan.first_step > 0) text += fmt::format("; going on after step {}", plan.first_step);
  err().write(text + "\n");
  err().flush();
}

}  // namespace reckon::cli
