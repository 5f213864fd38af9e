// The ways of thinking less, side by side: what each asks of a request, and a plot of accuracy over
// the tokens that each spent.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/request.h"

namespace reckon::eval {

struct ThinkingMethod {
  std::string family;  // points of one are joined in the plot
  std::string name;
  std::function<void(Request&)> prepare;
  int64_t n_paths = 1;
};

// The full thought; the rest can be chosen when its mean length is known.
ThinkingMethod full_thought();
// style: see EarlyStop.
std::vector<ThinkingMethod> thinking_methods(int64_t mean_thought_tokens, const std::string& style);

struct MethodScore {
  std::string family;
  std::string name;
  int64_t n = 0;
  int64_t n_right = 0;
  double mean_tokens = 0;  // spent for a problem
  double seconds = 0;      // for all problems, many at once
};

// A standalone SVG: tokens on a logarithmic axis, accuracy with its 95 % interval.
std::string plot_svg(const std::vector<MethodScore>& scores);

}  // namespace reckon::eval
