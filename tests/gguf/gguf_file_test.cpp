// Files written by GgufWriter and by hand read back value by value; shards; look-ups; real files.
#include "gguf/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "gguf/gguf_writer.h"
#include "tests/gguf/gguf_bytes.h"

namespace reckon {
namespace {

using test::array_pair;
using test::GgufBytes;
using test::le;
using test::pair;
using test::string_pair;
using testing::HasSubstr;

class GgufFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("gguf_" + std::to_string(::getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  std::string write(std::string_view name, const GgufBytes& file) const {
    std::ofstream(path(name), std::ios::binary) << file.encode();
    return path(name);
  }

  std::filesystem::path folder_;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string real_file(const char* name) {
  const char* folder = std::getenv("RECKON_REAL_DIR");
  const std::filesystem::path base = folder != nullptr
                                         ? std::filesystem::path(folder)
                                         : std::filesystem::path(RECKON_SOURCE_DIR) / ".cache/real";
  return (base / name).string();
}

TEST_F(GgufFileTest, WriterRoundTrip) {
  const std::string_view words[] = {"one", "", "drei ß"};
  const int32_t ints[] = {-1, 2, std::numeric_limits<int32_t>::min()};
  const float floats[] = {0.5f, -1e30f};
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_uint32("u32", 4'000'000'000u);
  writer.add_int32("i32", -5);
  writer.add_uint64("u64", std::numeric_limits<uint64_t>::max());
  writer.add_float32("f32", 1e-6f);
  writer.add_bool("flag", true);
  writer.add_strings("words", words);
  writer.add_int32s("ints", ints);
  writer.add_float32s("floats", floats);
  const int64_t row[] = {5};
  const int64_t matrix[] = {64, 2};
  writer.add_tensor("row", TensorType::kF32, row);
  writer.add_tensor("matrix", TensorType::kQ8_0, matrix);
  EXPECT_TRUE(writer.has("flag"));
  EXPECT_FALSE(writer.has("flags"));

  const std::string target = path("round.gguf");
  ASSERT_TRUE(writer.begin(target).ok());
  const float row_data[] = {1, 2, 3, 4, 5};
  const std::string matrix_data(4 * 34, 'q');
  ASSERT_TRUE(writer.write_tensor_data(std::as_bytes(std::span(row_data))).ok());
  ASSERT_TRUE(writer.write_tensor_data(bytes_of(matrix_data).first(7)).ok());
  ASSERT_TRUE(writer.write_tensor_data(bytes_of(matrix_data).subspan(7)).ok());
  EXPECT_FALSE(std::filesystem::exists(target));
  ASSERT_TRUE(writer.commit().ok());

  const auto opened = GgufFile::open(target);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const GgufFile& file = **opened;
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.metadata().size(), 9u);
  EXPECT_EQ(file.metadata()[0].key, "general.architecture");
  EXPECT_EQ(*file.require_string("general.architecture"), "llama");
  EXPECT_EQ(*file.require_uint("u32"), 4'000'000'000u);
  EXPECT_EQ(std::get<int64_t>(file.find("i32")->data), -5);
  EXPECT_EQ(*file.require_uint("u64"), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(*file.require_float("f32"), static_cast<double>(1e-6f));
  EXPECT_EQ(*file.get_bool("flag"), true);
  const GgufArray* found_words = *file.get_array("words", GgufValueType::kString);
  EXPECT_THAT(found_words->strings, testing::ElementsAreArray(words));
  const GgufArray* found_ints = *file.get_array("ints", GgufValueType::kUint32);
  ASSERT_EQ(found_ints->count, 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(found_ints->int_at(i), ints[i]);
  const GgufArray* found_floats = *file.get_array("floats", GgufValueType::kFloat32);
  EXPECT_EQ(found_floats->float_at(1), static_cast<double>(-1e30f));

  ASSERT_EQ(file.tensors().size(), 2u);
  const GgufTensor* found = file.find_tensor("matrix");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->shape_text(), "[64, 2]");
  EXPECT_EQ(found->n_elements, 128);
  EXPECT_EQ(found->file_offset % 32, 0u);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(found->data), found->bytes),
            matrix_data);
  EXPECT_EQ(0, std::memcmp(file.find_tensor("row")->data, row_data, sizeof(row_data)));
  EXPECT_EQ(file.find_tensor("rows"), nullptr);
  EXPECT_EQ(file.tensor_bytes(), 20u + 4 * 34);
  EXPECT_EQ(file.file_bytes(), std::filesystem::file_size(target));
  EXPECT_EQ(file.file_bytes() % 32, 0u);
}

TEST_F(GgufFileTest, ValuesOfEveryTypeAreCopied) {
  GgufBytes source = test::small_gguf();
  source.pairs = {pair("u8", 0, le(uint8_t{200})),
                  pair("i8", 1, le(int8_t{-3})),
                  pair("u16", 2, le(uint16_t{65535})),
                  pair("i16", 3, le(int16_t{-300})),
                  pair("u32", 4, le(uint32_t{7})),
                  pair("i32", 5, le(int32_t{-7})),
                  pair("f32", 6, le(0.1f)),
                  pair("bool", 7, le(uint8_t{1})),
                  string_pair("string", "text"),
                  pair("u64", 10, le(uint64_t{1} << 63)),
                  pair("i64", 11, le(std::numeric_limits<int64_t>::min())),
                  pair("f64", 12, le(0.1)),
                  array_pair("bools", 7, 2, std::string("\0\1", 2)),
                  array_pair("u16s", 2, 2, le(uint16_t{1}) + le(uint16_t{65535})),
                  array_pair("f64s", 12, 1, le(-2.5)),
                  array_pair("none", 8, 0, "")};
  const std::string source_bytes = source.encode();
  const auto first = GgufFile::from_bytes(bytes_of(source_bytes), "source");
  ASSERT_TRUE(first.ok()) << first.error().message;
  GgufWriter writer;
  for (const GgufKeyValue& kv : (*first)->metadata()) writer.add_value(kv.key, kv.value);
  const int64_t dims[] = {8};
  writer.add_tensor("a", TensorType::kF32, dims);
  ASSERT_TRUE(writer.begin(path("copy.gguf")).ok());
  const GgufTensor& tensor = (*first)->tensors()[0];
  ASSERT_TRUE(writer.write_tensor_data({tensor.data, tensor.bytes}).ok());
  ASSERT_TRUE(writer.commit().ok());
  std::ifstream in(path("copy.gguf"), std::ios::binary);
  const std::string copy((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(copy, source_bytes);

  EXPECT_EQ((*first)->find("bools")->array()->int_at(1), 1);
  EXPECT_EQ((*first)->find("u16s")->array()->int_at(1), 65535);
  EXPECT_EQ((*first)->find("f64s")->array()->float_at(0), -2.5);
  EXPECT_EQ((*first)->find("f64s")->array()->int_at(0), -2);
}

TEST_F(GgufFileTest, LookUpsCheckTypes) {
  GgufBytes source;
  source.pairs = {pair("negative", 5, le(int32_t{-1})), pair("nan", 6, le(std::nanf(""))),
                  string_pair("string", "x"),           pair("number", 2, le(uint16_t{9})),
                  array_pair("floats", 6, 1, le(1.0f)), pair("bool", 7, "\1")};
  const std::string encoded = source.encode();
  const auto opened = GgufFile::from_bytes(bytes_of(encoded), "f.gguf");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const GgufFile& file = **opened;
  EXPECT_EQ(*file.get_uint("number"), std::optional<uint64_t>(9));
  EXPECT_EQ(*file.get_uint("absent"), std::nullopt);
  EXPECT_EQ(*file.get_float("absent"), std::nullopt);
  EXPECT_EQ(*file.get_bool("absent"), std::nullopt);
  EXPECT_EQ(*file.get_string("absent"), std::nullopt);
  EXPECT_EQ(*file.get_array("absent", GgufValueType::kString), nullptr);
  EXPECT_EQ(file.require_uint("negative").error().message,
            "f.gguf: negative: expected an unsigned number, found -1");
  EXPECT_EQ(file.get_uint("bool").error().message,
            "f.gguf: bool: expected an unsigned number, found a bool");
  EXPECT_THAT(file.get_float("nan").error().message, HasSubstr("nan: expected a finite number"));
  EXPECT_THAT(file.get_float("number").error().message, HasSubstr("a float, found a uint16"));
  EXPECT_THAT(file.get_bool("string").error().message, HasSubstr("a bool, found a string"));
  EXPECT_THAT(file.get_string("floats").error().message, HasSubstr("found an array of float32"));
  EXPECT_THAT(file.get_array("floats", GgufValueType::kString).error().message,
              HasSubstr("an array of string, found an array of float32"));
  EXPECT_THAT(file.get_array("number", GgufValueType::kInt32).error().message,
              HasSubstr("an array of int32, found a uint16"));
  EXPECT_THAT(file.require_uint("absent").error().message, HasSubstr("found no such key"));
  EXPECT_THAT(file.require_float("absent").error().message, HasSubstr("found no such key"));
  EXPECT_THAT(file.require_string("absent").error().message, HasSubstr("found no such key"));
}

TEST_F(GgufFileTest, WriterRefusesWhatTheFormatCannotHold) {
  const auto refusal = [&](const auto& fill) {
    GgufWriter writer;
    fill(writer);
    const Status status = writer.begin(path("refused.gguf"));
    return status.ok() ? std::string("written") : status.error().message;
  };
  const int64_t odd_row[] = {33};
  const int64_t huge[] = {int64_t{1} << 40, int64_t{1} << 40};
  const int64_t zero[] = {4, 0};
  const int64_t eight[] = {8};
  const int64_t five[] = {1, 1, 1, 1, 1};
  EXPECT_THAT(refusal([](GgufWriter& w) { w.add_bool("k", true), w.add_int32("k", 1); }),
              HasSubstr("each key once"));
  EXPECT_THAT(refusal([](GgufWriter& w) { w.add_bool("", true); }), HasSubstr("1 to 65535"));
  EXPECT_THAT(refusal([](GgufWriter& w) { w.add_uint32("general.alignment", 48); }),
              HasSubstr("a power of two"));
  EXPECT_THAT(refusal([&](GgufWriter& w) { w.add_tensor("t", TensorType::kQ8_0, odd_row); }),
              HasSubstr("rows of a multiple of 32"));
  EXPECT_THAT(refusal([&](GgufWriter& w) { w.add_tensor("t", TensorType::kF32, huge); }),
              HasSubstr("below 2^60"));
  EXPECT_THAT(refusal([&](GgufWriter& w) { w.add_tensor("t", TensorType::kF32, zero); }),
              HasSubstr("dimensions of 1 and more"));
  EXPECT_THAT(refusal([&](GgufWriter& w) { w.add_tensor("t", TensorType::kF32, five); }),
              HasSubstr("1 to 4 dimensions"));
  EXPECT_THAT(
      refusal([&](GgufWriter& w) { w.add_tensor(std::string(65, 'n'), TensorType::kF32, eight); }),
      HasSubstr("a name of 1 to 64"));
  EXPECT_THAT(refusal([&](GgufWriter& w) {
                w.add_tensor("t", TensorType::kF32, eight);
                w.add_tensor("t", TensorType::kF16, eight);
              }),
              HasSubstr("each tensor once"));
  EXPECT_FALSE(std::filesystem::exists(path("refused.gguf")));
}

// A model of two tensors in as many shards.
std::vector<GgufBytes> two_shards() {
  std::vector<GgufBytes> shards(2, test::small_gguf());
  for (uint16_t no = 0; no < 2; ++no) {
    shards[no].pairs = {pair("split.no", 2, le(no)), pair("split.count", 2, le(uint16_t{2})),
                        pair("split.tensors.count", 5, le(int32_t{2}))};
  }
  shards[0].pairs.push_back(string_pair("general.architecture", "qwen2"));
  shards[1].tensors[0].name = "b";
  shards[1].data.assign(32, 'b');
  return shards;
}

TEST_F(GgufFileTest, ShardsOpenByAnyOfThem) {
  const std::vector<GgufBytes> shards = two_shards();
  write("m-00001-of-00002.gguf", shards[0]);
  write("m-00002-of-00002.gguf", shards[1]);
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const auto opened = GgufFile::open(path(name));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    EXPECT_EQ((*opened)->shards().size(), 2u);
    EXPECT_EQ(*(*opened)->require_string("general.architecture"), "qwen2");
    ASSERT_EQ((*opened)->tensors().size(), 2u);
    EXPECT_EQ((*opened)->find_tensor("a")->shard, 0);
    EXPECT_EQ((*opened)->find_tensor("b")->shard, 1);
    EXPECT_EQ(static_cast<char>(*(*opened)->find_tensor("b")->data), 'b');
    EXPECT_EQ((*opened)->file_bytes(), shards[0].encode().size() + shards[1].encode().size());
  }
}

TEST_F(GgufFileTest, ShardsThatDisagreeAreRefused) {
  const auto verdict = [&](const std::vector<GgufBytes>& shards) {
    write("m-00001-of-00002.gguf", shards[0]);
    write("m-00002-of-00002.gguf", shards[1]);
    const auto opened = GgufFile::open(path("m-00001-of-00002.gguf"));
    return opened.ok() ? std::string("opened") : opened.error().message;
  };
  auto shards = two_shards();
  EXPECT_EQ(verdict(shards), "opened");
  shards[1].pairs[0] = pair("split.no", 2, le(uint16_t{0}));
  EXPECT_THAT(verdict(shards), HasSubstr("split.no: expected 1, found 0"));
  shards = two_shards();
  shards[1].pairs.erase(shards[1].pairs.begin());
  EXPECT_THAT(verdict(shards), HasSubstr("split.no: expected 1, found none"));
  shards = two_shards();
  shards[1].pairs[1] = pair("split.count", 2, le(uint16_t{3}));
  EXPECT_THAT(verdict(shards), HasSubstr("split.count: expected 2, as the file's name says"));
  shards = two_shards();
  shards[0].pairs[1] = pair("split.count", 5, le(int32_t{-2}));
  EXPECT_THAT(verdict(shards), HasSubstr("split.count: expected an unsigned number, found -2"));
  shards = two_shards();
  shards[0].pairs.erase(shards[0].pairs.begin(), shards[0].pairs.begin() + 3);
  EXPECT_THAT(verdict(shards), HasSubstr("split.count: expected 2"));
  shards = two_shards();
  shards[1].pairs[2] = pair("split.tensors.count", 5, le(int32_t{3}));
  EXPECT_THAT(verdict(shards), HasSubstr("expected 2, as in the first shard, found 3"));
  shards = two_shards();
  for (GgufBytes& shard : shards) shard.pairs[2] = pair("split.tensors.count", 5, le(int32_t{3}));
  EXPECT_THAT(verdict(shards), HasSubstr("split.tensors.count: expected 3 tensors, found 2"));
  shards = two_shards();
  shards[1].tensors[0].name = "a";
  EXPECT_THAT(verdict(shards), HasSubstr("\"a\": expected the tensor once, found it twice"));
  shards = two_shards();
  shards[1].magic = "GGUX";
  EXPECT_THAT(verdict(shards), HasSubstr("m-00002-of-00002.gguf: magic"));
}

TEST_F(GgufFileTest, OddShardNames) {
  const auto verdict = [&](const char* name, const GgufBytes& file) {
    const auto opened = GgufFile::open(write(name, file));
    return opened.ok() ? std::string("opened") : opened.error().message;
  };
  const GgufBytes whole = test::small_gguf();
  EXPECT_EQ(verdict("x-00001-of-00001.gguf", whole), "opened");
  EXPECT_EQ(verdict("x-00000-of-00002.gguf", whole), "opened");  // no shard's name
  EXPECT_EQ(verdict("x-00003-of-00002.gguf", whole), "opened");
  EXPECT_EQ(verdict("x-0000a-of-00002.gguf", whole), "opened");
  EXPECT_THAT(verdict("x-00001-of-00002.gguf", two_shards()[0]),
              HasSubstr("x-00002-of-00002.gguf: can't be opened"));
  EXPECT_THAT(verdict("renamed.gguf", two_shards()[0]),
              HasSubstr("split.count: expected 1, as the file's name says, found 2"));
  EXPECT_THAT(verdict("-00001-of-00001.gguf", whole), HasSubstr("opened"));
}

TEST_F(GgufFileTest, DataMayBeMissingIfAsked) {
  GgufBytes cut = test::small_gguf();
  cut.tensors.push_back({"b", {8}, 0, 32, {}, {}});
  cut.data.resize(32 + 31);
  const std::string target = write("cut.gguf", cut);
  EXPECT_FALSE(GgufFile::open(target).ok());
  const auto opened = GgufFile::open(target, GgufData::kMayBeMissing);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_NE((*opened)->find_tensor("a")->data, nullptr);
  EXPECT_EQ((*opened)->find_tensor("b")->data, nullptr);
  EXPECT_EQ((*opened)->find_tensor("b")->bytes, 32u);
}

TEST_F(GgufFileTest, FilesThatAreNone) {
  EXPECT_THAT(GgufFile::open(path("absent.gguf")).error().message, HasSubstr("can't be opened"));
  EXPECT_THAT(GgufFile::open(folder_.string()).error().message, HasSubstr("found a folder"));
  std::ofstream(path("empty.gguf"));
  const Error error = GgufFile::open(path("empty.gguf")).error();
  EXPECT_EQ(error.kind, ErrorKind::kBadFile);
  EXPECT_THAT(error.message, HasSubstr("expected \"GGUF\", found an empty file"));
}

TEST(GgufRealTest, SmolLm) {
  const std::string path = real_file("SmolLM2-135M-Instruct.Q4_1.gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here";
  const auto opened = GgufFile::open(path);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(*(*opened)->require_string("general.architecture"), "llama");
  EXPECT_EQ((*opened)->tensors().size(), 272u);
  EXPECT_EQ((*(*opened)->get_array("tokenizer.ggml.tokens", GgufValueType::kString))->count,
            49152u);
  EXPECT_EQ((*opened)->find_tensor("token_embd.weight")->type, TensorType::kQ8_0);
}

// The head of a file of 4,683,073,248 bytes.
TEST(GgufRealTest, CutR1Distill) {
  const std::string path = real_file("r1-distill-qwen-7b.part0.gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here";
  const auto opened = GgufFile::open(path);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("expected 4683073248 bytes"));
  EXPECT_THAT(opened.error().message, HasSubstr("found 99614720"));

  const auto head = GgufFile::open(path, GgufData::kMayBeMissing);
  ASSERT_TRUE(head.ok()) << head.error().message;
  const GgufFile& file = **head;
  ASSERT_EQ(file.tensors().size(), 339u);
  EXPECT_EQ(file.tensor_bytes(), 4683073248u - 5953248u);
  EXPECT_EQ(file.tensors()[0].file_offset, 5953248u);
  EXPECT_EQ((*file.get_array("tokenizer.ggml.merges", GgufValueType::kString))->count, 151387u);
  // The first one, the embedding, is longer than the head.
  for (const GgufTensor& tensor : file.tensors()) EXPECT_EQ(tensor.data, nullptr);
}

}  // namespace
}  // namespace reckon
