// Reinforcement from rules: groups of answers to each question drawn by the engine, judged, and the
// policy moved towards the better ones of each group (grpo_loss.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/compute_profile.h"
#include "train/grpo_loss.h"
#include "train/optimizer.h"
#include "train/problems.h"
#include "train/run_log.h"

namespace reckon::train {

struct GrpoOptions {
  std::string base;                   // GGUF
  std::string reference;              // GGUF of the same shape; empty: base
  std::vector<std::string> data;      // problems, JSON lines
  std::vector<std::string> held_out;  // likewise, answered greedily now and then; may be empty
  std::string out;                    // GGUF; beside it .csv, .svg, .samples.txt, .checkpoint
  int64_t n_steps = 100;
  int64_t questions = 8;  // of a step
  int64_t group = 16;     // answers to each
  int64_t updates = 1;    // of the weights, from one step's answers
  int64_t max_new_tokens = 512;
  int64_t max_prompt_tokens = 256;
  int64_t micro_tokens = 4096;
  // Draw other questions in place of dead groups, up to three times as many (DAPO).
  bool dynamic_sampling = false;
  GrpoLoss loss;
  double learning_rate = 5e-5;
  double final_share = 1.0;
  int64_t warmup_steps = 0;
  AdamwSettings adamw;
  uint64_t seed = 0;
  // Of what is learned; the engine draws answers as ever.
  ComputeProfile compute = ComputeProfile::kF32;
  int64_t max_running = 64;      // answers computed at once; changes no result
  int64_t evaluate_every = 10;   // steps
  int64_t n_evaluated = 200;     // held-out problems, spread over the data
  int64_t checkpoint_every = 5;  // steps
  int64_t patience = 0;          // end after so many evaluations worse than the best; 0: never
  bool resume = false;
  std::string chat_template;
  int n_threads = 0;
};

// The log's columns, and what progress tells of a step.
struct GrpoStep {
  int64_t step = 0;
  int64_t n_steps = 0;
  double reward = 0;          // mean over all answers
  double dead_groups = 0;     // share of groups whose rewards are all equal
  double thought_tokens = 0;  // mean
  double output_tokens = 0;   // mean of all generated
  double ended = 0;           // share that the model ended itself
  // The objective's value, each answer's before the update that learns from it. At a ratio of 1 a
  // group's advantages cancel: GRPO without a KL term and with one update has 0.
  double loss = 0;
  double entropy = 0;       // mean over generated tokens, nats
  double reference_kl = 0;  // k3, mean over tokens; NaN without a reference
  double clipped = 0;       // share of tokens
  double rollout_kl = 0;    // mean of rollout - trainer log-probability, a token
  double gradient_norm = 0;
  double learning_rate = 0;
  double held_out = 0;  // accuracy; NaN where not measured
  double rollout_seconds = 0;
  double train_seconds = 0;
  double tokens_per_second = 0;  // generated, over both
};

struct GrpoCallbacks {
  std::function<void(const RunPlan&)> plan = {};
  std::function<bool(const GrpoStep&)> progress = {};  // false stops after a checkpoint
};

struct GrpoResult {
  int64_t n_steps = 0;
  bool stopped_early = false;
  double reward = 0;    // of the last step
  double held_out = 0;  // of the last evaluation, NaN without
};

// Errors: as run_sft's, and the scorer's.
Result<GrpoResult> run_grpo(const GrpoOptions& options, const Scorer& scorer,
                            const GrpoCallbacks& callbacks);

}  // namespace reckon::train
