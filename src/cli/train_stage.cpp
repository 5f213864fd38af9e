// The option that the stages share, and the line that they begin with.
#include "cli/train_stage.h"

#include <fmt/format.h>

#include <string>

#include "cli/output.h"
#include "engine/memory.h"

namespace reckon::cli {

void add_compute_option(CLI::App& command, train::ComputeProfile& compute) {
  using train::ComputeProfile;
  const char* const f32 = train::name_of(ComputeProfile::kF32);
  const char* const bf16 = train::name_of(ComputeProfile::kBf16);
  command
      .add_option_function<std::string>(
          "--compute",
          [&compute, bf16](const std::string& name) {
            compute = name == bf16 ? ComputeProfile::kBf16 : ComputeProfile::kF32;
          },
          "f32, or bf16: products of numbers rounded to bfloat16, by AVX-512 BF16's instruction "
          "where there is one. Other weights come out, the same with every instruction set; slower "
          "than f32 where it was measured (docs/performance.md)")
      ->check(CLI::IsMember({f32, bf16}))
      ->type_name("PROFILE")
      ->default_str(f32);
}

void tell_plan(const train::RunPlan& plan, const char* what) {
  std::string text =
      fmt::format("{} parameters, {} {}, {} held out, {} steps, {} of memory, {}",
                  plan.n_parameters, plan.n_examples, what, plan.n_held_out, plan.n_steps,
                  format_bytes(plan.memory_bytes), train::name_of(plan.compute));
  if (plan.n_skipped > 0) text += fmt::format(", {} too long", plan.n_skipped);
  if (plan.first_step > 0) text += fmt::format("; going on after step {}", plan.first_step);
  err().write(text + "\n");
  if (!plan.natively) {
    err().write(fmt::format(
        "The kernels in use have no instruction for {}: the same bits are computed slowly; f32 "
        "is faster here.\n",
        train::name_of(plan.compute)));
  }
  err().flush();
}

}  // namespace reckon::cli
