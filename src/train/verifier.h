// A user's program as the reward: one line of JSON in for each output, one line out with its score.
//   in:  {"task": {...}, "thought": "...", "answer": "...", "thought_closed": true, "ended": true,
//         "thought_tokens": 12, "answer_tokens": 3}
//   out: {"score": 1.0}
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "train/reward.h"

namespace reckon::train {

class Verifier {
 public:
  // command: run by the shell, once. Errors: kFailed when it can't be started.
  static Result<std::unique_ptr<Verifier>> start(const std::string& command);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // Errors: kFailed when the program has ended, takes longer than a minute or answers anything
  // else, more lines than it was asked for too.
  Result<double> score(const RewardInput& input);

 private:
  explicit Verifier(std::string command) : command_(std::move(command)) {}
  Status send(const std::string& line);
  Result<std::string> receive();

  std::string command_;
  int pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  std::string pending_;  // read beyond the last line
};

}  // namespace reckon::train
