// What the stages of `reckon train` share. Inside cli/ only.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/program.h"
#include "cli/train_lock.h"
#include "train/compute_profile.h"
#include "train/run_log.h"

namespace reckon::cli {

// Adds a stage under `train`, which writes --out and a lockfile beside it. options: where the
// arguments go; lives as long as the program.
template <class Options>
CLI::App* add_stage(Program& program, CLI::App& parent, const char* name, const char* description,
                    const std::shared_ptr<Options>& options, Status (*run)(const Options&)) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->callback([&program, options, run, command] {
    program.job = [options, run, command] {
      return run_locked(*command, [&] { return run(*options); });
    };
  });
  return command;
}

// --compute f32|bf16.
void add_compute_option(CLI::App& command, train::ComputeProfile& compute);

// A line on stderr, and one more where the processor lacks the profile's instructions. what: of the
// data, "examples".
void tell_plan(const train::RunPlan& plan, const char* what);

void add_grpo_stage(Program& program, CLI::App& train);

}  // namespace reckon::cli
