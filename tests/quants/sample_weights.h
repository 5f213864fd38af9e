// Generated weights for the encoders' tests: the same numbers everywhere, from a linear
// congruential generator (Knuth's MMIX constants) and arithmetic that rounds alike on all
// machines, save the logarithm, whose last bit does not matter here.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reckon::test {

class Lcg {
 public:
  explicit Lcg(uint64_t seed) : state_(seed) {}
  // Uniform in (0, 1).
  double uniform() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (static_cast<double>(state_ >> 40) + 0.5) / 16777216.0;
  }
  // Gaussian to within what 12 uniforms give.
  double gaussian() {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum - 6;
  }
  double laplacian() {
    const double magnitude = -std::log(uniform());
    return uniform() < 0.5 ? -magnitude : magnitude;
  }

 private:
  uint64_t state_;
};

enum class Distribution { kGaussian, kLaplacian, kUneven, kShifted };

// kUneven: every run of 16 has its own spread, over a factor of about 300. kShifted: a Gaussian
// whose mean is 1.5 times its deviation.
inline std::vector<float> sample_weights(Distribution distribution, size_t n) {
  std::vector<float> weights(n);
  Lcg lcg(static_cast<uint64_t>(distribution) + 1);
  double spread = 1;
  for (size_t i = 0; i < n; ++i) {
    double value = 0;
    switch (distribution) {
      case Distribution::kGaussian: value = 0.02 * lcg.gaussian(); break;
      case Distribution::kLaplacian: value = 0.02 * lcg.laplacian(); break;
      case Distribution::kUneven:
        if (i % 16 == 0) spread = std::pow(2.0, 1.5 * lcg.gaussian());
        value = 0.02 * spread * lcg.gaussian();
        break;
      case Distribution::kShifted: value = 0.02 * lcg.gaussian() + 0.03; break;
    }
    weights[i] = static_cast<float>(value);
  }
  return weights;
}

// Root mean square of the error, plain and weighted as the K quants' searches weigh it: Q4_K and
// Q5_K by rms + |x| (the rms over runs of 32), Q6_K by x^2, the others alike.
struct QuantError {
  double plain = 0;
  double weighted = 0;
};
enum class ErrorWeight { kEqual, kLinear, kSquare };

inline QuantError quant_error(ErrorWeight weight, const std::vector<float>& x,
                              const std::vector<float>& decoded) {
  QuantError error;
  for (size_t first = 0; first < x.size(); first += 32) {
    double square_sum = 0;
    for (size_t i = first; i < first + 32; ++i) square_sum += double{x[i]} * x[i];
    const double rms = std::sqrt(square_sum / 32);
    for (size_t i = first; i < first + 32; ++i) {
      const double difference = double{x[i]} - decoded[i];
      double w = 1;
      if (weight == ErrorWeight::kLinear) w = rms + std::fabs(double{x[i]});
      if (weight == ErrorWeight::kSquare) w = double{x[i]} * x[i];
      error.plain += difference * difference;
      error.weighted += w * difference * difference;
    }
  }
  const double n = static_cast<double>(x.size());
  return {std::sqrt(error.plain / n), std::sqrt(error.weighted / n)};
}

}  // namespace reckon::test
