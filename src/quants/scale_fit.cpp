// Least-squares fits of scales and offsets; scale_fit.h tells the method.
#include "quants/scale_fit.h"

#include <algorithm>
#include <cmath>

#include "quants/half.h"
#include "quants/lanes.h"

namespace reckon {
namespace {

float inverse_or_zero(float scale) { return scale != 0 ? 1.0f / scale : 0.0f; }

Lanes nearest_quants(Lanes x, float inverse_scale, float offset, Grid grid) {
  const Lanes q = (x - splat(offset)) * splat(inverse_scale);
  return round_lanes(clamp_lanes(q, grid.low, grid.high));
}

struct AffineSums {
  float q = 0;
  float qq = 0;
  float xq = 0;
};

// What does not depend on where the values are placed.
struct RunSums {
  double w = 0;
  double x = 0;
  double xx = 0;
};

RunSums sum_run(const Run& run) {
  Lanes w_sum = splat(0);
  Lanes x_sum = splat(0);
  Lanes xx_sum = splat(0);
  for (int i = 0; i < run.n; i += kLanes) {
    const Lanes x = load_lanes(run.x + i);
    const Lanes w = load_lanes(run.w + i);
    w_sum += w;
    x_sum += w * x;
    xx_sum += w * x * x;
  }
  return {sum_lanes(w_sum), sum_lanes(x_sum), sum_lanes(xx_sum)};
}

AffineSums affine_sums(const Run& run, Grid grid, float inverse_scale, float offset) {
  Lanes q_sum = splat(0);
  Lanes qq_sum = splat(0);
  Lanes xq_sum = splat(0);
  for (int i = 0; i < run.n; i += kLanes) {
    const Lanes x = load_lanes(run.x + i);
    const Lanes q = nearest_quants(x, inverse_scale, offset, grid);
    const Lanes wq = load_lanes(run.w + i) * q;
    q_sum += wq;
    qq_sum += wq * q;
    xq_sum += wq * x;
  }
  return {sum_lanes(q_sum), sum_lanes(qq_sum), sum_lanes(xq_sum)};
}

struct Solution {
  Affine map;
  double error = 0;  // of the placing that the sums came from
};

// The least-squares scale and offset of a placing. Doubles, because the determinant cancels.
Solution solve_affine(const RunSums& run, const AffineSums& sums, OffsetSign sign) {
  const double q = sums.q;
  const double qq = sums.qq;
  const double xq = sums.xq;
  const double determinant = run.w * qq - q * q;
  double scale = 0;
  double offset = run.w > 0 ? run.x / run.w : 0;
  if (determinant > 1e-9 * run.w * qq) {
    scale = (run.w * xq - run.x * q) / determinant;
    offset = (qq * run.x - q * xq) / determinant;
  }
  if (sign == OffsetSign::kNotPositive && offset > 0) {
    offset = 0;
    scale = qq > 0 ? xq / qq : 0;
  }
  scale = std::max(scale, 0.0);
  const double error =
      run.xx + scale * (scale * qq - 2 * xq) + offset * (offset * run.w + 2 * (scale * q - run.x));
  return {{static_cast<float>(scale), static_cast<float>(offset)}, error};
}

}  // namespace

uint16_t half_of_scale(float scale) {
  const uint16_t half = f32_to_f16(std::clamp(scale, -65504.0f, 65504.0f));
  if ((half & 0x7fffu) != 0 || scale == 0) return half;
  return static_cast<uint16_t>(half | 1u);
}

LargestValue largest_value(const float* x, int n) {
  LargestValue largest;
  for (int i = 0; i < n; ++i) {
    const float magnitude = std::fabs(x[i]);
    if (magnitude > largest.magnitude) largest = {magnitude, x[i]};
  }
  return largest;
}

float symmetric_error(const Run& run, Grid grid, float scale) {
  return affine_error(run, grid, {scale, 0});
}

SymmetricSums symmetric_sums(const Run& run, Grid grid, float inverse_scale) {
  const AffineSums sums = affine_sums(run, grid, inverse_scale, 0);
  return {sums.xq, sums.qq};
}

float fit_symmetric(const Run& run, Grid grid) {
  const LargestValue largest = largest_value(run.x, run.n);
  if (largest.magnitude < kMinEncodable) return 0;
  // The largest value may take either end of the grid, a little within or beyond it.
  constexpr int kSteps = 4;
  constexpr float kStep = 0.35f;
  double best_gain = 0;
  SymmetricSums best;
  for (const float end : {grid.low, grid.high}) {
    for (int step = -kSteps; step <= kSteps; ++step) {
      const float place = end + kStep * static_cast<float>(step);
      const SymmetricSums sums = symmetric_sums(run, grid, place / largest.value);
      // The error is sum(w x^2) - xq^2 / qq.
      const double gain = sums.qq > 0 ? double{sums.xq} * sums.xq / sums.qq : 0;
      if (gain > best_gain) {
        best_gain = gain;
        best = sums;
      }
    }
  }
  for (int polish = 0; polish < 3 && best.qq > 0 && best.xq != 0; ++polish) {
    const SymmetricSums sums = symmetric_sums(run, grid, best.qq / best.xq);
    const double gain = sums.qq > 0 ? double{sums.xq} * sums.xq / sums.qq : 0;
    if (gain <= best_gain) break;
    best_gain = gain;
    best = sums;
  }
  // No weight on any value that differs from zero: then only the range matters.
  if (best.qq <= 0 || best.xq == 0) return largest.value / grid.low;
  return best.xq / best.qq;
}

float affine_error(const Run& run, Grid grid, Affine map) {
  const float inverse = inverse_or_zero(map.scale);
  const Lanes scale = splat(map.scale);
  const Lanes offset = splat(map.offset);
  Lanes error = splat(0);
  for (int i = 0; i < run.n; i += kLanes) {
    const Lanes x = load_lanes(run.x + i);
    const Lanes q = nearest_quants(x, inverse, map.offset, grid);
    const Lanes difference = x - (scale * q + offset);
    error += load_lanes(run.w + i) * difference * difference;
  }
  return sum_lanes(error);
}

Affine fit_affine(const Run& run, Grid grid, OffsetSign sign) {
  float low = run.x[0];
  float high = run.x[0];
  for (int i = 1; i < run.n; ++i) {
    low = std::min(low, run.x[i]);
    high = std::max(high, run.x[i]);
  }
  if (sign == OffsetSign::kNotPositive) low = std::min(low, 0.0f);
  const float range = high - low;
  if (range < kMinEncodable) return {0, low};
  const RunSums run_sums = sum_run(run);
  Solution best{{range / grid.high, low}, 0};
  best.error = affine_error(run, grid, best.map);
  // First guesses: from the lowest value on, the range takes a little less or more than the grid.
  constexpr int kSteps = 10;
  for (int step = 0; step <= kSteps; ++step) {
    const float levels = grid.high - 1.4f + 0.25f * static_cast<float>(step);
    const AffineSums sums = affine_sums(run, grid, levels / range, low);
    const Solution solution = solve_affine(run_sums, sums, sign);
    if (solution.map.scale > 0 && solution.error < best.error) best = solution;
  }
  for (int polish = 0; polish < 4; ++polish) {
    const AffineSums sums = affine_sums(run, grid, 1.0f / best.map.scale, best.map.offset);
    const Solution solution = solve_affine(run_sums, sums, sign);
    if (!(solution.map.scale > 0) || solution.error >= best.error) break;
    best = solution;
  }
  return best.map;
}

void place_on_grid(const Run& run, Grid grid, Affine map, float* quants) {
  const float inverse = inverse_or_zero(map.scale);
  for (int i = 0; i < run.n; i += kLanes) {
    store_lanes(nearest_quants(load_lanes(run.x + i), inverse, map.offset, grid), quants + i);
  }
}

}  // namespace reckon
