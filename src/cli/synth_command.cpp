// reckon synth: a model file of an exact shape with random weights.
#include <fmt/format.h>

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
#include "model/synth.h"

namespace reckon::cli {
namespace {

struct SynthCommandOptions {
  std::string shape;
  std::string type = "q4_k_m";
  std::string tokenizer_from;
  std::string out;
  uint64_t seed = 0;
  int n_threads = 0;
};

std::string list_of_shapes() {
  std::string text;
  for (const SynthShape& shape : all_synth_shapes()) {
    text += fmt::format("\n  {:<10} {} layers, width {}: {}", shape.name, shape.n_layers,
                        shape.d_model, shape.stands_for);
  }
  return text;
}

Status run_synth(const SynthCommandOptions& options) {
  const SynthShape* shape = find_synth_shape(options.shape);
  if (shape == nullptr) {
    return usage_error(fmt::format("SHAPE: expected one of these, found \"{}\":{}", options.shape,
                                   list_of_shapes()));
  }
  RECKON_ASSIGN(const SynthType type, parse_synth_type(options.type));
  ThreadPool pool(options.n_threads == 0 ? physical_core_count() : options.n_threads);
  const PollsForInterrupts interrupts;
  Progress progress(fmt::format("writing {}", options.out));
  const SynthOptions synth{
      .type = type, .seed = options.seed, .tokenizer_from = options.tokenizer_from};
  RECKON_RETURN_IF_ERROR(
      write_synth_model(*shape, synth, options.out, pool, [&](const SynthProgress& state) {
        progress.update(static_cast<double>(state.bytes_done), static_cast<double>(state.bytes));
        return !interrupts.interrupted();
      }));
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(options.out, ignored);
  out().write(fmt::format("{}: random weights in the shape of {}, {}\n", options.out, shape->name,
                          format_bytes(static_cast<int64_t>(bytes))));
  return {};
}

}  // namespace

void add_synth_command(Program& program) {
  auto options = std::make_shared<SynthCommandOptions>();
  const std::string examples =
      "It computes as fast as the real model and takes as much memory, and says nothing "
      "meaningful.\nShapes:" +
      list_of_shapes() +
      "\nExamples:\n  reckon synth r1:7b -o shape.gguf\n"
      "  reckon synth r1:1.5b --type iq4_xs --tokenizer-from real.gguf -o shape.gguf";
  CLI::App* command =
      add_command(program, "synth", "Write a model file of an exact shape with random weights",
                  examples.c_str(), options, run_synth);
  command->add_option("SHAPE", options->shape, "One of the shapes below")->required();
  command
      ->add_option("--type", options->type,
                   "A type of `reckon quantize`, or one that all matrices get: f32, iq4_xs, q2_k …")
      ->type_name("TYPE")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Which random weights")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--tokenizer-from", options->tokenizer_from,
                   "A GGUF file whose tokenizer and chat template are copied (default: made up)")
      ->type_name("FILE");
  command->add_option("-o,--output", options->out, "The file to write; appears whole or not at all")
      ->type_name("FILE")
      ->required();
  add_thread_option(*command, options->n_threads);
}

}  // namespace reckon::cli
