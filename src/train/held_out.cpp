// Greedy answers, scores, samples.
#include "train/held_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>

#include "base/file.h"

namespace reckon::train {
namespace {

constexpr size_t kSamples = 3;  // answers written down at an evaluation
constexpr uint64_t kMaxSamplesBytes = uint64_t{64} << 20;
constexpr std::string_view kHeading = "==== after step ";

// The part of samples that is of steps_done steps and fewer.
size_t end_of_samples(std::string_view samples, int64_t steps_done) {
  for (size_t at = samples.find(kHeading); at != std::string_view::npos;
       at = samples.find(kHeading, at + 1)) {
    int64_t step = 0;
    const char* digits = samples.data() + at + kHeading.size();
    std::from_chars(digits, samples.data() + samples.size(), step);
    if (step > steps_done) return at;
  }
  return samples.size();
}

}  // namespace

Result<HeldOut> HeldOut::read(const std::vector<std::string>& paths, int64_t n_most,
                              const std::string& samples_path) {
  HeldOut made;
  made.samples_path_ = samples_path;
  RECKON_ASSIGN(std::vector<Problem> all, read_problems(paths));
  const auto n = std::ssize(all);
  const int64_t n_kept = std::min<int64_t>(n, n_most);
  for (int64_t i = 0; i < n_kept; ++i) {
    made.problems_.push_back(std::move(all[static_cast<size_t>(i * n / n_kept)]));
  }
  return made;
}

Status HeldOut::resume_at(int64_t steps_done) {
  if (!std::filesystem::exists(samples_path_)) return {};
  RECKON_ASSIGN(samples_, read_file(samples_path_, kMaxSamplesBytes));
  samples_.resize(end_of_samples(samples_, steps_done));
  return {};
}

Result<double> HeldOut::evaluate(RolloutEngine& engine, const Scorer& scorer, int64_t steps_done,
                                 const std::function<bool()>& goes_on) {
  std::vector<RolloutRequest> requests;
  for (const Problem& problem : problems_) {
    requests.push_back(
        {.question = problem.question, .seed = 0, .temperature = 0, .logprobs = false});
  }
  RECKON_ASSIGN(const std::vector<Rollout> answers, engine.generate(requests, goes_on));
  double sum = 0;
  samples_ += fmt::format("{}{}\n", kHeading, steps_done);
  for (size_t i = 0; i < answers.size(); ++i) {
    RECKON_ASSIGN(const double score, score_rollout(scorer, problems_[i], answers[i]));
    sum += score;
    if (i < kSamples) {
      samples_ += fmt::format("-- {}\n<think>\n{}\n</think>\n{}\n-- score {}\n",
                              problems_[i].question, answers[i].thought, answers[i].answer, score);
    }
  }
  RECKON_RETURN_IF_ERROR(write_file(samples_path_, samples_));
  return sum / static_cast<double>(answers.size());
}

}  // namespace reckon::train
