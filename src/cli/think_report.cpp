// Figures into words.
#include "cli/think_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace reckon::cli {
namespace {

void add_usage(JsonLine& json, const Usage& usage) {
  json.key("usage")
      .begin_object()
      .field("prompt_tokens", usage.prompt_tokens)
      .field("thinking_tokens", usage.output.thinking)
      .field("answer_tokens", usage.output.answer)
      .field("scaffold_tokens", usage.output.scaffold)
      .field("computed_tokens", usage.computed_tokens)
      .field("probe_tokens", usage.probe_tokens)
      .field("discarded_tokens", usage.discarded_tokens);
  if (usage.saved_tokens) json.field("saved_tokens", *usage.saved_tokens);
  json.end_object();
}

void add_path(JsonLine& json, const PathReport& path) {
  json.begin_object()
      .field("answer", path.answer)
      .field("thought_end", thought_end_name(path.end))
      .field("finished", path.finished)
      .field("finish_reason", finish_reason_name(path.reason))
      .field("tokens", path.n_tokens)
      .field("probes", path.n_probes)
      .field("weight", path.weight);
  if (path.passed) json.field("passed", *path.passed);
  if (path.score) json.field("score", *path.score);
  if (!path.verifier_error.empty()) json.field("verifier_error", path.verifier_error);
  json.end_object();
}

std::string_view vote_end_name(VoteEnd end) {
  switch (end) {
    case VoteEnd::kNone: return "none";
    case VoteEnd::kPosterior: return "posterior";
    case VoteEnd::kWindow: return "window";
    case VoteEnd::kCertain: return "certain";
  }
  return "none";
}

void add_deliberation(JsonLine& json, const DeliberationReport& report) {
  json.key("deliberation")
      .begin_object()
      .field("chosen", report.chosen)
      .field("paths_asked", report.n_asked)
      .field("decided_early", report.decided_early)
      .field("vote_end", vote_end_name(report.vote_end))
      .field("posterior", report.posterior)
      .field("probe_confidence", report.probe_confidence)
      .field("agreeing_probes", report.n_agreeing);
  json.key("votes").begin_array();
  for (const VoteCount& vote : report.votes) {
    json.begin_object()
        .field("answer", vote.answer)
        .field("votes", vote.n_votes)
        .field("weight", vote.weight)
        .field("share", vote.share)
        .end_object();
  }
  json.end_array();
  json.key("paths").begin_array();
  for (const PathReport& path : report.paths) add_path(json, path);
  json.end_array().end_object();
}

std::string counted(int64_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

std::string vote_reason(const DeliberationReport& report) {
  switch (report.vote_end) {
    case VoteEnd::kNone: break;
    case VoteEnd::kPosterior: return fmt::format("posterior {:.3f}", report.posterior);
    case VoteEnd::kWindow: return "all answers of a window were the same";
    case VoteEnd::kCertain: return "no other answer could catch up";
  }
  return {};
}

std::string_view fate_of_others(const DeliberationReport& report) {
  const bool any_ended =
      std::any_of(report.paths.begin(), report.paths.end(),
                  [](const PathReport& path) { return path.reason == FinishReason::kCancelled; });
  return any_ended ? "other paths were ended" : "no more paths were begun";
}

std::string reason(const Completion& completion) {
  const int64_t n = completion.usage.output.thinking;
  const auto after = [&](std::string_view what) {
    return fmt::format("The thought ended after {}: {}.\n", counted(n, "token", "tokens"), what);
  };
  const DeliberationReport* report = completion.deliberation.get();
  switch (completion.thought_end) {
    case ThoughtEnd::kNone:
      return n == 0
                 ? "There was no thought.\n"
                 : fmt::format("The thought of {} did not end.\n", counted(n, "token", "tokens"));
    case ThoughtEnd::kOwn: return after("the model closed it");
    case ThoughtEnd::kBudget: return n == 0 ? "No thought was allowed.\n" : after("its budget");
    case ThoughtEnd::kConfident:
      return after(fmt::format("a side branch answered with confidence {:.3f}",
                               report == nullptr ? 0 : report->probe_confidence));
    case ThoughtEnd::kAgreed:
      return after(fmt::format("{} side branches in a row gave the same answer",
                               report == nullptr ? 0 : report->n_agreeing));
    case ThoughtEnd::kVote:
      return report == nullptr ? ""
                               : fmt::format("The vote was decided ({}); {}.\n",
                                             vote_reason(*report), fate_of_others(*report));
    case ThoughtEnd::kVerified:
      return report == nullptr
                 ? ""
                 : fmt::format("An answer passed the verifier; {}.\n", fate_of_others(*report));
    case ThoughtEnd::kAsked: return after("the answer was asked for");
  }
  return {};
}

std::string verdict(const PathReport& path) {
  std::string text;
  if (path.passed) text = *path.passed ? ", passed" : ", not passed";
  if (path.score) text += fmt::format(", score {:.3f}", *path.score);
  return text;
}

// An answer may have several lines.
std::string on_one_line(std::string_view answer) {
  std::string line;
  for (const char c : answer) {
    const bool blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!blank) line += c;
    if (blank && !line.empty() && line.back() != ' ') line += ' ';
  }
  return line;
}

std::string outcome(const PathReport& path) {
  switch (path.reason) {
    case FinishReason::kStop: return path.answer.empty() ? "no answer" : on_one_line(path.answer);
    case FinishReason::kLength: return "broken off";
    case FinishReason::kCancelled: return "ended";
    case FinishReason::kError: return "failed";
  }
  return {};
}

std::string vote_lines(const DeliberationReport& report) {
  std::string text;
  for (const VoteCount& vote : report.votes) {
    text += fmt::format("{:5.1f} %  {} of {}: {}\n", 100 * vote.share, vote.n_votes,
                        counted(report.n_votes(), "answer", "answers"), on_one_line(vote.answer));
  }
  for (size_t i = 0; i < report.paths.size(); ++i) {
    const PathReport& path = report.paths[i];
    text += fmt::format("path {}: {}, {}{}{}\n", i, counted(path.n_tokens, "token", "tokens"),
                        outcome(path), verdict(path),
                        static_cast<int64_t>(i) == report.chosen ? ", told" : "");
  }
  return text;
}

}  // namespace

void add_report(JsonLine& json, const Completion& completion, double load_ms) {
  const Timings& timings = completion.timings;
  json.field("thought_end", thought_end_name(completion.thought_end));
  add_usage(json, completion.usage);
  json.key("timings")
      .begin_object()
      .field("load_ms", load_ms)
      .field("prefill_ms", timings.prefill_ms)
      .field("decode_ms", timings.decode_ms);
  if (timings.verify_ms > 0) json.field("verify_ms", timings.verify_ms);
  json.field("total_ms", timings.total_ms())
      .field("prefill_tok_s", timings.prefill_rate())
      .field("decode_tok_s", timings.decode_rate());
  if (completion.usage.joules) json.field("joules", *completion.usage.joules);
  json.end_object();
  if (completion.deliberation != nullptr) add_deliberation(json, *completion.deliberation);
}

std::string usage_line(const Completion& completion, int64_t context_length) {
  const Usage& usage = completion.usage;
  const Timings& timings = completion.timings;
  std::string line = fmt::format("read {} tokens at {:.1f}/s, thought {}, answered {} at {:.1f}/s",
                                 usage.prompt_tokens, timings.prefill_rate(), usage.output.thinking,
                                 usage.output.answer, timings.decode_rate());
  if (usage.probe_tokens > 0) line += fmt::format(", probed {}", usage.probe_tokens);
  if (usage.discarded_tokens > 0) line += fmt::format(", discarded {}", usage.discarded_tokens);
  if (usage.saved_tokens) line += fmt::format(", saved {}", *usage.saved_tokens);
  line += fmt::format("; {:.1f} s", timings.total_ms() / 1e3);
  if (usage.joules) line += fmt::format(", {:.0f} J", *usage.joules);
  return line + fmt::format("; context {} of {}\n", usage.prompt_tokens + usage.output.total(),
                            context_length);
}

std::string explanation(const Completion& completion) {
  std::string text = reason(completion);
  if (completion.deliberation == nullptr) return text;
  const DeliberationReport& report = *completion.deliberation;
  int64_t n_probes = 0;
  for (const PathReport& path : report.paths) n_probes += path.n_probes;
  if (n_probes > 0) {
    text += fmt::format("{} took {}.\n", counted(n_probes, "side branch", "side branches"),
                        counted(completion.usage.probe_tokens, "token", "tokens"));
  }
  if (report.n_asked == 1) {
    const PathReport& path = report.paths.front();
    if (path.passed) text += *path.passed ? "The answer passed.\n" : "The answer did not pass.\n";
    if (path.score) text += fmt::format("The answer's score is {:.3f}.\n", *path.score);
  } else {
    text += vote_lines(report);
  }
  for (const PathReport& path : report.paths) {
    if (path.verifier_error.empty()) continue;
    text += "The verifier: " + path.verifier_error + ".\n";
    break;
  }
  return text;
}

}  // namespace reckon::cli
