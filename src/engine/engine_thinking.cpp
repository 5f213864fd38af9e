// The engine's share in thinking less: names, efforts as budgets, refusals, and the requests that
// are several inside.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "engine/engine.h"

namespace reckon {
namespace {

constexpr int64_t kMaxPaths = 64;
constexpr int kVerifierWaitMs = 5;  // of a step in which nothing is computed
constexpr size_t kMaxSentenceBytes = 1024;

// A thought gets this share of what is left for the output; docs/thinking.md shows the same table.
struct EffortShare {
  std::string_view name;
  int64_t sixteenths;
};
constexpr std::array<EffortShare, 6> kEfforts{{
    {"none", 0},
    {"minimal", 1},
    {"low", 2},
    {"medium", 4},
    {"high", 8},
    {"xhigh", 14},
}};
// A finished thought, after Ma et al. 2025, "Reasoning Models Can Be Effective Without Thinking".
constexpr std::string_view kFinishedThought = "Okay, I think I have finished thinking.";

Status check_early_stop(const EarlyStop& early) {
  if (!(early.confidence > 0 && early.confidence <= 1)) {
    return usage_error(fmt::format(
        "early_stop.confidence: expected more than 0 and at most 1, found {}", early.confidence));
  }
  if (!early.style.empty() && find_probe_style(early.style) == nullptr) {
    return usage_error(
        fmt::format("early_stop.style: expected r1, lines or plain, found {}", early.style));
  }
  if (early.agreeing < 2) {
    return usage_error(
        fmt::format("early_stop.agreeing: expected at least 2, found {}", early.agreeing));
  }
  if (early.min_gap < 1) {
    return usage_error(
        fmt::format("early_stop.min_gap: expected at least 1 token, found {}", early.min_gap));
  }
  if (early.max_probe_tokens < 1) {
    return usage_error(fmt::format("early_stop.max_probe_tokens: expected at least 1, found {}",
                                   early.max_probe_tokens));
  }
  return {};
}

Status check_paths(const PathOptions& paths) {
  if (paths.n < 1 || paths.n > kMaxPaths) {
    return usage_error(fmt::format("paths: expected 1 to {}, found {}", kMaxPaths, paths.n));
  }
  if (paths.window < 1) {
    return usage_error(fmt::format("paths.window: expected at least 1, found {}", paths.window));
  }
  if (paths.stop == PathOptions::Stop::kWindow && paths.window < 2) {
    return usage_error(fmt::format(
        "paths.window: expected at least 2 where a window that agrees decides, found {}",
        paths.window));
  }
  if (!(paths.confidence > 0.5 && paths.confidence <= 1)) {
    return usage_error(fmt::format(
        "paths.confidence: expected more than 0.5 and at most 1, found {}", paths.confidence));
  }
  return {};
}

Status check_verification(const Verification& verification) {
  if (verification.program.empty()) return {};
  std::error_code error;
  if (!std::filesystem::is_regular_file(verification.program, error) ||
      access(verification.program.c_str(), X_OK) != 0) {
    return usage_error(
        fmt::format("verify: expected a file that may be run, found {}", verification.program));
  }
  if (verification.time_ms < 1 || verification.memory_bytes < 1) {
    return usage_error(fmt::format("verify: expected limits above 0, found {} ms and {} bytes",
                                   verification.time_ms, verification.memory_bytes));
  }
  return {};
}

}  // namespace

std::string_view thought_end_name(ThoughtEnd end) {
  switch (end) {
    case ThoughtEnd::kNone: return "none";
    case ThoughtEnd::kOwn: return "own";
    case ThoughtEnd::kBudget: return "budget";
    case ThoughtEnd::kConfident: return "confident";
    case ThoughtEnd::kAgreed: return "agreed";
    case ThoughtEnd::kVote: return "vote";
    case ThoughtEnd::kVerified: return "verified";
    case ThoughtEnd::kAsked: return "asked";
  }
  return "none";
}

std::optional<Effort> parse_effort(std::string_view name) {
  for (size_t i = 0; i < kEfforts.size(); ++i) {
    if (kEfforts[i].name == name) return static_cast<Effort>(i);
  }
  return std::nullopt;
}

void apply_effort(Effort effort, int64_t context_length, Request& request) {
  const int64_t left = context_length - static_cast<int64_t>(request.prompt.size());
  const int64_t room = std::max<int64_t>(0, std::min(left, request.max_tokens.value_or(left)));
  const int64_t share = kEfforts[static_cast<size_t>(effort)].sixteenths;
  // In two steps, so that no product overflows.
  request.think_budget = room / 16 * share + room % 16 * share / 16;
  if (effort == Effort::kNone) request.closing_sentence = kFinishedThought;
}

Status Engine::check_thinking(const Request& request) const {
  if (!(request.soft_share >= 0 && request.soft_share <= 1)) {
    return usage_error(fmt::format("soft_share: expected 0 to 1, found {}", request.soft_share));
  }
  if (request.closing_sentence.size() > kMaxSentenceBytes) {
    return usage_error(fmt::format("closing_sentence: expected at most {} bytes, found {}",
                                   kMaxSentenceBytes, request.closing_sentence.size()));
  }
  if (request.min_think_tokens < 0) {
    return usage_error(
        fmt::format("min_think_tokens: expected 0 or more, found {}", request.min_think_tokens));
  }
  if (request.think_budget && request.min_think_tokens > *request.think_budget) {
    return usage_error(fmt::format("min_think_tokens: expected at most the budget of {}, found {}",
                                   *request.think_budget, request.min_think_tokens));
  }
  if (request.min_think_tokens > 0 &&
      (marks_.close.empty() || tokenizer_->find(marks_.close) == kNoToken)) {
    return usage_error(
        "min_think_tokens: expected a model with a token of its own for the end of a thought");
  }
  if (request.n_continued < 0 || request.n_continued > std::ssize(request.prompt)) {
    return usage_error(fmt::format("n_continued: expected at most the prompt's {} tokens, found {}",
                                   request.prompt.size(), request.n_continued));
  }
  RECKON_RETURN_IF_ERROR(check_early_stop(request.early_stop));
  if (request.early_stop.rule != EarlyStop::Rule::kOff && marks_.close.empty()) {
    return usage_error("early_stop: expected a model whose chat template has thoughts");
  }
  if (request.early_stop.rule != EarlyStop::Rule::kOff && request.constraint != nullptr) {
    return usage_error("early_stop: expected off where the answer is held to a format");
  }
  RECKON_RETURN_IF_ERROR(check_paths(request.paths));
  return check_verification(request.verification);
}

Result<RequestId> Engine::submit_deliberation(Request request, EventSink sink) {
  const std::lock_guard lock(mutex_);
  if (n_deliberations_ >= kMaxDeliberations) {
    return failed(fmt::format(
        "too many requests: expected at most {} with several paths, early stop or a verifier",
        kMaxDeliberations));
  }
  submitted_deliberations_.reserve(submitted_deliberations_.size() + 1);
  const RequestId id = controls_.claim();
  if (id == 0) {
    return failed(
        fmt::format("too many requests: expected at most {} at once", ControlTable::kSlots));
  }
  try {
    submitted_deliberations_.push_back(
        std::make_unique<Deliberation>(*this, id, std::move(request), std::move(sink)));
  } catch (const std::bad_alloc&) {
    controls_.release(id);
    throw;
  }
  ++n_deliberations_;
  return id;
}

// Takes in new ones, drives all of them by one turn, and lets go of those that are over.
void Engine::deliberate() {
  {
    const std::lock_guard lock(mutex_);
    deliberations_.reserve(deliberations_.size() + submitted_deliberations_.size());
    for (auto& submitted : submitted_deliberations_) {
      deliberations_.push_back(std::move(submitted));
    }
    submitted_deliberations_.clear();
  }
  const bool nothing_else =
      active_.empty() && std::all_of(deliberations_.begin(), deliberations_.end(),
                                     [](const auto& d) { return d->waits_for_verifier(); });
  bool may_wait = nothing_else;
  for (const auto& deliberation : deliberations_) {
    const uint64_t flags = controls_.flags(deliberation->id());
    deliberation->poll((flags & ControlTable::kCancel) != 0,
                       (flags & ControlTable::kAnswerNow) != 0, may_wait ? kVerifierWaitMs : 0);
    may_wait = false;  // one of them is enough for all
  }
  std::erase_if(deliberations_, [this](const auto& deliberation) {
    if (!deliberation->over()) return false;
    const std::lock_guard lock(mutex_);
    controls_.release(deliberation->id());
    --n_deliberations_;
    return true;
  });
}

}  // namespace reckon
