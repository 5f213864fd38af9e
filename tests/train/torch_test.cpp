// Gradients and a loss curve against PyTorch's (tests/train/fixtures/make_fixtures.py).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "tests/train/support.h"
#include "train/optimizer.h"
#include "train/trainer.h"

namespace reckon::train::test {
namespace {

std::string fixture(const std::string& name) {
  return std::string(RECKON_SOURCE_DIR) + "/tests/train/fixtures/" + name;
}

boost::json::value expected() {
  const auto text = read_file(fixture("torch.json"), 1 << 20);
  EXPECT_TRUE(text.ok());
  return std::move(parse_json(*text, "torch.json")).value();
}

// Every parameter's gradient is within a thousandth of its tensor's size (its root mean square):
// single entries may be as good as zero.
void check_gradients(const SmallShape& small, const std::string& name) {
  Rig rig(small, 2);
  const double loss = rig.backward(make_batch({30, 2, 70, 55}, small.vocab_size, 5));
  const double torch_loss = expected().at(name + "_loss").to_number<double>();
  EXPECT_NEAR(loss / torch_loss, 1, 1e-5);
  const auto raw = read_file(fixture(name + ".gradients"), 1 << 24);
  ASSERT_TRUE(raw.ok());
  size_t at = 0;
  for (const TensorSlot& slot : rig.store->layout().tensors) {
    const auto n = static_cast<size_t>(slot.size());
    ASSERT_LE(at + 4 * n, raw->size()) << slot.name;
    std::vector<float> torch(n);
    std::memcpy(torch.data(), raw->data() + at, 4 * n);
    at += 4 * n;
    double squares = 0;
    for (const float g : torch) squares += static_cast<double>(g) * g;
    const double size = std::sqrt(squares / static_cast<double>(n));
    EXPECT_GT(size, 0) << slot.name;
    const float* own = rig.store->gradients() + slot.offset;
    for (size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(own[i], torch[i], 1e-3 * std::max(size, std::fabs(static_cast<double>(torch[i]))))
          << slot.name << " " << i;
    }
  }
  EXPECT_EQ(at, raw->size());
}

TEST(Torch, EveryGradientQwen2Tied) { check_gradients({}, "qwen2"); }
TEST(Torch, EveryGradientLlamaUntied) {
  check_gradients({.n_layers = 1, .n_heads = 6, .n_kv_heads = 3, .tied = false, .qwen2 = false},
                  "llama");
}

TEST(Torch, FiftyStepsOfAdamw) {
  const SmallShape small;
  Rig rig(small, 2);
  auto trainer =
      Trainer::create(rig.shape, rig.ops, {.max_tokens = 200, .max_document = 100}, *rig.store);
  ASSERT_TRUE(trainer.ok());
  const boost::json::value torch = expected();
  const boost::json::array& curve = torch.at("curve").as_array();
  const LearningRate rate{
      .peak = 3e-3, .final_share = 0.1, .warmup_steps = 5, .n_steps = std::ssize(curve)};
  const AdamwSettings settings{
      .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip_norm = 1.0};
  for (int64_t step = 0; step < std::ssize(curve); ++step) {
    const std::vector<PackedBatch> batches = {
        make_batch({40, 60}, small.vocab_size, static_cast<uint64_t>(10 * (step % 4)))};
    const auto result = (*trainer)->step(batches, settings, rate.at(step), step);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_NEAR(result->loss, curve[static_cast<size_t>(step)].to_number<double>(), 1e-3) << step;
  }
}

}  // namespace
}  // namespace reckon::train::test
