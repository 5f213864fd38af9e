// Supervised fine-tuning of a model file on conversations: from JSON lines to a new model file,
// with checkpoints, a log, and an end by step count.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/compute_profile.h"
#include "train/lora_store.h"
#include "train/optimizer.h"
#include "train/problems.h"
#include "train/run_log.h"

namespace reckon::train {

struct SftOptions {
  std::string base;                   // GGUF; quantised weights are decoded
  std::vector<std::string> data;      // JSON lines
  std::vector<std::string> held_out;  // likewise, for the held-out loss; may be empty
  std::string out;                    // GGUF; beside it .csv, .svg, .samples.txt, .checkpoint
  int64_t n_steps = 0;                // 0: as many as epochs take
  double epochs = 1;
  int64_t batch_tokens = 4096;  // of a step
  int64_t micro_tokens = 4096;  // computed at a time
  int64_t max_tokens = 1024;    // of an example
  bool skip_long = false;
  double learning_rate = 1e-3;
  double final_share = 0.1;
  int64_t warmup_steps = -1;  // -1: a fiftieth of the steps
  AdamwSettings adamw;
  uint64_t seed = 0;
  // Of held-out losses too.
  ComputeProfile compute = ComputeProfile::kF32;
  bool recompute = false;        // activations
  int64_t evaluate_every = 0;    // steps; 0: ten times a run
  int64_t checkpoint_every = 0;  // steps; 0: twenty times a run
  int64_t n_evaluated = 200;     // held-out problems answered, where there is a scorer
  int64_t patience = 0;          // end after so many evaluations worse than the best; 0: never
  bool resume = false;
  std::string chat_template;  // as in LoadOptions
  // Low-rank adapters on the frozen base in place of all weights: out is then an adapter.
  bool lora = false;
  LoraShape lora_shape;
  std::string peft;  // also a PEFT folder, for lora; empty: none
  int n_threads = 0;
};

struct SftProgress {
  int64_t step = 0;  // done
  int64_t n_steps = 0;
  double loss = 0;
  double learning_rate = 0;
  double tokens_per_second = 0;
  double held_out_loss = 0;      // NaN before the first evaluation
  double held_out_accuracy = 0;  // mean score of the answers, likewise
};

struct SftCallbacks {
  std::function<void(const RunPlan&)> plan = {};
  // After every step; false stops after a checkpoint (kInterrupted).
  std::function<bool(const SftProgress&)> progress = {};
  // Asked while held-out problems are answered; false stops with the last checkpoint as it is.
  std::function<bool()> goes_on = {};
};

struct SftResult {
  int64_t n_steps = 0;
  bool stopped_early = false;
  double loss = 0;               // of the last step
  double held_out_loss = 0;      // NaN without held-out data
  double held_out_accuracy = 0;  // NaN without a scorer
  double tokens_per_second = 0;
};

// scorer: judges answers to the held-out data, whose lines are then problems too (problems.h);
// early stopping watches their accuracy instead of the loss. Errors: kUsage for options, kBadFile
// for files (naming file and line), kFailed when memory is short or the loss diverges,
// kInterrupted.
Result<SftResult> run_sft(const SftOptions& options, const SftCallbacks& callbacks,
                          const Scorer& scorer = {});

}  // namespace reckon::train
