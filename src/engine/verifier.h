// Asks a program whether an answer is right: docs/thinking.md describes what the two say to each
// other. The program is not trusted: whatever it does, there is a verdict or an error in time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/sandboxed_child.h"
#include "engine/request.h"

namespace reckon {

struct Verdict {
  std::optional<bool> passed;
  std::optional<double> score;  // 0 to 1
};

class Verifier {
 public:
  // answer: the final answer; text: the whole answer that it stands in. Errors: the child's.
  static Result<Verifier> start(const Verification& verification, std::string_view answer,
                                std::string_view text);

  // The verdict, once it is there. Waits for at most wait_ms. Not to be called again then.
  std::optional<Result<Verdict>> poll(int wait_ms);

 private:
  explicit Verifier(SandboxedChild child) : child_(std::move(child)) {}
  SandboxedChild child_;
};

// One line: a JSON object with "pass" (true or false), "score" (0 to 1), or both, and nothing else
// behind it. Errors: kBadFile saying what was found.
Result<Verdict> parse_verdict(std::string_view output);

}  // namespace reckon
