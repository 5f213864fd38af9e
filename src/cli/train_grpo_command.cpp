// reckon train grpo: reinforcement from rules.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/interrupts.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/train_stage.h"
#include "train/grpo.h"
#include "train/verifier.h"

namespace reckon::cli {
namespace {

struct GrpoCommandOptions : train::GrpoOptions {
  std::string variant = "grpo";
  std::string verifier;
  std::vector<std::string> rewards;  // "number", "format=0.2"
  std::optional<double> clip_high;   // empty: the variant's
};

std::string list_of_rewards() {
  std::string text;
  for (const train::RewardInfo& info : train::all_rewards()) {
    text += fmt::format("\n  {:<11} {}", info.name, info.summary);
  }
  return text;
}

struct WeightedReward {
  train::RewardFunction function = nullptr;
  double weight = 1;
};

// "NAME" or "NAME=WEIGHT".
Result<WeightedReward> parse_reward(const std::string& text) {
  const size_t equals = std::min(text.find('='), text.size());
  const std::string name = text.substr(0, equals);
  WeightedReward reward;
  const train::RewardInfo* info = train::find_reward(name);
  if (info == nullptr) {
    return usage_error(
        fmt::format("--reward: expected one of these, found \"{}\":{}", name, list_of_rewards()));
  }
  reward.function = info->function;
  if (equals < text.size()) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + equals + 1, end, reward.weight);
    if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(reward.weight)) {
      return usage_error(fmt::format("--reward {}: expected NAME=NUMBER", text));
    }
  }
  return reward;
}

// The sum of the rules, or the verifier's score.
Result<train::Scorer> make_scorer(const GrpoCommandOptions& options,
                                  std::shared_ptr<train::Verifier>& verifier) {
  if (options.verifier.empty() == options.rewards.empty()) {
    return usage_error("expected --reward or --verifier, and not both");
  }
  if (!options.verifier.empty()) {
    RECKON_ASSIGN(verifier, train::Verifier::start(options.verifier));
    return train::Scorer(
        [verifier](const train::RewardInput& input) { return verifier->score(input); });
  }
  std::vector<WeightedReward> rewards;
  for (const std::string& text : options.rewards) {
    RECKON_ASSIGN(const WeightedReward reward, parse_reward(text));
    rewards.push_back(reward);
  }
  return train::Scorer([rewards](const train::RewardInput& input) -> Result<double> {
    double sum = 0;
    for (const WeightedReward& reward : rewards) {
      RECKON_ASSIGN(const double score, reward.function(input));
      sum += reward.weight * score;
    }
    return sum;
  });
}

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
      "step {}, reward {:.3f}, dead {:.0f} %, {:.0f} tokens, entropy {:.3f}, {:.1f} + {:.1f} s",
      s.step, s.reward, 100 * s.dead_groups, s.output_tokens, s.entropy, s.rollout_seconds,
      s.train_seconds);
  if (std::isfinite(s.held_out)) text += fmt::format(", held out {:.3f}", s.held_out);
  return text;
}

Status run_grpo_command(const GrpoCommandOptions& given) {
  GrpoCommandOptions options = given;
  RECKON_RETURN_IF_ERROR(apply_variant(options));
  std::shared_ptr<train::Verifier> verifier;
  RECKON_ASSIGN(const train::Scorer scorer, make_scorer(options, verifier));
  const PollsForInterrupts interrupts;
  Progress progress("training");
  const train::GrpoCallbacks callbacks{.progress = [&](const train::GrpoStep& s) {
    progress.update(static_cast<double>(s.step), static_cast<double>(s.n_steps), describe(s));
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
  command.add_option("--reward", o.rewards, "A rule below; several are summed")
      ->type_name("NAME[=WEIGHT]");
  command
      .add_option("--verifier", o.verifier,
                  "A program that reads a line of JSON for each answer and writes {\"score\": X}")
      ->type_name("COMMAND");
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
  count("--max-running", o.max_running, "Answers computed at once; changes no result");
  count("--eval-every", o.evaluate_every, "Steps between held-out accuracies");
  count("--eval-problems", o.n_evaluated, "Held-out problems answered");
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
  command->footer("Rules:" + list_of_rewards());
}

}  // namespace reckon::cli
