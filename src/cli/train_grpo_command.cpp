// reckon train grpo: reinforcement from rules.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/interrupts.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/reward_options.h"
#include "cli/train_stage.h"
#include "train/grpo.h"

namespace reckon::cli {
namespace {

struct GrpoCommandOptions : train::GrpoOptions {
  std::string variant = "grpo";
  RewardOptions judged_by;
  std::optional<double> clip_high;  // empty: the variant's
};

// The variants' own terms (train/grpo_loss.h); what is given besides stays.
Status apply_variant(GrpoCommandOptions& o) {
  if (o.variant == "dr-grpo") {
    o.loss.norm = train::LossNorm::kConstant;
    o.loss.divide_by_std = false;
  } else if (o.variant == "dapo") {
    o.loss.norm = train::LossNorm::kToken;
    o.loss.clip_high = 0.28;
    o.dynamic_sampling = true;
  } else if (o.variant != "grpo") {
    return usage_error(
        fmt::format("--variant: expected grpo, dr-grpo or dapo, found \"{}\"", o.variant));
  }
  if (o.clip_high) o.loss.clip_high = *o.clip_high;
  return {};
}

std::string describe(const train::GrpoStep& s) {
  std::string text = fmt::format(
      "step {}, reward {:.3f}, dead {:.0f} %, loss {:.4f}, {:.0f} tokens, entropy {:.3f}, "
      "{:.1f} + {:.1f} s, {:.0f} tokens/s",
      s.step, s.reward, 100 * s.dead_groups, s.loss, s.output_tokens, s.entropy, s.rollout_seconds,
      s.train_seconds, s.tokens_per_second);
  if (std::isfinite(s.held_out)) text += fmt::format(", held out {:.3f}", s.held_out);
  return text;
}

Status run_grpo_command(const GrpoCommandOptions& given) {
  GrpoCommandOptions options = given;
  RECKON_RETURN_IF_ERROR(apply_variant(options));
  RECKON_ASSIGN(const train::Scorer scorer, make_scorer(options.judged_by));
  if (!scorer) return usage_error("expected --reward or --verifier, and not both");
  const PollsForInterrupts interrupts;
  Progress progress("training");
  const train::GrpoCallbacks callbacks{
      .plan = [](const train::RunPlan& plan) { tell_plan(plan, "problems"); },
      .progress =
          [&](const train::GrpoStep& s) {
            progress.update(static_cast<double>(s.step), static_cast<double>(s.n_steps),
                            describe(s));
            return !interrupts.interrupted();
          }};
  RECKON_ASSIGN(const train::GrpoResult result, train::run_grpo(options, scorer, callbacks));
  std::string text =
      fmt::format("{}: {} steps{}, reward {:.3f}", options.out, result.n_steps,
                  result.stopped_early ? " (stopped early, the best kept)" : "", result.reward);
  if (std::isfinite(result.held_out)) {
    text += fmt::format(", held-out accuracy {:.3f}", result.held_out);
  }
  out().write(text + "\n");
  return {};
}

void add_files(CLI::App& command, GrpoCommandOptions& o) {
  command.add_option("-m,--model", o.base, "The model file to begin with")
      ->required()
      ->type_name("FILE");
  command.add_option("--data", o.data, "Problems: {\"question\": ..., ...} a line")
      ->required()
      ->type_name("FILE");
  command.add_option("--held-out", o.held_out, "Problems that are only answered now and then")
      ->type_name("FILE");
  command
      .add_option(
          "-o,--out", o.out,
          "The model file to write; beside it .csv, .svg, .samples.txt, .lock.json; .checkpoint "
          "on the way")
      ->required()
      ->type_name("FILE");
  command.add_option("--reference", o.reference, "The policy of --kl; default: --model")
      ->type_name("FILE");
  add_reward_options(command, o.judged_by, "A rule below; several are summed");
  command.add_option("--chat-template", o.chat_template, "Another than the model file's own")
      ->type_name("NAME");
}

void add_numbers(CLI::App& command, GrpoCommandOptions& o) {
  const auto count = [&](const char* name, int64_t& value, const char* description) {
    command.add_option(name, value, description)->type_name("N")->capture_default_str();
  };
  const auto number = [&](const char* name, double& value, const char* description) {
    command.add_option(name, value, description)->type_name("X")->capture_default_str();
  };
  command
      .add_option(
          "--variant", o.variant,
          "grpo; dr-grpo: no division by deviation or length; dapo: mean over tokens, upper "
          "clip 0.28, dynamic sampling")
      ->capture_default_str();
  count("--steps", o.n_steps, "Steps");
  count("--questions", o.questions, "Questions a step");
  count("--group", o.group, "Answers to each question");
  count("--updates", o.updates, "Updates from one step's answers");
  count("--max-tokens", o.max_new_tokens, "The longest answer, thought included");
  count("--max-prompt", o.max_prompt_tokens, "The longest question");
  count("--micro-tokens", o.micro_tokens, "Tokens trained at a time");
  command.add_flag("--dynamic-sampling", o.dynamic_sampling,
                   "Other questions in place of groups whose rewards are all equal");
  number("--clip-low", o.loss.clip_low, "Clip of the ratio, below 1");
  command
      .add_option("--clip-high", o.clip_high, "Clip of the ratio, above 1 (default 0.2, dapo 0.28)")
      ->type_name("X");
  number("--kl", o.loss.kl_weight, "Weight of the divergence from --reference; 0: none");
  number("--importance-cap", o.loss.importance_cap,
         "Truncated importance weights against the quantised model; 0: none");
  number("--lr", o.learning_rate, "Peak learning rate");
  number("--final-share", o.final_share, "Of it, at the end of the cosine");
  count("--warmup", o.warmup_steps, "Steps of warm-up");
  number("--beta1", o.adamw.beta1, "AdamW");
  number("--beta2", o.adamw.beta2, "AdamW");
  number("--weight-decay", o.adamw.weight_decay, "Of matrices");
  number("--clip", o.adamw.clip_norm, "Largest norm of the gradient; 0: any");
  command.add_option("--seed", o.seed, "Which questions and answers")
      ->type_name("N")
      ->capture_default_str();
  add_compute_option(command, o.compute);
  count("--max-running", o.max_running, "Answers computed at once; changes no result");
  count("--eval-every", o.evaluate_every, "Steps between held-out accuracies");
  count("--eval-problems", o.n_evaluated, "Held-out problems answered, spread over the data");
  count("--save-every", o.checkpoint_every, "Steps between checkpoints");
  count("--patience", o.patience, "End after so many worse accuracies; 0: never");
  command.add_flag("--resume", o.resume, "Go on from the checkpoint beside --out, if there is one");
  add_thread_option(command, o.n_threads);
}

}  // namespace

void add_grpo_stage(Program& program, CLI::App& train) {
  auto o = std::make_shared<GrpoCommandOptions>();
  o->adamw.weight_decay = 0;
  // Adam's first step moves every weight by the whole rate, noise or not: at full rate it can undo
  // a cold start (docs/training.md).
  o->warmup_steps = 10;
  CLI::App* command = add_stage(program, train, "grpo", "Reinforce answers that a rule rewards", o,
                                run_grpo_command);
  add_files(*command, *o);
  add_numbers(*command, *o);
}

}  // namespace reckon::cli
