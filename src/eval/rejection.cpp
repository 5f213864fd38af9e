// Rounds of sampling over all tasks, then the shortest right thoughts of each.
#include "eval/rejection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "base/file.h"

namespace reckon::eval {
namespace {

namespace json = boost::json;

// Seeds of the rounds are so far apart that no two draws share one.
constexpr uint64_t kRoundSeeds = uint64_t{1} << 32;

std::string line_of(const Task& task, const Outcome& outcome) {
  json::object line = task.fields;
  json::object user = {{"role", "user"}, {"content", task.question}};
  json::object assistant = {{"role", "assistant"}, {"content", outcome.answer}};
  // Without the line break that stands before the end mark: the template writes its own.
  const size_t end = outcome.thought.find_last_not_of('\n');
  assistant["reasoning_content"] =
      outcome.thought.substr(0, end == std::string::npos ? 0 : end + 1);
  line["messages"] = json::array{std::move(user), std::move(assistant)};
  return json::serialize(line) + "\n";
}

}  // namespace

Result<RejectionResult> write_right_answers(Engine& engine, const std::vector<Task>& tasks,
                                            const RejectionOptions& options,
                                            const std::string& path,
                                            const EvaluationCallback& progress) {
  if (options.n_samples < 1 || options.n_kept < 1) {
    return usage_error(fmt::format("samples and kept: expected 1 or more, found {} and {}",
                                   options.n_samples, options.n_kept));
  }
  RECKON_ASSIGN(AtomicFileWriter file, AtomicFileWriter::create(path));
  std::vector<std::vector<Outcome>> right(tasks.size());
  for (int64_t round = 0; round < options.n_samples; ++round) {
    EvaluationOptions sampling = options.sampling;
    sampling.seed += static_cast<uint64_t>(round) * kRoundSeeds;
    const auto of_all = [&](EvaluationProgress state) {
      state.done += round * state.total;
      state.total *= options.n_samples;
      return !progress || progress(state);
    };
    RECKON_ASSIGN(std::vector<Outcome> outcomes, evaluate(engine, tasks, sampling, of_all));
    for (size_t i = 0; i < tasks.size(); ++i) {
      if (outcomes[i].right) right[i].push_back(std::move(outcomes[i]));
    }
  }
  RejectionResult result;
  result.n_problems = static_cast<int64_t>(tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (right[i].empty()) continue;
    ++result.n_solved;
    std::ranges::stable_sort(right[i], {}, &Outcome::thought_tokens);
    std::set<std::string> seen;
    for (const Outcome& outcome : right[i]) {
      if (static_cast<int64_t>(seen.size()) == options.n_kept) break;
      if (!seen.insert(outcome.thought).second) continue;
      ++result.n_kept;
      RECKON_RETURN_IF_ERROR(file.write(line_of(tasks[i], outcome)));
    }
  }
  RECKON_RETURN_IF_ERROR(file.commit());
  return result;
}

}  // namespace reckon::eval
