// Whole runs on a tiny model: the same file again, after a stop, after a kill; what is refused and
// what its errors name.
#include "train/sft.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "engine/load.h"
#include "kernels/training.h"
#include "model/synth.h"
#include "train/chat_data.h"
#include "train/init_model.h"

namespace reckon::train {
namespace {

class Sft : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "sft_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
    ThreadPool pool(1);
    SynthOptions synth;
    synth.type = *parse_synth_type("f32");
    ASSERT_TRUE(
        write_synth_model(*find_synth_shape("tiny-qwen"), synth, path("tok.gguf"), pool).ok());
    int64_t n_parameters = 0;
    const Status made = write_initial_model({.tokenizer = path("tok.gguf"),
                                             .name = "tiny",
                                             .d_model = 32,
                                             .n_layers = 2,
                                             .n_heads = 2,
                                             .n_kv_heads = 1,
                                             .ffn_dim = 64,
                                             .context_length = 256,
                                             .seed = 7},
                                            path("base.gguf"), pool, n_parameters);
    ASSERT_TRUE(made.ok()) << made.error().message;
    std::string lines;
    for (int i = 0; i < 60; ++i) {
      lines += R"({"messages":[{"role":"user","content":"What is )" + std::to_string(i) +
               R"( + 1?"},{"role":"assistant","content":")" + std::to_string(i + 1) +
               R"(","reasoning_content":"one more"}]})" + "\n";
    }
    write("data.jsonl", lines);
    write("held.jsonl", lines.substr(0, lines.find('\n')));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(write_file(path(name), text).ok());
  }
  std::string bytes(const std::string& name) const {
    return read_file(path(name), 1 << 26).ok() ? *read_file(path(name), 1 << 26) : "";
  }
  SftOptions options(const std::string& out) const {
    SftOptions o;
    o.base = path("base.gguf");
    o.data = {path("data.jsonl")};
    o.out = path(out);
    o.n_steps = 12;
    o.batch_tokens = 256;
    o.micro_tokens = 128;
    o.max_tokens = 128;
    o.learning_rate = 3e-3;
    o.checkpoint_every = 4;
    o.n_threads = 1;
    return o;
  }
  Error error_of(const SftOptions& o) const {
    const auto result = run_sft(o, {});
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error{} : result.error();
  }

  std::string folder_;
};

TEST_F(Sft, LearnsAndAnotherRunOnOtherThreadsGivesTheSameFile) {
  SftOptions o = options("a.gguf");
  o.held_out = {path("held.jsonl")};
  double first_loss = 0;
  const auto a = run_sft(o, {.progress = [&](const SftProgress& p) {
                           if (p.step == 1) first_loss = p.loss;
                           return true;
                         }});
  ASSERT_TRUE(a.ok()) << a.error().message;
  EXPECT_LT(a->loss, 0.85 * first_loss);
  EXPECT_TRUE(std::isfinite(a->held_out_loss));
  o.out = path("b.gguf");
  o.n_threads = 3;
  ASSERT_TRUE(run_sft(o, {}).ok());
  EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
  EXPECT_NE(bytes("a.gguf").size(), 0u);
  const std::string csv = bytes("a.gguf.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 13);
  EXPECT_TRUE(bytes("a.gguf.svg").starts_with("<svg"));
  EXPECT_FALSE(std::filesystem::exists(path("a.gguf.checkpoint")));
  // And it loads.
  LoadOptions load;
  load.context_length = 128;
  load.n_threads = 1;
  EXPECT_TRUE(load_engine(path("a.gguf"), load).ok());
}

TEST_F(Sft, ResumedAfterStopsAndKillsIsTheSameFile) {
  ASSERT_TRUE(run_sft(options("whole.gguf"), {}).ok());
  SftOptions o = options("cut.gguf");
  o.resume = true;
  // Stopped politely after step 3: a checkpoint is written there.
  const auto stopped = run_sft(o, {.progress = [](const SftProgress& p) { return p.step != 3; }});
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  // Killed after steps 6 and 9: it goes on from the checkpoints of steps 3 and 8.
  for (const int64_t last : {6, 9}) {
    const pid_t child = ::fork();
    if (child == 0) {
      (void)run_sft(o, {.progress = [&](const SftProgress& p) {
                      if (p.step == last) ::raise(SIGKILL);
                      return true;
                    }});
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
  }
  int64_t first = -1;
  ASSERT_TRUE(run_sft(o, {.plan = [&](const RunPlan& p) { first = p.first_step; }}).ok());
  EXPECT_EQ(first, 8);
  EXPECT_EQ(bytes("whole.gguf"), bytes("cut.gguf"));
  const std::string csv = bytes("cut.gguf.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 13);
}

TEST_F(Sft, ResumingWithOtherSettingsOrADamagedCheckpointIsRefused) {
  SftOptions o = options("x.gguf");
  (void)run_sft(o, {.progress = [](const SftProgress& p) { return p.step != 5; }});
  o.resume = true;
  o.learning_rate = 1e-3;
  EXPECT_EQ(error_of(o).kind, ErrorKind::kUsage);
  const std::string checkpoint = bytes("x.gguf.checkpoint");
  write("x.gguf.checkpoint", checkpoint.substr(0, checkpoint.size() / 2));
  o.learning_rate = 3e-3;
  EXPECT_EQ(error_of(o).kind, ErrorKind::kBadFile);
}

TEST_F(Sft, BadLinesAreErrorsThatNameThem) {
  const std::string good = bytes("held.jsonl") + "\n";
  const std::pair<const char*, const char*> cases[] = {
      {"{", ":3"},
      {"[]", "expected a JSON object"},
      {"{}", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":[{"role":"user"}]})", "content"},
      {R"({"messages":[{"role":"owl","content":"hoo"}]})", "owl"},
      {R"({"messages":[{"role":"user","content":"hoo"}]})", "assistant"},
      {R"({"messages":[{"role":"assistant","content":"a","reasoning_content":3}]})", "reasoning"},
      {"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", ":3"},
  };
  for (const auto& [line, named] : cases) {
    write("bad.jsonl", good + "\n" + line + "\n");
    SftOptions o = options("x.gguf");
    o.data = {path("bad.jsonl")};
    const Error error = error_of(o);
    EXPECT_EQ(error.kind, ErrorKind::kBadFile) << line;
    EXPECT_NE(error.message.find("bad.jsonl:3"), std::string::npos) << error.message;
    EXPECT_NE(error.message.find(named), std::string::npos) << error.message;
  }
  EXPECT_FALSE(std::filesystem::exists(path("x.gguf")));
}

TEST_F(Sft, LongExamplesAreErrorsOrLeftOut) {
  SftOptions o = options("x.gguf");
  o.max_tokens = 20;
  EXPECT_NE(error_of(o).message.find("data.jsonl:1: expected at most 20 tokens"),
            std::string::npos);
  o.skip_long = true;
  EXPECT_EQ(error_of(o).kind, ErrorKind::kBadFile);  // nothing is left
}

TEST_F(Sft, DivergenceStopsWithItsNumbers) {
  SftOptions o = options("x.gguf");
  o.learning_rate = 1e30;
  o.adamw.clip_norm = 0;
  o.warmup_steps = 0;
  const Error error = error_of(o);
  EXPECT_EQ(error.kind, ErrorKind::kFailed);
  EXPECT_NE(error.message.find("diverged"), std::string::npos) << error.message;
  EXPECT_FALSE(std::filesystem::exists(path("x.gguf")));
}

TEST_F(Sft, ABaseWithWeightsThatAreNoNumbersIsRefused) {
  std::string base = bytes("base.gguf");
  std::fill(base.end() - 400, base.end(), '\xff');  // the last tensor's
  write("nan.gguf", base);
  SftOptions o = options("x.gguf");
  o.base = path("nan.gguf");
  const Error error = error_of(o);
  EXPECT_EQ(error.kind, ErrorKind::kBadFile);
  EXPECT_NE(error.message.find("expected a finite number"), std::string::npos) << error.message;
}

TEST_F(Sft, WhatAKilledWriterLeftIsRemovedAndARunningOnesStays) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  const std::string dead = "x.gguf.checkpoint.tmp-" + std::to_string(child) + "-0";
  const std::string alive = "x.gguf.tmp-" + std::to_string(::getpid()) + "-7";
  for (const std::string& name : {dead, alive}) write(name, "half");
  write("x.gguf.tmp-notes", "mine");
  ASSERT_TRUE(run_sft(options("x.gguf"), {}).ok());
  EXPECT_FALSE(std::filesystem::exists(path(dead)));
  EXPECT_TRUE(std::filesystem::exists(path(alive)));
  EXPECT_TRUE(std::filesystem::exists(path("x.gguf.tmp-notes")));
}

TEST_F(Sft, Bfloat16LearnsAsFloat32DoesAndIsTheSameOnOtherThreads) {
  for (const bool lora : {false, true}) {
    SftOptions o = options("f32.gguf");
    o.n_steps = 50;
    o.held_out = {path("held.jsonl")};
    o.lora = lora;
    o.lora_shape.rank = 2;
    if (lora) o.learning_rate = 0.02;
    const auto exact = run_sft(o, {});
    ASSERT_TRUE(exact.ok()) << exact.error().message;
    o.compute = ComputeProfile::kBf16;
    o.out = path("a.gguf");
    RunPlan told;
    double first_loss = 0;
    const auto rounded = run_sft(o, {.plan = [&](const RunPlan& plan) { told = plan; },
                                     .progress =
                                         [&](const SftProgress& p) {
                                           if (p.step == 1) first_loss = p.loss;
                                           return true;
                                         }});
    ASSERT_TRUE(rounded.ok()) << rounded.error().message;
    EXPECT_EQ(told.compute, ComputeProfile::kBf16);
    EXPECT_EQ(told.natively, kernels::has_native_bf16(**kernels::default_table()));
    EXPECT_LT(exact->loss, (lora ? 0.97 : 0.7) * first_loss);
    EXPECT_NEAR(rounded->loss, exact->loss, 0.02 * exact->loss);
    EXPECT_NEAR(rounded->held_out_loss, exact->held_out_loss, 0.02 * exact->held_out_loss);
    EXPECT_NE(bytes("a.gguf"), bytes("f32.gguf"));
    o.out = path("b.gguf");
    o.n_threads = 2;
    ASSERT_TRUE(run_sft(o, {}).ok());
    EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
  }
}

TEST_F(Sft, ACheckpointGoesOnInItsProfileAlone) {
  SftOptions o = options("x.gguf");
  o.resume = true;
  for (const auto& [began, now] : {std::pair{ComputeProfile::kBf16, ComputeProfile::kF32},
                                   {ComputeProfile::kF32, ComputeProfile::kBf16}}) {
    o.compute = began;
    EXPECT_EQ(
        run_sft(o, {.progress = [](const SftProgress& p) { return p.step != 3; }}).error().kind,
        ErrorKind::kInterrupted);
    o.compute = now;
    const Error error = error_of(o);
    EXPECT_EQ(error.kind, ErrorKind::kUsage);
    EXPECT_NE(error.message.find("other settings"), std::string::npos) << error.message;
    std::filesystem::remove(path("x.gguf.checkpoint"));
  }
}

TEST_F(Sft, EarlyStopKeepsTheBest) {
  SftOptions o = options("x.gguf");
  o.held_out = {path("held.jsonl")};
  o.evaluate_every = 1;
  o.patience = 2;
  o.n_steps = 200;
  o.learning_rate = 0.05;
  std::vector<double> seen;
  const auto result = run_sft(o, {.progress = [&](const SftProgress& p) {
                                seen.push_back(p.held_out_loss);
                                return true;
                              }});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_TRUE(result->stopped_early);
  EXPECT_LT(result->n_steps, 200);
  EXPECT_EQ(std::ranges::min_element(seen) - seen.begin(), std::ssize(seen) - 3);
  EXPECT_TRUE(std::filesystem::exists(path("x.gguf")));
  EXPECT_FALSE(std::filesystem::exists(path("x.gguf.best")));
}

// Held-out problems are answered, dense and with adapters; a run that was stopped has the same
// samples as one that wasn't.
TEST_F(Sft, AnswersHeldOutProblems) {
  std::string lines;
  for (int i = 0; i < 9; ++i) {
    lines += R"({"question":"What is )" + std::to_string(i) +
             R"( + 1?","messages":[{"role":"user","content":"What is )" + std::to_string(i) +
             R"( + 1?"},{"role":"assistant","content":"1"}]})" + "\n";
  }
  write("problems.jsonl", lines);
  int64_t n_scored = 0;
  const auto score = [&](const RewardInput& input) -> Result<double> {
    ++n_scored;
    return input.task.at("question").as_string().starts_with("What is 3") ? 1.0 : 0.0;
  };
  for (const bool lora : {false, true}) {
    SftOptions o = options("x.gguf");
    o.held_out = {path("problems.jsonl")};
    o.n_evaluated = 3;  // 0, 3 and 6
    o.evaluate_every = 4;
    o.lora = lora;
    o.lora_shape.rank = 2;
    o.learning_rate = 0.05;
    n_scored = 0;
    std::vector<double> seen;
    const auto result = run_sft(o,
                                {.progress =
                                     [&](const SftProgress& p) {
                                       seen.push_back(p.held_out_accuracy);
                                       return true;
                                     }},
                                score);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(n_scored, 9);
    EXPECT_DOUBLE_EQ(result->held_out_accuracy, 1.0 / 3);
    EXPECT_TRUE(std::isnan(seen[2]));
    EXPECT_DOUBLE_EQ(seen[3], 1.0 / 3);
    const std::string samples = bytes("x.gguf.samples.txt");
    // It is the weights of the step that answer.
    const size_t second = samples.find("==== after step 8\n-- What is 0 + 1?");
    const size_t third = samples.find("==== after step 12\n-- What is 0 + 1?");
    ASSERT_NE(third, std::string::npos) << samples;
    EXPECT_NE(samples.substr(18, second - 18), samples.substr(second + 18, third - second - 18));
    EXPECT_NE(bytes("x.gguf.csv").find("held_out_accuracy"), std::string::npos);

    // Stopped behind an evaluation whose samples are written but not checkpointed.
    o.out = path("y.gguf");
    o.resume = true;
    o.checkpoint_every = 3;
    int64_t stop_at = 5;
    const SftCallbacks stops{.progress = [&](const SftProgress& p) { return p.step != stop_at; }};
    EXPECT_EQ(run_sft(o, stops, score).error().kind, ErrorKind::kInterrupted);
    const auto failing = [](const RewardInput&) -> Result<double> { return failed("no score"); };
    EXPECT_NE(run_sft(o, stops, failing).error().message.find("problems.jsonl:1: no score"),
              std::string::npos);
    write("y.gguf.samples.txt", bytes("y.gguf.samples.txt") + "==== after step 8\n-- lost\n");
    stop_at = -1;
    ASSERT_TRUE(run_sft(o, stops, score).ok());
    EXPECT_EQ(bytes("y.gguf.samples.txt"), samples);
    EXPECT_EQ(bytes("y.gguf"), bytes("x.gguf"));
    EXPECT_FALSE(std::filesystem::exists(path("y.gguf.scratch.q8_0")));
  }
}

TEST_F(Sft, HeldOutQuestionsThatAreTooLongAreFoundAtOnceOrLeftOut) {
  const auto line = [](const std::string& question) {
    return R"({"question":")" + question + R"(","messages":[{"role":"user","content":"x"},)" +
           R"({"role":"assistant","content":"1"}]})" + "\n";
  };
  write("problems.jsonl", line("short?") + line(std::string(300, 'q')));
  SftOptions o = options("x.gguf");
  o.held_out = {path("problems.jsonl")};
  int64_t n_scored = 0;
  const auto score = [&](const RewardInput&) -> Result<double> {
    ++n_scored;
    return 1.0;
  };
  const auto refused = run_sft(o, {}, score);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("problems.jsonl:2: \"question\": expected at most"),
            std::string::npos)
      << refused.error().message;
  o.skip_long = true;
  o.n_steps = 3;
  o.evaluate_every = 3;
  ASSERT_TRUE(run_sft(o, {}, score).ok());
  EXPECT_EQ(n_scored, 1);
  write("problems.jsonl", line(std::string(300, 'q')));
  EXPECT_FALSE(run_sft(o, {}, score).ok());

  write("problems.jsonl", line("short?"));
  const auto stopped = run_sft(o, {.goes_on = [] { return false; }}, score);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
}

TEST_F(Sft, EarlyStopWatchesTheAnswersWhereTheyAreJudged) {
  write("problems.jsonl", R"({"question":"What?","messages":[{"role":"user","content":"What?"},)"
                          R"({"role":"assistant","content":"1"}]})");
  SftOptions o = options("x.gguf");
  o.held_out = {path("problems.jsonl")};
  o.evaluate_every = 1;
  o.patience = 2;
  double next = 0;
  const auto score = [&](const RewardInput&) -> Result<double> {
    return (next += 0.25) <= 0.75 ? next : 0.5;
  };
  std::string best_at_three;
  const auto result = run_sft(o,
                              {.progress =
                                   [&](const SftProgress& p) {
                                     if (p.step == 3) best_at_three = bytes("x.gguf.best");
                                     return true;
                                   }},
                              score);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_TRUE(result->stopped_early);
  EXPECT_EQ(result->n_steps, 5);  // the third was best
  EXPECT_EQ(bytes("x.gguf"), best_at_three);
  EXPECT_NE(best_at_three, "");
  // Worth nothing all along is no worse; the best is what was first.
  o.out = path("level.gguf");
  const auto level = run_sft(o, {}, [](const RewardInput&) -> Result<double> { return 0.0; });
  ASSERT_TRUE(level.ok()) << level.error().message;
  EXPECT_FALSE(level->stopped_early);
  o.held_out.clear();
  o.patience = 0;
  EXPECT_EQ(run_sft(o, {}, score).error().kind, ErrorKind::kUsage);
}

TEST_F(Sft, OptionsThatMakeNoSenseAreUsageErrors) {
  SftOptions o = options("x.gguf");
  o.batch_tokens = 0;
  EXPECT_EQ(error_of(o).kind, ErrorKind::kUsage);
  o = options("x.gguf");
  o.learning_rate = std::nan("");
  EXPECT_EQ(error_of(o).kind, ErrorKind::kUsage);
  o = options("x.gguf");
  o.patience = 3;
  EXPECT_EQ(error_of(o).kind, ErrorKind::kUsage);
  o = options("x.gguf");
  o.micro_tokens = int64_t{1} << 40;
  EXPECT_EQ(error_of(o).kind, ErrorKind::kFailed);  // and nothing was allocated
}

// The learned tokens are the assistant's own, its end of turn among them.
TEST_F(Sft, LossFallsOnTheAssistantAlone) {
  const auto file = GgufFile::open(path("base.gguf"));
  const auto tokenizer = Tokenizer::from_gguf(**file);
  const auto chat_template = choose_chat_template(**file, {});
  ThreadPool pool(1);
  ChatData data;
  ASSERT_TRUE(read_chat_data(path("held.jsonl"), **tokenizer, **chat_template,
                             {.max_tokens = 256, .skip_long = false}, pool, data)
                  .ok());
  ASSERT_EQ(data.examples.size(), 1u);
  const Example& example = data.examples[0];
  std::vector<TokenId> learned;
  std::vector<TokenId> given;
  for (size_t i = 0; i < example.tokens.size(); ++i) {
    (example.learned[i] ? learned : given).push_back(example.tokens[i]);
  }
  EXPECT_EQ(learned.back(), (*tokenizer)->eos());
  learned.pop_back();
  EXPECT_EQ((*tokenizer)->decode(learned), "one more\n</think>\n\n1");
  EXPECT_NE((*tokenizer)->decode(given).find("What is 0 + 1?"), std::string::npos);
}

}  // namespace
}  // namespace reckon::train
