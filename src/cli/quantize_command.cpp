// reckon quantize: a model file with its matrices in smaller types.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "base/thread_pool.h"
#include "cli/interrupts.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "engine/memory.h"
#include "model/quantize.h"

namespace reckon::cli {
namespace {

struct QuantizeOptions {
  std::string in;
  std::string out;
  std::string type = "q4_k_m";
  int n_threads = 0;
};

std::string list_of_targets() {
  std::string text;
  for (const QuantizeTargetInfo& info : all_quantize_targets()) {
    text += fmt::format("\n  {:<7} {}", info.name, info.summary);
  }
  return text;
}

Status run_quantize(const QuantizeOptions& options) {
  const std::optional<QuantizeTarget> target = quantize_target_from_name(options.type);
  if (!target) {
    return usage_error(fmt::format("--type: expected one of these, found \"{}\":{}", options.type,
                                   list_of_targets()));
  }
  ThreadPool pool(options.n_threads == 0 ? physical_core_count() : options.n_threads);
  const PollsForInterrupts interrupts;
  Progress progress("quantizing");
  RECKON_RETURN_IF_ERROR(
      quantize_file(options.in, options.out, *target, pool, [&](const QuantizeProgress& state) {
        progress.update(static_cast<double>(state.bytes_done), static_cast<double>(state.bytes),
                        fmt::format("{} {} -> {}", state.tensor, tensor_type_info(state.from).name,
                                    tensor_type_info(state.to).name));
        return !interrupts.interrupted();
      }));
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(options.out, ignored);
  out().write(fmt::format("{}: {} in {}\n", options.out, quantize_target_info(*target).name,
                          format_bytes(static_cast<int64_t>(bytes))));
  return {};
}

}  // namespace

void add_quantize_command(Program& program) {
  auto options = std::make_shared<QuantizeOptions>();
  const std::string examples =
      "Types:" + list_of_targets() +
      "\nExamples:\n  reckon quantize model-f16.gguf model-q4.gguf --type q4_k_m";
  CLI::App* command =
      add_command(program, "quantize", "Write a model file with its weights in a smaller type",
                  examples.c_str(), options, run_quantize);
  command->add_option("IN", options->in, "The model file (of a sharded one, the first file)")
      ->required();
  command->add_option("OUT", options->out, "The file to write; appears whole or not at all")
      ->required();
  command->add_option("--type", options->type, "One of the types below")
      ->type_name("TYPE")
      ->capture_default_str();
  add_thread_option(*command, options->n_threads);
}

}  // namespace reckon::cli
