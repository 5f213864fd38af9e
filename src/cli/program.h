// The command line as a whole: CLI11's description of every command, and what the chosen one does.
// Each add_*_command adds one command and sets job when that is the one called.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

#include "base/result.h"

namespace reckon::cli {

struct Program {
  Program();

  CLI::App app;
  std::function<Status()> job;
};

void add_ask_command(Program& program);
void add_chat_command(Program& program);
void add_serve_command(Program& program);
void add_run_command(Program& program);
void add_pull_command(Program& program);
void add_list_command(Program& program);
void add_rm_command(Program& program);
void add_verify_command(Program& program);
void add_show_command(Program& program);
void add_tokenize_command(Program& program);
void add_tokenizer_command(Program& program);
void add_eval_command(Program& program);
void add_thinking_command(Program& program);
void add_recipe_command(Program& program);
void add_convert_command(Program& program);
void add_quantize_command(Program& program);
void add_synth_command(Program& program);
void add_train_command(Program& program);
void add_merge_command(Program& program);
void add_perplexity_command(Program& program);
void add_bench_command(Program& program);
void add_version_command(Program& program);
void add_completion_command(Program& program);
void add_man_command(Program& program);

// Adds a command with its one-line description, examples under its help, and what it does.
// options: where the arguments go; lives as long as the program.
template <class Options>
CLI::App* add_command(Program& program, const char* name, const char* description,
                      const char* examples, const std::shared_ptr<Options>& options,
                      Status (*run)(const Options&)) {
  CLI::App* command = program.app.add_subcommand(name, description);
  command->group("Commands");
  command->footer(examples);
  command->callback(
      [&program, options, run] { program.job = [options, run] { return run(*options); }; });
  return command;
}

}  // namespace reckon::cli
