// A5 of docs/reliability.md: while a tiny model is loaded and run, and while files are written,
// each allocation and each system call fails in turn. Every time there must be a clean error,
// nothing held any more, no file damaged or left behind, and the next try must succeed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"
#include "forward/cpu_decoder.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "gguf/safetensors.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/quantize.h"
#include "tests/reliability/faults.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using faults::Call;

constexpr int64_t kModelDim = 32;
constexpr int64_t kFfnDim = 64;

// The byte-level alphabet: every byte's own character, printable ones for themselves.
std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    const int code = itself ? byte : next++;
    tokens.push_back(code < 0x80 ? std::string(1, static_cast<char>(code))
                                 : std::string{static_cast<char>(0xc0 | code >> 6),
                                               static_cast<char>(0x80 | (code & 0x3f))});
  }
  return tokens;
}

// A qwen2 model of one layer with a byte vocabulary. The values are small and all different.
Status write_model(const std::string& path) {
  GgufWriter writer;
  writer.add_string("general.architecture", "qwen2");
  writer.add_uint32("qwen2.context_length", 64);
  writer.add_uint32("qwen2.embedding_length", kModelDim);
  writer.add_uint32("qwen2.block_count", 1);
  writer.add_uint32("qwen2.feed_forward_length", kFfnDim);
  writer.add_uint32("qwen2.attention.head_count", 1);
  writer.add_uint32("qwen2.attention.head_count_kv", 1);
  writer.add_float32("qwen2.attention.layer_norm_rms_epsilon", 1e-6f);
  writer.add_float32("qwen2.rope.freq_base", 10000.0f);
  std::vector<std::string> tokens = byte_tokens();
  tokens.push_back("ab");
  tokens.push_back("<end>");
  const std::vector<std::string_view> views(tokens.begin(), tokens.end());
  std::vector<int32_t> kinds(tokens.size(), 1);
  kinds.back() = 3;
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "qwen2");
  writer.add_strings("tokenizer.ggml.tokens", views);
  writer.add_int32s("tokenizer.ggml.token_type", kinds);
  const std::string_view merges[] = {"a b"};
  writer.add_strings("tokenizer.ggml.merges", merges);
  writer.add_uint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(tokens.size() - 1));

  const auto vocab = static_cast<int64_t>(tokens.size());
  struct Entry {
    std::string_view name;
    std::vector<int64_t> dims;
  };
  const Entry entries[] = {
      {"token_embd.weight", {kModelDim, vocab}},
      {"output_norm.weight", {kModelDim}},
      {"output.weight", {kModelDim, vocab}},
      {"blk.0.attn_norm.weight", {kModelDim}},
      {"blk.0.attn_q.weight", {kModelDim, kModelDim}},
      {"blk.0.attn_q.bias", {kModelDim}},
      {"blk.0.attn_k.weight", {kModelDim, kModelDim}},
      {"blk.0.attn_k.bias", {kModelDim}},
      {"blk.0.attn_v.weight", {kModelDim, kModelDim}},
      {"blk.0.attn_v.bias", {kModelDim}},
      {"blk.0.attn_output.weight", {kModelDim, kModelDim}},
      {"blk.0.ffn_norm.weight", {kModelDim}},
      {"blk.0.ffn_gate.weight", {kModelDim, kFfnDim}},
      {"blk.0.ffn_up.weight", {kModelDim, kFfnDim}},
      {"blk.0.ffn_down.weight", {kFfnDim, kModelDim}},
  };
  for (const Entry& entry : entries) writer.add_tensor(entry.name, TensorType::kF32, entry.dims);
  RECKON_RETURN_IF_ERROR(writer.begin(path));
  uint32_t state = 1;
  for (const Entry& entry : entries) {
    int64_t n = 1;
    for (const int64_t dim : entry.dims) n *= dim;
    std::vector<float> values(static_cast<size_t>(n));
    for (float& value : values) {
      state = state * 1664525u + 1013904223u;
      value = static_cast<float>(static_cast<int32_t>(state >> 8) - (1 << 23)) * 0x1p-25f;
    }
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(std::span(values))));
  }
  return writer.commit();
}

// Loads the model, encodes a text and runs it with a team of two; the logits of the last token.
Status load_and_run(const std::string& path, std::vector<float>& logits) {
  RECKON_ASSIGN(auto file, GgufFile::open(path));
  RECKON_ASSIGN(auto tokenizer, Tokenizer::from_gguf(*file));
  RECKON_ASSIGN(auto model, Model::load(file));
  RECKON_ASSIGN(const kernels::KernelTable* table, kernels::default_table());
  CpuDecoderOptions options;
  options.n_pages = 1;
  options.n_threads = 2;
  options.kernels = table;
  RECKON_ASSIGN(auto decoder, CpuDecoder::create(model, options));
  std::vector<TokenId> tokens;
  tokenizer->encode("ab cab", SpecialTokens::kParse, tokens);
  const PageId pages[] = {0};
  const SequenceStep step = {.tokens = tokens, .first_position = 0, .pages = pages, .n_logits = 1};
  logits.resize(static_cast<size_t>(decoder->shape().vocab_size));
  return decoder->step(std::span(&step, 1), logits);
}

class Faults : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "reckon-faults-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ASSERT_TRUE(write_model(path("in.gguf")).ok());
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // Runs the action with every call of every kind failing once. An action that succeeds none the
  // less (the failed call was only a hint) must have done all its work: check() looks.
  void fail_each(const std::function<Status()>& action, const std::function<void(bool)>& check) {
    ASSERT_TRUE(action().ok());  // also sets up what lives as long as the program
    check(true);
    for (const Call call : faults::kAllCalls) {
      int64_t n = 1;
      for (;; ++n) {
        SCOPED_TRACE(std::string(faults::name(call)) + " " + std::to_string(n));
        const faults::Held before = faults::held();
        bool succeeded = false;
        bool has_failed = false;
        {
          faults::fail(call, n, call == Call::kAllocate || call == Call::kMap ? ENOMEM : EIO);
          std::string message = "out of memory";
          try {
            const Status status = action();
            succeeded = status.ok();
            if (!succeeded) message = status.error().message;
          } catch (const std::bad_alloc&) {
            // Not every function is a facade; those that are get their test from the command.
          }
          has_failed = faults::stop();
          EXPECT_FALSE(message.empty());
        }
        EXPECT_TRUE(has_failed || succeeded);
        EXPECT_EQ(faults::held().allocations, before.allocations);
        EXPECT_EQ(faults::held().mappings, before.mappings);
        EXPECT_EQ(faults::held().files, before.files);
        check(succeeded);
        if (HasFailure() || !has_failed) break;
      }
      if (HasFailure()) return;
      std::printf("%s: each of %lld failed once\n", faults::name(call),
                  static_cast<long long>(n - 1));
    }
    ASSERT_TRUE(action().ok());
    check(true);
  }

  fs::path folder_;
};

TEST_F(Faults, LoadingAndRunningAModel) {
  std::vector<float> reference;
  ASSERT_TRUE(load_and_run(path("in.gguf"), reference).ok());
  const std::string before = *read_file(path("in.gguf"), 1 << 20);
  std::vector<float> logits(reference.size());
  fail_each(
      [&] {
        std::fill(logits.begin(), logits.end(), 0.0f);
        return load_and_run(path("in.gguf"), logits);
      },
      [&](bool succeeded) {
        if (succeeded) {
          EXPECT_EQ(std::memcmp(logits.data(), reference.data(), reference.size() * 4), 0);
        }
      });
  EXPECT_EQ(*read_file(path("in.gguf"), 1 << 20), before);
  EXPECT_EQ(names(), std::vector<std::string>{"in.gguf"});
}

// The target exists already: after a failure it must hold what it held, or wholly the new contents
// (when only the folder's sync after the rename failed).
class FaultsWhileWriting : public Faults {
 protected:
  void fail_each_write(const std::function<Status()>& write, const std::string& expected) {
    write_old();
    fail_each(write, [&](bool succeeded) {
      const std::string found = *read_file(path("out"), 1 << 20);
      EXPECT_TRUE(found == expected || (!succeeded && found == "old"));
      const std::vector<std::string> both = {"in.gguf", "out"};
      EXPECT_EQ(names(), both);
      write_old();
    });
  }

  void write_old() const { std::ofstream(path("out"), std::ios::binary) << "old"; }

  std::string written_by(const std::function<Status()>& write) {
    EXPECT_TRUE(write().ok());
    return *read_file(path("out"), 1 << 20);
  }
};

TEST_F(FaultsWhileWriting, AModelFile) {
  const auto write = [&] { return write_model(path("out")); };
  fail_each_write(write, *read_file(path("in.gguf"), 1 << 20));
}

TEST_F(FaultsWhileWriting, AQuantisedModel) {
  const auto write = [&] {
    ThreadPool pool(2);
    return quantize_file(path("in.gguf"), path("out"), QuantizeTarget::kQ8_0, pool);
  };
  fail_each_write(write, written_by(write));
}

TEST_F(FaultsWhileWriting, SafetensorsThereAndBack) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const auto write = [&]() -> Status {
    SafetensorsWriter writer;
    const int64_t shape[] = {2, 3};
    writer.add_tensor("x", TensorType::kF32, shape);
    RECKON_RETURN_IF_ERROR(writer.begin(path("out")));
    RECKON_RETURN_IF_ERROR(writer.write_tensor_data(std::as_bytes(std::span(values))));
    RECKON_RETURN_IF_ERROR(writer.commit());
    RECKON_ASSIGN(auto file, Safetensors::open(path("out")));
    return file->tensors().size() == 1 ? Status() : failed("expected one tensor");
  };
  fail_each_write(write, written_by(write));
}

}  // namespace
}  // namespace reckon
