// The run: draw, judge, learn, note.
#include "train/grpo.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>

#include "base/file.h"
#include "engine/memory.h"
#include "model/synth_weights.h"
#include "train/batch_order.h"
#include "train/checkpoint.h"
#include "train/dense_store.h"
#include "train/held_out.h"
#include "train/run_log.h"
#include "train/trainer.h"

namespace reckon::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kMaxDraws = 3;  // of dynamic sampling
constexpr int64_t kOtherBytes = int64_t{64} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr int64_t kMaxGroup = 4096;
constexpr int64_t kMaxRunning = 1024;

// One question's answers.
struct Group {
  size_t problem = 0;
  std::vector<Rollout> rollouts;
  std::vector<double> rewards;
};

// A rollout that something is learned from, its tokens' terms beside it.
struct Lesson {
  Example example;
  std::vector<TokenTerms> terms;  // of the generated tokens
};

Status check(const GrpoOptions& o) {
  const auto positive = [](const char* name, int64_t value) -> Status {
    if (value >= 1) return {};
    return usage_error(fmt::format("{}: expected 1 or more, found {}", name, value));
  };
  RECKON_RETURN_IF_ERROR(positive("--steps", o.n_steps));
  RECKON_RETURN_IF_ERROR(positive("--questions", o.questions));
  RECKON_RETURN_IF_ERROR(positive("--updates", o.updates));
  RECKON_RETURN_IF_ERROR(positive("--max-tokens", o.max_new_tokens));
  RECKON_RETURN_IF_ERROR(positive("--max-running", o.max_running));
  RECKON_RETURN_IF_ERROR(positive("--eval-every", o.evaluate_every));
  RECKON_RETURN_IF_ERROR(positive("--save-every", o.checkpoint_every));
  RECKON_RETURN_IF_ERROR(positive("--max-prompt", o.max_prompt_tokens));
  RECKON_RETURN_IF_ERROR(positive("--eval-problems", o.n_evaluated));
  if (o.group < 2 || o.group > kMaxGroup) {
    return usage_error(fmt::format("--group: expected 2 to {}, found {}", kMaxGroup, o.group));
  }
  if (o.max_running > kMaxRunning) {
    return usage_error(
        fmt::format("--max-running: expected at most {}, found {}", kMaxRunning, o.max_running));
  }
  if (o.patience > 0 && o.held_out.empty()) {
    return usage_error("--patience: expected --held-out data to watch, found none");
  }
  if (!(o.learning_rate > 0)) return usage_error("--lr: expected a number above 0");
  return {};
}

class GrpoRun {
 public:
  GrpoRun(const GrpoOptions& options, const Scorer& scorer, const GrpoCallbacks& callbacks)
      : o_(options),
        scorer_(scorer),
        callbacks_(callbacks),
        pool_(options.n_threads > 0 ? options.n_threads : physical_core_count()),
        log_({"step", "reward", "dead_groups", "thought_tokens", "output_tokens", "ended", "loss",
              "entropy", "reference_kl", "clipped", "rollout_kl", "gradient_norm", "learning_rate",
              "held_out_accuracy", "rollout_seconds", "train_seconds", "tokens_per_second"}) {}

  Result<GrpoResult> run() {
    RECKON_RETURN_IF_ERROR(check(o_));
    RECKON_ASSIGN(problems_, read_problems(o_.data));
    if (!o_.held_out.empty()) {
      RECKON_ASSIGN(held_out_, HeldOut::read(o_.held_out, o_.n_evaluated, o_.out + ".samples.txt"));
    }
    RECKON_RETURN_IF_ERROR(prepare());
    RECKON_RETURN_IF_ERROR(begin_or_resume());
    while (state_.steps_done < o_.n_steps && !stopped_early_) {
      RECKON_RETURN_IF_ERROR(step());
    }
    return finish();
  }

 private:
  Status prepare() {
    RECKON_ASSIGN(file_, GgufFile::open(o_.base));
    RECKON_ASSIGN(const std::shared_ptr<const Model> model, Model::load(file_));
    RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
    ops_ = std::make_unique<FloatOps>(*table, pool_, o_.compute);
    plan_.compute = o_.compute;
    plan_.natively = ops_->is_native();
    RECKON_ASSIGN(const NetworkShape shape, shape_of(*model));
    const int64_t longest =
        std::min(shape.config.context_length, o_.max_prompt_tokens + o_.max_new_tokens);
    const NetworkOptions network{.max_tokens = std::max(o_.micro_tokens, longest),
                                 .max_document = longest,
                                 .recompute = false};
    const RolloutOptions rollout{.max_new_tokens = o_.max_new_tokens,
                                 .max_prompt_tokens = o_.max_prompt_tokens,
                                 .max_running = o_.max_running};
    const int64_t weight_bytes = layout_of(shape).n_floats * static_cast<int64_t>(sizeof(float));
    plan_.memory_bytes = Trainer::memory_bytes(shape, *ops_, network) + kOtherBytes +
                         (o_.loss.kl_weight > 0 ? weight_bytes : 0) +
                         RolloutEngine::memory_bytes(shape, rollout, pool_.n_threads());
    RECKON_ASSIGN(const int64_t available, available_memory());
    if (plan_.memory_bytes > available) {
      return failed(
          fmt::format("training needs {}, {} are free: fewer --micro-tokens, --max-running or "
                      "--max-tokens need less",
                      format_bytes(plan_.memory_bytes), format_bytes(available)));
    }
    RECKON_ASSIGN(store_, DenseStore::create(shape, *ops_, true));
    const WeightLayout& layout = store_->layout();
    RECKON_RETURN_IF_ERROR(read_weights(*model, layout, pool_, store_->weights()));
    RECKON_ASSIGN(trainer_, Trainer::create(shape, *ops_, network, *store_));
    if (o_.loss.kl_weight > 0) RECKON_RETURN_IF_ERROR(read_reference(shape));
    RECKON_ASSIGN(rollouts_, RolloutEngine::create(file_, o_.chat_template, o_.out + ".scratch",
                                                   rollout, pool_));
    RECKON_RETURN_IF_ERROR(check_questions(*rollouts_, false, problems_));
    if (!o_.held_out.empty()) RECKON_RETURN_IF_ERROR(held_out_.check(*rollouts_, false));
    RECKON_RETURN_IF_ERROR(rollouts_->prepare(layout));
    order_ = std::make_unique<BatchOrder>(std::vector<int64_t>(problems_.size(), 1), o_.questions,
                                          o_.seed);
    rate_ = {.peak = o_.learning_rate,
             .final_share = o_.final_share,
             .warmup_steps = o_.warmup_steps,
             .n_steps = o_.n_steps};
    plan_.n_parameters = layout.n_parameters();
    plan_.n_examples = std::ssize(problems_);
    plan_.n_held_out = std::ssize(held_out_.problems());
    plan_.n_steps = o_.n_steps;
    return {};
  }

  Status read_reference(const NetworkShape& shape) {
    RECKON_ASSIGN(reference_, DenseStore::create(shape, *ops_, false));
    const std::string& path = o_.reference.empty() ? o_.base : o_.reference;
    RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(path));
    RECKON_ASSIGN(const std::shared_ptr<const Model> model, Model::load(file));
    RECKON_ASSIGN(const NetworkShape other, shape_of(*model));
    const WeightLayout layout = layout_of(other);
    bool same = layout.tensors.size() == reference_->layout().tensors.size();
    for (size_t i = 0; same && i < layout.tensors.size(); ++i) {
      const TensorSlot& slot = reference_->layout().tensors[i];
      same = layout.tensors[i].rows == slot.rows && layout.tensors[i].cols == slot.cols;
    }
    if (!same) return usage_error(path + ": expected a model of the shape of " + o_.base);
    return read_weights(*model, layout, pool_, reference_->weights());
  }

  std::string checkpoint_path() const { return o_.out + ".checkpoint"; }
  std::string best_path() const { return o_.out + ".best"; }

  std::string fingerprint() const {
    uint64_t data = 0;
    for (const std::vector<Problem>* list : {&problems_, &held_out_.problems()}) {
      for (const Problem& problem : *list) {
        for (const char c : problem.question) data = mix_bits(data + static_cast<uint8_t>(c) + 1);
      }
    }
    const GrpoLoss& l = o_.loss;
    return fmt::format(
        "grpo steps {} questions {} group {} updates {} max {} micro {} dynamic {} norm {} std {} "
        "clip {} {} kl {} cap {} lr {} final {} warmup {} betas {} {} epsilon {} decay {} clip {} "
        "seed {} evaluate {} {} patience {} problems {} {} {:016x} log {}{}",
        o_.n_steps, o_.questions, o_.group, o_.updates, o_.max_new_tokens, o_.micro_tokens,
        o_.dynamic_sampling, static_cast<int>(l.norm), l.divide_by_std, l.clip_low, l.clip_high,
        l.kl_weight, l.importance_cap, o_.learning_rate, o_.final_share, o_.warmup_steps,
        o_.adamw.beta1, o_.adamw.beta2, o_.adamw.epsilon, o_.adamw.weight_decay, o_.adamw.clip_norm,
        o_.seed, o_.evaluate_every, o_.n_evaluated, o_.patience, problems_.size(),
        held_out_.problems().size(), data, log_.n_columns(), in_fingerprint(o_.compute));
  }

  Status begin_or_resume() {
    remove_abandoned_writes(o_.out);
    state_.fingerprint = fingerprint();
    state_.best_figure = -std::numeric_limits<double>::infinity();
    if (o_.resume && std::filesystem::exists(checkpoint_path())) {
      RECKON_RETURN_IF_ERROR(read_checkpoint(checkpoint_path(), state_.fingerprint, state_,
                                             store_->weights(), trainer_->optimizer()));
      RECKON_RETURN_IF_ERROR(log_.set(state_.log));
      RECKON_RETURN_IF_ERROR(order_->resume_at({state_.epoch, state_.index}, checkpoint_path()));
      RECKON_RETURN_IF_ERROR(held_out_.resume_at(state_.steps_done));
    }
    plan_.first_step = state_.steps_done;
    if (callbacks_.plan) callbacks_.plan(plan_);
    return {};
  }

  // ---- drawing ----

  uint64_t seed_of(int64_t draw, size_t i) const {
    const uint64_t key = mix_bits(mix_bits(o_.seed + 0x517cc1b727220a95u) +
                                  static_cast<uint64_t>(state_.steps_done * kMaxDraws + draw));
    return mix_bits(key + i);
  }

  Result<std::vector<Group>> draw_groups(const std::vector<size_t>& chosen, int64_t draw) {
    std::vector<RolloutRequest> requests;
    for (const size_t problem : chosen) {
      for (int64_t i = 0; i < o_.group; ++i) {
        // The mismatch is measured on one answer of each group: log-probabilities cost time.
        requests.push_back({.question = problems_[problem].question,
                            .seed = seed_of(draw, requests.size()),
                            .temperature = 1.0,
                            .logprobs = i == 0 || o_.loss.importance_cap > 0});
      }
    }
    RECKON_ASSIGN(std::vector<Rollout> drawn, rollouts_->generate(requests));
    std::vector<Group> groups;
    for (size_t i = 0; i < chosen.size(); ++i) {
      Group group{.problem = chosen[i], .rollouts = {}, .rewards = {}};
      for (int64_t j = 0; j < o_.group; ++j) {
        Rollout& rollout = drawn[i * static_cast<size_t>(o_.group) + static_cast<size_t>(j)];
        RECKON_ASSIGN(const double reward, score_rollout(scorer_, problems_[chosen[i]], rollout));
        group.rewards.push_back(reward);
        group.rollouts.push_back(std::move(rollout));
      }
      groups.push_back(std::move(group));
    }
    return groups;
  }

  // A step's groups; figures of all that were drawn go to s.
  Result<std::vector<Group>> draw(GrpoStep& s) {
    std::vector<Group> kept;
    double n_rollouts = 0;
    double n_groups = 0;
    for (int64_t round = 0; round < (o_.dynamic_sampling ? kMaxDraws : 1); ++round) {
      std::vector<size_t> chosen = order_->next();
      chosen.resize(std::min(chosen.size(), static_cast<size_t>(o_.questions) - kept.size()));
      RECKON_ASSIGN(std::vector<Group> groups, draw_groups(chosen, round));
      for (Group& group : groups) {
        n_groups += 1;
        s.dead_groups += is_dead(group.rewards) ? 1 : 0;
        for (size_t i = 0; i < group.rollouts.size(); ++i) {
          const Rollout& rollout = group.rollouts[i];
          n_rollouts += 1;
          s.reward += group.rewards[i];
          s.thought_tokens += static_cast<double>(rollout.thought_tokens);
          s.output_tokens += static_cast<double>(rollout.tokens.size());
          s.ended += rollout.ended ? 1 : 0;
        }
        if (!o_.dynamic_sampling || !is_dead(group.rewards)) kept.push_back(std::move(group));
      }
      if (std::ssize(kept) >= o_.questions) break;
    }
    n_drawn_tokens_ = s.output_tokens;
    s.dead_groups /= n_groups;
    for (double* mean : {&s.reward, &s.thought_tokens, &s.output_tokens, &s.ended}) {
      *mean /= n_rollouts;
    }
    return kept;
  }

  // ---- learning ----

  std::vector<Lesson> lessons_of(const std::vector<Group>& groups) const {
    int64_t n_rollouts = 0;
    int64_t n_tokens = 0;
    for (const Group& group : groups) {
      for (const Rollout& rollout : group.rollouts) {
        ++n_rollouts;
        n_tokens += std::ssize(rollout.tokens);
      }
    }
    std::vector<Lesson> lessons;
    for (const Group& group : groups) {
      const std::vector<double> gains = advantages(group.rewards, o_.loss.divide_by_std);
      for (size_t i = 0; i < group.rollouts.size(); ++i) {
        const Rollout& rollout = group.rollouts[i];
        // Without an advantage and without a reference there is nothing to learn.
        if (rollout.tokens.empty() || (gains[i] == 0 && o_.loss.kl_weight <= 0)) continue;
        Lesson lesson;
        lesson.example.tokens = rollout.prompt;
        lesson.example.learned.assign(rollout.prompt.size(), false);
        const double weight = token_weight(o_.loss, std::ssize(rollout.tokens), n_rollouts,
                                           n_tokens, o_.max_new_tokens);
        for (size_t t = 0; t < rollout.tokens.size(); ++t) {
          lesson.example.tokens.push_back(rollout.tokens[t]);
          lesson.example.learned.push_back(true);
          TokenTerms terms{.advantage = gains[i], .weight = weight};
          terms.rollout =
              rollout.logprobs.empty() ? kNotMeasured : static_cast<double>(rollout.logprobs[t]);
          lesson.terms.push_back(terms);
        }
        lessons.push_back(std::move(lesson));
      }
    }
    return lessons;
  }

  // Calls body(batch, the terms of its learned places) for lessons packed into batches.
  template <class Body>
  void for_batches(std::span<Lesson> lessons, const Body& body) {
    for (size_t first = 0; first < lessons.size();) {
      PackedBatch batch;
      std::vector<TokenTerms*> terms;
      for (; first < lessons.size(); ++first) {
        const int64_t n = computed_tokens(lessons[first].example);
        if (batch.n_tokens() > 0 && batch.n_tokens() + n > o_.micro_tokens) break;
        batch.add(lessons[first].example);
        for (TokenTerms& t : lessons[first].terms) terms.push_back(&t);
      }
      body(batch, terms);
    }
  }

  // What the trainer's own weights, and the reference's, say of every token.
  void recompute(std::vector<Lesson>& lessons) {
    for_batches(lessons, [&](const PackedBatch& batch, const std::vector<TokenTerms*>& terms) {
      if (o_.updates > 1 || o_.loss.importance_cap > 0) {
        trainer_->network().forward(batch, *store_, false, outcomes_);
        for (size_t i = 0; i < terms.size(); ++i) {
          terms[i]->old_logprob = static_cast<double>(outcomes_[i].logprob);
        }
      }
      if (reference_ != nullptr) {
        trainer_->network().forward(batch, *reference_, false, outcomes_);
        for (size_t i = 0; i < terms.size(); ++i) {
          terms[i]->reference = static_cast<double>(outcomes_[i].logprob);
        }
      }
    });
  }

  Status learn(std::vector<Lesson>& lessons, GrpoStep& s) {
    recompute(lessons);
    // With one update the old policy is the one that is being moved: every ratio is 1.
    const bool old_is_current = o_.updates == 1 && o_.loss.importance_cap <= 0;
    double n_tokens = 0;
    double n_measured = 0;
    const auto n_lessons = std::ssize(lessons);
    for (int64_t update = 0; update < o_.updates; ++update) {
      const int64_t begin = n_lessons * update / o_.updates;
      const int64_t end = n_lessons * (update + 1) / o_.updates;
      if (begin == end) continue;
      store_->clear_gradients();
      const std::span part(lessons.data() + begin, static_cast<size_t>(end - begin));
      for_batches(part, [&](const PackedBatch& batch, const std::vector<TokenTerms*>& terms) {
        const auto gradient = [&](int64_t i, float logprob) {
          TokenTerms term = *terms[static_cast<size_t>(i)];
          if (old_is_current) term.old_logprob = static_cast<double>(logprob);
          return static_cast<float>(
              logprob_gradient(o_.loss, term, static_cast<double>(logprob), nullptr));
        };
        trainer_->network().forward_backward(batch, *store_, gradient, true, outcomes_);
        for (size_t i = 0; i < terms.size(); ++i) {
          const auto logprob = static_cast<double>(outcomes_[i].logprob);
          n_tokens += 1;
          if (old_is_current) terms[i]->old_logprob = logprob;
          s.loss += token_loss(o_.loss, *terms[i], logprob);
          s.entropy += static_cast<double>(outcomes_[i].entropy);
          if (reference_ != nullptr) s.reference_kl += k3(terms[i]->reference, logprob);
          bool clipped = false;
          if (!old_is_current) logprob_gradient(o_.loss, *terms[i], logprob, &clipped);
          s.clipped += clipped ? 1 : 0;
          // Comparable only before the weights have moved.
          if (update == 0 && std::isfinite(terms[i]->rollout)) {
            n_measured += 1;
            s.rollout_kl += terms[i]->rollout - logprob;
          }
        }
      });
      const double norm = trainer_->optimizer().step(
          o_.adamw, s.learning_rate, static_cast<double>(o_.updates),
          state_.steps_done * o_.updates + update, store_->gradients(), store_->weights());
      RECKON_RETURN_IF_ERROR(
          check_finite({.loss = 0, .gradient_norm = norm, .n_tokens = 0, .n_learned = 0}, *store_,
                       state_.steps_done + 1, s.learning_rate));
      s.gradient_norm = std::max(s.gradient_norm, norm);
    }
    s.entropy = n_tokens > 0 ? s.entropy / n_tokens : kNotMeasured;
    s.clipped = n_tokens > 0 ? s.clipped / n_tokens : 0;
    s.reference_kl =
        reference_ != nullptr && n_tokens > 0 ? s.reference_kl / n_tokens : kNotMeasured;
    s.rollout_kl = n_measured > 0 ? s.rollout_kl / n_measured : kNotMeasured;
    return {};
  }

  // ---- judging ----

  Status judge(double accuracy) {
    held_out_accuracy_ = accuracy;
    if (accuracy > state_.best_figure) {
      state_.best_figure = accuracy;
      state_.best_step = state_.steps_done;
      state_.n_worse = 0;
      if (o_.patience == 0) return {};
      return write_model(*file_, store_->layout(), store_->weights(), best_path());
    }
    if (accuracy < state_.best_figure) ++state_.n_worse;
    stopped_early_ = o_.patience > 0 && state_.n_worse >= o_.patience;
    return {};
  }

  Status step() {
    GrpoStep s;
    s.step = state_.steps_done + 1;
    s.n_steps = o_.n_steps;
    s.learning_rate = rate_.at(state_.steps_done);
    s.held_out = kNotMeasured;
    auto started = Clock::now();
    RECKON_RETURN_IF_ERROR(rollouts_->refresh(store_->layout(), store_->weights()));
    RECKON_ASSIGN(const std::vector<Group> groups, draw(s));
    s.rollout_seconds = seconds_since(started);
    started = Clock::now();
    std::vector<Lesson> lessons = lessons_of(groups);
    RECKON_RETURN_IF_ERROR(learn(lessons, s));
    s.train_seconds = seconds_since(started);
    s.tokens_per_second = n_drawn_tokens_ / (s.rollout_seconds + s.train_seconds);
    ++state_.steps_done;
    const bool last = state_.steps_done == o_.n_steps;
    if (!held_out_.problems().empty() && (state_.steps_done % o_.evaluate_every == 0 || last)) {
      RECKON_RETURN_IF_ERROR(rollouts_->refresh(store_->layout(), store_->weights()));
      RECKON_ASSIGN(s.held_out, held_out_.evaluate(*rollouts_, scorer_, state_.steps_done, {}));
      RECKON_RETURN_IF_ERROR(judge(s.held_out));
    }
    last_ = s;
    log_.add({static_cast<double>(s.step), s.reward, s.dead_groups, s.thought_tokens,
              s.output_tokens, s.ended, s.loss, s.entropy, s.reference_kl, s.clipped, s.rollout_kl,
              s.gradient_norm, s.learning_rate, s.held_out, s.rollout_seconds, s.train_seconds,
              s.tokens_per_second});
    const bool goes_on = !callbacks_.progress || callbacks_.progress(s);
    if (!goes_on || (state_.steps_done % o_.checkpoint_every == 0 && !last && !stopped_early_)) {
      RECKON_RETURN_IF_ERROR(save());
    }
    if (goes_on) return {};
    return Error{
        ErrorKind::kInterrupted,
        fmt::format("stopped after step {}; --resume goes on from there", state_.steps_done)};
  }

  Status save() {
    state_.epoch = order_->place().epoch;
    state_.index = order_->place().index;
    state_.log = log_.values();
    RECKON_RETURN_IF_ERROR(
        write_checkpoint(checkpoint_path(), state_, store_->weights(), trainer_->optimizer()));
    return log_.write_csv(o_.out + ".csv");
  }

  Result<GrpoResult> finish() {
    RECKON_RETURN_IF_ERROR(log_.write_csv(o_.out + ".csv"));
    RECKON_RETURN_IF_ERROR(
        write_file(o_.out + ".svg", plot_svg(panels_of(log_, {{"reward", "held_out_accuracy"},
                                                              {"output_tokens", "thought_tokens"},
                                                              {"entropy"},
                                                              {"loss"},
                                                              {"dead_groups", "ended"},
                                                              {"rollout_kl", "reference_kl"}}))));
    if (stopped_early_) {
      // best_path() stays until all is written: a run that is killed here goes on from it.
      RECKON_RETURN_IF_ERROR(copy_whole(best_path(), o_.out));
    } else {
      RECKON_RETURN_IF_ERROR(write_model(*file_, store_->layout(), store_->weights(), o_.out));
    }
    std::error_code ignored;
    std::filesystem::remove(checkpoint_path(), ignored);
    std::filesystem::remove(best_path(), ignored);
    return GrpoResult{.n_steps = state_.steps_done,
                      .stopped_early = stopped_early_,
                      .reward = last_.reward,
                      .held_out = held_out_accuracy_};
  }

  const GrpoOptions& o_;
  const Scorer& scorer_;
  const GrpoCallbacks& callbacks_;
  ThreadPool pool_;
  RunLog log_;
  std::shared_ptr<const GgufFile> file_;
  std::vector<Problem> problems_;
  HeldOut held_out_;
  std::unique_ptr<FloatOps> ops_;
  std::unique_ptr<DenseStore> store_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<DenseStore> reference_;  // null without a KL term
  std::unique_ptr<RolloutEngine> rollouts_;
  std::unique_ptr<BatchOrder> order_;
  LearningRate rate_;
  RunState state_;
  RunPlan plan_;
  GrpoStep last_;
  std::vector<TokenOutcome> outcomes_;
  double n_drawn_tokens_ = 0;  // of the step under way
  bool stopped_early_ = false;
  double held_out_accuracy_ = kNotMeasured;
};

}  // namespace

Result<GrpoResult> run_grpo(const GrpoOptions& options, const Scorer& scorer,
                            const GrpoCallbacks& callbacks) {
  return GrpoRun(options, scorer, callbacks).run();
}

}  // namespace reckon::train
