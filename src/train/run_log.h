// What a run tells of itself: its plan, and its figures, a row a step, as CSV for programs and as a
// plot for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "train/compute_profile.h"

namespace reckon::train {

// What a run is about to do, told once before it starts.
struct RunPlan {
  int64_t n_parameters = 0;  // that are trained
  int64_t n_examples = 0;    // or problems
  int64_t n_held_out = 0;
  int64_t n_skipped = 0;
  int64_t n_steps = 0;
  int64_t memory_bytes = 0;
  int64_t first_step = 0;  // more than 0 when resumed
  ComputeProfile compute = ComputeProfile::kF32;
  bool natively = true;  // the processor has instructions for the profile
};

class RunLog {
 public:
  explicit RunLog(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  // As many values as columns; NaN: not measured at this step.
  void add(const std::vector<double>& row);
  size_t n_columns() const { return columns_.size(); }
  size_t n_rows() const { return values_.size() / columns_.size(); }
  double at(size_t row, size_t column) const { return values_[row * columns_.size() + column]; }
  size_t column(std::string_view name) const;

  // Rows one after the other, for a checkpoint. set: errors (kBadFile) when they don't fill rows.
  const std::vector<float>& values() const { return values_; }
  Status set(std::vector<float> values);

  // Writes the CSV file, whole or not at all.
  Status write_csv(const std::string& path) const;

 private:
  std::vector<std::string> columns_;
  std::vector<float> values_;
};

struct PlotLine {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
};
// One panel: its lines share both axes.
struct PlotPanel {
  std::string title;
  std::string x_name;
  std::vector<PlotLine> lines;
};
// An SVG image of panels one below the other, without scripts or fonts of its own.
std::string plot_svg(const std::vector<PlotPanel>& panels);

// A log's columns over its first one, one panel for each group of names.
std::vector<PlotPanel> panels_of(const RunLog& log,
                                 const std::vector<std::vector<std::string>>& groups);

}  // namespace reckon::train
