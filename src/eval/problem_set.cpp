// Draws kinds by their weights; a hash of kind and content says which side a problem is on.
#include "eval/problem_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "base/file.h"
#include "eval/arithmetic.h"
#include "eval/countdown.h"
#include "eval/off_topic.h"
#include "eval/word_problem.h"

namespace reckon::eval {
namespace {

namespace json = boost::json;

constexpr uint64_t kHeldOutOneIn = 20;
constexpr int kPercentInVain = 33;

constexpr auto kKinds = std::to_array<Kind>({
    {"sum", "sums, up to 6 digits", 5},
    {"difference", "differences, up to 6 digits", 6},
    {"product", "products, up to 3 x 3 digits", 6},
    {"division", "exact divisions by up to 2 digits", 15},
    {"negative", "numbers below zero", 6},
    {"expression", "3 or 4 numbers with brackets", 17},
    {"percent", "percent of a number", 5},
    {"fraction", "fractions", 13},
    {"countdown3", "Countdown with 3 numbers", 16},
    {"countdown4", "Countdown with 4 numbers", 21},
    {"word", "short stories", 18},
    {"comparison", "larger or smaller", 4},
    {"unit", "units", 6},
    {"off_topic", "questions about the world, declined", 3},
});

uint64_t hash_of(std::string_view kind, std::string_view content) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto mix = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  };
  mix(kind);
  mix("\n");
  mix(content);
  hash ^= hash >> 32;
  return hash * 0x9e3779b97f4a7c15u >> 20;
}

Problem make(std::string_view kind, Random& random, bool held_out) {
  if (kind == "sum") return make_sum(random);
  if (kind == "difference") return make_difference(random);
  if (kind == "product") return make_product(random);
  if (kind == "division") return make_division(random);
  if (kind == "negative") return make_negative(random);
  if (kind == "expression") return make_expression(random);
  if (kind == "percent") return make_percent(random);
  if (kind == "fraction") return make_fraction(random);
  if (kind == "countdown3") return make_countdown(random, 3);
  if (kind == "countdown4") return make_countdown(random, 4);
  if (kind == "word") return make_word_problem(random, held_out);
  if (kind == "comparison") return make_comparison(random);
  if (kind == "unit") return make_unit(random);
  return make_off_topic(random);
}

json::string_view as_json(std::string_view text) { return {text.data(), text.size()}; }

Result<std::vector<Kind>> chosen_kinds(const std::vector<std::string>& names) {
  if (names.empty()) return std::vector<Kind>(kKinds.begin(), kKinds.end());
  std::vector<Kind> kinds;
  for (const std::string& name : names) {
    const auto found =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.name == name; });
    if (found == kKinds.end()) {
      std::vector<std::string_view> known;
      for (const Kind& kind : kKinds) known.push_back(kind.name);
      return usage_error(
          fmt::format("kind: expected one of {}, found \"{}\"", fmt::join(known, ", "), name));
    }
    kinds.push_back(*found);
  }
  return kinds;
}

// The question and its answer.
void add_turns(const Problem& problem, bool direct, json::array& messages) {
  messages.push_back(json::object{{"role", "user"}, {"content", problem.question}});
  json::object answer{{"role", "assistant"}, {"content", problem.answer}};
  if (!direct) answer["reasoning_content"] = problem.thought;
  messages.push_back(std::move(answer));
}

// Stories and off-topic questions are apart by their wording already; few units exist.
bool split_by_content(std::string_view kind) { return kind != "word" && kind != "off_topic"; }

class Writer {
 public:
  Writer(const ProblemSetOptions& options, AtomicFileWriter file, const ProblemProgress& progress)
      : options_(options), file_(std::move(file)), progress_(progress), random_(options.seed) {}

  Status write_training(const std::vector<Kind>& kinds) {
    int total_weight = 0;
    for (const Kind& kind : kinds) total_weight += kind.weight;
    std::vector<Problem> before;
    for (int64_t done = 0; done < options_.count;) {
      int64_t draw = random_.between(1, total_weight);
      size_t at = 0;
      while (draw > kinds[at].weight) draw -= kinds[at++].weight;
      Problem problem = make(kinds[at].name, random_, false);
      if (split_by_content(problem.kind) && is_held_out(problem.kind, problem.content)) continue;
      if (options_.need_thought && problem.thought.empty()) continue;
      // Searches in vain are long: a part of them shows how they end.
      const bool in_vain = problem.answer == kNoExpression;
      if (in_vain && options_.need_thought && !random_.chance(kPercentInVain)) continue;
      if (random_.chance(options_.percent_followed)) {
        before.push_back(std::move(problem));
        continue;
      }
      const bool direct = !in_vain && random_.chance(options_.percent_direct);
      RECKON_RETURN_IF_ERROR(write(problem_line(problem, direct, before), ++done, options_.count));
      before.clear();
    }
    return file_.commit();
  }

  Status write_held_out(const std::vector<Kind>& kinds) {
    const int64_t total = options_.count * std::ssize(kinds);
    int64_t done = 0;
    for (const Kind& kind : kinds) {
      if (kind.name == "off_topic") {
        const auto questions = held_out_off_topic();
        for (size_t i = 0; i < questions.size(); ++i) {
          const bool chinese = i >= questions.size() / 2;
          RECKON_RETURN_IF_ERROR(
              write(problem_line(off_topic_problem(questions[i], chinese), false), done, total));
        }
        done += options_.count;
        continue;
      }
      RECKON_RETURN_IF_ERROR(write_kind(kind.name, done, total));
    }
    return file_.commit();
  }

 private:
  // Where a kind hasn't so many problems, what has not come for long ends it.
  Status write_kind(std::string_view kind, int64_t& done, int64_t total) {
    constexpr int kPatience = 20000;
    std::set<std::string> seen;
    int in_vain = 0;
    for (int64_t written = 0; written < options_.count && in_vain < kPatience;) {
      const Problem problem = make(kind, random_, true);
      ++in_vain;
      if (split_by_content(kind) && !is_held_out(kind, problem.content)) continue;
      if (!seen.insert(problem.content).second) continue;
      in_vain = 0;
      ++written;
      RECKON_RETURN_IF_ERROR(write(problem_line(problem, problem.thought.empty()), ++done, total));
    }
    return {};
  }

  Status write(const std::string& line, int64_t done, int64_t total) {
    RECKON_RETURN_IF_ERROR(file_.write(line));
    if (done % 256 == 0 && progress_ && !progress_(done, total)) {
      return Error{ErrorKind::kInterrupted, ""};
    }
    return {};
  }

  const ProblemSetOptions& options_;
  AtomicFileWriter file_;
  const ProblemProgress& progress_;
  Random random_;
};

}  // namespace

std::span<const Kind> all_kinds() { return kKinds; }

bool is_held_out(std::string_view kind, std::string_view content) {
  return hash_of(kind, content) % kHeldOutOneIn == 0;
}

std::string problem_line(const Problem& problem, bool direct, std::span<const Problem> before) {
  json::object line;
  line["kind"] = as_json(problem.kind);
  line["rule"] = as_json(problem.rule);
  line["question"] = problem.question;
  if (problem.rule == "countdown") {
    line["numbers"] = json::array(problem.numbers.begin(), problem.numbers.end());
    line["target"] = problem.target;
  } else {
    line["answer"] = problem.answer;
  }
  json::array messages;
  for (const Problem& earlier : before) add_turns(earlier, false, messages);
  add_turns(problem, direct, messages);
  line["messages"] = std::move(messages);
  return json::serialize(line) + "\n";
}

Status write_problems(const ProblemSetOptions& options, const std::string& path,
                      const ProblemProgress& progress) {
  if (options.count < 1) {
    return usage_error(fmt::format("count: expected 1 or more, found {}", options.count));
  }
  RECKON_ASSIGN(const std::vector<Kind> kinds, chosen_kinds(options.kinds));
  RECKON_ASSIGN(AtomicFileWriter file, AtomicFileWriter::create(path));
  Writer writer(options, std::move(file), progress);
  return options.held_out ? writer.write_held_out(kinds) : writer.write_training(kinds);
}

}  // namespace reckon::eval
