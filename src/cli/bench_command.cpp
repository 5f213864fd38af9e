// reckon bench: a model's speed beside the machine's limits, measured in the same run.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "cli/interrupts.h"
#include "cli/json_line.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "engine/bench.h"
#include "engine/machine_limits.h"
#include "engine/memory.h"
#include "forward/kv_cache.h"

namespace reckon::cli {
namespace {

struct BenchCommandOptions {
  ModelOptions model;
  BenchOptions bench;
  bool json = false;
};

constexpr int64_t kMostTokens = 1 << 20;
constexpr int64_t kMostSequences = 1024;
constexpr double kMiB = 1 << 20;

struct Limits {
  double read_gb_s = 0;
  double macs_g_s = 0;
};

struct Memory {
  int64_t predicted_bytes = 0;
  int64_t resident_peak_bytes = 0;
};

std::string as_json(const BenchResult& result, const Memory& memory, const Limits& limits) {
  JsonLine json;
  json.begin_object()
      .field("prefill_tok_s", result.prefill_tok_s)
      .field("decode_tok_s", result.decode_tok_s)
      .field("batch_decode_tok_s", result.batch_decode_tok_s)
      .field("read_gb_s", result.read_gb_s)
      .field("limit_read_gb_s", limits.read_gb_s)
      .field("macs_g_s", result.macs_g_s)
      .field("limit_macs_g_s", limits.macs_g_s)
      .field("predicted_bytes", memory.predicted_bytes)
      .field("resident_peak_bytes", memory.resident_peak_bytes)
      .end_object();
  return json.take();
}

void print(const BenchCommandOptions& options, int n_threads, const BenchResult& result,
           const Memory& memory, const Limits& limits) {
  const BenchOptions& bench = options.bench;
  out().write(fmt::format("{} threads\n", n_threads));
  out().write(fmt::format("  {:<34} {:>9.2f} tokens/s\n",
                          fmt::format("prefill of {} tokens", bench.prefill),
                          result.prefill_tok_s));
  out().write(fmt::format("  {:<34} {:>9.2f} tokens/s\n",
                          fmt::format("decode of {} tokens", bench.decode), result.decode_tok_s));
  out().write(fmt::format("  {:<34} {:>9.2f} tokens/s\n",
                          fmt::format("decode of {} sequences at once", bench.batch),
                          result.batch_decode_tok_s));
  out().write(fmt::format("  {:<34} {:>9.2f} GB/s, {:.0f} % of this machine's {:.2f}\n",
                          "memory read in decode", result.read_gb_s,
                          100 * result.read_gb_s / limits.read_gb_s, limits.read_gb_s));
  out().write(fmt::format("  {:<34} {:>9.2f} G/s, {:.0f} % of this machine's {:.2f}\n",
                          "multiply-adds in prefill", result.macs_g_s,
                          100 * result.macs_g_s / limits.macs_g_s, limits.macs_g_s));
  out().write(fmt::format("  {:<34} {:>9.1f} MiB, {:.1f} predicted\n", "memory at most",
                          static_cast<double>(memory.resident_peak_bytes) / kMiB,
                          static_cast<double>(memory.predicted_bytes) / kMiB));
}

Status check(const BenchOptions& bench) {
  const bool sane = bench.prefill >= 1 && bench.prefill <= kMostTokens && bench.decode >= 1 &&
                    bench.decode <= kMostTokens && bench.batch >= 1 &&
                    bench.batch <= kMostSequences;
  if (sane) return {};
  return usage_error(fmt::format(
      "expected --prefill and --decode of 1 to {} and --batch of 1 to {}, found {}, {} and {}",
      kMostTokens, kMostSequences, bench.prefill, bench.decode, bench.batch));
}

Status run_bench(const BenchCommandOptions& options) {
  RECKON_RETURN_IF_ERROR(check(options.bench));
  const int64_t n_positions = bench_pages(options.bench, kPagePositions) * kPagePositions;
  RECKON_ASSIGN(const LoadedDecoder loaded, load_decoder(options.model, n_positions, options.json));
  const PollsForInterrupts interrupts;
  const auto tell = [&](std::string_view phase) {
    if (err().is_terminal()) {
      err().write(fmt::format("\r\x1b[K{} …", phase));
      err().flush();
    }
    return !interrupts.interrupted();
  };
  const Result<BenchResult> result = measure_speed(
      *loaded.decoder, *loaded.model, load_options(options.model).kv_type, options.bench, tell);
  // Before the limits take memory of their own.
  const Memory memory = {.predicted_bytes = loaded.report.memory.total_bytes(),
                         .resident_peak_bytes = resident_peak()};
  Limits limits;
  if (result.ok() && tell("this machine's limits")) {
    ThreadPool pool(loaded.report.n_threads);
    RECKON_ASSIGN(limits.read_gb_s, measure_read_limit(pool));
    limits.macs_g_s = measure_mac_limit(pool);
  }
  if (err().is_terminal()) err().write("\r\x1b[K");
  RECKON_RETURN_IF_ERROR(result.ok() ? Status() : Status(result.error()));
  if (options.json) {
    out().write(as_json(*result, memory, limits));
  } else {
    print(options, loaded.report.n_threads, *result, memory, limits);
  }
  return {};
}

}  // namespace

void add_bench_command(Program& program) {
  auto options = std::make_shared<BenchCommandOptions>();
  CLI::App* command = add_command(
      program, "bench", "Measure speed beside this machine's limits",
      "Decoding reads every weight once a token and is limited by memory; reading a prompt and "
      "decoding many sequences at once are limited by arithmetic. Both limits are measured in the "
      "same run with the same threads.\n"
      "Examples:\n"
      "  reckon bench -m model.gguf\n"
      "  reckon bench -m model.gguf --prefill 128 --decode 32 --batch 4 --threads 2 --json",
      options, run_bench);
  add_model_option(*command, options->model.path);
  add_thread_option(*command, options->model.n_threads);
  add_memory_options(*command, options->model);
  command->add_option("--prefill", options->bench.prefill, "Tokens of the prompt")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--decode", options->bench.decode, "Tokens that each sequence writes")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--batch", options->bench.batch, "Sequences at once in the last part")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON object and nothing else");
}

}  // namespace reckon::cli
