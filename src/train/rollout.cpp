// The engine over a model file that lies in memory.
#include "train/rollout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <variant>

#include "engine/conversation.h"
#include "engine/load.h"
#include "forward/cpu_decoder.h"
#include "forward/kv_cache.h"
#include "model/quantize.h"
#include "quants/codec.h"

namespace reckon::train {
namespace {

constexpr int64_t kBatchTokens = 512;
constexpr kernels::KvType kKvType = kernels::KvType::kF16;

int64_t context_of(const ModelConfig& config, const RolloutOptions& options) {
  const int64_t most = config.context_length;  // of each part, so that the sum can't overflow
  return std::min(
      most, std::min(most, options.max_prompt_tokens) + std::min(most, options.max_new_tokens) + 1);
}

int64_t n_pages(const ModelConfig& config, const RolloutOptions& options) {
  const int64_t of_one = (context_of(config, options) + kPagePositions - 1) / kPagePositions;
  return of_one * options.max_running;
}

int64_t working_bytes(const ModelConfig& config, int64_t rank, const RolloutOptions& options,
                      int n_threads) {
  return n_pages(config, options) * kv_page_bytes(config, kKvType) +
         cpu_decoder_scratch_bytes(config, rank, kBatchTokens, n_threads);
}

// The file as it will be served: made once on disk, since that is what the writers write.
Result<HugeBuffer> quantised_file(const GgufFile& base, const WeightLayout& layout,
                                  const std::string& scratch_path, ThreadPool& pool,
                                  size_t& n_bytes) {
  RECKON_ASSIGN(const FloatArena zeros, FloatArena::create(layout.n_floats, "rollout weights"));
  const std::string quantised = scratch_path + ".q8_0";
  RECKON_RETURN_IF_ERROR(write_model(base, layout, zeros.data(), scratch_path));
  const Status status = quantize_file(scratch_path, quantised, QuantizeTarget::kQ8_0, pool);
  std::error_code ignored;
  std::filesystem::remove(scratch_path, ignored);
  RECKON_RETURN_IF_ERROR(status);
  RECKON_ASSIGN(const MappedFile file, MappedFile::open(quantised));
  n_bytes = file.bytes().size();
  RECKON_ASSIGN(HugeBuffer buffer, HugeBuffer::create(n_bytes, "the rollouts' model"));
  std::memcpy(buffer.data(), file.bytes().data(), n_bytes);
  std::filesystem::remove(quantised, ignored);
  return buffer;
}

// Gathers one request's events.
struct Gatherer {
  Rollout& rollout;
  std::string& error;
  int64_t& n_left;

  void take(const Event& event) const {
    if (const auto* text = std::get_if<TextEvent>(&event)) {
      (text->part == Part::kThinking ? rollout.thought : rollout.answer) += text->text;
    } else if (const auto* token = std::get_if<TokenEvent>(&event)) {
      rollout.tokens.push_back(token->token);
      if (token->part == Part::kAnswer) rollout.thought_closed = true;
      if (token->logprobs) {
        rollout.logprobs.push_back(static_cast<float>(token->logprobs->chosen));
      }
    } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
      --n_left;
      rollout.ended = finished->reason == FinishReason::kStop;
      rollout.thought_tokens = finished->usage.output.thinking;
      rollout.answer_tokens = finished->usage.output.answer;
      if (finished->reason == FinishReason::kError) error = finished->error;
    }
  }
};

}  // namespace

Result<std::unique_ptr<RolloutEngine>> RolloutEngine::create(std::shared_ptr<const GgufFile> base,
                                                             const std::string& chat_template,
                                                             const std::string& scratch_path,
                                                             const RolloutOptions& options,
                                                             ThreadPool& pool) {
  std::unique_ptr<RolloutEngine> made(new RolloutEngine(pool));
  made->options_ = options;
  made->scratch_path_ = scratch_path;
  RECKON_ASSIGN(made->tokenizer_, Tokenizer::from_gguf(*base));
  LoadOptions load;
  load.chat_template = chat_template;
  RECKON_ASSIGN(made->chat_template_, choose_chat_template(*base, load));
  made->base_ = std::move(base);
  return made;
}

int64_t RolloutEngine::memory_bytes(const NetworkShape& shape, const RolloutOptions& options,
                                    int n_threads) {
  return 2 * row_bytes(TensorType::kQ8_0, layout_of(shape).n_floats) +
         working_bytes(shape.config, 0, options, n_threads);
}

int64_t RolloutEngine::memory_bytes(const Model& base, int64_t rank, const RolloutOptions& options,
                                    int n_threads) {
  return base.resident_bytes(true) + working_bytes(base.config(), rank, options, n_threads);
}

Status RolloutEngine::prepare(const WeightLayout& layout) {
  RECKON_ASSIGN(file_bytes_, quantised_file(*base_, layout, scratch_path_, pool_, n_file_bytes_));
  return {};
}

Status RolloutEngine::refresh(const WeightLayout& layout, const float* weights) {
  RECKON_CHECK(n_file_bytes_ > 0);  // prepare() was called
  engine_ = nullptr;                // it reads the file that is about to change
  const auto open = [&] {
    return GgufFile::from_bytes({file_bytes_.data(), n_file_bytes_}, "the rollouts' model");
  };
  RECKON_ASSIGN(std::shared_ptr<const GgufFile> file, open());
  for (const TensorSlot& slot : layout.tensors) {
    const GgufTensor* tensor = file->find_tensor(slot.name);
    RECKON_CHECK(tensor != nullptr && tensor->n_elements == slot.size());
    std::byte* to = file_bytes_.data() + (tensor->data - file_bytes_.data());
    const int64_t bytes = row_bytes(tensor->type, slot.cols);
    pool_.parallel_for(slot.rows, [&](int64_t row, int) {
      encode_row(tensor->type, weights + slot.offset + row * slot.cols, to + row * bytes,
                 slot.cols);
    });
  }
  RECKON_ASSIGN(const std::shared_ptr<Model> model, Model::load(file));
  return serve(model);
}

Status RolloutEngine::refresh(const Adapter& adapter) {
  engine_ = nullptr;  // two at once would take the memory of two
  RECKON_ASSIGN(const std::shared_ptr<Model> model, Model::load(base_));
  model->set_adapters({adapter});
  return serve(model);
}

Status RolloutEngine::serve(const std::shared_ptr<Model>& model) {
  RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
  RECKON_ASSIGN(std::unique_ptr<CpuDecoder> decoder,
                CpuDecoder::create(model, {.n_pages = n_pages(model->config(), options_),
                                           .kv_type = kKvType,
                                           .max_batch_tokens = kBatchTokens,
                                           .n_threads = pool_.n_threads(),
                                           .kernels = table}));
  RECKON_RETURN_IF_ERROR(model->read_weights(table->reads_packed, pool_, {}));
  RECKON_ASSIGN(engine_, Engine::create(std::move(decoder), tokenizer_, chat_template_,
                                        {.context_length = context_of(model->config(), options_),
                                         .max_running = options_.max_running}));
  return {};
}

Result<Request> RolloutEngine::request_of(const std::string& question) const {
  RECKON_ASSIGN(Request request,
                chat_request(*tokenizer_, *chat_template_, {{Role::kUser, question, {}}}, {}));
  const auto n = std::ssize(request.prompt);
  if (n > options_.max_prompt_tokens) {
    return usage_error(fmt::format("\"question\": expected at most {} tokens as a prompt, found {}",
                                   options_.max_prompt_tokens, n));
  }
  return request;
}

Result<std::vector<Rollout>> RolloutEngine::generate(std::span<const RolloutRequest> requests,
                                                     const std::function<bool()>& goes_on) {
  RECKON_CHECK(engine_ != nullptr);
  std::vector<Rollout> rollouts(requests.size());
  std::string error;
  auto n_left = static_cast<int64_t>(requests.size());
  size_t next = 0;
  int64_t n_in = 0;
  while (n_left > 0) {
    // Not all at once: the engine holds a limited number of requests.
    for (n_in = n_left - static_cast<int64_t>(requests.size() - next);
         next < requests.size() && n_in < 2 * options_.max_running; ++next, ++n_in) {
      const RolloutRequest& wanted = requests[next];
      RECKON_ASSIGN(Request request, request_of(wanted.question));
      request.sampling.temperature = wanted.temperature;
      request.sampling.seed = wanted.seed;
      request.sampling.n_logprobs = wanted.logprobs ? 0 : -1;
      request.max_tokens = options_.max_new_tokens;
      rollouts[next].prompt = request.prompt;
      const Gatherer gatherer{rollouts[next], error, n_left};
      const auto id = engine_->submit(
          std::move(request), [gatherer](RequestId, const Event& event) { gatherer.take(event); });
      if (!id.ok()) return id.error();
    }
    engine_->step();
    if (!error.empty()) return failed("rollouts: " + error);
    if (goes_on && !goes_on())
      return Error{ErrorKind::kInterrupted, "stopped while answers were drawn"};
  }
  return rollouts;
}

}  // namespace reckon::train
