// Reinforcement from end to end on a tiny model, and the verifier program.
#include "train/grpo.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "model/synth.h"
#include "train/init_model.h"
#include "train/verifier.h"

namespace reckon::train {
namespace {

class Grpo : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "grpo_" + std::to_string(::getpid());
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
                                             .n_layers = 1,
                                             .n_heads = 2,
                                             .n_kv_heads = 1,
                                             .ffn_dim = 64,
                                             .context_length = 256,
                                             .seed = 7},
                                            path("base.gguf"), pool, n_parameters);
    ASSERT_TRUE(made.ok()) << made.error().message;
    std::string lines;
    for (int i = 0; i < 12; ++i) {
      lines += R"({"question":"What is )" + std::to_string(i) + R"( + 1?"})" + "\n";
    }
    ASSERT_TRUE(write_file(path("problems.jsonl"), lines).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string bytes(const std::string& name) const {
    const auto text = read_file(path(name), 1 << 26);
    return text.ok() ? *text : "";
  }
  GrpoOptions options(const std::string& out) const {
    GrpoOptions o;
    o.base = path("base.gguf");
    o.data = {path("problems.jsonl")};
    o.out = path(out);
    o.n_steps = 4;
    o.questions = 3;
    o.group = 4;
    o.max_new_tokens = 12;
    o.max_prompt_tokens = 100;
    o.micro_tokens = 256;
    o.learning_rate = 1e-2;
    o.adamw.weight_decay = 0;
    o.checkpoint_every = 1;
    o.n_threads = 2;
    return o;
  }

  std::string folder_;
};

// A rule that a random model meets now and then: many different bytes.
Result<double> variety(const RewardInput& input) {
  bool seen[256] = {};
  double n = 0;
  for (const char c : std::string(input.thought) + std::string(input.answer)) {
    if (!seen[static_cast<uint8_t>(c)]) n += 1;
    seen[static_cast<uint8_t>(c)] = true;
  }
  return n;
}

TEST_F(Grpo, SameFileWhateverIsComputedAtOnceAndAfterAStop) {
  GrpoOptions o = options("a.gguf");
  o.held_out = {path("problems.jsonl")};
  o.evaluate_every = 2;
  o.n_evaluated = 5;
  std::vector<GrpoStep> steps;
  const auto a = run_grpo(o, variety, {.progress = [&](const GrpoStep& s) {
                            steps.push_back(s);
                            return true;
                          }});
  ASSERT_TRUE(a.ok()) << a.error().message;
  ASSERT_EQ(steps.size(), 4u);
  EXPECT_GT(steps[0].reward, 0);
  EXPECT_GT(steps[0].entropy, 1);  // a random model knows nothing
  EXPECT_LT(std::fabs(steps[0].rollout_kl), 0.05);
  EXPECT_GT(steps[0].gradient_norm, 0);
  EXPECT_NEAR(steps[0].loss, 0, 1e-6);  // the advantages of a group cancel
  EXPECT_GT(steps[0].tokens_per_second, 0);
  EXPECT_TRUE(std::isnan(steps[0].held_out));
  EXPECT_FALSE(std::isnan(steps[1].held_out));
  EXPECT_NE(bytes("a.gguf.samples.txt").find("What is 0 + 1?"), std::string::npos);
  EXPECT_TRUE(bytes("a.gguf.svg").starts_with("<svg"));

  o.out = path("b.gguf");
  o.n_threads = 1;
  o.max_running = 3;
  o.resume = true;
  const auto stopped =
      run_grpo(o, variety, {.progress = [](const GrpoStep& s) { return s.step != 2; }});
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  RunPlan plan;
  ASSERT_TRUE(
      run_grpo(o, variety, {.plan = [&](const RunPlan& p) { plan = p; }, .progress = {}}).ok());
  EXPECT_EQ(plan.first_step, 2);
  EXPECT_EQ(plan.n_held_out, 5);
  EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
  EXPECT_EQ(bytes("a.gguf.samples.txt"), bytes("b.gguf.samples.txt"));
  EXPECT_NE(bytes("a.gguf"), "");
}

TEST_F(Grpo, InBfloat16TooAndACheckpointGoesOnInItsProfileAlone) {
  ASSERT_TRUE(run_grpo(options("f32.gguf"), variety, {}).ok());
  GrpoOptions o = options("a.gguf");
  o.compute = ComputeProfile::kBf16;
  double rollout_kl = 1;
  ASSERT_TRUE(run_grpo(o, variety,
                       {.progress =
                            [&](const GrpoStep& s) {
                              if (s.step == 1) rollout_kl = s.rollout_kl;
                              return true;
                            }})
                  .ok());
  EXPECT_LT(std::fabs(rollout_kl), 0.05);
  EXPECT_NE(bytes("a.gguf"), bytes("f32.gguf"));
  o.out = path("b.gguf");
  o.n_threads = 1;
  o.resume = true;
  const GrpoCallbacks stops{.progress = [](const GrpoStep& s) { return s.step != 2; }};
  EXPECT_EQ(run_grpo(o, variety, stops).error().kind, ErrorKind::kInterrupted);
  o.compute = ComputeProfile::kF32;
  EXPECT_EQ(run_grpo(o, variety, {}).error().kind, ErrorKind::kUsage);
  o.compute = ComputeProfile::kBf16;
  ASSERT_TRUE(run_grpo(o, variety, {}).ok());
  EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
}

// The share of the answer's bytes that are small letters.
Result<double> small_letters(const RewardInput& input) {
  const std::string text = std::string(input.thought) + std::string(input.answer);
  const auto n = std::ranges::count_if(text, [](char c) { return c >= 'a' && c <= 'z'; });
  return text.empty() ? 0.0 : static_cast<double>(n) / static_cast<double>(text.size());
}

TEST_F(Grpo, TheRewardRises) {
  for (const int64_t updates : {1, 2}) {
    GrpoOptions o = options("rises.gguf");
    o.n_steps = 30;
    o.group = 8;
    o.updates = updates;
    o.warmup_steps = 3;
    o.checkpoint_every = 100;
    std::vector<double> rewards;
    const auto result = run_grpo(o, small_letters, {.progress = [&](const GrpoStep& s) {
                                   rewards.push_back(s.reward);
                                   return true;
                                 }});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_GT(rewards.back(), rewards.front() + 0.15) << updates;
  }
}

TEST_F(Grpo, EveryVariantRuns) {
  GrpoOptions o = options("v.gguf");
  o.n_steps = 2;
  o.updates = 2;
  o.loss = {.norm = LossNorm::kToken,
            .divide_by_std = false,
            .clip_low = 0.2,
            .clip_high = 0.28,
            .kl_weight = 0.01,
            .importance_cap = 2};
  o.dynamic_sampling = true;
  std::vector<GrpoStep> steps;
  const auto result = run_grpo(o, variety, {.progress = [&](const GrpoStep& s) {
                                 steps.push_back(s);
                                 return true;
                               }});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_GE(steps[0].reference_kl, 0);
  EXPECT_GT(steps[1].reference_kl, 0);  // the policy has left the reference
  EXPECT_GT(std::fabs(steps[0].loss), 1e-4);
}

TEST_F(Grpo, DeadGroupsTeachNothing) {
  GrpoOptions o = options("dead.gguf");
  o.n_steps = 1;
  o.dynamic_sampling = true;
  std::vector<GrpoStep> steps;
  const auto result = run_grpo(o, [](const RewardInput&) { return Result<double>(1.0); },
                               {.progress = [&](const GrpoStep& s) {
                                 steps.push_back(s);
                                 return true;
                               }});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(steps[0].dead_groups, 1);
  EXPECT_EQ(steps[0].gradient_norm, 0);
}

TEST_F(Grpo, ErrorsNameTheProblem) {
  const GrpoOptions o = options("x.gguf");
  const auto failing = run_grpo(
      o, [](const RewardInput&) { return Result<double>(bad_file("\"answer\": none")); }, {});
  ASSERT_FALSE(failing.ok());
  EXPECT_NE(failing.error().message.find("problems.jsonl:"), std::string::npos);
  const auto infinite =
      run_grpo(o, [](const RewardInput&) { return Result<double>(std::nan("")); }, {});
  ASSERT_FALSE(infinite.ok());
  EXPECT_EQ(infinite.error().kind, ErrorKind::kFailed);
  ASSERT_TRUE(write_file(path("bad.jsonl"), "{\"question\":\"a\"}\n{\"q\":1}\n").ok());
  GrpoOptions bad = o;
  bad.data = {path("bad.jsonl")};
  const auto line = run_grpo(bad, variety, {});
  ASSERT_FALSE(line.ok());
  EXPECT_NE(line.error().message.find("bad.jsonl:2"), std::string::npos) << line.error().message;
  bad = o;
  bad.group = 1;
  EXPECT_EQ(run_grpo(bad, variety, {}).error().kind, ErrorKind::kUsage);
}

Result<double> ask(const std::string& command) {
  auto verifier = Verifier::start(command);
  if (!verifier.ok()) return verifier.error();
  const boost::json::object task = {{"question", "1 + 1?"}, {"answer", "2"}};
  return (*verifier)->score({.task = task, .thought = "two\n", .answer = "2"});
}

TEST(Verifier, AnswersOrSaysWhatIsWrong) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto good = ask(R"(while read -r line; do echo '{"score": 0.25}'; done)");
  ASSERT_TRUE(good.ok()) << good.error().message;
  EXPECT_EQ(*good, 0.25);
  // It sees the task and the texts.
  const auto sees = ask(
      R"(read -r line; case "$line" in *'"answer":"2"'*'"thought":"two\n"'*) echo '{"score":1}';; )"
      R"(*) echo '{"score":0}';; esac)");
  ASSERT_TRUE(sees.ok()) << sees.error().message;
  EXPECT_EQ(*sees, 1);
  for (const char* command : {"exit 0", "echo no", "echo '{}'", "echo '{\"score\": \"1\"}'",
                              "/no/such/program", "head -c 100000 /dev/zero"}) {
    const auto bad = ask(command);
    ASSERT_FALSE(bad.ok()) << command;
    EXPECT_EQ(bad.error().kind, ErrorKind::kFailed);
    EXPECT_NE(bad.error().message.find("--verifier"), std::string::npos) << bad.error().message;
  }
}

}  // namespace
}  // namespace reckon::train
