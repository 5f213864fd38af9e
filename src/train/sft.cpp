// The run: data, plan, steps, files.
#include "train/sft.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>

#include "base/file.h"
#include "engine/load.h"
#include "engine/memory.h"
#include "model/synth_weights.h"
#include "train/batch_order.h"
#include "train/chat_data.h"
#include "train/checkpoint.h"
#include "train/dense_store.h"
#include "train/held_out.h"
#include "train/rollout.h"
#include "train/run_log.h"
#include "train/trainer.h"

namespace reckon::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
// What the program itself, the tokenizer and the data take beside the arenas.
constexpr int64_t kOtherBytes = int64_t{64} << 20;
// More than anybody's; they keep sums far from their limits.
constexpr double kMaxEpochs = 1e6;
constexpr int64_t kMaxBatchTokens = int64_t{1} << 32;
// Held-out answers computed at once: their cache is memory that the training lacks.
constexpr int64_t kMaxRunning = 16;

Status check(const SftOptions& o, bool answers) {
  const auto positive = [](const char* name, double value) -> Status {
    if (value > 0 && std::isfinite(value)) return {};
    return usage_error(fmt::format("{}: expected a number above 0, found {}", name, value));
  };
  if (o.data.empty()) return usage_error("--data: expected at least one file");
  RECKON_RETURN_IF_ERROR(positive("--batch-tokens", static_cast<double>(o.batch_tokens)));
  RECKON_RETURN_IF_ERROR(positive("--micro-tokens", static_cast<double>(o.micro_tokens)));
  RECKON_RETURN_IF_ERROR(positive("--max-tokens", static_cast<double>(o.max_tokens)));
  RECKON_RETURN_IF_ERROR(positive("--lr", o.learning_rate));
  RECKON_RETURN_IF_ERROR(positive("--epochs", o.epochs));
  if (o.epochs > kMaxEpochs) {
    return usage_error(
        fmt::format("--epochs: expected at most {}, found {}", kMaxEpochs, o.epochs));
  }
  if (o.batch_tokens > kMaxBatchTokens) {
    return usage_error(fmt::format("--batch-tokens: expected at most {}, found {}", kMaxBatchTokens,
                                   o.batch_tokens));
  }
  if (o.n_steps < 0) {
    return usage_error(fmt::format("--steps: expected 0 or more, found {}", o.n_steps));
  }
  if (!o.peft.empty() && !o.lora) return usage_error("--peft: expected --lora with it");
  if (o.patience > 0 && o.held_out.empty()) {
    return usage_error("--patience: expected --held-out data to watch, found none");
  }
  if (answers && o.held_out.empty()) {
    return usage_error("--reward, --verifier: expected --held-out problems to answer, found none");
  }
  RECKON_RETURN_IF_ERROR(positive("--eval-problems", static_cast<double>(o.n_evaluated)));
  return {};
}

class SftRun {
 public:
  SftRun(const SftOptions& options, const SftCallbacks& callbacks, const Scorer& scorer)
      : options_(options),
        callbacks_(callbacks),
        scorer_(scorer),
        pool_(options.n_threads > 0 ? options.n_threads : physical_core_count()),
        log_({"step", "tokens", "loss", "gradient_norm", "learning_rate", "tokens_per_second",
              "held_out_loss", "held_out_accuracy"}) {}

  Result<SftResult> run() {
    RECKON_RETURN_IF_ERROR(check(options_, answers()));
    RECKON_ASSIGN(file_, GgufFile::open(options_.base));
    RECKON_ASSIGN(model_, Model::load(file_));
    RECKON_RETURN_IF_ERROR(read_data(*model_));
    RECKON_RETURN_IF_ERROR(prepare(*model_));
    RECKON_RETURN_IF_ERROR(begin_or_resume());
    RECKON_RETURN_IF_ERROR(train());
    return finish();
  }

 private:
  Status read_data(const Model& model) {
    RECKON_ASSIGN(const std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::from_gguf(*file_));
    LoadOptions load;
    load.chat_template = options_.chat_template;
    RECKON_ASSIGN(const std::shared_ptr<const ChatTemplate> chat_template,
                  choose_chat_template(*file_, load));
    const ChatDataOptions limits{
        .max_tokens = std::min(options_.max_tokens, model.config().context_length),
        .skip_long = options_.skip_long};
    for (const std::string& path : options_.data) {
      RECKON_RETURN_IF_ERROR(
          read_chat_data(path, *tokenizer, *chat_template, limits, pool_, data_));
    }
    for (const std::string& path : options_.held_out) {
      RECKON_RETURN_IF_ERROR(
          read_chat_data(path, *tokenizer, *chat_template, limits, pool_, held_out_));
    }
    if (data_.examples.empty()) return bad_file("--data: expected examples, found none");
    if (answers()) {
      RECKON_ASSIGN(problems_, HeldOut::read(options_.held_out, options_.n_evaluated,
                                             options_.out + ".samples.txt"));
    }
    std::vector<int64_t> lengths;
    for (const Example& example : data_.examples) {
      lengths.push_back(computed_tokens(example));
      longest_ = std::max(longest_, lengths.back());
    }
    std::vector<size_t> all;
    for (const Example& example : held_out_.examples) {
      longest_ = std::max(longest_, computed_tokens(example));
      all.push_back(all.size());
    }
    held_out_batches_ = pack(held_out_.examples, all, std::max(options_.micro_tokens, longest_));
    order_ = std::make_unique<BatchOrder>(std::move(lengths), options_.batch_tokens, options_.seed);
    n_steps_ = options_.n_steps > 0 ? options_.n_steps : order_->count_steps(options_.epochs);
    return {};
  }

  Status prepare(const Model& model) {
    RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
    ops_ = std::make_unique<FloatOps>(*table, pool_, options_.compute);
    plan_.compute = options_.compute;
    plan_.natively = ops_->is_native();
    RECKON_ASSIGN(const NetworkShape shape, shape_of(model));
    const NetworkOptions network{.max_tokens = std::max(options_.micro_tokens, longest_),
                                 .max_document = longest_,
                                 .recompute = options_.recompute};
    plan_.memory_bytes = memory_bytes(shape, network) + kOtherBytes;
    if (answers()) plan_.memory_bytes += memory_of_answers(model, shape);
    RECKON_ASSIGN(const int64_t available, available_memory());
    if (plan_.memory_bytes > available) {
      return failed(fmt::format(
          "training needs {}, {} are free: fewer --micro-tokens{}{} need less",
          format_bytes(plan_.memory_bytes), format_bytes(available),
          answers() ? " or --max-tokens" : "", options_.recompute ? "" : " or --recompute"));
    }
    RECKON_RETURN_IF_ERROR(make_store(model, shape, network.max_tokens));
    RECKON_ASSIGN(trainer_, Trainer::create(shape, *ops_, network, *store_));
    if (answers()) {
      RECKON_ASSIGN(rollouts_,
                    RolloutEngine::create(file_, options_.chat_template, options_.out + ".scratch",
                                          rollout_options(), pool_));
      RECKON_RETURN_IF_ERROR(problems_.check(*rollouts_, options_.skip_long));
      if (dense_ != nullptr) RECKON_RETURN_IF_ERROR(rollouts_->prepare(dense_->layout()));
    }
    for (const TensorSlot& tensor : store_->tensors()) plan_.n_parameters += tensor.size();
    plan_.n_examples = std::ssize(data_.examples);
    plan_.n_held_out = std::ssize(held_out_.examples);
    plan_.n_skipped = data_.n_skipped + held_out_.n_skipped;
    plan_.n_steps = n_steps_;
    rate_ = {.peak = options_.learning_rate,
             .final_share = options_.final_share,
             .warmup_steps = options_.warmup_steps >= 0 ? options_.warmup_steps
                                                        : std::max<int64_t>(1, n_steps_ / 50),
             .n_steps = n_steps_};
    return {};
  }

  int64_t memory_bytes(const NetworkShape& shape, const NetworkOptions& network) const {
    if (!options_.lora) return Trainer::memory_bytes(shape, *ops_, network);
    return LoraStore::memory_bytes(shape, options_.lora_shape, network.max_tokens) +
           static_cast<int64_t>(sizeof(float)) * Network::activation_floats(shape, *ops_, network);
  }

  bool answers() const { return static_cast<bool>(scorer_); }

  RolloutOptions rollout_options() const {
    return {.max_new_tokens = options_.max_tokens,
            .max_prompt_tokens = options_.max_tokens,
            .max_running = kMaxRunning};
  }

  int64_t memory_of_answers(const Model& model, const NetworkShape& shape) const {
    const RolloutOptions rollout = rollout_options();
    return options_.lora ? RolloutEngine::memory_bytes(model, options_.lora_shape.rank, rollout,
                                                       pool_.n_threads())
                         : RolloutEngine::memory_bytes(shape, rollout, pool_.n_threads());
  }

  Status make_store(const Model& model, const NetworkShape& shape, int64_t max_tokens) {
    if (options_.lora) {
      RECKON_ASSIGN(
          std::unique_ptr<LoraStore> lora,
          LoraStore::create(model, shape, options_.lora_shape, options_.seed, *ops_, max_tokens));
      lora_ = lora.get();
      store_ = std::move(lora);
      return {};
    }
    RECKON_ASSIGN(std::unique_ptr<DenseStore> dense, DenseStore::create(shape, *ops_, true));
    RECKON_RETURN_IF_ERROR(read_weights(model, dense->layout(), pool_, dense->weights()));
    dense_ = dense.get();
    store_ = std::move(dense);
    return {};
  }

  // What is trained, as a file.
  Status write_result(const std::string& path) {
    if (lora_ != nullptr) {
      Adapter adapter = adapter_of(*lora_, model_->config());
      adapter.base_id = adapter_base_id(*file_);
      return write_adapter_gguf(adapter, path);
    }
    return write_model(*file_, dense_->layout(), dense_->weights(), path);
  }

  std::string checkpoint_path() const { return options_.out + ".checkpoint"; }
  std::string best_path() const { return options_.out + ".best"; }

  std::string fingerprint() const {
    return fmt::format(
        "sft steps {} batch {} micro {} max {} lr {} final {} warmup {} betas {} {} epsilon {} "
        "decay {} clip {} seed {} evaluate {} patience {} examples {} held out {} parameters {} "
        "lora {} {} problems {} log {}{}",
        n_steps_, options_.batch_tokens, options_.micro_tokens, options_.max_tokens,
        options_.learning_rate, options_.final_share, rate_.warmup_steps, options_.adamw.beta1,
        options_.adamw.beta2, options_.adamw.epsilon, options_.adamw.weight_decay,
        options_.adamw.clip_norm, options_.seed, options_.evaluate_every, options_.patience,
        data_hash(data_), data_hash(held_out_), plan_.n_parameters,
        options_.lora ? options_.lora_shape.rank : 0, options_.lora_shape.alpha,
        problems_.problems().size(), log_.n_columns(), in_fingerprint(options_.compute));
  }

  // Of the tokens, to tell other data.
  static std::string data_hash(const ChatData& data) {
    uint64_t hash = 0;
    for (const Example& example : data.examples) {
      for (size_t i = 0; i < example.tokens.size(); ++i) {
        hash = mix_bits(hash + static_cast<uint64_t>(example.tokens[i]) * 2 +
                        (example.learned[i] ? 1 : 0) + 1);
      }
    }
    return fmt::format("{} {:016x}", data.examples.size(), hash);
  }

  Status begin_or_resume() {
    remove_abandoned_writes(options_.out);
    state_.fingerprint = fingerprint();
    state_.best_figure = std::numeric_limits<double>::infinity();
    if (options_.resume && std::filesystem::exists(checkpoint_path())) {
      RECKON_RETURN_IF_ERROR(read_checkpoint(checkpoint_path(), state_.fingerprint, state_,
                                             store_->parameters(), trainer_->optimizer()));
      RECKON_RETURN_IF_ERROR(log_.set(state_.log));
      RECKON_RETURN_IF_ERROR(order_->resume_at({state_.epoch, state_.index}, checkpoint_path()));
      if (answers()) RECKON_RETURN_IF_ERROR(problems_.resume_at(state_.steps_done));
    }
    plan_.first_step = state_.steps_done;
    if (callbacks_.plan) callbacks_.plan(plan_);
    return {};
  }

  Status save() {
    state_.epoch = order_->place().epoch;
    state_.index = order_->place().index;
    state_.log = log_.values();
    RECKON_RETURN_IF_ERROR(
        write_checkpoint(checkpoint_path(), state_, store_->parameters(), trainer_->optimizer()));
    return log_.write_csv(options_.out + ".csv");
  }

  // The held-out loss, and the accuracy where answers are judged; whether the run is to end.
  Result<bool> evaluate() {
    held_out_loss_ = trainer_->evaluate(held_out_batches_);
    if (!answers()) return judge(held_out_loss_);
    RECKON_RETURN_IF_ERROR(lora_ != nullptr
                               ? rollouts_->refresh(adapter_of(*lora_, model_->config()))
                               : rollouts_->refresh(dense_->layout(), dense_->weights()));
    const Result<double> accuracy =
        problems_.evaluate(*rollouts_, scorer_, state_.steps_done, callbacks_.goes_on);
    if (!accuracy.ok() && accuracy.error().kind == ErrorKind::kInterrupted) {
      return Error{ErrorKind::kInterrupted,
                   "stopped while held-out problems were answered; --resume goes on from the last "
                   "checkpoint"};
    }
    RECKON_ASSIGN(held_out_accuracy_, accuracy);
    rollouts_->release();
    return judge(-held_out_accuracy_);
  }

  // figure: the lower the better.
  Result<bool> judge(double figure) {
    if (figure < state_.best_figure) {
      state_.best_figure = figure;
      state_.best_step = state_.steps_done;
      state_.n_worse = 0;
      if (options_.patience == 0) return false;
      RECKON_RETURN_IF_ERROR(write_result(best_path()));
      return false;
    }
    if (figure > state_.best_figure) ++state_.n_worse;
    return options_.patience > 0 && state_.n_worse >= options_.patience;
  }

  Status train() {
    const int64_t evaluate_every =
        options_.evaluate_every > 0 ? options_.evaluate_every : std::max<int64_t>(1, n_steps_ / 10);
    const int64_t save_every = options_.checkpoint_every > 0 ? options_.checkpoint_every
                                                             : std::max<int64_t>(1, n_steps_ / 20);
    while (state_.steps_done < n_steps_ && !stopped_early_) {
      const auto started = Clock::now();
      const std::vector<PackedBatch> batches =
          pack(data_.examples, order_->next(), std::max(options_.micro_tokens, longest_));
      const double rate = rate_.at(state_.steps_done);
      RECKON_ASSIGN(result_, trainer_->step(batches, options_.adamw, rate, state_.steps_done));
      const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
      ++state_.steps_done;
      n_tokens_ += result_.n_tokens;
      seconds_ += seconds;
      bool evaluated = false;
      const bool last = state_.steps_done == n_steps_;
      if (!held_out_batches_.empty() && (state_.steps_done % evaluate_every == 0 || last)) {
        evaluated = true;
        RECKON_ASSIGN(stopped_early_, evaluate());
      }
      const double speed = static_cast<double>(result_.n_tokens) / seconds;
      log_.add({static_cast<double>(state_.steps_done), static_cast<double>(result_.n_tokens),
                result_.loss, result_.gradient_norm, rate, speed,
                evaluated ? held_out_loss_ : kNotMeasured,
                evaluated ? held_out_accuracy_ : kNotMeasured});
      const bool goes_on = !callbacks_.progress ||
                           callbacks_.progress({state_.steps_done, n_steps_, result_.loss, rate,
                                                static_cast<double>(n_tokens_) / seconds_,
                                                held_out_loss_, held_out_accuracy_});
      if (!goes_on || (state_.steps_done % save_every == 0 && !last && !stopped_early_)) {
        RECKON_RETURN_IF_ERROR(save());
      }
      if (!goes_on) {
        return Error{
            ErrorKind::kInterrupted,
            fmt::format("stopped after step {}; --resume goes on from there", state_.steps_done)};
      }
    }
    return {};
  }

  Result<SftResult> finish() {
    RECKON_RETURN_IF_ERROR(log_.write_csv(options_.out + ".csv"));
    RECKON_RETURN_IF_ERROR(
        write_file(options_.out + ".svg", plot_svg(panels_of(log_, {{"loss", "held_out_loss"},
                                                                    {"held_out_accuracy"},
                                                                    {"gradient_norm"},
                                                                    {"learning_rate"},
                                                                    {"tokens_per_second"}}))));
    if (stopped_early_) {
      // best_path() stays until all is written: a run that is killed here goes on from it.
      RECKON_RETURN_IF_ERROR(copy_whole(best_path(), options_.out));
    } else {
      RECKON_RETURN_IF_ERROR(write_result(options_.out));
    }
    if (!options_.peft.empty()) {
      // Of the file, which after an early stop holds the best adapter and not the last.
      RECKON_ASSIGN(const Adapter adapter, read_adapter(options_.out, model_->config()));
      RECKON_RETURN_IF_ERROR(write_adapter_peft(adapter, model_->config(),
                                                std::string(model_->config().name), options_.peft));
    }
    std::error_code ignored;
    std::filesystem::remove(checkpoint_path(), ignored);
    std::filesystem::remove(best_path(), ignored);
    return SftResult{
        .n_steps = state_.steps_done,
        .stopped_early = stopped_early_,
        .loss = result_.loss,
        .held_out_loss = held_out_loss_,
        .held_out_accuracy = held_out_accuracy_,
        .tokens_per_second = seconds_ > 0 ? static_cast<double>(n_tokens_) / seconds_ : 0};
  }

  const SftOptions& options_;
  const SftCallbacks& callbacks_;
  const Scorer& scorer_;  // empty: held-out data has no answers to judge
  ThreadPool pool_;
  RunLog log_;
  std::shared_ptr<const GgufFile> file_;
  std::shared_ptr<const Model> model_;
  ChatData data_;
  ChatData held_out_;
  HeldOut problems_;  // the same data as problems
  int64_t longest_ = 1;
  std::vector<PackedBatch> held_out_batches_;
  std::unique_ptr<BatchOrder> order_;
  int64_t n_steps_ = 0;
  std::unique_ptr<FloatOps> ops_;
  std::unique_ptr<TrainableStore> store_;
  DenseStore* dense_ = nullptr;  // store_ as what it is: one of the two
  LoraStore* lora_ = nullptr;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<RolloutEngine> rollouts_;  // null without a scorer
  RunPlan plan_;
  LearningRate rate_;
  RunState state_;
  StepResult result_;
  bool stopped_early_ = false;
  double held_out_loss_ = kNotMeasured;
  double held_out_accuracy_ = kNotMeasured;
  int64_t n_tokens_ = 0;
  double seconds_ = 0;
};

}  // namespace

Result<SftResult> run_sft(const SftOptions& options, const SftCallbacks& callbacks,
                          const Scorer& scorer) {
  return SftRun(options, callbacks, scorer).run();
}

}  // namespace reckon::train
