// The whole recipe: problems, tokenizer, cold start, rejection sampling, distillation, tables. Each
// stage's files stand in one folder with a lockfile (settings and SHA-256 of every file), so that a
// run goes on where it was stopped and another run can be compared.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/bpe_trainer.h"
#include "train/init_model.h"

namespace reckon::cli {

// Gives a file's text to the trainer; of a .jsonl file the strings of its messages, but for the
// roles. Errors: kBadFile naming file and line.
Status add_chat_texts(const std::string& path, BpeTrainer& trainer);

// What is made how large.
struct RecipeScale {
  std::string_view name;
  int64_t n_training = 0;     // problems with worked thoughts
  int64_t n_more = 0;         // the third stage's, of all kinds
  int64_t n_fractions = 0;    // beside them, for its first run
  int64_t n_weakest = 0;      // fractions, and as many divisions, for its second run
  int64_t n_held_out = 0;     // of each kind
  int64_t n_development = 0;  // of each kind, for held-out losses on the way
  int64_t n_sampled = 0;      // problems for rejection sampling
  int64_t samples_a_problem = 0;
  int64_t vocab_size = 0;
  int64_t cold_start_steps = 0;
  int64_t longer_steps = 0;  // on more problems, after the cold start
  int64_t grpo_steps = 0;
  int64_t grpo_questions = 0;     // of a step
  int64_t grpo_group = 0;         // answers to each
  int64_t second_steps = 0;       // on the right answers
  int64_t third_steps = 0;        // of each of its two runs
  int64_t settling_steps = 0;     // after their mean
  int64_t small_start_steps = 0;  // its own cold start, from which both ways go on
  int64_t small_grpo_steps = 0;
  int64_t distillation_steps = 0;
  int64_t batch_tokens = 0;
  int64_t max_output_tokens = 0;
  train::InitOptions large;
  train::InitOptions small;  // about a third of its parameters
};
const RecipeScale& full_scale();
const RecipeScale& smoke_scale();

// Files that a stage wrote are hashed when it ends; a stage whose files still have their hashes is
// not run again.
class Lockfile {
 public:
  // settings: of the whole run. Errors: kUsage when the folder's lockfile was made with others,
  // kBadFile when it can't be read.
  static Result<Lockfile> open(const std::string& folder, boost::json::object settings);

  bool is_done(const std::string& stage) const;
  Status record(const std::string& stage, const std::vector<std::string>& files);
  // Over all stages' hashes, in order.
  std::string hash() const;

 private:
  std::string folder_;
  boost::json::object content_;
};

// Errors: a stage's. kInterrupted leaves what is done; running again goes on.
Status run_recipe(const RecipeScale& scale, const std::string& folder, int n_threads);

}  // namespace reckon::cli
