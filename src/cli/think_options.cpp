// Definitions, and options -> request.
#include "cli/think_options.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace reckon::cli {
namespace {

void add_early_stop_options(CLI::App& command, ThinkOptions& options) {
  command
      .add_option(
          "--early-stop", options.early_stop,
          "End the thought when its answer stands: where it turns, a side branch answers at "
          "once; it must be confident (of models that can also answer straight away, the branch "
          "before the first word), or several in a row must have agreed")
      ->type_name("RULE")
      ->check(CLI::IsMember({"off", "confident", "agreed", "either"}))
      ->capture_default_str();
  command
      .add_option("--early-confidence", options.early.confidence,
                  "How likely a branch's tokens must be, in the geometric mean")
      ->type_name("P")
      ->capture_default_str();
  command.add_option("--early-agree", options.early.agreeing, "How many branches must agree")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option(
          "--early-style", options.early.style,
          "Where a model's thoughts turn and how it answers: r1 (paragraphs, \\boxed{}), lines "
          "(short lines, the bare result), plain (default: by the model)")
      ->type_name("NAME")
      ->check(CLI::IsMember({"r1", "lines", "plain"}));
  command
      .add_option("--early-gap", options.early.min_gap,
                  "Fewest tokens of thought between two branches")
      ->type_name("N")
      ->capture_default_str();
}

void add_path_options(CLI::App& command, ThinkOptions& options) {
  command
      .add_option("--paths", options.paths.n,
                  "Think about the question up to N times and let the answers vote")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--window", options.paths.window,
                  "So many paths run at once; the next begin when these have ended. At least 2 for "
                  "--vote-stop window")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--vote-stop", options.vote_stop,
                  "When no more paths are needed: the leader is ahead for good with "
                  "--vote-confidence (posterior), all of a window agree (window), never (off)")
      ->type_name("RULE")
      ->check(CLI::IsMember({"posterior", "window", "off"}))
      ->capture_default_str();
  command.add_option("--vote-confidence", options.paths.confidence, "See --vote-stop")
      ->type_name("P")
      ->capture_default_str();
  command.add_flag("--weighted", options.paths.weighted,
                   "A vote weighs as much as its path's tokens were likely");
  command
      .add_option("--verify", options.verifier,
                  "A program that judges answers: the first that passes ends the other paths "
                  "(docs/thinking.md describes what it reads and writes)")
      ->type_name("PROGRAM");
  command.add_option("--verify-seconds", options.verify_seconds, "Most time for one verdict")
      ->type_name("S")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  command.add_option("--verify-memory", options.verify_mib, "Most memory for one verdict")
      ->type_name("MIB")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
}

}  // namespace

void add_think_options(CLI::App& command, ThinkOptions& options) {
  CLI::Option* budget = command
                            .add_option("--think-budget", options.budget,
                                        "Most tokens of the thought, which is then closed so that "
                                        "the answer begins")
                            ->type_name("N");
  command
      .add_option("--effort", options.effort,
                  "A budget by name, as a share of the tokens that are left: none, minimal (1/16), "
                  "low (1/8), medium (1/4), high (1/2), xhigh (7/8)")
      ->type_name("NAME")
      ->check(CLI::IsMember({"none", "minimal", "low", "medium", "high", "xhigh"}))
      ->excludes(budget);
  command
      .add_option("--soft-share", options.soft_share,
                  "From this share of the budget on, the thought's end becomes likelier with every "
                  "token; 1: not before the budget is spent")
      ->type_name("SHARE")
      ->capture_default_str();
  command
      .add_option("--closing", options.closing_sentence,
                  "What is said before a thought that the budget or Ctrl-C closes")
      ->type_name("TEXT");
  command
      .add_option("--min-think", options.min_tokens,
                  "Fewest tokens of the thought: an earlier end is answered with \"Wait\"")
      ->type_name("N");
  add_early_stop_options(command, options);
  add_path_options(command, options);
  command.add_flag(
      "--explain", options.explain,
      "Tell why the thought ended, and how the vote went (ask --json tells it anyway)");
}

int64_t sequences_at_once(const ThinkOptions& options) {
  return std::clamp<int64_t>(std::min(options.paths.n, options.paths.window), 1, 64);
}

Error in_options(Error error) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"think_budget", "--think-budget"},
      {"soft_share", "--soft-share"},
      {"closing_sentence", "--closing"},
      {"min_think_tokens", "--min-think"},
      {"early_stop", "--early-stop"},
      {"early_stop.confidence", "--early-confidence"},
      {"early_stop.agreeing", "--early-agree"},
      {"early_stop.min_gap", "--early-gap"},
      {"paths", "--paths"},
      {"paths.window", "--window"},
      {"paths.confidence", "--vote-confidence"},
      {"verify", "--verify"},
      {"temperature", "--temp"},
      {"top_k", "--top-k"},
      {"top_p", "--top-p"},
      {"min_p", "--min-p"},
      {"repetition_penalty", "--repeat-penalty"},
      {"presence_penalty", "--presence-penalty"},
      {"frequency_penalty", "--frequency-penalty"},
      {"logit_bias", "--logit-bias"},
      {"max_tokens", "--max-tokens"},
      {"stop", "--stop"},
      {"context", "--ctx"}};
  const std::string field = error.message.substr(0, error.message.find(':'));
  for (const auto& [name, option] : kNames) {
    if (field == name) error.message.replace(0, name.size(), option);
  }
  return error;
}

namespace {

Status check(const Engine& engine, const Request& request) {
  const Status checked = engine.check(request);
  return checked.ok() ? checked : Status(in_options(checked.error()));
}

}  // namespace

Status apply_think_options(const ThinkOptions& options, const Engine& engine, std::string question,
                           Request& request) {
  request.think_budget = options.budget;
  request.soft_share = options.soft_share;
  request.closing_sentence = options.closing_sentence;
  request.min_think_tokens = options.min_tokens;
  if (const std::optional<Effort> effort = parse_effort(options.effort)) {
    apply_effort(*effort, engine.context_length(), request);
  }
  request.early_stop = options.early;
  using Rule = EarlyStop::Rule;
  request.early_stop.rule = options.early_stop == "confident" ? Rule::kConfident
                            : options.early_stop == "agreed"  ? Rule::kAgreed
                            : options.early_stop == "either"  ? Rule::kEither
                                                              : Rule::kOff;
  request.paths = options.paths;
  using Stop = PathOptions::Stop;
  request.paths.stop = options.vote_stop == "off"      ? Stop::kOff
                       : options.vote_stop == "window" ? Stop::kWindow
                                                       : Stop::kPosterior;
  if (options.verifier.empty()) return check(engine, request);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::canonical(options.verifier, error);
  if (error) {
    return usage_error("--verify: expected a program, found " + options.verifier + ": " +
                       error.message());
  }
  request.verification = {.program = program.string(),
                          .question = std::move(question),
                          .time_ms = static_cast<int64_t>(options.verify_seconds * 1e3),
                          .memory_bytes = options.verify_mib << 20};
  return check(engine, request);
}

}  // namespace reckon::cli
