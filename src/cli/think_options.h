// The options that say how much is thought and how: shared by ask and chat.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/request.h"

namespace reckon::cli {

struct ThinkOptions {
  std::optional<int64_t> budget;
  std::string effort;
  double soft_share = Request{}.soft_share;
  std::string closing_sentence;
  int64_t min_tokens = 0;
  std::string early_stop = "off";
  EarlyStop early;
  PathOptions paths;
  std::string vote_stop = "posterior";
  std::string verifier;
  double verify_seconds = 10;
  int64_t verify_mib = 1024;
  bool explain = false;
};
void add_think_options(CLI::App& command, ThinkOptions& options);

// The engine's word for what an option sets, at an error's beginning, becomes the option's name:
// "top_p: expected…" becomes "--top-p: expected…".
Error in_options(Error error);

// Sequences that run at once: the memory must hold their contexts.
int64_t sequences_at_once(const ThinkOptions& options);

// Fills in what the options say. The request's prompt and max_tokens are set. question: what the
// verifier is told. Errors: kUsage for a verifier that can't be found.
Status apply_think_options(const ThinkOptions& options, const Engine& engine, std::string question,
                           Request& request);

}  // namespace reckon::cli
