// Names from outside: every one of them either means one thing or is refused.
#include "store/reference.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/catalog.h"
#include "store/hub.h"
#include "store/model_store.h"

namespace reckon {
namespace {

using namespace std::string_view_literals;

TEST(Reference, ReadsBackWhatItWrites) {
  for (const char* text :
       {"r1:1.5b", "r1:7b:q8_0", "hf:owner/repo", "hf:owner/repo:q4_k_m", "hf:o/r/f.gguf",
        "hf:o/r@0123abc/dir/f.gguf", "hf:o/r@v1.0:q8_0", "hf:o/r/a dir/M (v1+2)=[x] Q4.gguf",
        "https://example.com/a/f.gguf?x=1", "http://127.0.0.1:8080/f.gguf", "./f.gguf", "/a/b",
        "../f.gguf", "f.gguf"}) {
    const Result<Reference> reference = parse_reference(text);
    ASSERT_TRUE(reference.ok()) << text << ": " << reference.error().message;
    EXPECT_EQ(reference->text(), text);
  }
  EXPECT_EQ(parse_reference("hf:o/r@v1/d/f.gguf")->file, "d/f.gguf");
  EXPECT_EQ(parse_reference("hf:o/r@v1/d/f.gguf")->revision, "v1");
  EXPECT_EQ(parse_reference("hf:o/r:q8_0")->type, "q8_0");
  EXPECT_EQ(parse_reference("r1:7b:q8_0")->model, "r1:7b");
  EXPECT_EQ(parse_reference("r1:7b")->full_text(), "r1:7b:q4_k_m");
  EXPECT_EQ(parse_reference("r1:7b:q8_0")->full_text(), "r1:7b:q8_0");
  EXPECT_EQ(parse_reference("hf:o/r")->full_text(), "hf:o/r");
}

TEST(Reference, ReadsOllamasSpellings) {
  const std::vector<std::pair<std::string, std::string>> spellings = {
      {"deepseek-r1:7b", "r1:7b"},
      {"deepseek-r1:7b-qwen-distill-q4_K_M", "r1:7b"},
      {"hf.co/owner/repo", "hf:owner/repo"},
      {"hf.co/owner/repo:latest", "hf:owner/repo"},
      {"hf.co/owner/repo:Q8_0", "hf:owner/repo:q8_0"},
      {"huggingface.co/owner/repo:Q8_0", "hf:owner/repo:q8_0"},
      {"r1:7b:latest", "r1:7b"},
      {"r1:7b:q8_0", "r1:7b:q8_0"},
      {"hf:o/r/f.gguf", "hf:o/r/f.gguf"}};
  for (const auto& [text, expected] : spellings) {
    const Result<Reference> reference = parse_ollama_name(text);
    ASSERT_TRUE(reference.ok()) << text << ": " << reference.error().message;
    EXPECT_EQ(reference->text(), expected);
  }
  for (const char* text : {"", ":latest", "tiny:1b", "deepseek-r1:9b", "hf.co/", "hf.co/owner",
                           "hf.co/../repo", "hf.co/owner/..", "hf.co/owner/repo/../../x.gguf",
                           "hf.co/owner/repo:../x", "hf.co//etc/passwd"}) {
    EXPECT_FALSE(parse_ollama_name(text).ok()) << text;
  }
}

// The tricks of threats.md's downloads and of E1, as they could stand in any name.
std::vector<std::string> hostile_names() {
  std::vector<std::string> names;
  for (const std::string_view name : {""sv,
                                      "."sv,
                                      ".."sv,
                                      "../x"sv,
                                      "..\\x"sv,
                                      "a/../b"sv,
                                      "a/./b"sv,
                                      "a//b"sv,
                                      "/etc/passwd"sv,
                                      "a\0b"sv,
                                      "\0"sv,
                                      "a/..\0"sv,
                                      "%2e%2e"sv,
                                      "%2e%2e/x"sv,
                                      "%2e%2e%2fx"sv,
                                      "a%00b"sv,
                                      "%252e%252e%252f"sv,
                                      "..%2f"sv,
                                      "..%5c"sv,
                                      "..%c0%af"sv,
                                      "C:\\x"sv,
                                      "C:..\\x"sv,
                                      "\\\\host\\share"sv,
                                      "~"sv,
                                      "~/x"sv,
                                      "~root"sv,
                                      "$HOME"sv,
                                      "$(id)"sv,
                                      "`id`"sv,
                                      "a;b"sv,
                                      "a|b"sv,
                                      "a&b"sv,
                                      "a>b"sv,
                                      "a<b"sv,
                                      "a\nb"sv,
                                      "a\rb"sv,
                                      "a\tb"sv,
                                      "a b\n"sv,
                                      "a\x7f"sv,
                                      "a\x1b[2J"sv,
                                      "\xef\xbc\x8e\xef\xbc\x8e"sv,
                                      "\xef\xbc\x8e\xef\xbc\x8e/x"sv,
                                      "a/\xef\xbc\x8e\xef\xbc\x8e/b"sv,
                                      "\xe2\x80\xa4\xe2\x80\xa4/x"sv,
                                      "\xe2\x80\xa5/x"sv,
                                      "\xc0\xae\xc0\xae/x"sv,
                                      "\xc0\xae\xc0\xae"sv,
                                      "\xe0\x80\xae\xe0\x80\xae/x"sv,
                                      "\xf0\x80\x80\xae\xf0\x80\x80\xae"sv,
                                      "a\xc0\xaf"
                                      "b"sv,
                                      "a\xc1\x9c"
                                      "b"sv,
                                      "a\xe2\x88\x95"
                                      "b"sv,
                                      "a\xef\xbc\x8f"
                                      "b"sv,
                                      "a\xff"sv,
                                      "\x80"sv,
                                      "\xed\xa0\x80"sv,
                                      "a\xe2\x80\xae"
                                      "fugg"sv,
                                      "a\xe2\x80\x8b"
                                      "b"sv,
                                      "a\xc2\x85"
                                      "b"sv,
                                      "\xd0\xb0.gguf"sv,
                                      "-rf"sv,
                                      "--help"sv,
                                      ".hidden"sv,
                                      "a\"b"sv,
                                      "a'b"sv,
                                      "a*b"sv,
                                      "a?b"sv,
                                      "a#b"sv,
                                      "a{b"sv,
                                      "a,b"sv,
                                      "a!b"sv,
                                      "a^b"sv}) {
    names.emplace_back(name);
  }
  names.push_back(std::string(300, 'a'));
  names.push_back(std::string(201, 'a'));
  names.push_back(std::string(100'000, 'a'));
  names.push_back(std::string(70'000, '/'));
  return names;
}

TEST(Names, HostileModelNamesAreRefused) {
  int n_refused = 0;
  for (const std::string& name : hostile_names()) {
    for (const std::string& tried : {name, "x/" + name, "x/" + name + "/y"}) {
      EXPECT_FALSE(check_model_name(tried).ok() && tried.find("..") != std::string::npos) << tried;
    }
    EXPECT_FALSE(check_model_name(name).ok()) << name;
    ++n_refused;
  }
  EXPECT_GE(n_refused, 70);
}

TEST(Names, BlanksAndBracketsStandInsideTheParts) {
  for (const char* name : {"lmstudio:pub/my repo/M Q4 (1)+2=[x].gguf", "a b", "r1:7b:q4_k_m"}) {
    EXPECT_TRUE(check_model_name(name).ok()) << name;
  }
  for (const char* name : {" a", "a ", "a /b", "a/ b", "a: b", "a/ /b", "(a", "+a", "a/.. /b"}) {
    EXPECT_FALSE(check_model_name(name).ok()) << name;
  }
}

TEST(Names, HostileFileNamesAreRefused) {
  for (const std::string& name : hostile_names()) {
    EXPECT_FALSE(check_file_name(name, "the hub").ok()) << name;
  }
  for (const char* name : {"Model-Q4_K_M.gguf", "a b (1).gguf", "x+y=z[1].gguf", "_x"}) {
    EXPECT_TRUE(check_file_name(name, "the hub").ok()) << name;
  }
}

// In each place of a reference; a path may hold anything, and is only ever read.
TEST(Names, HostileReferencesAreRefused) {
  int n_tried = 0;
  for (const std::string& name : hostile_names()) {
    for (const std::string& text :
         {"hf:" + name + "/repo/f.gguf", "hf:owner/" + name + "/f.gguf", "hf:owner/repo/" + name,
          "hf:owner/repo/" + name + "/f.gguf", "hf:owner/repo@" + name + "/f.gguf",
          "hf:owner/repo:" + name, "r1:7b:" + name, "r1:" + name, "x:" + name, "file://" + name}) {
      const Result<Reference> reference = parse_reference(text);
      ++n_tried;
      if (!reference.ok()) {
        EXPECT_EQ(reference.error().kind, ErrorKind::kUsage) << text;
        continue;
      }
      // What is let through is another good spelling: of a file two folders down, of no type.
      for (const std::string* part : {&reference->owner, &reference->repo, &reference->file,
                                      &reference->type, &reference->revision}) {
        EXPECT_EQ(part->find(".."), std::string::npos) << text;
        EXPECT_EQ(part->find('%'), std::string::npos) << text;
        EXPECT_EQ(part->find('\\'), std::string::npos) << text;
        EXPECT_EQ(part->find('\0'), std::string::npos) << text;
      }
    }
  }
  EXPECT_GE(n_tried, 700);
}

TEST(Names, HostileNamesOfOllamasAreRefused) {
  for (const std::string& name : hostile_names()) {
    for (const std::string& text :
         {"hf.co/" + name + "/repo", "hf.co/owner/" + name, "huggingface.co/owner/repo:" + name}) {
      const Result<Reference> reference = parse_ollama_name(text);
      if (!reference.ok()) continue;
      EXPECT_EQ(reference->kind, Reference::Kind::kHub) << text;
      EXPECT_EQ(reference->text().find(".."), std::string::npos) << text;
    }
  }
}

TEST(Catalog, IsWhole) {
  ASSERT_EQ(catalog().size(), 6u);
  int64_t before = 0;
  for (const CatalogModel& model : catalog()) {
    EXPECT_GT(model.bytes, before) << model.name;
    before = model.bytes;
    EXPECT_EQ(model.sha256.size(), 64u) << model.name;
    EXPECT_TRUE(parse_reference("hf:" + model.owner + "/" + model.repo + "/" + model.file).ok());
    EXPECT_TRUE(parse_reference(model.full_name()).ok());
    EXPECT_EQ(find_in_catalog(model.name), &model);
  }
  EXPECT_EQ(find_in_catalog("r1:9b"), nullptr);
}

TEST(Catalog, SuggestsTheLargestThatFits) {
  EXPECT_EQ(suggest_model(int64_t{1} << 30), nullptr);
  EXPECT_EQ(suggest_model(int64_t{2} << 30)->name, "r1:1.5b");
  EXPECT_EQ(suggest_model(int64_t{8} << 30)->name, "r1:8b");
  EXPECT_EQ(suggest_model(int64_t{24} << 30)->name, "r1:32b");
  EXPECT_EQ(suggest_model(int64_t{1} << 40)->name, "r1:70b");
}

TEST(Hub, ChoosesByType) {
  const std::vector<std::string> paths = {"M-Q4_K_M.gguf", "M-Q4_K_S.gguf",
                                          "M-Q8_0/M-Q8_0-00001-of-00002.gguf", "M-f16.gguf",
                                          "M.Q6_K.gguf"};
  EXPECT_EQ(*choose_file(paths, "", "x"), "M-Q4_K_M.gguf");
  EXPECT_EQ(*choose_file(paths, "Q8_0", "x"), "M-Q8_0/M-Q8_0-00001-of-00002.gguf");
  EXPECT_EQ(*choose_file(paths, "q6_k", "x"), "M.Q6_K.gguf");
  EXPECT_EQ(*choose_file({"only.gguf"}, "", "x"), "only.gguf");
  EXPECT_FALSE(choose_file(paths, "q2_k", "x").ok());
  EXPECT_FALSE(choose_file({"a-Q4_K_M.gguf", "b-Q4_K_M.gguf"}, "", "x").ok());
  EXPECT_FALSE(choose_file({}, "", "x").ok());
}

TEST(Hub, NamesAllShards) {
  EXPECT_EQ(shards_of("d/x-00002-of-00003.gguf"),
            (std::vector<std::string>{"d/x-00001-of-00003.gguf", "d/x-00002-of-00003.gguf",
                                      "d/x-00003-of-00003.gguf"}));
  for (const char* path :
       {"x.gguf", "x-00002-of-00001.gguf", "x-00000-of-00001.gguf", "x-00001-of-99999.gguf",
        "-00001-of-00002.gguf", "x-0001-of-0002.gguf"}) {
    EXPECT_EQ(shards_of(path), std::vector<std::string>{path});
  }
}

// A second name may not say that a model is what it isn't.
TEST(ModelStore, NoCopyTakesANameOfTheCatalog) {
  ModelStore store(StoreOptions{});
  for (const char* name : {"r1:7b", "r1:7b:q4_k_m", "r1:1.5b"}) {
    const Status copied = store.copy("mine", name);
    ASSERT_FALSE(copied.ok());
    EXPECT_EQ(copied.error().kind, ErrorKind::kUsage);
    EXPECT_NE(copied.error().message.find("catalog"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace reckon
