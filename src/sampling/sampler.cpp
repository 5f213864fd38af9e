// Probabilities are held as fixed-point integers ("weights"): the likeliest token weighs 2^44 at a
// vocabulary of 152k, and a token 2^44 times less likely is out of reach. Integer sums don't depend
// on their order, so top-p's cut and the draw are exact whatever the selection algorithm does.
#include "sampling/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "kernels/scalar_math.h"
#include "sampling/philox.h"

namespace reckon {
namespace {

// exp(x) = 2^(y / 2048) with y = x 2048 / ln 2. y's whole part k picks a power from a table and a
// shift; what is left, |f| <= 1/2, goes through exp's series to the second order, whose error is
// below (ln 2 / 4096)^3 / 6 < 1e-12.
constexpr int kTableBits = 11;
constexpr int kTableSize = 1 << kTableBits;
constexpr double kLn2 = 0x1.62e42fefa39efp-1;
constexpr double kStep = kLn2 / kTableSize;
constexpr double kInverseStep = kTableSize / kLn2;
// Adding it rounds to a whole number (|y| < 2^51), which then stands in the low bits.
constexpr double kRounder = 0x1.8p52;
// Fraction bits of the table's powers; below 2.01 * 2^61 a product fits 63 bits.
constexpr int kProductBits = 61;
// Logits after bias and penalties stay where differences and casts are finite.
constexpr double kLogitLimit = 1e30;

constexpr auto kAnyMass = std::numeric_limits<uint64_t>::max();
constexpr auto kAnyCount = std::numeric_limits<int64_t>::max();

// Below 2^-(bits + 1) no fixed-point weight is left; bits is at most 61.
constexpr int64_t reach(int bits) { return int64_t{bits + 1} << kTableBits; }
// Buckets of the selection are 1/32 of an octave wide: -k without its low bits.
constexpr int kBucketShift = kTableBits - 5;
constexpr int kBuckets = static_cast<int>(reach(61) >> kBucketShift) + 1;

// 2^(j / 2048) * 2^61, [kTableSize].
const std::vector<double>& power_table() {
  static const std::vector<double> table = [] {
    std::vector<double> powers(kTableSize);
    for (int j = 0; j < kTableSize; ++j) {
      powers[static_cast<size_t>(j)] =
          exact_exp(j * kStep) * static_cast<double>(1ull << kProductBits);
    }
    return powers;
  }();
  return table;
}

// Four running maxima, so that one comparison needn't wait for the one before.
float largest_value(std::span<const float> values) {
  std::array<float, 4> max;
  max.fill(values[0]);
  size_t i = 0;
  for (; i + max.size() <= values.size(); i += max.size()) {
    for (size_t lane = 0; lane < max.size(); ++lane) {
      max[lane] = std::max(max[lane], values[i + lane]);
    }
  }
  for (; i < values.size(); ++i) max[0] = std::max(max[0], values[i]);
  return std::max(std::max(max[0], max[1]), std::max(max[2], max[3]));
}

// The first of the largest.
TokenId largest(std::span<const float> logits) {
  const auto found = std::find(logits.begin(), logits.end(), largest_value(logits));
  return static_cast<TokenId>(found == logits.end() ? 0 : found - logits.begin());
}

// The order of likelihood: larger logit first, then lower id.
template <class Candidate>
bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace

Sampler::Sampler(int64_t vocab_size)
    : vocab_size_(vocab_size),
      // vocab_size weights of at most 2^bits sum to at most 2^62.
      weight_bits_(62 - static_cast<int>(std::bit_width(static_cast<uint64_t>(vocab_size)))),
      logits_(static_cast<size_t>(vocab_size)),
      weights_(static_cast<size_t>(vocab_size)),
      buckets_(static_cast<size_t>(vocab_size)),
      counts_(static_cast<size_t>(vocab_size)),
      bucket_sums_(kBuckets) {
  RECKON_CHECK(vocab_size >= 1 && vocab_size <= std::numeric_limits<TokenId>::max());
}

SampledToken Sampler::sample(const SamplingParams& params, std::span<const float> logits,
                             const SamplingHistory& history, std::span<const uint64_t> allowed) {
  RECKON_CHECK(static_cast<int64_t>(logits.size()) == vocab_size_);
  std::copy(logits.begin(), logits.end(), logits_.begin());
  adjust(params, history);
  if (!allowed.empty()) mask(allowed);

  SampledToken sampled;
  if (params.temperature == 0.0) {
    sampled.token = largest(logits_);
  } else {
    const uint64_t total = weigh(logits_, params.temperature);
    const uint64_t kept = cut(params, total);
    sampled.token = draw(kept, random_bits(params.seed, history.tokens.size()));
  }
  if (params.n_logprobs >= 0) sampled.logprobs = logprobs(logits, sampled.token, params.n_logprobs);
  return sampled;
}

void Sampler::adjust(const SamplingParams& params, const SamplingHistory& history) {
  for (const LogitBias& entry : params.logit_bias) {
    float& logit = logits_[static_cast<size_t>(entry.token)];
    logit = static_cast<float>(
        std::clamp(static_cast<double>(logit) + entry.bias, -kLogitLimit, kLogitLimit));
  }
  if (params.penalty_last_n != 0 &&
      (params.repetition_penalty != 1.0 || params.presence_penalty != 0.0 ||
       params.frequency_penalty != 0.0)) {
    penalise(params, history);
  }
}

void Sampler::penalise(const SamplingParams& params, const SamplingHistory& history) {
  const int64_t n_tokens = static_cast<int64_t>(history.tokens.size());
  const int64_t begin =
      params.penalty_last_n < 0 ? 0 : std::max<int64_t>(0, n_tokens - params.penalty_last_n);
  // Counts in the low 31 bits are of the output; the top bit says that the token was met at all.
  constexpr uint32_t kMet = 1u << 31;
  for (int64_t i = begin; i < n_tokens; ++i) {
    uint32_t& count = counts_[static_cast<size_t>(history.tokens[static_cast<size_t>(i)])];
    count = (count | kMet) + (i >= history.n_prompt ? 1 : 0);
  }
  for (int64_t i = begin; i < n_tokens; ++i) {
    const auto token = static_cast<size_t>(history.tokens[static_cast<size_t>(i)]);
    if (counts_[token] == 0) continue;  // already done
    const uint32_t in_output = counts_[token] & ~kMet;
    counts_[token] = 0;
    double logit = logits_[token];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (in_output > 0) {
      logit -= params.presence_penalty;
      logit -= params.frequency_penalty * static_cast<double>(in_output);
    }
    logits_[token] = static_cast<float>(std::clamp(logit, -kLogitLimit, kLogitLimit));
  }
}

// After everything that could bring a logit back from -inf; one that is allowed stays finite.
void Sampler::mask(std::span<const uint64_t> allowed) {
  for (size_t i = 0; i < logits_.size(); ++i) {
    const bool set = (allowed[i / 64] >> (i % 64) & 1) != 0;
    const float least = set ? static_cast<float>(-kLogitLimit) : logits_[i];
    logits_[i] = set ? std::max(logits_[i], least) : -std::numeric_limits<float>::infinity();
  }
}

// Fills weights_ and buckets_; returns the sum of the weights.
uint64_t Sampler::weigh(std::span<const float> logits, double temperature) {
  const double* table = power_table().data();
  const double max = largest_value(logits);
  // Finite, so that the likeliest token's 0 stays 0 at the smallest temperatures.
  const double steps_per_logit = std::min(kInverseStep / temperature, 1e300);
  const auto lowest = -static_cast<double>(reach(weight_bits_));
  uint64_t total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double y = (logits[i] - max) * steps_per_logit;
    if (!(y >= lowest)) {
      weights_[i] = 0;
      buckets_[i] = kBuckets - 1;
      continue;
    }
    const double shifted = y + kRounder;
    const auto k =
        static_cast<int64_t>(std::bit_cast<uint64_t>(shifted) - std::bit_cast<uint64_t>(kRounder));
    const double f = y - (shifted - kRounder);
    const double series = 1.0 + f * (kStep + f * (kStep * kStep / 2));
    const auto product = static_cast<int64_t>(table[k & (kTableSize - 1)] * series);
    // The whole octaves, k >> kTableBits, are from -(bits + 1) to 0: the shift is at most 62.
    const int64_t weight = product >> (kProductBits - weight_bits_ - (k >> kTableBits));
    weights_[i] = static_cast<uint64_t>(weight);
    buckets_[i] = static_cast<uint16_t>(-k >> kBucketShift);
    total += static_cast<uint64_t>(weight);
  }
  return total;
}

// Clears the weights that top-k, top-p and min-p leave out; returns the sum of the others.
uint64_t Sampler::cut(const SamplingParams& params, uint64_t total) {
  const auto share = [&](uint64_t sum) {
    return std::max<uint64_t>(
        1, static_cast<uint64_t>(std::ceil(params.top_p * static_cast<double>(sum))));
  };
  uint64_t kept = total;
  if (params.top_k > 0 && params.top_k < vocab_size_) {
    select_last_bucket(params.top_k, kAnyMass);
    kept = keep_to(select_worst());
  }
  // A share of what top-k leaves.
  if (params.top_p < 1.0) {
    select_last_bucket(kAnyCount, share(kept));
    kept = keep_to(select_worst());
  }
  if (params.min_p > 0.0) {
    // Relative to the likeliest token, whose weight is 2^weight_bits_.
    const auto least =
        static_cast<uint64_t>(std::ceil(params.min_p * static_cast<double>(1ull << weight_bits_)));
    kept = 0;
    for (uint64_t& weight : weights_) {
      weight = weight >= least ? weight : 0;
      kept += weight;
    }
  }
  return kept;
}

// Looks for the end of the shortest run of likeliest tokens that has `count` members or weighs
// `mass`, by a histogram over logits, so that only the bucket in which it ends needs an order:
// fills selection_ with that bucket, and wanted_count_ and wanted_mass_ with what it has to give.
void Sampler::select_last_bucket(int64_t count, uint64_t mass) {
  std::fill(bucket_sums_.begin(), bucket_sums_.end(), std::pair<int64_t, uint64_t>{0, 0});
  for (size_t i = 0; i < weights_.size(); ++i) {
    auto& [bucket_count, bucket_mass] = bucket_sums_[buckets_[i]];
    bucket_count += weights_[i] != 0;
    bucket_mass += weights_[i];
  }
  // Rounding up may ask for more than there is: then the last bucket that has any gives all.
  int last = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    const auto [bucket_count, bucket_mass] = bucket_sums_[static_cast<size_t>(bucket)];
    if (bucket_count == 0) continue;
    last = bucket;
    wanted_count_ = count;
    wanted_mass_ = mass;
    if (bucket_count >= count || bucket_mass >= mass) break;
    count -= bucket_count;
    mass -= bucket_mass;
  }
  selection_.clear();
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (buckets_[i] == last && weights_[i] != 0) {
      selection_.push_back({logits_[i], static_cast<TokenId>(i), weights_[i]});
    }
  }
}

// Clears the weights of all tokens after `worst` in the order of likelihood; returns the others'
// sum.
uint64_t Sampler::keep_to(const Candidate& worst) {
  uint64_t kept = 0;
  for (size_t i = 0; i < weights_.size(); ++i) {
    // No branches: half of all tokens may go either way.
    const bool stays = (logits_[i] > worst.logit) |
                       ((logits_[i] == worst.logit) & (static_cast<TokenId>(i) <= worst.token));
    weights_[i] &= -static_cast<uint64_t>(stays);
    kept += weights_[i];
  }
  return kept;
}

// The last member of the shortest run of the likeliest in selection_ that has wanted_count_ members
// or weighs wanted_mass_; the last of all if there is no such run. Halves the field by selection
// instead of sorting it, so the work is linear.
Sampler::Candidate Sampler::select_worst() {
  size_t begin = 0;
  size_t end = selection_.size();
  uint64_t before = 0;  // weight of selection_[0, begin), all of which belongs to the run
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    std::nth_element(selection_.begin() + static_cast<ptrdiff_t>(begin),
                     selection_.begin() + static_cast<ptrdiff_t>(middle),
                     selection_.begin() + static_cast<ptrdiff_t>(end), likelier<Candidate>);
    uint64_t half = 0;
    for (size_t i = begin; i < middle; ++i) half += selection_[i].weight;
    if (before + half >= wanted_mass_ || static_cast<int64_t>(middle) >= wanted_count_) {
      end = middle;
    } else {
      before += half;
      begin = middle;
    }
  }
  return selection_[begin];
}

// The token at which the running sum of weights passes random / 2^64 of `kept`, their sum.
TokenId Sampler::draw(uint64_t kept, uint64_t random) const {
  const auto target =
      static_cast<uint64_t>(static_cast<unsigned __int128>(random) * kept >> 64);  // < kept
  uint64_t sum = 0;
  for (size_t i = 0; i < weights_.size(); ++i) {
    sum += weights_[i];
    if (sum > target) return static_cast<TokenId>(i);
  }
  RECKON_CHECK(false && "weights that don't sum to their total");
  return 0;
}

TokenLogprobs Sampler::logprobs(std::span<const float> logits, TokenId token, int n_top) {
  const uint64_t total = weigh(logits, 1.0);
  const double max = largest_value(logits);
  // log of sum exp(logit - max); the fixed point leaves out less than 2^-26 of it.
  const double log_sum =
      exact_log(static_cast<double>(total) / static_cast<double>(1ull << weight_bits_));
  const auto logprob = [&](TokenId id) {
    return static_cast<double>(logits[static_cast<size_t>(id)]) - max - log_sum;
  };
  TokenLogprobs result;
  result.chosen = logprob(token);
  if (n_top == 0) return result;

  // The n best so far, the worst of them at the front of a heap.
  selection_.clear();
  for (int64_t i = 0; i < vocab_size_; ++i) {
    const Candidate candidate{logits[static_cast<size_t>(i)], static_cast<TokenId>(i), 0};
    if (static_cast<int>(selection_.size()) < n_top) {
      selection_.push_back(candidate);
      std::push_heap(selection_.begin(), selection_.end(), likelier<Candidate>);
    } else if (likelier(candidate, selection_.front())) {
      std::pop_heap(selection_.begin(), selection_.end(), likelier<Candidate>);
      selection_.back() = candidate;
      std::push_heap(selection_.begin(), selection_.end(), likelier<Candidate>);
    }
  }
  std::sort_heap(selection_.begin(), selection_.end(), likelier<Candidate>);
  for (const Candidate& c : selection_) result.top.push_back({c.token, logprob(c.token)});
  return result;
}

}  // namespace reckon
