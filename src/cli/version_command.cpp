// reckon version: what this program is and how it computes here.
#include <fmt/format.h>

#include <memory>

#include "base/thread_pool.h"
#include "cli/json_line.h"
#include "cli/output.h"
#include "cli/program.h"
#include "kernels/kernels.h"

namespace reckon::cli {
namespace {

struct VersionOptions {
  bool json = false;
};

Status run_version(const VersionOptions& options) {
  RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
  if (options.json) {
    JsonLine json;
    json.begin_object()
        .field("version", RECKON_VERSION)
        .field("numerics_version", kernels::kNumericsVersion)
        .field("kernels", table->name)
        .field("physical_cores", physical_core_count())
        .end_object();
    out().write(json.take());
    return {};
  }
  out().write(fmt::format("reckon {}\nnumerics version {}, {} kernels, {} physical cores\n",
                          RECKON_VERSION, kernels::kNumericsVersion, table->name,
                          physical_core_count()));
  return {};
}

}  // namespace

void add_version_command(Program& program) {
  auto options = std::make_shared<VersionOptions>();
  CLI::App* command = add_command(
      program, "version", "Print the version and the kernels in use",
      "RECKON_ISA=scalar|avx2|avx512|neon picks other kernels; the answers are the same.", options,
      run_version);
  command->add_flag("--json", options->json, "Print one JSON object and nothing else");
}

}  // namespace reckon::cli
