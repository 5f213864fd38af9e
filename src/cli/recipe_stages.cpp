// The recipe's stages in their order.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"
#include "cli/interrupts.h"
#include "cli/json_line.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/recipe.h"
#include "engine/load.h"
#include "eval/evaluate.h"
#include "eval/problem_set.h"
#include "eval/rejection.h"
#include "model/convert_tokenizer.h"
#include "model/quantize.h"
#include "tokenizer/bpe_trainer.h"
#include "train/average.h"
#include "train/grpo.h"
#include "train/reward.h"
#include "train/sft.h"

namespace reckon::cli {
namespace {

namespace json = boost::json;

constexpr int64_t kSequences = 64;
constexpr int64_t kContext = 1024;
// Of a cold start; docs/recipe.md compares rates. What goes on from trained weights moves less.
constexpr double kStartRate = 4e-3;
constexpr double kLongerRate = 2e-3;
constexpr double kDistillationRate = 1e-3;
constexpr double kSettlingRate = 5e-4;

// Steps until the optimizer's second moments can be trusted.
constexpr int64_t kReinforcementWarmup = 10;

// Seeds: every stage has its own, so that none repeats another's draws.
constexpr uint64_t kTrainingSeed = 1;
constexpr uint64_t kLongerSeed = 2;
constexpr uint64_t kMoreSeed = 3;
constexpr uint64_t kFractionsSeed = 4;
constexpr uint64_t kDivisionsSeed = 5;
constexpr uint64_t kHeldOutSeed = 7;
constexpr uint64_t kDevelopmentSeed = 8;
constexpr uint64_t kSampledSeed = 9;

train::InitOptions shape(const char* name, int64_t d, int64_t layers, int64_t heads,
                         int64_t kv_heads, int64_t ffn) {
  train::InitOptions init;
  init.name = name;
  init.d_model = d;
  init.n_layers = layers;
  init.n_heads = heads;
  init.n_kv_heads = kv_heads;
  init.ffn_dim = ffn;
  init.context_length = 2048;
  init.seed = 1;
  return init;
}

json::array shape_of(const train::InitOptions& o) {
  return {o.d_model, o.n_layers, o.n_heads, o.n_kv_heads, o.ffn_dim, o.context_length};
}

// All that the files depend on: a folder made with other settings is not gone on with.
json::object settings_of(const RecipeScale& scale) {
  return {{"scale", json::string_view(scale.name.data(), scale.name.size())},
          {"version", RECKON_VERSION},
          {"training", scale.n_training},
          {"more", scale.n_more},
          {"fractions", scale.n_fractions},
          {"weakest", scale.n_weakest},
          {"held_out", scale.n_held_out},
          {"development", scale.n_development},
          {"sampled", scale.n_sampled},
          {"samples_a_problem", scale.samples_a_problem},
          {"vocabulary", scale.vocab_size},
          {"cold_start_steps", scale.cold_start_steps},
          {"longer_steps", scale.longer_steps},
          {"second_steps", scale.second_steps},
          {"third_steps", scale.third_steps},
          {"settling_steps", scale.settling_steps},
          {"grpo_steps", scale.grpo_steps},
          {"grpo_questions", scale.grpo_questions},
          {"grpo_group", scale.grpo_group},
          {"small_start_steps", scale.small_start_steps},
          {"small_grpo_steps", scale.small_grpo_steps},
          {"distillation_steps", scale.distillation_steps},
          {"batch_tokens", scale.batch_tokens},
          {"max_output_tokens", scale.max_output_tokens},
          {"rates", {kStartRate, kLongerRate, kDistillationRate, kSettlingRate}},
          {"grpo_warmup", kReinforcementWarmup},
          {"seeds",
           {kTrainingSeed, kLongerSeed, kMoreSeed, kFractionsSeed, kDivisionsSeed, kHeldOutSeed,
            kDevelopmentSeed, kSampledSeed}},
          {"large", shape_of(scale.large)},
          {"small", shape_of(scale.small)}};
}

class Recipe {
 public:
  Recipe(const RecipeScale& scale, std::string folder, Lockfile lock, int n_threads)
      : scale_(scale),
        folder_(std::move(folder)),
        lock_(std::move(lock)),
        n_threads_(n_threads),
        pool_(n_threads) {}

  Status run() {
    RECKON_RETURN_IF_ERROR(prepare());
    RECKON_RETURN_IF_ERROR(make_large());
    RECKON_RETURN_IF_ERROR(make_small());
    RECKON_RETURN_IF_ERROR(
        stage("tables", {"table.md", "table.json"}, [this] { return write_tables(); }));
    out().write(fmt::format("{}/recipe.lock.json: {}\n", folder_, lock_.hash()));
    return {};
  }

 private:
  std::string path(std::string_view name) const { return fmt::format("{}/{}", folder_, name); }

  template <class Job>
  Status stage(const std::string& name, const std::vector<std::string>& files, const Job& job) {
    if (lock_.is_done(name)) {
      out().write(fmt::format("{}: done before\n", name));
      return {};
    }
    out().write(fmt::format("{} ...\n", name));
    out().flush();
    RECKON_RETURN_IF_ERROR(job());
    RECKON_RETURN_IF_ERROR(lock_.record(name, files));
    return interrupts_.interrupted() ? Status(Error{ErrorKind::kInterrupted, ""}) : Status();
  }

  Status problems(const char* file, eval::ProblemSetOptions options) {
    return stage(file, {file}, [&]() -> Status {
      Progress progress(fmt::format("writing {}", file));
      return eval::write_problems(options, path(file), [&](int64_t done, int64_t total) {
        progress.update(static_cast<double>(done), static_cast<double>(total));
        return !interrupts_.interrupted();
      });
    });
  }

  Status training_problems(const char* file, int64_t count, std::vector<std::string> kinds,
                           uint64_t seed) {
    return problems(file,
                    {.held_out = false, .count = count, .kinds = std::move(kinds), .seed = seed});
  }

  Status prepare() {
    RECKON_RETURN_IF_ERROR(training_problems("train.jsonl", scale_.n_training, {}, kTrainingSeed));
    RECKON_RETURN_IF_ERROR(training_problems("longer.jsonl", scale_.n_training, {}, kLongerSeed));
    RECKON_RETURN_IF_ERROR(training_problems("more.jsonl", scale_.n_more, {}, kMoreSeed));
    RECKON_RETURN_IF_ERROR(
        training_problems("fractions.jsonl", scale_.n_fractions, {"fraction"}, kFractionsSeed));
    RECKON_RETURN_IF_ERROR(
        training_problems("fractions_b.jsonl", scale_.n_weakest, {"fraction"}, kFractionsSeed));
    RECKON_RETURN_IF_ERROR(
        training_problems("divisions_b.jsonl", scale_.n_weakest, {"division"}, kDivisionsSeed));
    RECKON_RETURN_IF_ERROR(problems(
        "held_out.jsonl",
        {.held_out = true, .count = scale_.n_held_out, .kinds = {}, .seed = kHeldOutSeed}));
    RECKON_RETURN_IF_ERROR(problems(
        "development.jsonl",
        {.held_out = true, .count = scale_.n_development, .kinds = {}, .seed = kDevelopmentSeed}));
    RECKON_RETURN_IF_ERROR(problems("sampled.jsonl", {.held_out = false,
                                                      .count = scale_.n_sampled,
                                                      .kinds = {},
                                                      .seed = kSampledSeed,
                                                      .percent_direct = 0,
                                                      .percent_followed = 0,
                                                      .need_thought = false}));
    return stage("tokenizer", {"tokenizer.json", "tokenizer_config.json"},
                 [this] { return train_tokenizer(); });
  }

  Status train_tokenizer() {
    RECKON_ASSIGN(BpeTrainer trainer, BpeTrainer::create({.vocab_size = scale_.vocab_size}));
    RECKON_RETURN_IF_ERROR(add_chat_texts(path("train.jsonl"), trainer));
    Progress progress("merging");
    RECKON_ASSIGN(const TokenizerSpec spec, trainer.train([&](int64_t done, int64_t total) {
      progress.update(static_cast<double>(done), static_cast<double>(total));
      return !interrupts_.interrupted();
    }));
    return write_trained_tokenizer(spec, path("tokenizer.json"));
  }

  Status init(const char* file, train::InitOptions options) {
    return stage(file, {file}, [&]() -> Status {
      options.tokenizer = folder_;
      int64_t n_parameters = 0;
      RECKON_RETURN_IF_ERROR(train::write_initial_model(options, path(file), pool_, n_parameters));
      out().write(fmt::format("{}: {} parameters\n", file, n_parameters));
      return {};
    });
  }

  // Trains base on data into name.gguf and name.q8_0.gguf.
  Status sft(const std::string& name, const std::string& base, const std::vector<std::string>& data,
             int64_t n_steps, double learning_rate) {
    const std::string file = name + ".gguf";
    const std::string quantised = name + ".q8_0.gguf";
    return stage(name, {file, quantised}, [&]() -> Status {
      train::SftOptions options;
      options.base = path(base);
      // A model that is too small answers nothing right: then there is nothing of its own to learn.
      for (const std::string& part : data) {
        std::error_code error;
        const bool empty = std::filesystem::file_size(path(part), error) == 0 && !error;
        if (!empty) options.data.push_back(path(part));
      }
      if (options.data.empty()) options.data.push_back(path("train.jsonl"));
      options.held_out = {path("development.jsonl")};
      options.out = path(file);
      options.n_steps = n_steps;
      options.batch_tokens = options.micro_tokens = scale_.batch_tokens;
      options.learning_rate = learning_rate;
      options.skip_long = true;
      options.resume = true;
      options.n_threads = n_threads_;
      Progress progress(name);
      RECKON_ASSIGN(const train::SftResult result,
                    train::run_sft(options, {.progress = [&](const auto& p) {
                                     progress.update(static_cast<double>(p.step),
                                                     static_cast<double>(p.n_steps),
                                                     fmt::format("loss {:.4f}, {:.0f} tokens/s",
                                                                 p.loss, p.tokens_per_second));
                                     return !interrupts_.interrupted();
                                   }}));
      out().write(fmt::format("{}: {} steps, loss {:.4f}\n", name, result.n_steps, result.loss));
      return quantize_file(path(file), path(quantised), QuantizeTarget::kQ8_0, pool_);
    });
  }

  // Reinforces base by every problem's own rule into name.gguf and name.q8_0.gguf.
  Status grpo(const std::string& name, const std::string& base, int64_t n_steps) {
    const std::string file = name + ".gguf";
    const std::string quantised = name + ".q8_0.gguf";
    return stage(name, {file, quantised}, [&]() -> Status {
      train::GrpoOptions options;
      options.base = path(base);
      options.data = {path("sampled.jsonl")};
      options.held_out = {path("development.jsonl")};
      options.n_evaluated = std::numeric_limits<int64_t>::max();
      options.out = path(file);
      options.n_steps = n_steps;
      options.questions = scale_.grpo_questions;
      options.group = scale_.grpo_group;
      options.max_new_tokens = scale_.max_output_tokens;
      options.dynamic_sampling = true;
      options.warmup_steps = kReinforcementWarmup;
      options.adamw.weight_decay = 0;
      options.resume = true;
      options.n_threads = n_threads_;
      Progress progress(name);
      RECKON_ASSIGN(const train::GrpoResult result,
                    train::run_grpo(options, train::find_reward("task")->function,
                                    {.progress = [&](const train::GrpoStep& s) {
                                      progress.update(static_cast<double>(s.step),
                                                      static_cast<double>(s.n_steps),
                                                      fmt::format("reward {:.3f}, dead {:.0f} %",
                                                                  s.reward, 100 * s.dead_groups));
                                      return !interrupts_.interrupted();
                                    }}));
      out().write(
          fmt::format("{}: {} steps, reward {:.3f}\n", name, result.n_steps, result.reward));
      return quantize_file(path(file), path(quantised), QuantizeTarget::kQ8_0, pool_);
    });
  }

  Result<LoadedEngine> load(const std::string& name) {
    LoadOptions options;
    options.context_length = kContext;
    options.n_sequences = kSequences;
    options.n_threads = n_threads_;
    return load_engine(path(name), options);
  }

  // Right answers of a model to the sampled problems.
  Status right_answers(const std::string& model, const std::string& file) {
    return stage(file, {file}, [&]() -> Status {
      RECKON_ASSIGN(const LoadedEngine loaded, load(model + ".q8_0.gguf"));
      RECKON_ASSIGN(const std::vector<eval::Task> tasks,
                    eval::read_tasks(path("sampled.jsonl"), 0));
      eval::RejectionOptions options;
      options.n_samples = scale_.samples_a_problem;
      options.sampling.max_tokens = scale_.max_output_tokens;
      Progress progress(file);
      RECKON_ASSIGN(const eval::RejectionResult result,
                    eval::write_right_answers(*loaded.engine, tasks, options, path(file),
                                              [&](const eval::EvaluationProgress& state) {
                                                progress.update(static_cast<double>(state.done),
                                                                static_cast<double>(state.total));
                                                return !interrupts_.interrupted();
                                              }));
      out().write(fmt::format("{}: {} of {} problems solved, {} answers kept\n", file,
                              result.n_solved, result.n_problems, result.n_kept));
      return {};
    });
  }

  Status make_large() {
    RECKON_RETURN_IF_ERROR(init("large.init.gguf", scale_.large));
    RECKON_RETURN_IF_ERROR(
        sft("cold_start", "large.init.gguf", {"train.jsonl"}, scale_.cold_start_steps, kStartRate));
    RECKON_RETURN_IF_ERROR(
        sft("longer", "cold_start.gguf", {"longer.jsonl"}, scale_.longer_steps, kLongerRate));
    RECKON_RETURN_IF_ERROR(grpo("grpo", "longer.gguf", scale_.grpo_steps));
    RECKON_RETURN_IF_ERROR(right_answers("grpo", "right.jsonl"));
    RECKON_RETURN_IF_ERROR(sft("second", "grpo.gguf", {"right.jsonl", "longer.jsonl"},
                               scale_.second_steps, kLongerRate));
    return make_third();
  }

  // Two runs on more of what is weakest, the mean of their weights, and some steps from there. They
  // begin with second's eight-bit file, which is what this repository kept of it.
  Status make_third() {
    RECKON_RETURN_IF_ERROR(sft("third_a", "second.q8_0.gguf", {"more.jsonl", "fractions.jsonl"},
                               scale_.third_steps, kLongerRate));
    RECKON_RETURN_IF_ERROR(sft("third_b", "second.q8_0.gguf",
                               {"more.jsonl", "fractions_b.jsonl", "divisions_b.jsonl"},
                               scale_.third_steps, kLongerRate));
    RECKON_RETURN_IF_ERROR(stage("third_mean", {"third_mean.gguf"}, [this] {
      const std::string runs[] = {path("third_a.gguf"), path("third_b.gguf")};
      return train::write_average(runs, path("third_mean.gguf"), pool_);
    }));
    return sft("third", "third_mean.gguf", {"more.jsonl"}, scale_.settling_steps, kSettlingRate);
  }

  Status make_small() {
    RECKON_RETURN_IF_ERROR(init("small.init.gguf", scale_.small));
    RECKON_RETURN_IF_ERROR(right_answers("second", "teacher.jsonl"));
    RECKON_RETURN_IF_ERROR(sft("small_start", "small.init.gguf", {"longer.jsonl"},
                               scale_.small_start_steps, kStartRate));
    RECKON_RETURN_IF_ERROR(grpo("small_grpo", "small_start.gguf", scale_.small_grpo_steps));
    return sft("small_distilled", "small_start.gguf", {"teacher.jsonl"}, scale_.distillation_steps,
               kDistillationRate);
  }

  struct Mode {
    std::string_view name;
    bool thinking;
    double temperature;
  };

  static constexpr const char* kMeasured[] = {"cold_start", "longer",         "grpo",
                                              "second",     "third",          "small_start",
                                              "small_grpo", "small_distilled"};

  // scores: [kMeasured], in one mode. A row for each kind, a column for each model.
  static std::string table_of(const std::vector<std::vector<eval::Score>>& scores) {
    std::string text = fmt::format("| kind | n | {} |\n|---|---|", fmt::join(kMeasured, " | "));
    for (size_t i = 0; i < std::size(kMeasured); ++i) text += "---|";
    text += "\n";
    for (size_t row = 0; row < scores.front().size(); ++row) {
      text += fmt::format("| {} | {} |", scores[0][row].kind, scores[0][row].n);
      for (const std::vector<eval::Score>& of_model : scores) {
        const eval::Score& score = of_model[row];
        const eval::Interval interval = eval::wilson_interval(score.n_right, score.n);
        text += fmt::format(" {:.1f} ({:.1f} – {:.1f}), {:.1f} |", 100 * score.accuracy(),
                            100 * interval.low, 100 * interval.high, score.mean_thought_tokens());
      }
      text += "\n";
    }
    return text;
  }

  Status write_tables() {
    constexpr Mode kModes[] = {{"thinking, greedy", true, 0},
                               {"thinking, 0.6", true, 0.6},
                               {"straight away, greedy", false, 0},
                               {"straight away, 0.6", false, 0.6}};
    RECKON_ASSIGN(const std::vector<eval::Task> tasks, eval::read_tasks(path("held_out.jsonl"), 0));
    std::string text =
        "Right, % (95 % interval by Wilson's score), mean tokens of thought. Held-out problems.\n";
    JsonLine rows;
    rows.begin_array();
    for (const Mode& mode : kModes) {
      std::vector<std::vector<eval::Score>> of_models;
      for (const char* model : kMeasured) {
        RECKON_ASSIGN(const LoadedEngine loaded, load(std::string(model) + ".q8_0.gguf"));
        RECKON_ASSIGN(std::vector<eval::Score> scores, measure(*loaded.engine, tasks, mode, model));
        for (const eval::Score& score : scores) {
          rows.begin_object()
              .field("model", model)
              .field("thinking", mode.thinking)
              .field("temperature", mode.temperature)
              .field("kind", score.kind)
              .field("n", score.n)
              .field("right", score.n_right)
              .field("declined", score.n_declined)
              .field("thinking_tokens", score.mean_thought_tokens())
              .end_object();
        }
        of_models.push_back(std::move(scores));
      }
      text += fmt::format("\n## {}\n\n{}", mode.name, table_of(of_models));
    }
    rows.end_array();
    RECKON_RETURN_IF_ERROR(write_file(path("table.md"), text));
    return write_file(path("table.json"), rows.take());
  }

  Result<std::vector<eval::Score>> measure(Engine& engine, const std::vector<eval::Task>& tasks,
                                           const Mode& mode, const char* model) {
    eval::EvaluationOptions options;
    options.thinking = mode.thinking;
    options.temperature = mode.temperature;
    options.max_tokens = scale_.max_output_tokens;
    Progress progress(fmt::format("{}, {}", model, mode.name));
    RECKON_ASSIGN(const std::vector<eval::Outcome> outcomes,
                  eval::evaluate(engine, tasks, options, [&](const eval::EvaluationProgress& s) {
                    progress.update(static_cast<double>(s.done), static_cast<double>(s.total));
                    return !interrupts_.interrupted();
                  }));
    return eval::score_by_kind(tasks, outcomes);
  }

  const RecipeScale& scale_;
  std::string folder_;
  Lockfile lock_;
  int n_threads_;
  ThreadPool pool_;
  PollsForInterrupts interrupts_;
};

}  // namespace

const RecipeScale& full_scale() {
  static const RecipeScale scale = {.name = "full",
                                    .n_training = 500000,
                                    .n_more = 100000,
                                    .n_fractions = 40000,
                                    .n_weakest = 25000,
                                    .n_held_out = 1000,
                                    .n_development = 40,
                                    .n_sampled = 8000,
                                    .samples_a_problem = 4,
                                    .vocab_size = 2048,
                                    .cold_start_steps = 10500,
                                    .longer_steps = 2000,
                                    .grpo_steps = 60,
                                    .grpo_questions = 16,
                                    .grpo_group = 16,
                                    .second_steps = 2000,
                                    .third_steps = 2000,
                                    .settling_steps = 300,
                                    .small_start_steps = 2000,
                                    .small_grpo_steps = 30,
                                    .distillation_steps = 1500,
                                    .batch_tokens = 4096,
                                    .max_output_tokens = 640,
                                    .large = shape("reckon-small", 192, 6, 6, 3, 512),
                                    .small = shape("reckon-tiny", 128, 4, 4, 2, 320)};
  return scale;
}

const RecipeScale& smoke_scale() {
  static const RecipeScale scale = {.name = "smoke",
                                    .n_training = 2000,
                                    .n_more = 400,
                                    .n_fractions = 100,
                                    .n_weakest = 50,
                                    .n_held_out = 3,
                                    .n_development = 2,
                                    .n_sampled = 30,
                                    .samples_a_problem = 2,
                                    .vocab_size = 512,
                                    .cold_start_steps = 60,
                                    .longer_steps = 10,
                                    .grpo_steps = 2,
                                    .grpo_questions = 2,
                                    .grpo_group = 4,
                                    .second_steps = 10,
                                    .third_steps = 10,
                                    .settling_steps = 5,
                                    .small_start_steps = 10,
                                    .small_grpo_steps = 2,
                                    .distillation_steps = 10,
                                    .batch_tokens = 1024,
                                    .max_output_tokens = 48,
                                    .large = shape("smoke-large", 64, 2, 2, 1, 160),
                                    .small = shape("smoke-small", 32, 2, 2, 1, 64)};
  return scale;
}

Status run_recipe(const RecipeScale& scale, const std::string& folder, int n_threads) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return failed(fmt::format("{}: {}", folder, error.message()));
  RECKON_ASSIGN(Lockfile lock, Lockfile::open(folder, settings_of(scale)));
  return Recipe(scale, folder, std::move(lock), n_threads).run();
}

}  // namespace reckon::cli
