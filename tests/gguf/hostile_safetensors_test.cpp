// safetensors files that are wrong in one way each, made by hand (threats.md, A1 and A2).
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "gguf/safetensors.h"
#include "tests/gguf/gguf_bytes.h"
#include "tests/gguf/hostile.h"
#include "tests/gguf/safetensors_bytes.h"

namespace reckon::test {
namespace {

using Cases = std::vector<HostileCase>;

std::string object(std::string_view inner) { return "{" + std::string(inner) + "}"; }

// A tensor of two floats, as the header has it.
std::string two_floats(std::string_view name = "a") { return entry(name, "F32", "[2]", "[0,8]"); }
constexpr std::string_view kEight = "8 bytes.";

void add_lengths(Cases& cases) {
  const std::string good = safetensors_bytes(object(two_floats()), kEight);
  for (size_t length = 0; length < 8; ++length) {
    cases.push_back({"cut length " + std::to_string(length), good.substr(0, length),
                     "header length: expected 8 bytes"});
  }
  const uint64_t header = object(two_floats()).size();
  constexpr uint64_t kTop = uint64_t{1} << 63;
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{1}, kMaxSafetensorsHeaderBytes + 1, uint64_t{1} << 31,
        uint64_t{1} << 32, kTop, kTop - 1, std::numeric_limits<uint64_t>::max()}) {
    cases.push_back({"header length " + std::to_string(length), u64(length) + good.substr(8),
                     "header length: expected 2 to 100000000, found " + std::to_string(length)});
  }
  for (const uint64_t length : {header + 9, uint64_t{1000}, kMaxSafetensorsHeaderBytes}) {
    cases.push_back({"header beyond the file " + std::to_string(length),
                     u64(length) + good.substr(8), "header: expected " + std::to_string(length)});
  }
  for (const uint64_t length : {header - 1, header - 2, uint64_t{2}}) {
    cases.push_back({"header length short " + std::to_string(length), u64(length) + good.substr(8),
                     "header: expected a safetensors directory in JSON"});
  }
  cases.push_back({"header length long by one", u64(header + 1) + good.substr(8), "header"});
}

void add_json(Cases& cases) {
  const auto with = [&](const std::string& name, std::string_view header,
                        const std::string& expected, std::string_view data = kEight) {
    cases.push_back({name, safetensors_bytes(header, data), expected});
  };
  const std::string bad_json = "expected a safetensors directory in JSON";
  with("no tensors", "{}", "", "");
  with("no tensors but data", "{}", "data: expected 0 bytes");
  with("spaces after", object(two_floats()) + "   ", "");
  with("spaces before", "  " + object(two_floats()), "");
  for (const char* text : {"[]",
                           "[1]",
                           "\"a\"",
                           "12",
                           "-1",
                           "1.5",
                           "null",
                           "true",
                           "  ",
                           "nul",
                           "{]",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{,}",
                           "{\"a\":1,}",
                           "{'a':1}",
                           "{}{}",
                           "{} x",
                           "// x\n{}",
                           "{\"a\" 1}",
                           "\xff\xfe{}",
                           "{\"\xff\":1}",
                           "{\"\\ud800\":1}",
                           "{\"a\\x\":1}",
                           "NaN",
                           "\xef\xbb\xbf{}"}) {
    with(std::string("text ") + text, text, bad_json);
  }
  with("NULs", std::string(64, '\0'), bad_json);
  with("tensor is a number", R"({"a":1})", "\"a\" is a number where the format has none");
  with("tensor is text", R"({"a":"F32"})", "\"a\" is a string where the format has none");
  with("tensor is null", R"({"a":null})", "\"a\" is null where the format has none");
  with("tensor is a list", R"({"a":[0,8]})", "\"a\" is an array where the format has none");
  with("tensor is a bool", R"({"a":true})", "\"a\" is a bool where the format has none");
  with("empty tensor", R"({"a":{}})", "\"a\" lacks its dtype");
  with("no dtype", R"({"a":{"shape":[2],"data_offsets":[0,8]}})", "\"a\" lacks its dtype");
  with("no shape", R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", "\"a\" lacks its shape");
  with("no offsets", R"({"a":{"dtype":"F32","shape":[2]}})", "\"a\" lacks its data_offsets");
  with("dtype twice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "\"a\" has its dtype twice");
  with("shape twice", R"({"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})",
       "\"a\" has its shape twice");
  with("offsets twice",
       R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}})",
       "\"a\" has its data_offsets twice");
  with("unknown field", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[1]}})",
       "\"a\" has an unknown field \"strides\"");
  with("object in a tensor", R"({"a":{"dtype":{"dtype":"F32"},"shape":[2],"data_offsets":[0,8]}})",
       "\"a\" is an object where");
  with("dtype a number", R"({"a":{"dtype":0,"shape":[2],"data_offsets":[0,8]}})",
       "\"a\" is a number where");
  with("dtype a list", R"({"a":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}})",
       "\"a\" is an array where");
  with("shape a number", R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})",
       "\"a\" is a number where");
  with("shape a string", R"({"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}})",
       "\"a\" is a string where");
  with("metadata", object(R"("__metadata__":{"format":"pt","x":""},)" + two_floats()), "");
  with("metadata after", object(two_floats() + R"(,"__metadata__":{"format":"pt"})"), "");
  with("metadata with a number", object(R"("__metadata__":{"format":1},)" + two_floats()),
       "\"__metadata__\" is a number");
  with("metadata with an object", object(R"("__metadata__":{"format":{}},)" + two_floats()),
       "is an object where");
  with("metadata a string", object(R"("__metadata__":"x",)" + two_floats()), "is a string where");
  with("long metadata",
       object("\"__metadata__\":{\"" + std::string(100000, 'k') + "\":\"" +
              std::string(1 << 20, 'v') + "\"}," + two_floats()),
       "");
  with("escaped name", object(entry("\\u0061\\n\\\"", "F32", "[2]", "[0,8]")), "");
  with("name of control characters, wrong dtype",
       object(entry("a\\u001b[31m\\n", "F99", "[2]", "[0,8]")),
       "\"a\\x1b[31m\\x0a\": expected dtype");
  with("longest name", object(two_floats(std::string(512, 'n'))), "");
  with("too long a name", object(two_floats(std::string(513, 'n'))), "a name of over 512 bytes");
  with("a name of 1 MiB", object(two_floats(std::string(1 << 20, 'n'))),
       "a name of over 512 bytes");
  with("empty name", object(two_floats("")), "");
  with("duplicate name", object(two_floats() + "," + entry("a", "F32", "[2]", "[8,16]")),
       "\"a\": expected the tensor once", "16 bytes of data");
  with("duplicate name by escape",
       object(two_floats() + "," + entry("\\u0061", "F32", "[2]", "[8,16]")),
       "\"a\": expected the tensor once", "16 bytes of data");
  for (const int depth : {5, 33, 1000, 100000}) {
    with("lists " + std::to_string(depth) + " deep", "{\"a\":" + std::string(depth, '['), bad_json);
    std::string objects;
    for (int i = 0; i < depth; ++i) objects += "{\"a\":";
    with("objects " + std::to_string(depth) + " deep", objects, bad_json);
  }
  with("lists in a shape", R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})",
       "\"a\" is an array where");
}

void add_dtypes(Cases& cases) {
  for (const char* dtype : {"F64", "I64", "I32",  "I16",     "I8",      "U8",         "U16",
                            "U32", "U64", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0",    "F4",
                            "C64", "f32", "F32 ", "",        "float32", "BF16\\u0000"}) {
    cases.push_back({std::string("dtype ") + dtype,
                     safetensors_bytes(object(entry("a", dtype, "[2]", "[0,8]")), kEight),
                     "\"a\": expected dtype F32, F16 or BF16, found \""});
  }
  cases.push_back(
      {"a dtype of 1 KiB",
       safetensors_bytes(object(entry("a", std::string(1024, 'F'), "[2]", "[0,8]")), kEight),
       "\"a\" is a string where"});
  for (const char* dtype : {"F16", "BF16"}) {
    cases.push_back({std::string("good ") + dtype,
                     safetensors_bytes(object(entry("a", dtype, "[2,2]", "[0,8]")), kEight), ""});
  }
}

void add_shapes(Cases& cases) {
  const auto with = [&](std::string shape, std::string_view offsets, const std::string& expected) {
    cases.push_back({"shape " + shape + " " + std::string(offsets),
                     safetensors_bytes(object(entry("a", "F32", shape, offsets)), kEight),
                     expected});
  };
  for (const char* good : {"[2]", "[1,2]", "[2,1,1,1,1,1,1,1]"}) with(good, "[0,8]", "");
  for (const char* wrong : {"[]", "[1]", "[3]", "[2,2]", "[0]", "[0,2]", "[8]"}) {
    with(wrong, "[0,8]", "bytes for F32 ");
  }
  for (const char* not_numbers : {"[-1]", "[-2,-1]"})
    with(not_numbers, "[0,8]", "a negative number");
  for (const char* not_whole : {"[2.0]", "[2e0]", "[1e400]", "[18446744073709551616]", "[0.5]"}) {
    with(not_whole, "[0,8]", "no unsigned 64-bit integer");
  }
  for (const char* odd : {"[null]", "[\"2\"]", "[true]", "[{}]"}) with(odd, "[0,8]", "\"a\" is ");
  with("[9223372036854775808]", "[0,8]", "dimensions below 2^63");
  with("[18446744073709551615]", "[0,8]", "dimensions below 2^63");
  with("[4294967296,4294967296]", "[0,8]", "a size below 2^64 bytes");
  with("[9223372036854775807,2]", "[0,8]", "a size below 2^64 bytes");
  with("[4611686018427387904]", "[0,8]", "a size below 2^64 bytes");
  with("[4611686018427387906]", "[0,8]", "a size below 2^64 bytes");  // wraps to 8 bytes
  with("[4,1073741823,1073741825]", "[0,8]", "expected 18446744073709551600 bytes");
  with("[8,1073741823,1073741825]", "[0,8]", "a size below 2^64 bytes");
  with("[1,1,1,1,1,1,1,1,2]", "[0,8]", "over 8 numbers in its shape");
}

void add_offsets(Cases& cases) {
  const auto with = [&](const std::string& name, const std::string& header, size_t data,
                        const std::string& expected) {
    cases.push_back({name, safetensors_bytes(object(header), std::string(data, 'd')), expected});
  };
  const auto one = [&](const char* offsets, const std::string& expected) {
    with(std::string("offsets ") + offsets, entry("a", "F32", "[2]", offsets), 8, expected);
  };
  one("[]", "has 0 data_offsets, not 2");
  one("[0]", "has 1 data_offsets, not 2");
  one("[0,8,8]", "has 3 data_offsets, not 2");
  one("[0,0,0,0,0,0,0,0,0,0]", "over 8 numbers in its data_offsets");
  one("[8,0]", "a hole");
  one("[1,9]", "a hole");
  one("[4,12]", "a hole");
  one("[0,7]", "expected 8 bytes for F32 [2]");
  one("[0,0]", "expected 8 bytes for F32 [2]");
  one("[0,9]", "data_offsets within the 8 bytes of data");
  one("[0,18446744073709551615]", "within the 8 bytes");
  one("[18446744073709551615,18446744073709551615]", "a hole");
  one("[18446744073709551608,0]", "a hole");
  one("[9223372036854775808,9223372036854775816]", "a hole");
  one("[-8,0]", "a negative number");
  one("[0,8.0]", "no unsigned 64-bit integer");
  one("[0,1e19]", "no unsigned 64-bit integer");
  one("\"0,8\"", "\"a\" is a string");
  one("{\"begin\":0}", "\"a\" is an object");
  one("null", "\"a\" is null");
  with("begin over end",
       entry("a", "F32", "[0]", "[0,0]") + "," + entry("b", "F32", "[2]", "[0,8]") + "," +
           entry("c", "F32", "[1]", "[8,4]"),
       12, "[8, 4]");
  with("data short by one", two_floats(), 7, "within the 7 bytes");
  with("no data", two_floats(), 0, "within the 0 bytes");
  with("data long by one", two_floats(), 9, "data: expected 8 bytes, the end of the last tensor");
  const auto two = [&](const char* first, const char* second, size_t data,
                       const std::string& expected) {
    with(std::string("two at ") + first + " and " + second + " of " + std::to_string(data),
         entry("a", "F32", "[2]", first) + "," + entry("b", "F32", "[2]", second), data, expected);
  };
  two("[0,8]", "[8,16]", 16, "");
  two("[8,16]", "[0,8]", 16, "");
  two("[0,8]", "[0,8]", 8, "an overlap");
  two("[0,8]", "[4,12]", 12, "an overlap");
  two("[0,8]", "[9,17]", 17, "a hole");
  two("[0,8]", "[16,24]", 24, "a hole");
  two("[8,16]", "[16,24]", 24, "a hole");
  two("[0,8]", "[8,16]", 24, "data: expected 16 bytes");
  two("[0,8]", "[8,24]", 24, "expected 8 bytes for F32 [2]");
  with("empty tensors",
       entry("a", "F32", "[0]", "[0,0]") + "," + entry("b", "F16", "[0,5]", "[0,0]") + "," +
           entry("c", "F32", "[2]", "[0,8]"),
       8, "");
  with("scalar", entry("a", "BF16", "[]", "[0,2]"), 2, "");
  with("unaligned", entry("a", "BF16", "[1]", "[0,2]") + "," + entry("b", "F32", "[1]", "[2,6]"), 6,
       "");
}

void add_large(Cases& cases) {
  const auto many = [](uint64_t n) {
    std::string header = "{";
    for (uint64_t i = 0; i < n; ++i) {
      const std::string offset = std::to_string(2 * i);
      header += (i == 0 ? "" : ",") + entry("t" + std::to_string(i), "F16", "[1]",
                                            "[" + offset + "," + std::to_string(2 * i + 2) + "]");
    }
    return header + "}";
  };
  cases.push_back({"as many tensors as allowed",
                   safetensors_bytes(many(kMaxSafetensors), std::string(2 * kMaxSafetensors, 'd')),
                   ""});
  cases.push_back({"a tensor too many", safetensors_bytes(many(kMaxSafetensors + 1), ""),
                   "more than 262144 tensors"});
  cases.push_back({"90 MB of spaces", safetensors_bytes("{" + std::string(90'000'000, ' '), ""),
                   "expected a safetensors directory in JSON"});
  cases.push_back({"90 MB of an endless number",
                   safetensors_bytes("{\"a\":" + std::string(90'000'000, '1'), ""),
                   "expected a safetensors directory in JSON"});
  cases.push_back({"90 MB of an endless list of numbers",
                   safetensors_bytes("{\"a\":{\"shape\":[" + std::string(45'000'000, '1'), ""),
                   "expected a safetensors directory in JSON"});
  cases.push_back({"90 MB of an endless name",
                   safetensors_bytes("{\"" + std::string(90'000'000, 'n'), ""), "over 512 bytes"});
}

Cases all_cases() {
  Cases cases;
  add_lengths(cases);
  add_json(cases);
  add_dtypes(cases);
  add_shapes(cases);
  add_offsets(cases);
  add_large(cases);
  return cases;
}

auto open_bytes(std::span<const std::byte> bytes) { return Safetensors::from_bytes(bytes, "bad"); }

TEST(HostileSafetensorsTest, EveryCaseGetsItsVerdict) {
  std::set<std::string> names;
  size_t bad = 0;
  const Cases cases = all_cases();
  for (const HostileCase& c : cases) {
    EXPECT_TRUE(names.insert(c.name).second) << "two cases are called " << c.name;
    bad += c.expected.empty() ? 0 : 1;
    expect_verdict(c, open_bytes);
  }
  EXPECT_GE(bad, 120u);
  RecordProperty("cases", static_cast<int>(cases.size()));
  RecordProperty("bad_files", static_cast<int>(bad));
}

// About 4 KiB.
std::string seed_safetensors() {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  size_t offset = 0;
  for (int i = 0; i < 24; ++i) {
    const size_t end = offset + 64;
    header +=
        "," + entry("model.layers." + std::to_string(i) + ".mlp.weight", i % 2 ? "BF16" : "F16",
                    "[8,4]", "[" + std::to_string(offset) + "," + std::to_string(end) + "]");
    offset = end;
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  return safetensors_bytes(header, std::string(offset, 'd'));
}

TEST(HostileSafetensorsTest, EveryCutAndBitFlip) {
  const std::string seed = seed_safetensors();
  EXPECT_GT(seed.size(), 3600u);
  EXPECT_LT(seed.size(), 4400u);
  expect_survives_damage(seed, open_bytes);
}

TEST(HostileSafetensorsTest, EveryAllocationFailsOnce) {
  const ExactBytes bytes(seed_safetensors());
  int64_t n = 0;
  for (;; ++n) {
    fail_allocation(n);
    const auto opened = open_bytes(bytes.span());
    const bool failed = allocation_failed();
    fail_allocation(-1);
    if (!failed) {
      EXPECT_TRUE(opened.ok());
      break;
    }
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().kind, ErrorKind::kFailed);
    EXPECT_THAT(opened.error().message, testing::HasSubstr("not enough memory"));
  }
  EXPECT_GT(n, 10);
}

}  // namespace
}  // namespace reckon::test
