// Events -> text on the two outputs.
#include "cli/answer_printer.h"

#include <fmt/format.h>

#include <string>
#include <variant>

#include "cli/output.h"
#include "cli/think_report.h"

namespace reckon::cli {
namespace {

std::string describe_end(const Completion& completion, int64_t context_length) {
  const int64_t used = completion.usage.prompt_tokens + completion.usage.output.total();
  if (completion.finish_reason == FinishReason::kCancelled) return "stopped";
  if (completion.finish_reason != FinishReason::kLength) return {};
  if (used >= context_length) {
    return fmt::format("broken off: the context of {} tokens is full (--ctx)", context_length);
  }
  return "broken off: --max-tokens is reached";
}

}  // namespace

AnswerPrinter::AnswerPrinter(Engine& engine, SteersAnswer& steering, ThinkingStart thinking,
                             bool show_thinking, bool quiet)
    : engine_(engine),
      steering_(steering),
      first_part_(thinking == ThinkingStart::kOpened ? Part::kThinking : Part::kAnswer),
      show_thinking_(show_thinking || err().is_terminal()),
      quiet_(quiet) {}

void AnswerPrinter::operator()(RequestId id, const Event& event) {
  if (std::holds_alternative<StartedEvent>(event)) {
    id_ = id;
    steering_.started(id, first_part_);
    if (!quiet_) prefill_.emplace("reading");
  } else if (const auto* read = std::get_if<PrefillEvent>(&event)) {
    if (prefill_)
      prefill_->update(static_cast<double>(read->done), static_cast<double>(read->total));
  } else if (const auto* token = std::get_if<TokenEvent>(&event)) {
    prefill_.reset();
    paths_.reset();
    steering_.set_part(token->part);
  } else if (const auto* text = std::get_if<TextEvent>(&event)) {
    if (!quiet_) show(*text);
  } else if (const auto* paths = std::get_if<PathsEvent>(&event)) {
    prefill_.reset();
    // Until the vote, all that can be done is to end the thoughts.
    steering_.set_part(Part::kThinking);
    if (!quiet_) show(*paths);
  } else {
    prefill_.reset();
    paths_.reset();
  }
}

void AnswerPrinter::show(const PathsEvent& paths) {
  if (!paths_) paths_.emplace("thinking");
  std::string detail = fmt::format("{} tokens", paths.n_tokens);
  if (!paths.leader.empty()) {
    constexpr size_t kMaxShown = 40;
    detail +=
        fmt::format(", {} for {}", paths.leader_votes, visible(paths.leader.substr(0, kMaxShown)));
  }
  paths_->update(static_cast<double>(paths.n_ended), static_cast<double>(paths.n_paths), detail);
}

void AnswerPrinter::show(const TextEvent& text) {
  if (text.part == Part::kThinking) {
    if (!show_thinking_) return;
    err().write_foreign_dim(text.text);
    err().flush();
    thought_shown_ = true;
    return;
  }
  if (thought_shown_ && !answer_begun_) {
    err().write("\n\n");
    err().flush();
  }
  answer_begun_ = true;
  out().write_foreign(text.text);
  out().flush();
  ends_with_newline_ = text.text.ends_with('\n');
  if (!out().status().ok()) engine_.cancel(id_);  // nobody reads any more
}

void AnswerPrinter::finish(const Completion& completion, bool explain) {
  if (quiet_) return;
  if (!ends_with_newline_) out().write("\n");
  out().flush();
  if (thought_shown_ && !answer_begun_) err().write("\n");
  const std::string end = describe_end(completion, engine_.context_length());
  if (!end.empty()) err().write(fmt::format("({})\n", end));
  if (explain) err().write_foreign_dim(explanation(completion));
  if (err().is_terminal()) {
    err().write_dim(usage_line(completion, engine_.context_length()));
  }
  err().flush();
}

}  // namespace reckon::cli
