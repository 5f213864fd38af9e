// The mean of models: its numbers, and what is refused.
#include "train/average.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "model/synth.h"
#include "train/init_model.h"
#include "train/weights.h"

namespace reckon::train {
namespace {

class Average : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "average_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
    SynthOptions synth;
    synth.type = *parse_synth_type("f32");
    ASSERT_TRUE(
        write_synth_model(*find_synth_shape("tiny-qwen"), synth, path("tok.gguf"), pool_).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string made(const std::string& name, uint64_t seed, int64_t ffn_dim = 64) {
    int64_t n_parameters = 0;
    const Status status = write_initial_model({.tokenizer = path("tok.gguf"),
                                               .name = name,
                                               .d_model = 32,
                                               .n_layers = 2,
                                               .n_heads = 2,
                                               .n_kv_heads = 1,
                                               .ffn_dim = ffn_dim,
                                               .context_length = 256,
                                               .seed = seed},
                                              path(name), pool_, n_parameters);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return path(name);
  }
  std::vector<float> weights_of(const std::string& file) {
    const auto model = Model::load(*GgufFile::open(file));
    const WeightLayout layout = layout_of(*shape_of(**model));
    std::vector<float> weights(static_cast<size_t>(layout.n_floats));
    EXPECT_TRUE(read_weights(**model, layout, pool_, weights.data()).ok());
    return weights;
  }

  ThreadPool pool_{2};
  std::string folder_;
};

TEST_F(Average, IsTheMeanOfEveryWeight) {
  const std::vector<std::string> files = {made("a", 1), made("b", 2), made("c", 3)};
  const Status status = write_average(files, path("mean"), pool_);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const std::vector<float> a = weights_of(files[0]);
  const std::vector<float> b = weights_of(files[1]);
  const std::vector<float> c = weights_of(files[2]);
  const std::vector<float> mean = weights_of(path("mean"));
  ASSERT_EQ(mean.size(), a.size());
  size_t n_moved = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double sum =
        static_cast<double>(a[i]) + static_cast<double>(b[i]) + static_cast<double>(c[i]);
    ASSERT_EQ(mean[i], static_cast<float>(sum / 3)) << i;
    if (mean[i] != a[i]) ++n_moved;
  }
  EXPECT_GT(n_moved, a.size() / 2);
  EXPECT_EQ(*(*GgufFile::open(path("mean")))->require_string("general.name"), "a");
}

TEST_F(Average, OneModelOrModelsThatDifferAreRefused) {
  const std::string a = made("a", 1);
  EXPECT_EQ(write_average(std::vector{a}, path("mean"), pool_).error().kind, ErrorKind::kUsage);
  const Status status = write_average(std::vector{a, made("wide", 1, 96)}, path("mean"), pool_);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kBadFile);
  EXPECT_THAT(status.error().message,
              ::testing::HasSubstr("wide: qwen2.feed_forward_length: expected what"));
  EXPECT_FALSE(std::filesystem::exists(path("mean")));
}

}  // namespace
}  // namespace reckon::train
