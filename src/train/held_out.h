// Held-out problems that the weights under training answer greedily now and then: what the answers
// are worth, and a few of them for people to read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/problems.h"
#include "train/rollout.h"

namespace reckon::train {

class HeldOut {
 public:
  // At most n_most of the files' problems, evenly spread over them. The answers that are kept go to
  // samples_path. Errors: read_problems's.
  static Result<HeldOut> read(const std::vector<std::string>& paths, int64_t n_most,
                              const std::string& samples_path);

  const std::vector<Problem>& problems() const { return problems_; }

  // check_questions of them.
  Status check(const RolloutEngine& engine, bool skip_long) {
    return check_questions(engine, skip_long, problems_);
  }

  // Takes up the samples of a run that is gone on with; those of later steps will come again.
  Status resume_at(int64_t steps_done);

  // The mean score. goes_on as in generate(). Errors: the engine's, the scorer's, kFailed when the
  // samples can't be written.
  Result<double> evaluate(RolloutEngine& engine, const Scorer& scorer, int64_t steps_done,
                          const std::function<bool()>& goes_on);

 private:
  std::vector<Problem> problems_;
  std::string samples_path_;
  std::string samples_;
};

}  // namespace reckon::train
