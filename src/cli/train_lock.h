// The lockfile of a training stage: what went in (hashes), with which settings, and the hash of
// what came out, so that a rerun can be compared. Inside cli/ only.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/result.h"

namespace reckon::cli {

// Runs a stage whose command line was parsed into command, and writes OUT.lock.json when it has
// succeeded.
Status run_locked(const CLI::App& command, const std::function<Status()>& job);

// Runs the stage of a lockfile again, into out, and compares the hashes. Errors: kFailed when they
// differ or an input is another one now.
Status rerun_lock(const std::string& lock_path, const std::string& out);

}  // namespace reckon::cli
