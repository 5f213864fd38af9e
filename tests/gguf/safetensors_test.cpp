// Files written and read back, shards by their index, and folders that lack something.
#include "gguf/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/gguf/safetensors_bytes.h"

namespace reckon {
namespace {

using test::entry;
using test::safetensors_bytes;
using testing::HasSubstr;

class SafetensorsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("safetensors_" + std::to_string(::getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  void write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  std::string folder_verdict() const {
    const auto opened = Safetensors::open_folder(folder_.string());
    return opened.ok() ? "opened" : opened.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(SafetensorsTest, WriterRoundTrip) {
  SafetensorsWriter writer;
  const int64_t matrix[] = {2, 3};
  const int64_t vector[] = {5};
  writer.add_tensor("model.a", TensorType::kF32, matrix);
  writer.add_tensor("b \"quoted\" ß", TensorType::kBF16, vector);
  writer.add_tensor("scalar", TensorType::kF16, {});
  ASSERT_TRUE(writer.begin(path("model.safetensors")).ok());
  const float a[] = {1, 2, 3, 4, 5, 6};
  const uint16_t b[] = {7, 8, 9, 10, 11};
  const auto a_bytes = std::as_bytes(std::span(a));
  ASSERT_TRUE(writer.write_tensor_data(a_bytes.first(3)).ok());
  ASSERT_TRUE(writer.write_tensor_data(a_bytes.subspan(3)).ok());
  ASSERT_TRUE(writer.write_tensor_data(std::as_bytes(std::span(b))).ok());
  ASSERT_TRUE(writer.write_tensor_data(std::as_bytes(std::span(b).first(1))).ok());
  ASSERT_TRUE(writer.commit().ok());

  const auto opened = Safetensors::open_folder(folder_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  ASSERT_EQ((*opened)->tensors().size(), 3u);
  const SafetensorsTensor* found = (*opened)->find("model.a");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->shape_text(), "[2, 3]");
  EXPECT_EQ(found->type, TensorType::kF32);
  EXPECT_EQ(0, std::memcmp(found->data.data(), a, sizeof(a)));
  found = (*opened)->find("b \"quoted\" ß");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->data.size(), sizeof(b));
  EXPECT_EQ((*opened)->find("scalar")->shape_text(), "[]");
  EXPECT_EQ((*opened)->find("scalar")->data.size(), 2u);
  EXPECT_EQ((*opened)->find("c"), nullptr);
  // The data begins aligned.
  std::ifstream in(path("model.safetensors"), std::ios::binary);
  uint64_t length = 0;
  in.read(reinterpret_cast<char*>(&length), 8);
  EXPECT_EQ(length % 8, 0u);
}

TEST_F(SafetensorsTest, WriterRefusesWhatTheFormatCannotHold) {
  const int64_t eight[] = {8};
  const int64_t huge[] = {int64_t{1} << 62, 8};
  const int64_t negative[] = {-1};
  const auto refusal = [&](const auto& fill) {
    SafetensorsWriter writer;
    fill(writer);
    const Status status = writer.begin(path("refused.safetensors"));
    return status.ok() ? std::string("written") : status.error().message;
  };
  EXPECT_THAT(refusal([&](SafetensorsWriter& w) {
                w.add_tensor("t", TensorType::kF32, eight);
                w.add_tensor("t", TensorType::kF32, eight);
              }),
              HasSubstr("\"t\" [8] f32: can't be written"));
  EXPECT_THAT(refusal([&](SafetensorsWriter& w) { w.add_tensor("t", TensorType::kQ8_0, eight); }),
              HasSubstr("q8_0: can't be written"));
  EXPECT_THAT(refusal([&](SafetensorsWriter& w) { w.add_tensor("t", TensorType::kF32, huge); }),
              HasSubstr("below 2^64 bytes"));
  EXPECT_THAT(refusal([&](SafetensorsWriter& w) { w.add_tensor("t", TensorType::kF32, negative); }),
              HasSubstr("can't be written"));
  EXPECT_FALSE(std::filesystem::exists(path("refused.safetensors")));
}

TEST_F(SafetensorsTest, Shards) {
  const std::string a = safetensors_bytes("{" + entry("a", "F32", "[1]", "[0,4]") + "}", "aaaa");
  const std::string b = safetensors_bytes("{" + entry("b", "F16", "[2]", "[0,4]") + "}", "bbbb");
  const std::string index = R"({"metadata":{"total_size":8},"weight_map":{"a":"1.safetensors",)"
                            R"("b":"2.safetensors"}})";
  write("1.safetensors", a);
  write("2.safetensors", b);
  EXPECT_THAT(folder_verdict(), HasSubstr("expected model.safetensors or model.safetensors.index"));
  write("model.safetensors.index.json", index);
  const auto opened = Safetensors::open_folder(folder_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ((*opened)->find("a")->shard, 0);
  EXPECT_EQ((*opened)->find("b")->shard, 1);
  EXPECT_EQ(static_cast<char>((*opened)->find("b")->data[0]), 'b');
  // One whole file goes before an index, as in transformers.
  write("model.safetensors", a);
  EXPECT_EQ((*Safetensors::open_folder(folder_.string()))->tensors().size(), 1u);
}

TEST_F(SafetensorsTest, WrongIndices) {
  const std::string a = safetensors_bytes("{" + entry("a", "F32", "[1]", "[0,4]") + "}", "aaaa");
  const std::string b = safetensors_bytes("{" + entry("b", "F16", "[2]", "[0,4]") + "}", "bbbb");
  write("1.safetensors", a);
  write("2.safetensors", b);
  const auto verdict = [&](std::string_view index) {
    write("model.safetensors.index.json", index);
    return folder_verdict();
  };
  const auto map = [](std::string_view inner) {
    return "{\"weight_map\":{" + std::string(inner) + "}}";
  };
  const std::string good = R"("a":"1.safetensors","b":"2.safetensors")";
  EXPECT_EQ(verdict(map(good)), "opened");
  EXPECT_EQ(verdict(map("")), "opened");  // no weights: the model's own checks say what lacks
  EXPECT_THAT(verdict(""), HasSubstr("index.json: not the JSON"));
  EXPECT_THAT(verdict("[]"), HasSubstr("weight_map: expected an object"));
  EXPECT_THAT(verdict("{}"), HasSubstr("weight_map: expected an object"));
  EXPECT_THAT(verdict(R"({"weight_map":["a"]})"), HasSubstr("weight_map: expected an object"));
  EXPECT_THAT(verdict(map(R"("a":1)")),
              HasSubstr("\"a\": expected the name of a .safetensors file"));
  EXPECT_THAT(verdict(map(R"("a":"1.safetensors","a":"1.safetensors")")),
              HasSubstr("stands twice"));
  EXPECT_THAT(verdict(map(R"("a":"1.safetensors")")), HasSubstr("opened"));
  EXPECT_THAT(verdict(map(R"("b":"1.safetensors")")),
              HasSubstr("\"a\": expected it in 1.safetensors, which holds it, found no such name"));
  EXPECT_THAT(verdict(map(R"("a":"2.safetensors","b":"1.safetensors")")),
              HasSubstr("\"a\": expected it in 1.safetensors, which holds it, found \"2.safe"));
  EXPECT_THAT(verdict(map(good + R"(,"c":"1.safetensors")")),
              HasSubstr("1.safetensors: \"c\": expected the tensor, as the index says"));
  EXPECT_THAT(verdict(map(R"("a":"3.safetensors")")), HasSubstr("3.safetensors: can't be opened"));
  write("copy.safetensors", a);
  EXPECT_THAT(verdict(map(R"("a":"1.safetensors","b":"copy.safetensors")")),
              HasSubstr("which holds it"));
  for (const char* name :
       {"../1.safetensors", "/etc/1.safetensors", ".safetensors", "..\\\\1.safetensors",
        "x/1.safetensors", "1.bin", "", "..", ".hidden.safetensors", "1.safetensors\\u0000"}) {
    EXPECT_THAT(verdict(map("\"a\":\"" + std::string(name) + "\"")),
                HasSubstr("\"a\": expected the name of a .safetensors file beside the index"))
        << name;
  }
  EXPECT_THAT(verdict(map("\"a\":\"" + std::string(300, 'n') + ".safetensors\"")),
              HasSubstr("beside the index"));
}

}  // namespace
}  // namespace reckon
