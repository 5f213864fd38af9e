// Answers drawn from the weights under training by the engine itself: quantised to Q8_0 in memory
// (a frozen base with adapters as it is), many at once, each question's prompt computed once and
// shared.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/engine.h"
#include "gguf/gguf_file.h"
#include "model/adapter.h"
#include "model/model.h"
#include "tokenizer/chat_template.h"
#include "train/network.h"
#include "train/weights.h"

namespace reckon::train {

struct RolloutOptions {
  int64_t max_new_tokens = 512;
  int64_t max_prompt_tokens = 512;
  int64_t max_running = 64;  // computed at once
};

struct RolloutRequest {
  std::string question;
  uint64_t seed = 0;
  double temperature = 1.0;  // 0: greedy
  bool logprobs = false;     // of every token, as the quantised model has them
};

struct Rollout {
  std::vector<TokenId> prompt;
  std::vector<TokenId> tokens;  // generated, the turn's end too
  std::vector<float> logprobs;  // of tokens, or empty
  std::string thought;
  std::string answer;
  bool thought_closed = false;
  bool ended = false;  // by the model itself, not by the limit
  int64_t thought_tokens = 0;
  int64_t answer_tokens = 0;
};

class RolloutEngine {
 public:
  // base: the model under training, for metadata and tokenizer; scratch_path: a file that may be
  // written and removed. pool must outlive this. Errors: kBadFile.
  static Result<std::unique_ptr<RolloutEngine>> create(std::shared_ptr<const GgufFile> base,
                                                       const std::string& chat_template,
                                                       const std::string& scratch_path,
                                                       const RolloutOptions& options,
                                                       ThreadPool& pool);
  // What it takes: the weights in a file's form and packed, the cache of all answers computed at
  // once, the decoder's buffers. With adapters: the base's weights packed, for rank.
  static int64_t memory_bytes(const NetworkShape& shape, const RolloutOptions& options,
                              int n_threads);
  static int64_t memory_bytes(const Model& base, int64_t rank, const RolloutOptions& options,
                              int n_threads);

  // Makes the file that refresh(layout, weights) fills. Errors: kFailed when it can't be written.
  Status prepare(const WeightLayout& layout);
  // Takes the weights as they are now. Errors: kFailed when they aren't finite or memory is short.
  Status refresh(const WeightLayout& layout, const float* weights);
  // Takes the base with these adapters, not quantised further. Errors: kFailed.
  Status refresh(const Adapter& adapter);

  // Gives back what the answers take until the next refresh.
  void release() { engine_ = nullptr; }

  // A question as the model will see it. Errors: the template's, kUsage when it is too long.
  Result<Request> request_of(const std::string& question) const;

  // One rollout a request, in order; the same whatever is computed beside it. goes_on is asked
  // after each of the engine's steps, may be empty. Errors: request_of's, kFailed, kInterrupted.
  Result<std::vector<Rollout>> generate(std::span<const RolloutRequest> requests,
                                        const std::function<bool()>& goes_on = {});

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ChatTemplate& chat_template() const { return *chat_template_; }

 private:
  explicit RolloutEngine(ThreadPool& pool) : pool_(pool) {}

  Status serve(const std::shared_ptr<Model>& model);

  ThreadPool& pool_;
  RolloutOptions options_;
  std::shared_ptr<const GgufFile> base_;
  std::string scratch_path_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> chat_template_;
  HugeBuffer file_bytes_;  // a whole GGUF file; its tensors' data is rewritten by refresh(weights)
  size_t n_file_bytes_ = 0;
  std::unique_ptr<Engine> engine_;
};

}  // namespace reckon::train
