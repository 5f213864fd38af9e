// What a run needs to go on after a kill -9 as if nothing had happened: weights, the optimiser's
// moments, the place in the data. One file, written whole or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/optimizer.h"

namespace reckon::train {

struct RunState {
  // Settings and data of the run as text; a run with others can't go on from here.
  std::string fingerprint;
  int64_t steps_done = 0;
  int64_t epoch = 0;  // BatchOrder's place
  int64_t index = 0;
  // Early stopping: the best held-out figure, its step, evaluations since then.
  double best_figure = 0;
  int64_t best_step = -1;
  int64_t n_worse = 0;
  std::vector<float> log;  // rows of the run's log (run_log.h)
};

// weights: as many floats as the optimiser's moments.
Status write_checkpoint(const std::string& path, const RunState& state, const float* weights,
                        Adamw& optimizer);

// Fills state, weights and moments. Errors: kBadFile for a file that isn't a checkpoint of this
// model, kUsage when its fingerprint is another.
Status read_checkpoint(const std::string& path, const std::string& fingerprint, RunState& state,
                       float* weights, Adamw& optimizer);

}  // namespace reckon::train
