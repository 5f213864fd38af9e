// GGUF files that are wrong in one way each, made by hand (threats.md, A1 and A2).
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "gguf/gguf_file.h"
#include "gguf/gguf_parser.h"
#include "tests/gguf/gguf_bytes.h"
#include "tests/gguf/hostile.h"

namespace reckon::test {
namespace {

constexpr uint64_t k2to31 = uint64_t{1} << 31;
constexpr uint64_t k2to32 = uint64_t{1} << 32;
constexpr uint64_t k2to61 = uint64_t{1} << 61;
constexpr uint64_t k2to63 = uint64_t{1} << 63;
constexpr uint64_t kAllOnes = std::numeric_limits<uint64_t>::max();

using Cases = std::vector<HostileCase>;

void add(Cases& cases, std::string name, const GgufBytes& file, std::string expected) {
  cases.push_back({std::move(name), file.encode(), std::move(expected)});
}

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%llx", static_cast<unsigned long long>(value));
  return text;
}

void add_headers(Cases& cases) {
  const std::string good = small_gguf().encode();
  for (size_t length = 0; length < 24; ++length) {
    cases.push_back({"cut header " + std::to_string(length), good.substr(0, length),
                     length < 4   ? "magic"
                     : length < 8 ? "version"
                                  : "tensor_count"});
  }
  for (const char* magic : {"ggjt", "GGML", "gguf", "FUGG", "PK\3\4",
                            "\x7f"
                            "ELF",
                            "<!do", "vers", "{\"a\"", "GGUX", "\x1f\x8b\b\b"}) {
    GgufBytes file = small_gguf();
    file.magic = magic;
    add(cases, std::string("magic ") + magic, file, "magic: expected \"GGUF\", found \"");
  }
  GgufBytes zeros = small_gguf();
  zeros.magic.assign(4, '\0');
  add(cases, "magic of zeros", zeros, "found \"\\x00\\x00\\x00\\x00\"");
  for (const uint32_t version : {0u, 4u, 5u, 100u, 0x7fffffffu, 0xffffffffu}) {
    GgufBytes file = small_gguf();
    file.version = version;
    add(cases, "version " + hex(version), file, "version: expected 2 or 3, found ");
  }
  for (const uint32_t version : {1u, 2u, 3u}) {
    GgufBytes file = small_gguf();
    file.version = version << 24;
    add(cases, "big-endian " + hex(version), file, "big-endian");
    file.version = version;
    add(cases, "version " + hex(version), file, version == 1 ? "found 1, a form of 2023" : "");
  }
  for (const uint64_t count : {uint64_t{2}, uint64_t{3}, (uint64_t{1} << 18) + 1, k2to31, k2to32,
                               k2to61, k2to63, kAllOnes}) {
    GgufBytes tensors = small_gguf();
    tensors.n_tensors = count;
    add(cases, "tensor_count " + hex(count), tensors, count == 2 ? "tensor 1" : "tensor_count");
    GgufBytes keys = small_gguf();
    keys.n_keys = count;
    add(cases, "kv_count " + hex(count), keys,
        count <= 3 ? "metadata key 1" : "metadata_kv_count: expected at most");
  }
  for (const uint64_t count : {uint64_t{0}, uint64_t{1}}) {
    GgufBytes tensors = small_gguf();
    tensors.n_tensors = count;
    add(cases, "tensor_count right " + hex(count), tensors, "");
  }
  add(cases, "nothing in it", GgufBytes{}, "");
  GgufBytes tail = small_gguf();
  tail.data += "more than there are tensors for";
  add(cases, "bytes after the data", tail, "");
}

// A value of each scalar type, by its id, as encoded.
std::string scalar_of(uint32_t type) {
  switch (type) {
    case 0:
    case 1: return le(uint8_t{1});
    case 7: return le(uint8_t{1});
    case 2:
    case 3: return le(uint16_t{1});
    case 4:
    case 5: return le(uint32_t{1});
    case 6: return le(1.0f);
    case 8: return text("text");
    case 10:
    case 11: return le(uint64_t{1});
    case 12: return le(1.0);
    default: return "";
  }
}

void add_metadata(Cases& cases) {
  const auto with = [&](const std::string& name, std::vector<std::string> pairs,
                        const std::string& expected, bool tensors = true) {
    GgufBytes file = tensors ? small_gguf() : GgufBytes{};
    file.pairs = std::move(pairs);
    add(cases, name, file, expected);
  };
  with("empty key", {pair("", 4, u32(1))}, "metadata key 0: expected a name, found an empty one");
  with("longest key", {pair(std::string(65535, 'k'), 4, u32(1))}, "");
  with("too long a key", {pair(std::string(65536, 'k'), 4, u32(1))}, "at most 65535 bytes");
  with("key of control characters twice",
       {pair("a\nb\x1b[31m", 4, u32(1)), pair("a\nb\x1b[31m", 4, u32(1))},
       "\"a\\x0ab\\x1b[31m\": expected the key once");
  with("key of bad UTF-8", {pair("\xff\xc0\x80", 4, u32(1))}, "");
  with("key with NUL", {pair(std::string_view("a\0b", 3), 4, u32(1))}, "");
  with("duplicate key", {pair("k", 4, u32(1)), pair("k", 4, u32(1))},
       "\"k\": expected the key once");
  with("duplicate key of another type",
       {pair("k", 4, u32(1)), pair("j", 0, "x"), string_pair("k", "v")},
       "\"k\": expected the key once");
  for (const uint64_t length : {k2to31, k2to32, k2to63, kAllOnes, uint64_t{1000}}) {
    with("key length " + hex(length), {u64(length) + "key" + u32(4) + u32(1)}, "metadata key 0");
    with("string length " + hex(length), {pair("s", 8, u64(length) + "abc")}, "\"s\"");
    with("string length in array " + hex(length),
         {array_pair("s", 8, 2, text("a") + u64(length) + "abc")}, "\"s\"");
  }
  for (const uint32_t type : {13u, 14u, 64u, 255u, 0x80000000u, 0xffffffffu}) {
    with("value type " + hex(type), {pair("k", type, u64(0))}, "\"k\": expected a value type");
    with("element type " + hex(type), {array_pair("k", type, 1, u64(0))},
         "\"k\": expected an array of numbers");
  }
  for (uint32_t type = 0; type <= 12; ++type) {
    if (type == 9) continue;
    const std::string value = scalar_of(type);
    with("value of type " + std::to_string(type), {pair("k", type, value)}, "");
    // The file ends within the value.
    GgufBytes cut;
    cut.pairs = {pair("padding", 8, text(std::string(16, 'p'))),
                 pair("k", type, value.substr(0, value.size() - 1))};
    add(cases, "cut value of type " + std::to_string(type), cut, "\"k\"");
    with("array of type " + std::to_string(type), {array_pair("k", type, 2, value + value)}, "");
    with("empty array of type " + std::to_string(type), {array_pair("k", type, 0, "")}, "");
    for (const uint64_t count : {uint64_t{100}, k2to31, k2to32 + 1, k2to61, k2to63, kAllOnes}) {
      with("array of type " + std::to_string(type) + " count " + hex(count),
           {array_pair("k", type, count, value)}, "\"k\": expected at most");
    }
  }
  with("array of arrays", {array_pair("k", 9, 1, u32(4) + u64(1) + u32(1))}, "an array of arrays");
  std::string nested = u32(4) + u64(0);
  for (int depth = 0; depth < 10000; ++depth) nested = u32(9) + u64(1) + nested;
  with("arrays 10,000 deep", {pair("k", 9, nested)}, "an array of arrays");
  with("cut array header", {}, "");
  with("array header cut", {text("k") + u32(9) + u32(4)}, "\"k\"", false);
  for (const int flag : {2, 127, 128, 255}) {
    with("bool " + std::to_string(flag), {pair("k", 7, le(static_cast<uint8_t>(flag)))},
         "\"k\": expected a bool of 0 or 1");
  }
  with("NaN and infinity",
       {pair("n", 6, le(std::numeric_limits<float>::quiet_NaN())),
        pair("i", 12, le(std::numeric_limits<double>::infinity())),
        array_pair("f", 6, 1, le(std::numeric_limits<float>::infinity())),
        array_pair("d", 12, 1, le(1e300))},
       "");
  for (const uint32_t count : {2u, 5u, 65535u}) {
    with("split.count " + std::to_string(count), {pair("split.count", 4, u32(count))},
         "split.count: expected 1");
  }
  with("split.count negative", {pair("split.count", 5, le(int32_t{-1}))},
       "split.count: expected an");
  with("split.count text", {string_pair("split.count", "2")}, "found a string");
  with("split.no", {pair("split.no", 4, u32(3))}, "split.no: expected 0, found 3");
  with("split.tensors.count", {pair("split.tensors.count", 4, u32(2))},
       "expected 2 tensors, found 1");
  with("split of one",
       {pair("split.count", 4, u32(1)), pair("split.no", 4, u32(0)),
        pair("split.tensors.count", 4, u32(1))},
       "");
}

void add_alignments(Cases& cases) {
  const auto with = [&](uint32_t value, const std::string& expected) {
    GgufBytes file = small_gguf();
    file.pairs = {pair("general.alignment", 4, u32(value))};
    file.alignment = expected.empty() ? value : 32;
    add(cases, "alignment " + hex(value), file, expected);
  };
  for (const uint32_t good : {8u, 16u, 32u, 64u, 128u, 4096u, 1u << 20}) with(good, "");
  for (const uint32_t bad : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 9u, 12u, 24u, 31u, 33u, 48u, 1000u,
                             (1u << 20) + 1, 1u << 21, 1u << 30, 1u << 31, 0xffffffffu}) {
    with(bad, "general.alignment: expected a power of two from 8 to 1048576");
  }
  for (uint32_t type = 0; type <= 12; ++type) {
    if (type == 4 || type == 9) continue;
    GgufBytes file = small_gguf();
    file.pairs = {pair("general.alignment", type, scalar_of(type))};
    add(cases, "alignment of type " + std::to_string(type), file,
        "general.alignment: expected an uint32, found ");
  }
  GgufBytes array = small_gguf();
  array.pairs = {array_pair("general.alignment", 4, 1, u32(32))};
  add(cases, "alignment as array", array, "general.alignment: expected an uint32, found array");
}

void add_shapes(Cases& cases) {
  const auto with = [&](const std::string& name, std::vector<uint64_t> dims,
                        const std::string& expected, uint32_t type = 0) {
    GgufBytes file = small_gguf();
    file.tensors[0].dims = std::move(dims);
    file.tensors[0].type = type;
    add(cases, "shape " + name, file, "\"a\"" + (expected.empty() ? "" : ": expected " + expected));
  };
  const std::string too_many = "at most 9223372036854775807 elements";
  with("2^32 x 2^32", {k2to32, k2to32}, too_many);
  with("INT64_MAX x 2", {k2to63 - 1, 2}, too_many);
  with("4 x (2^30-1) x (2^30+1)", {4, (1u << 30) - 1, (1u << 30) + 1}, "");  // past the end
  with("2^62 x 2", {k2to63 / 2, 2}, too_many);
  with("2^21 x 2^21 x 2^21 x 2", {1 << 21, 1 << 21, 1 << 21, 2}, too_many);
  with("2^16 four times", {1 << 16, 1 << 16, 1 << 16, 1 << 16}, too_many);
  with("wraps to 8", {k2to61 + 1, 8}, too_many);
  with("wraps to 32 bytes", {k2to63 / 2 + 8}, "a size below 2^63 bytes");
  with("INT64_MAX", {k2to63 - 1}, "a size below 2^63 bytes");
  with("INT64_MAX halves", {k2to63 - 1}, "a size below 2^63 bytes", 1);
  with("2^62 quantised", {k2to63 - 64, 1}, "a size below 2^63 bytes", 8);
  for (const uint64_t zero_or_negative : {uint64_t{0}, kAllOnes, k2to63, k2to63 + 8}) {
    for (size_t d = 0; d < 4; ++d) {
      std::vector<uint64_t> dims(4, 1);
      dims[d] = zero_or_negative;
      with("dimension " + std::to_string(d) + " " + hex(zero_or_negative), dims,
           "dimension " + std::to_string(d) + " from 1 to 9223372036854775807");
    }
  }
  with("4 x 0", {4, 0}, "dimension 1 from 1");
  for (const uint32_t n_dims : {0u, 5u, 6u, 64u, 255u, 0x80000000u, 0xffffffffu}) {
    GgufBytes file = small_gguf();
    file.tensors[0].n_dims = n_dims;
    add(cases, "n_dims " + hex(n_dims), file, "\"a\": expected 1 to 4 dimensions");
  }
  for (const uint32_t n_dims : {2u, 3u, 4u}) {  // more than there are: type and offset are taken
    GgufBytes file = small_gguf();
    file.tensors[0].n_dims = n_dims;
    file.data.clear();
    add(cases, "n_dims beyond the dims " + hex(n_dims), file, "\"a\"");
  }
  // Every known type's row that is no whole number of blocks, and one that is.
  for (const TensorTypeInfo& info : all_tensor_types()) {
    const auto block = static_cast<uint64_t>(info.block_elements);
    for (const uint64_t row : {uint64_t{1}, block / 2, block - 1, block + 1, 3 * block / 2}) {
      if (block == 1) break;
      with(std::string(info.name) + " row " + std::to_string(row), {row, 2},
           "rows of a multiple of " + std::to_string(block), static_cast<uint32_t>(info.type));
    }
    GgufBytes good;
    good.tensors.push_back({"a", {block, 3}, static_cast<uint32_t>(info.type), 0, {}, {}});
    good.data.assign(static_cast<size_t>(info.block_bytes) * 3, 'd');
    add(cases, std::string(info.name) + " in full", good, "");
    good.data.pop_back();
    add(cases, std::string(info.name) + " a byte short", good, "cut short");
  }
}

void add_types(Cases& cases) {
  std::set<uint32_t> ids = {0x7fffffff, 0x80000000u, 0xffffffffu, 1000};
  for (uint32_t id = 0; id < 64; ++id) ids.insert(id);
  for (const TensorTypeInfo& info : all_tensor_types()) ids.erase(static_cast<uint32_t>(info.type));
  for (const uint32_t id : ids) {
    GgufBytes file = small_gguf();
    file.tensors[0].type = id;
    add(cases, "tensor type " + hex(id), file,
        "\"a\": expected a tensor type that reckon reads, found type " + std::to_string(id) + " (" +
            std::string(foreign_tensor_type_name(id)) + ")");
  }
}

void add_tensors(Cases& cases) {
  GgufBytes file = small_gguf();
  file.tensors[0].name = "";
  add(cases, "empty tensor name", file, "tensor 0: expected a name");
  for (const size_t length : {size_t{64}, size_t{65}, size_t{1000}}) {
    file = small_gguf();
    file.tensors[0].name.assign(length, 'n');
    add(cases, "tensor name of " + std::to_string(length), file,
        length == 64 ? "" : "a name of at most 64 bytes");
  }
  for (const uint64_t length : {k2to31, k2to32, k2to63, kAllOnes}) {
    file = small_gguf();
    file.tensors[0].name_length = length;
    add(cases, "tensor name length " + hex(length), file,
        "tensor 0: expected " + std::to_string(length) + " bytes");
  }
  const auto two = [&](const std::string& name, uint64_t first, uint64_t second, size_t bytes,
                       const std::string& expected) {
    GgufBytes pair_file = small_gguf();
    pair_file.tensors[0].offset = first;
    pair_file.tensors.push_back({"b", {8}, 0, second, {}, {}});
    pair_file.data.assign(bytes, 'd');
    add(cases, "offsets " + name, pair_file, expected);
  };
  two("in order", 0, 32, 64, "");
  two("out of order", 32, 0, 64, "");
  two("with a gap", 0, 64, 96, "");
  two("equal", 0, 0, 64, "overlapping it");
  two("equal at the end", 32, 32, 64, "overlapping it");
  two("just past the end", 0, 64, 64, "expected 192 bytes (the end of \"b\"), found 160");
  two("one byte short", 0, 32, 63, "cut short");
  two("no data", 0, 32, 0, "cut short");
  for (const uint64_t offset :
       {uint64_t{1}, uint64_t{4}, uint64_t{16}, uint64_t{31}, uint64_t{33}, kAllOnes, k2to63 + 1}) {
    two("unaligned " + hex(offset), 0, offset, 64,
        "\"b\": expected an offset that is a multiple of 32");
  }
  for (const uint64_t offset : {uint64_t{1} << 20, k2to31, k2to32, k2to61, k2to63, kAllOnes - 31}) {
    two("past the end " + hex(offset), 0, offset, 64,
        offset == kAllOnes - 31 ? "\"b\": expected an offset inside the file"
                                : "cut short or its directory is wrong");
  }
  // The first is longer than the space before the second.
  GgufBytes overlap = small_gguf();
  overlap.tensors[0].dims = {16};
  overlap.tensors.push_back({"b", {8}, 0, 32, {}, {}});
  overlap.data.assign(96, 'd');
  add(cases, "partly overlapping", overlap, "\"b\": expected data after the end of \"a\"");
  GgufBytes within = small_gguf();
  within.tensors[0].dims = {64};
  within.tensors.push_back({"b", {8}, 0, 96, {}, {}});
  within.data.assign(256, 'd');
  add(cases, "one within another", within, "overlapping it");
  GgufBytes twice = small_gguf();
  twice.tensors.push_back({"a", {8}, 0, 32, {}, {}});
  twice.data.assign(64, 'd');
  add(cases, "duplicate tensor", twice, "\"a\": expected the tensor once");
  GgufBytes apart = twice;
  apart.tensors.insert(apart.tensors.begin() + 1, {"b", {8}, 0, 64, {}, {}});
  apart.data.assign(96, 'd');
  add(cases, "duplicate tensor apart", apart, "\"a\": expected the tensor once");
  // The directory cut at every byte of its entry (37 bytes, after the header's 24).
  const std::string good = small_gguf().encode();
  for (size_t length = 24; length < 24 + 37; ++length) {
    cases.push_back({"cut directory " + std::to_string(length), good.substr(0, length),
                     length < 57   ? "tensor_count"
                     : length < 61 ? "\"a\""
                                   : "cut short"});
  }
}

void add_large(Cases& cases) {
  constexpr int kMillion = 1'000'000;
  GgufBytes keys = small_gguf();
  keys.pairs.reserve(kMillion);
  for (int i = 0; i < kMillion; ++i) keys.pairs.push_back(pair("key" + std::to_string(i), 0, "v"));
  add(cases, "a million keys", keys, "");
  keys.pairs.back() = keys.pairs.front();
  add(cases, "a million keys, the last as the first", keys, "\"key0\": expected the key once");
  GgufBytes too_many;
  too_many.pairs.assign(kMaxGgufKeys + 1, pair("k", 0, "v"));
  add(cases, "more keys than the limit", too_many, "metadata_kv_count: expected at most 1048576");
  GgufBytes strings = small_gguf();
  std::string empty_strings(8 * kMaxGgufStrings, '\0');
  strings.pairs = {array_pair("s", 8, kMaxGgufStrings, empty_strings)};
  add(cases, "as many strings as allowed", strings, "");
  strings.pairs.push_back(array_pair("t", 8, 1, text("one more")));
  add(cases, "a string too many", strings, "\"t\": expected at most 4194304 strings");
  GgufBytes tensors;
  for (uint64_t i = 0; i < kMaxGgufTensors; ++i) {
    tensors.tensors.push_back({"t" + std::to_string(i), {8}, 0, i * 32, {}, {}});
  }
  tensors.data.assign(32 * kMaxGgufTensors, 'd');
  add(cases, "as many tensors as allowed", tensors, "");
  tensors.tensors.back().name = "t0";
  add(cases, "many tensors, the last named as the first", tensors,
      "\"t0\": expected the tensor once");
  tensors.tensors.back() = {"last", {8}, 0, 0, {}, {}};
  add(cases, "many tensors, the last over the first", tensors, "overlapping it");
  GgufBytes zeros;
  zeros.n_keys = kMaxGgufKeys;
  zeros.data.assign(32 << 20, '\0');
  add(cases, "32 MiB of zeros for keys", zeros, "metadata key 0: expected a name");
}

Cases all_cases() {
  Cases cases;
  add_headers(cases);
  add_metadata(cases);
  add_alignments(cases);
  add_shapes(cases);
  add_types(cases);
  add_tensors(cases);
  add_large(cases);
  return cases;
}

TEST(HostileGgufTest, EveryCaseGetsItsVerdict) {
  const Cases cases = all_cases();
  std::set<std::string> names;
  size_t bad = 0;
  for (const HostileCase& c : cases) {
    EXPECT_TRUE(names.insert(c.name).second) << "two cases are called " << c.name;
    bad += c.expected.empty() ? 0 : 1;
    expect_verdict(c, [](std::span<const std::byte> bytes) {
      return GgufFile::from_bytes(bytes, "hostile.gguf");
    });
  }
  EXPECT_GE(bad, 300u);
  RecordProperty("cases", static_cast<int>(cases.size()));
  RecordProperty("bad_files", static_cast<int>(bad));
}

// The same through the file system and the mapping.
TEST(HostileGgufTest, EveryCaseAsAFile) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) /
                                     ("hostile" + std::to_string(::getpid()) + ".gguf");
  for (const HostileCase& c : all_cases()) {
    if (c.bytes.size() > (1 << 20)) continue;
    SCOPED_TRACE(c.name);
    std::ofstream(path, std::ios::binary) << c.bytes;
    const auto opened = GgufFile::open(path.string());
    ASSERT_EQ(opened.ok(), c.expected.empty());
    if (opened.ok()) {
      EXPECT_NE(walk(**opened), 1u);
    } else {
      EXPECT_THAT(opened.error().message, testing::HasSubstr(c.expected));
    }
  }
  std::filesystem::remove(path);
}

// Strings as long as 2^31 bytes and more are views: they cost nothing. The file is a hole.
TEST(HostileGgufTest, HugeStringInASparseFile) {
  const int fd = ::memfd_create("sparse", 0);
  ASSERT_GE(fd, 0);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  GgufBytes head;
  head.n_keys = 1;
  const std::string start = head.encode() + text("token") + u32(8) + u64(k2to31 + 5);
  ASSERT_EQ(::write(fd, start.data(), start.size()), static_cast<ssize_t>(start.size()));
  ASSERT_EQ(::ftruncate(fd, static_cast<off_t>(start.size() + k2to31 + 5)), 0);
  reset_heap_peak();
  {
    const auto opened = GgufFile::open(path);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    EXPECT_EQ((*opened)->require_string("token")->size(), k2to31 + 5);
  }
  ASSERT_EQ(::ftruncate(fd, static_cast<off_t>(start.size() + k2to31 + 4)), 0);
  const auto cut = GgufFile::open(path);
  ASSERT_FALSE(cut.ok());
  EXPECT_THAT(cut.error().message, testing::HasSubstr("\"token\": expected 2147483653 bytes"));
  EXPECT_LT(heap_peak_bytes(), size_t{1} << 20);
  ::close(fd);
}

// About 4 KiB with a bit of everything in it.
std::string seed_gguf() {
  GgufBytes file;
  file.pairs = {string_pair("general.architecture", "qwen2"),
                pair("general.alignment", 4, u32(64)),
                pair("qwen2.block_count", 4, u32(1)),
                pair("qwen2.rope.freq_base", 6, le(10000.0f)),
                pair("flag", 7, le(uint8_t{1})),
                pair("i64", 11, le(int64_t{-1})),
                pair("f64", 12, le(0.5)),
                pair("u16", 2, le(uint16_t{7})),
                array_pair("tokens", 8, 3, text("a") + text("") + text("ccc")),
                array_pair("types", 5, 3, u32(1) + u32(3) + u32(4)),
                array_pair("scores", 6, 2, le(0.5f) + le(-1.0f)),
                pair("split.count", 2, le(uint16_t{1}))};
  file.alignment = 64;
  file.tensors = {{"token_embd.weight", {32, 8}, 0, 0, {}, {}},
                  {"blk.0.attn_q.weight", {32, 4}, 8, 1024, {}, {}},
                  {"blk.0.ffn_up.weight", {256, 2}, 12, 1216, {}, {}},
                  {"output_norm.weight", {32, 1, 1, 1}, 30, 1536, {}, {}}};
  file.data.assign(3200, '\x5a');
  file.tensors.push_back({"output.weight", {400}, 0, 1600, {}, {}});
  return file.encode();
}

TEST(HostileGgufTest, EveryCutAndBitFlip) {
  const std::string seed = seed_gguf();
  EXPECT_GT(seed.size(), 3800u);
  EXPECT_LT(seed.size(), 4400u);
  expect_survives_damage(seed, [](std::span<const std::byte> bytes) {
    return GgufFile::from_bytes(bytes, "damaged.gguf");
  });
}

// threats.md, A5: whichever allocation fails, the error is clean and the next try works.
TEST(HostileGgufTest, EveryAllocationFailsOnce) {
  const ExactBytes bytes(seed_gguf());
  int64_t n = 0;
  for (;; ++n) {
    fail_allocation(n);
    const auto opened = GgufFile::from_bytes(bytes.span(), "seed.gguf");
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
