// Adapters: gradients against finite differences on a quantised base, files there and back in both
// formats, a merge that computes what the adapter computes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "engine/load.h"
#include "forward/cpu_decoder.h"
#include "model/quantize.h"
#include "model/synth.h"
#include "tests/train/support.h"
#include "train/lora_store.h"

namespace reckon::train::test {
namespace {

class Lora : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "lora_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
    SynthOptions synth;
    synth.type = *parse_synth_type("q8_0");
    const std::string path = folder_ + "/base.gguf";
    ASSERT_TRUE(write_synth_model(*find_synth_shape(GetParam()), synth, path, pool_).ok());
    file_ = *GgufFile::open(path);
    model_ = *Model::load(file_);
    shape_ = *shape_of(*model_);
    ops_ = std::make_unique<FloatOps>(**kernels::default_table(), pool_, ComputeProfile::kF32);
    lora_.rank = 4;
    lora_.alpha = 6;
    auto store = LoraStore::create(*model_, shape_, lora_, 3, *ops_, 200);
    ASSERT_TRUE(store.ok()) << store.error().message;
    store_ = std::move(store).value();
    auto network =
        Network::create(shape_, *ops_, {.max_tokens = 200, .max_document = 100, .recompute = true});
    ASSERT_TRUE(network.ok());
    network_ = std::move(network).value();
    batch_ = make_batch({40, 60}, shape_.config.vocab_size, 4);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // B isn't zero any more.
  void fill_adapters() {
    uint64_t key = 50;
    for (const TensorSlot& slot : store_->tensors()) {
      ++key;
      for (int64_t i = 0; i < slot.size(); ++i) {
        store_->parameters()[slot.offset + i] =
            static_cast<float>(0.1 * uniform(key, static_cast<uint64_t>(i)));
      }
    }
  }
  double loss(WeightStore& store) {
    std::vector<TokenOutcome> outcomes;
    network_->forward(batch_, store, false, outcomes);
    double sum = 0;
    for (const TokenOutcome& outcome : outcomes) sum -= static_cast<double>(outcome.logprob);
    return sum;
  }

  std::string folder_;
  ThreadPool pool_{2};
  std::shared_ptr<const GgufFile> file_;
  std::shared_ptr<const Model> model_;
  NetworkShape shape_;
  std::unique_ptr<FloatOps> ops_;
  LoraShape lora_;
  std::unique_ptr<LoraStore> store_;
  std::unique_ptr<Network> network_;
  PackedBatch batch_;
};

TEST_P(Lora, BeginsAsTheBase) {
  auto dense = DenseStore::create(shape_, *ops_, false);
  ASSERT_TRUE(dense.ok());
  ASSERT_TRUE(read_weights(*model_, (*dense)->layout(), pool_, (*dense)->weights()).ok());
  EXPECT_EQ(loss(*store_), loss(**dense));
}

TEST_P(Lora, GradientsAreFiniteDifferences) {
  fill_adapters();
  store_->clear_gradients();
  std::vector<TokenOutcome> outcomes;
  network_->forward_backward(
      batch_, *store_, [](int64_t, float) { return -1.0f; }, false, outcomes);
  const std::vector<float> gradients(store_->gradients(), store_->gradients() + store_->n_floats());
  for (const TensorSlot& slot : store_->tensors()) {
    if (!slot.name.starts_with("blk.1.")) continue;  // layers are alike
    float* w = store_->parameters() + slot.offset;
    const float* g = gradients.data() + slot.offset;
    const std::vector<float> before(w, w + slot.size());
    double squares = 0;
    for (int64_t i = 0; i < slot.size(); ++i) squares += static_cast<double>(g[i]) * g[i];
    const double norm = std::sqrt(squares);
    ASSERT_GT(norm, 0) << slot.name;
    const double step = 1e-2;
    const auto loss_at = [&](double along) {
      for (int64_t i = 0; i < slot.size(); ++i) {
        w[i] = static_cast<float>(before[static_cast<size_t>(i)] + along * step * g[i] / norm);
      }
      return loss(*store_);
    };
    const double slope =
        (8 * (loss_at(1) - loss_at(-1)) - (loss_at(2) - loss_at(-2))) / (12 * step);
    std::copy(before.begin(), before.end(), w);
    EXPECT_NEAR(slope / norm, 1, 3e-3) << slot.name;
  }
}

void expect_same(const Adapter& a, const Adapter& b) {
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.alpha, b.alpha);
  ASSERT_EQ(a.matrices.size(), b.matrices.size());
  for (size_t i = 0; i < a.matrices.size(); ++i) {
    EXPECT_EQ(a.matrices[i].name(), b.matrices[i].name());
    EXPECT_EQ(a.matrices[i].a, b.matrices[i].a);
    EXPECT_EQ(a.matrices[i].b, b.matrices[i].b);
  }
}

TEST_P(Lora, BothFormatsComeBack) {
  fill_adapters();
  const Adapter adapter = adapter_of(*store_, shape_.config);
  ASSERT_TRUE(write_adapter_gguf(adapter, folder_ + "/a.gguf").ok());
  ASSERT_TRUE(write_adapter_peft(adapter, shape_.config, "base", folder_ + "/peft").ok());
  const auto gguf = read_adapter(folder_ + "/a.gguf", shape_.config);
  const auto peft = read_adapter(folder_ + "/peft", shape_.config);
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  ASSERT_TRUE(peft.ok()) << peft.error().message;
  expect_same(adapter, *gguf);
  expect_same(adapter, *peft);
}

TEST_P(Lora, MergedComputesWhatTheAdapterComputes) {
  fill_adapters();
  const double adapted = loss(*store_);
  ASSERT_TRUE(write_adapter_gguf(adapter_of(*store_, shape_.config), folder_ + "/a.gguf").ok());
  const Status merged =
      merge_adapter(folder_ + "/base.gguf", {folder_ + "/a.gguf"}, folder_ + "/merged.gguf", pool_);
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  const auto file = GgufFile::open(folder_ + "/merged.gguf");
  ASSERT_TRUE(file.ok());
  const auto model = Model::load(*file);
  ASSERT_TRUE(model.ok()) << model.error().message;
  auto dense = DenseStore::create(shape_, *ops_, false);
  ASSERT_TRUE(read_weights(**model, (*dense)->layout(), pool_, (*dense)->weights()).ok());
  const double base = [&] {
    auto plain = DenseStore::create(shape_, *ops_, false);
    EXPECT_TRUE(read_weights(*model_, (*plain)->layout(), pool_, (*plain)->weights()).ok());
    return loss(**plain);
  }();
  // Q8_0's rounding of the merged weights is small beside what the adapter changed.
  EXPECT_LT(std::fabs(loss(**dense) - adapted), 0.1 * std::fabs(base - adapted));
}

// The engine with quantised activations beside the trainer in float32, several adapters at once.
TEST_P(Lora, TheEngineComputesWhatWasTrained) {
  fill_adapters();
  const double trained = loss(*store_);
  Adapter half = adapter_of(*store_, shape_.config);
  half.alpha /= 2;
  const auto engine_loss = [&](const std::vector<Adapter>& adapters) {
    const std::shared_ptr<Model> model = *Model::load(file_);
    model->set_adapters(adapters);
    auto decoder = CpuDecoder::create(
        model, {.n_pages = 1, .n_threads = 2, .kernels = *kernels::default_table()});
    EXPECT_TRUE(decoder.ok());
    const auto vocab = static_cast<size_t>(shape_.config.vocab_size);
    const std::vector<PageId> pages = {0};
    double sum = 0;
    uint64_t key = 4;
    for (const int64_t length : {40, 60}) {
      const Example example = make_example(length, shape_.config.vocab_size, ++key);
      std::vector<float> logits(example.tokens.size() * vocab);
      const SequenceStep step = {
          .tokens = example.tokens, .first_position = 0, .pages = pages, .n_logits = length};
      EXPECT_TRUE((*decoder)->step({&step, 1}, logits).ok());
      for (size_t t = 1; t < example.tokens.size(); ++t) {
        if (!example.learned[t]) continue;
        const float* row = logits.data() + (t - 1) * vocab;
        double total = 0;
        for (size_t v = 0; v < vocab; ++v) total += std::exp(static_cast<double>(row[v]));
        sum += std::log(total) - static_cast<double>(row[example.tokens[t]]);
      }
    }
    return sum;
  };
  const double base = engine_loss({});
  ASSERT_GT(std::fabs(base - trained), 0.01);
  EXPECT_LT(std::fabs(engine_loss({half, half}) - trained), 0.1 * std::fabs(base - trained));
}

TEST_P(Lora, AnAdapterOfAnotherModelIsRefused) {
  const Adapter adapter = adapter_of(*store_, shape_.config);
  ASSERT_TRUE(write_adapter_gguf(adapter, folder_ + "/a.gguf").ok());
  ASSERT_TRUE(write_adapter_peft(adapter, shape_.config, "base", folder_ + "/peft").ok());
  ModelConfig other = shape_.config;
  other.ffn_dim += 32;
  for (const char* name : {"/a.gguf", "/peft"}) {
    const auto wrong_shape = read_adapter(folder_ + name, other);
    ASSERT_FALSE(wrong_shape.ok());
    EXPECT_EQ(wrong_shape.error().kind, ErrorKind::kBadFile);
    EXPECT_NE(wrong_shape.error().message.find("blk.0.ffn_gate.weight"), std::string::npos)
        << wrong_shape.error().message;
    ModelConfig fewer = shape_.config;
    fewer.n_layers -= 1;
    EXPECT_FALSE(read_adapter(folder_ + name, fewer).ok());
  }
  EXPECT_FALSE(read_adapter(folder_ + "/base.gguf", shape_.config).ok());  // no adapter at all
  EXPECT_FALSE(read_adapter(folder_ + "/none.gguf", shape_.config).ok());
}

TEST_P(Lora, AnAdapterOfAnotherModelOfThisShapeIsRefused) {
  Adapter adapter = adapter_of(*store_, shape_.config);
  adapter.base_id = adapter_base_id(*file_);
  const std::string path = folder_ + "/a.gguf";
  ASSERT_TRUE(write_adapter_gguf(adapter, path).ok());
  EXPECT_TRUE(read_adapter(path, *file_, shape_.config).ok());
  const std::string quantised = folder_ + "/q.gguf";
  ASSERT_TRUE(quantize_file(folder_ + "/base.gguf", quantised, QuantizeTarget::kQ8_0, pool_).ok());
  const auto same = GgufFile::open(quantised);
  ASSERT_TRUE(same.ok());
  EXPECT_TRUE(read_adapter(path, **same, shape_.config).ok());

  // One norm's weight is another.
  const std::string bytes = *read_file(quantised, 1 << 26);
  const GgufTensor* norm = (*same)->find_tensor("output_norm.weight");
  const auto at = static_cast<size_t>(norm->file_offset);
  std::string other_bytes = bytes;
  other_bytes[at] = static_cast<char>(other_bytes[at] ^ 1);
  const std::string other = folder_ + "/other.gguf";
  ASSERT_TRUE(write_file(other, other_bytes).ok());
  const auto file = GgufFile::open(other);
  ASSERT_TRUE(file.ok());
  const auto refused = read_adapter(path, **file, shape_.config);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kBadFile);
  EXPECT_NE(refused.error().message.find("another model"), std::string::npos);
  LoadOptions load;
  load.context_length = 64;
  load.n_threads = 1;
  load.needs_chat_template = false;
  EXPECT_TRUE(load_engine(other, load).ok());
  load.adapters = {path};
  EXPECT_FALSE(load_engine(other, load).ok());
  EXPECT_FALSE(merge_adapter(other, {path}, folder_ + "/merged.gguf", pool_).ok());

  // What it was merged into is another model, also when merged into once more or quantised.
  const std::string once = folder_ + "/once.gguf";
  const std::string twice = folder_ + "/twice.gguf";
  ASSERT_TRUE(merge_adapter(quantised, {path}, once, pool_).ok());
  EXPECT_FALSE(read_adapter(path, **GgufFile::open(once), shape_.config).ok());
  Adapter anyones = adapter;
  anyones.base_id.clear();
  ASSERT_TRUE(write_adapter_gguf(anyones, path).ok());
  ASSERT_TRUE(merge_adapter(once, {path}, twice, pool_).ok());
  EXPECT_NE(adapter_base_id(**GgufFile::open(once)), adapter_base_id(**GgufFile::open(twice)));
}

TEST(LoraTargets, AreParsed) {
  LoraShape shape;
  ASSERT_TRUE(parse_lora_targets("q,v,ffn_down", shape).ok());
  EXPECT_TRUE(shape.targets[0] && shape.targets[2] && shape.targets[6]);
  EXPECT_FALSE(shape.targets[1] || shape.targets[3] || shape.targets[4] || shape.targets[5]);
  EXPECT_FALSE(parse_lora_targets("q,x", shape).ok());
}

INSTANTIATE_TEST_SUITE_P(Shapes, Lora, ::testing::Values("tiny-qwen", "tiny-llama"));

}  // namespace
}  // namespace reckon::train::test
