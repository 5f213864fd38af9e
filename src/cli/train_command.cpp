// reckon train: a model from nothing, and its training.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "cli/interrupts.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/reward_options.h"
#include "cli/train_stage.h"
#include "model/adapter.h"
#include "train/average.h"
#include "train/init_model.h"
#include "train/sft.h"

namespace reckon::cli {
namespace {

struct InitCommandOptions : train::InitOptions {
  std::string out;
  bool untied = false;
  int n_threads = 0;
};

Status run_init(const InitCommandOptions& options) {
  ThreadPool pool(options.n_threads == 0 ? physical_core_count() : options.n_threads);
  train::InitOptions init = options;
  init.tied_embedding = !options.untied;
  int64_t n_parameters = 0;
  RECKON_RETURN_IF_ERROR(train::write_initial_model(init, options.out, pool, n_parameters));
  out().write(fmt::format("{}: {} parameters, random\n", options.out, n_parameters));
  return {};
}

struct SftCommandOptions : train::SftOptions {
  int64_t lora_rank = 0;
  double lora_alpha = 0;
  std::string lora_targets = "all";
  RewardOptions judged_by;
};

Status run_sft_command(const SftCommandOptions& given) {
  train::SftOptions options = given;
  if (given.lora_rank == 0 && (given.lora_alpha != 0 || given.lora_targets != "all")) {
    return usage_error("--lora-alpha, --lora-targets: expected --lora with them");
  }
  if (!(given.lora_alpha >= 0) || !std::isfinite(given.lora_alpha)) {
    return usage_error(
        fmt::format("--lora-alpha: expected 0 or a number above, found {}", given.lora_alpha));
  }
  if (given.lora_rank != 0) {
    options.lora = true;
    options.lora_shape.rank = given.lora_rank;
    options.lora_shape.alpha =
        given.lora_alpha > 0 ? given.lora_alpha : 2 * static_cast<double>(given.lora_rank);
    RECKON_RETURN_IF_ERROR(train::parse_lora_targets(given.lora_targets, options.lora_shape));
  }
  RECKON_ASSIGN(const train::Scorer scorer, make_scorer(given.judged_by));
  const PollsForInterrupts interrupts;
  Progress progress("training");
  const train::SftCallbacks callbacks{
      .plan = [](const train::RunPlan& plan) { tell_plan(plan, "examples"); },
      .progress =
          [&](const train::SftProgress& p) {
            std::string detail = fmt::format("step {}, loss {:.4f}, lr {:.2e}, {:.0f} tokens/s",
                                             p.step, p.loss, p.learning_rate, p.tokens_per_second);
            if (std::isfinite(p.held_out_loss)) {
              detail += fmt::format(", held out {:.4f}", p.held_out_loss);
            }
            if (std::isfinite(p.held_out_accuracy)) {
              detail += fmt::format(", accuracy {:.3f}", p.held_out_accuracy);
            }
            progress.update(static_cast<double>(p.step), static_cast<double>(p.n_steps), detail);
            return !interrupts.interrupted();
          },
      .goes_on = [&] { return !interrupts.interrupted(); }};
  RECKON_ASSIGN(const train::SftResult result, train::run_sft(options, callbacks, scorer));
  std::string text =
      fmt::format("{}: {} steps{}, loss {:.4f}", options.out, result.n_steps,
                  result.stopped_early ? " (stopped early, the best kept)" : "", result.loss);
  if (std::isfinite(result.held_out_loss)) {
    text += fmt::format(", held-out loss {:.4f}", result.held_out_loss);
  }
  if (std::isfinite(result.held_out_accuracy)) {
    text += fmt::format(", held-out accuracy {:.3f}", result.held_out_accuracy);
  }
  out().write(text + fmt::format(", {:.0f} tokens/s\n", result.tokens_per_second));
  return {};
}

void add_init(Program& program, CLI::App& parent) {
  auto o = std::make_shared<InitCommandOptions>();
  CLI::App* command =
      add_stage(program, parent, "init", "Write a model with random weights", o, run_init);
  command->add_option("--tokenizer", o->tokenizer, "A folder with tokenizer.json, or a GGUF file")
      ->required()
      ->type_name("PATH");
  command->add_option("-o,--out", o->out, "The model file to write")->required()->type_name("FILE");
  const auto number = [&](const char* name, int64_t& value, const char* description) {
    command->add_option(name, value, description)->type_name("N")->capture_default_str();
  };
  number("--d", o->d_model, "Width of the model");
  number("--layers", o->n_layers, "Layers");
  number("--heads", o->n_heads, "Attention heads");
  number("--kv-heads", o->n_kv_heads, "Key and value heads");
  number("--ffn", o->ffn_dim, "Width of the feed-forward part");
  number("--ctx", o->context_length, "Context length");
  command->add_option("--arch", o->architecture, "qwen2 or llama")->capture_default_str();
  command->add_option("--name", o->name, "The model's name")->type_name("TEXT");
  command->add_option("--rope-theta", o->rope_theta, "Base of the rotary frequencies")
      ->capture_default_str();
  command->add_flag("--untied", o->untied, "A head apart from the embedding");
  command->add_option("--seed", o->seed, "Which random weights")
      ->type_name("N")
      ->capture_default_str();
  add_thread_option(*command, o->n_threads);
}

void add_sft_training_options(CLI::App& command, train::SftOptions& o) {
  const auto count = [&](const char* name, int64_t& value, const char* description) {
    command.add_option(name, value, description)->type_name("N")->capture_default_str();
  };
  const auto number = [&](const char* name, double& value, const char* description) {
    command.add_option(name, value, description)->type_name("X")->capture_default_str();
  };
  count("--steps", o.n_steps, "Steps; 0: what --epochs take");
  number("--epochs", o.epochs, "Times through the data");
  count("--batch-tokens", o.batch_tokens, "Tokens a step");
  count("--micro-tokens", o.micro_tokens, "Tokens computed at a time");
  count("--max-tokens", o.max_tokens, "The longest example, and the longest held-out answer");
  command.add_flag("--skip-long", o.skip_long, "Leave longer ones out instead of stopping");
  number("--lr", o.learning_rate, "Peak learning rate");
  number("--final-share", o.final_share, "Of it, at the end of the cosine");
  count("--warmup", o.warmup_steps, "Steps of warm-up; -1: a fiftieth");
  number("--beta1", o.adamw.beta1, "AdamW");
  number("--beta2", o.adamw.beta2, "AdamW");
  number("--epsilon", o.adamw.epsilon, "AdamW");
  number("--weight-decay", o.adamw.weight_decay, "Of matrices");
  number("--clip", o.adamw.clip_norm, "Largest norm of the gradient; 0: any");
  command.add_option("--seed", o.seed, "Order of the data")->type_name("N")->capture_default_str();
  add_compute_option(command, o.compute);
  command.add_flag("--recompute", o.recompute, "Less memory, a third more time");
  count("--eval-every", o.evaluate_every, "Steps between held-out losses; 0: ten a run");
  count("--save-every", o.checkpoint_every, "Steps between checkpoints; 0: twenty a run");
  count("--eval-problems", o.n_evaluated,
        "Held-out problems answered, spread over the data, with --reward or --verifier");
  count(
      "--patience", o.patience,
      "End after so many worse held-out losses, or accuracies where answers are judged; 0: never");
  command.add_flag("--resume", o.resume, "Go on from the checkpoint beside --out, if there is one");
}

void add_sft(Program& program, CLI::App& parent) {
  auto o = std::make_shared<SftCommandOptions>();
  CLI::App* command =
      add_stage(program, parent, "sft", "Train on conversations (JSON lines)", o, run_sft_command);
  command->add_option("-m,--model", o->base, "The model file to begin with")
      ->required()
      ->type_name("FILE");
  command->add_option("--data", o->data, "Conversations: {\"messages\": [...]} a line")
      ->required()
      ->type_name("FILE");
  command->add_option("--held-out", o->held_out, "Conversations that are only measured")
      ->type_name("FILE");
  command
      ->add_option(
          "-o,--out", o->out,
          "The model file to write; beside it .csv, .svg, .samples.txt, .lock.json; .checkpoint on "
          "the way")
      ->required()
      ->type_name("FILE");
  add_reward_options(*command, o->judged_by,
                     "Answer the held-out lines too, and judge them by a rule below (nothing is "
                     "learned from that); several are summed");
  command->add_option("--chat-template", o->chat_template, "Another than the model file's own")
      ->type_name("NAME");
  add_sft_training_options(*command, *o);
  command
      ->add_option("--lora", o->lora_rank,
                   "Train low-rank adapters of this rank on the model as it is (quantised too); "
                   "--out is then an adapter (GGUF)")
      ->type_name("RANK");
  command
      ->add_option("--lora-alpha", o->lora_alpha, "Their scale times the rank; 0: twice the rank")
      ->type_name("X")
      ->capture_default_str();
  command->add_option("--lora-targets", o->lora_targets, "all, or some of q,k,v,o,gate,up,down")
      ->type_name("LIST")
      ->capture_default_str();
  command->add_option("--peft", o->peft, "Write the adapter as a PEFT folder as well")
      ->type_name("FOLDER");
  add_thread_option(*command, o->n_threads);
}

struct MergeOptions {
  std::string base;
  std::vector<std::string> adapters;
  std::string out;
  int n_threads = 0;
};

Status run_merge(const MergeOptions& options) {
  ThreadPool pool(options.n_threads == 0 ? physical_core_count() : options.n_threads);
  RECKON_RETURN_IF_ERROR(merge_adapter(options.base, options.adapters, options.out, pool));
  out().write(fmt::format("{}: merged\n", options.out));
  return {};
}

struct AverageOptions {
  std::vector<std::string> models;
  std::string out;
  int n_threads = 0;
};

Status run_average(const AverageOptions& options) {
  ThreadPool pool(options.n_threads == 0 ? physical_core_count() : options.n_threads);
  RECKON_RETURN_IF_ERROR(train::write_average(options.models, options.out, pool));
  out().write(fmt::format("{}: the mean of {} models\n", options.out, options.models.size()));
  return {};
}

void add_average(Program& program, CLI::App& parent) {
  auto o = std::make_shared<AverageOptions>();
  CLI::App* command = add_stage(
      program, parent, "average",
      "Write the mean of models that were trained apart from the same weights", o, run_average);
  command->add_option("-m,--model", o->models, "The model files, -m A -m B")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--out", o->out, "The model file to write")->required()->type_name("FILE");
  add_thread_option(*command, o->n_threads);
}

struct RerunOptions {
  std::string lock;
  std::string out;
};

void add_rerun(Program& program, CLI::App& parent) {
  auto o = std::make_shared<RerunOptions>();
  CLI::App* command = parent.add_subcommand(
      "rerun", "Run a lockfile's stage again and compare the hash of what comes out");
  command->callback([&program, o] { program.job = [o] { return rerun_lock(o->lock, o->out); }; });
  command->add_option("LOCK", o->lock, "OUT.lock.json, as a stage writes it")->required();
  command->add_option("-o,--out", o->out, "The model file to write")->required()->type_name("FILE");
}

}  // namespace

void add_train_command(Program& program) {
  CLI::App* train = program.app.add_subcommand("train", "Make or train a model");
  train->group("Commands");
  train->require_subcommand(1);
  train->footer(
      "Examples:\n"
      "  reckon train init --tokenizer FOLDER -o base.gguf\n"
      "  reckon train sft -m base.gguf --data train.jsonl --held-out test.jsonl -o trained.gguf\n"
      "  reckon train grpo -m trained.gguf --data problems.jsonl --reward task -o "
      "better.gguf");
  add_init(program, *train);
  add_sft(program, *train);
  add_grpo_stage(program, *train);
  add_average(program, *train);
  add_rerun(program, *train);
}

void add_merge_command(Program& program) {
  auto o = std::make_shared<MergeOptions>();
  CLI::App* command =
      add_command(program, "merge", "Write a model file with adapters added to its weights",
                  "Examples:\n  reckon merge base.gguf adapter.gguf -o merged.gguf", o, run_merge);
  command->add_option("BASE", o->base, "The model file")->required();
  command->add_option("ADAPTER", o->adapters, "Adapters: GGUF files or PEFT folders")->required();
  command->add_option("-o,--output", o->out, "The file to write; appears whole or not at all")
      ->type_name("FILE")
      ->required();
  add_thread_option(*command, o->n_threads);
}

}  // namespace reckon::cli
