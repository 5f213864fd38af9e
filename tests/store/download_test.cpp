// Servers that don't keep to what they said, folders with links in them, and going on.
#include "store/download.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "store/byte_range.h"
#include "store/record.h"
#include "store/sha256.h"
#include "tests/store/scripted_server.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string some_bytes(size_t n, unsigned seed = 1) {
  std::string bytes(n, '\0');
  for (char& byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

// What a server says of a range; a test changes a field of it.
struct Answer {
  int status = 206;
  std::map<std::string, std::string> fields;
  std::string body;

  std::string text() const {
    std::string all = "HTTP/1.1 " + std::to_string(status) + " X\r\nConnection: close\r\n";
    for (const auto& [name, value] : fields) {
      if (!value.empty()) all += name + ": " + value + "\r\n";
    }
    return all + "\r\n" + body;
  }
};

class DownloadTest : public testing::Test {
 protected:
  DownloadTest()
      : data_(some_bytes(300'000)),
        server_("127.0.0.2", [this](const std::string& head) { return answer(head); }) {
    std::string pattern = (fs::temp_directory_path() / "reckon-download-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    folder_.emplace(std::move(*ModelFolder::create(root_ + "/store", "model")));
  }
  ~DownloadTest() override { fs::remove_all(root_); }

  std::string answer(const std::string& head) {
    uint64_t first = 0;
    uint64_t last = data_.size() - 1;
    const size_t at = head.find("Range: bytes=");
    Answer answer;
    if (at != std::string::npos) {
      std::sscanf(head.c_str() + at, "Range: bytes=%lu-%lu", &first, &last);
      answer.fields["Content-Range"] = "bytes " + std::to_string(first) + "-" +
                                       std::to_string(last) + "/" + std::to_string(data_.size());
    } else {
      answer.status = 200;
    }
    const std::lock_guard lock(mutex_);
    answer.body = data_.substr(first, last + 1 - first);
    answer.fields["Content-Length"] = std::to_string(answer.body.size());
    answer.fields["ETag"] = etag_;
    const bool is_question = last == 0;
    if (change_ && (!is_question || also_question_)) change_(answer, n_answers_++);
    return answer.text();
  }

  Result<ModelFile> fetch() {
    HttpOptions http;
    http.timeout = std::chrono::minutes(5);  // nothing here is late, but the machine may be
    DownloadOptions options;
    options.http = http;
    options.http.cancelled = cancelled_;
    options.n_connections = 3;
    options.n_retries = 2;
    options.first_wait = std::chrono::milliseconds(1);
    HttpClient client(http);
    RemoteFile remote;
    remote.name = "f.gguf";
    remote.url = *parse_url("http://127.0.0.2:" + std::to_string(server_.port()) + "/f.gguf");
    remote.sha256 = sha256_;
    RECKON_ASSIGN(const ServedFile served, ask_about(client, remote));
    return download_file(*folder_, served, options);
  }

  void expect_whole() {
    const Result<ModelFile> fetched = fetch();
    ASSERT_TRUE(fetched.ok()) << fetched.error().message;
    EXPECT_EQ(fetched->sha256, sha256_of(data_));
    std::ifstream file(path(), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(content, data_);
    EXPECT_FALSE(fs::exists(path() + ".part"));
    EXPECT_FALSE(fs::exists(path() + ".part.json"));
  }

  void expect_failure(const std::string& words) {
    const Result<ModelFile> fetched = fetch();
    ASSERT_FALSE(fetched.ok()) << words;
    EXPECT_THAT(fetched.error().message, HasSubstr(words));
    EXPECT_FALSE(fs::exists(fs::symlink_status(path())));
  }

  std::string path() const { return folder_->path() + "/f.gguf"; }

  std::mutex mutex_;
  std::string data_;
  std::string sha256_;
  std::string etag_ = "\"one\"";
  std::function<void(Answer&, int n)> change_;
  bool also_question_ = false;
  int n_answers_ = 0;
  std::function<bool()> cancelled_;
  std::string root_;
  std::optional<ModelFolder> folder_;
  ScriptedServer server_;
};

TEST_F(DownloadTest, InPieces) {
  expect_whole();
  EXPECT_GE(server_.heads().size(), 5u);  // a question and pieces of 64 KiB
}

TEST_F(DownloadTest, GoesOnAfterBrokenConnections) {
  change_ = [](Answer& answer, int n) {
    if (n % 2 == 0) answer.body.resize(answer.body.size() / 2);
  };
  expect_whole();
}

TEST_F(DownloadTest, GivesUpWhenNothingComes) {
  change_ = [](Answer& answer, int) { answer.body.clear(); };
  expect_failure("broke off");
  EXPECT_TRUE(fs::exists(path() + ".part.json"));  // for the next try
  change_ = {};
  expect_whole();
}

TEST_F(DownloadTest, TriesAgainWhenTheServerIsInTrouble) {
  change_ = [](Answer& answer, int n) {
    if (n < 2) answer = Answer{n == 0 ? 503 : 429, {{"Content-Length", "0"}}, ""};
  };
  expect_whole();
}

TEST_F(DownloadTest, WrongLengthsAndRanges) {
  const std::string total = std::to_string(data_.size());
  using Change = std::function<void(Answer&)>;
  const std::vector<std::pair<std::string, Change>> cases = {
      {"expected bytes", [](Answer& a) { a.fields["Content-Length"] = "5"; }},
      {"expected bytes",
       [](Answer& a) { a.fields["Content-Length"] = std::to_string(a.body.size() + 1); }},
      {"expected bytes", [](Answer& a) { a.fields["Content-Range"] = ""; }},
      {"expected bytes", [](Answer& a) { a.fields["Content-Range"] = "bytes */300000"; }},
      {"expected bytes", [&](Answer& a) { a.fields["Content-Range"] = "bytes 0-0/" + total; }},
      {"expected bytes", [](Answer& a) { a.fields["Content-Range"] = "bytes 9-8/300000"; }},
      {"expected bytes", [](Answer& a) { a.fields["Content-Range"] += "0"; }},
      {"expected bytes", [](Answer& a) { a.fields["Content-Range"] = "bytes 0-65535/65535"; }},
      {"expected bytes", [](Answer& a) { a.fields["Content-Range"] = "lines 0-1/2"; }},
      {"expected bytes",
       [](Answer& a) { a.fields["Content-Range"] = "bytes -1-18446744073709551616/1"; }},
      {"more than it said",
       [](Answer& a) {
         a.fields["Content-Length"] = "";
         a.body += "extra";
       }},
      {"changed on the server", [](Answer& a) { a.fields["ETag"] = "\"two\""; }},
      {"which file it sends", [](Answer& a) { a.fields["ETag"] = ""; }},
      {"answers with 200", [](Answer& a) { a.status = 200; }},
      {"404", [](Answer& a) { a.status = 404; }},
      {"401", [](Answer& a) { a.status = 401; }},
      {"416", [](Answer& a) { a.status = 416; }},
      {"204", [](Answer& a) { a.status = 204; }},
      {"500", [](Answer& a) { a.status = 500; }},
  };
  for (const auto& [words, change] : cases) {
    change_ = [&, change = change](Answer& answer, int) { change(answer); };
    expect_failure(words);
  }
  change_ = {};
  expect_whole();
}

TEST_F(DownloadTest, QuestionsAnsweredWrongly) {
  also_question_ = true;
  using Change = std::function<void(Answer&)>;
  const std::vector<std::pair<std::string, Change>> cases = {
      {"a range that was not asked for", [](Answer& a) { a.fields["Content-Range"] = ""; }},
      {"a range that was not asked for",
       [](Answer& a) { a.fields["Content-Range"] = "bytes 1-1/300000"; }},
      {"1 byte to 4 TiB", [](Answer& a) { a.fields["Content-Range"] = "bytes 0-0/9999999999999"; }},
      {"without saying how long",
       [](Answer& a) {
         a.status = 200;
         a.fields["Content-Length"] = "";
       }},
      {"1 byte to 4 TiB",
       [](Answer& a) {
         a.status = 200;
         a.fields["Content-Length"] = "0";
         a.body.clear();
       }},
      {"expected a size of 7", [](Answer& a) { a.fields["X-Linked-Size"] = "7"; }},
      {"disk is too small",
       [](Answer& a) { a.fields["Content-Range"] = "bytes 0-0/4398046511104"; }},
  };
  for (const auto& [words, change] : cases) {
    change_ = [&, change = change](Answer& answer, int) { change(answer); };
    expect_failure(words);
  }
}

TEST_F(DownloadTest, TheHubsHashMustBeTheKnownOne) {
  also_question_ = true;
  change_ = [](Answer& answer, int) {
    answer.fields["X-Linked-Etag"] = "\"" + std::string(64, 'a') + "\"";
  };
  sha256_ = sha256_of(data_);
  expect_failure("expected SHA-256");
  EXPECT_FALSE(fs::exists(path() + ".part"));
}

TEST_F(DownloadTest, WrongContentIsNotKept) {
  sha256_ = sha256_of("something else");
  expect_failure("nothing of it is kept");
  EXPECT_FALSE(fs::exists(path() + ".part"));
  EXPECT_FALSE(fs::exists(path() + ".part.json"));
}

TEST_F(DownloadTest, WithoutRanges) {
  also_question_ = true;
  change_ = [this](Answer& answer, int) {
    answer.status = 200;
    answer.fields.erase("Content-Range");
    answer.body = data_;
    answer.fields["Content-Length"] = std::to_string(data_.size());
  };
  expect_whole();
}

// Its ETag and its size are the page's own: they say nothing of the file.
TEST_F(DownloadTest, APageThatSaysBackSoonCostsNothing) {
  const auto page = [](Answer& answer) {
    answer = Answer{200, {{"ETag", "\"page\""}, {"Content-Type", "text/html"}}, "back soon"};
    answer.fields["Content-Length"] = std::to_string(answer.body.size());
  };
  change_ = [&](Answer& answer, int n) {
    if (n >= 3) page(answer);
  };
  expect_failure("answers with 200");
  EXPECT_TRUE(fs::exists(path() + ".part.json"));
  also_question_ = true;
  change_ = [&](Answer& answer, int) { page(answer); };
  expect_failure("with a page");
  change_ = {};
  const size_t n_before = server_.heads().size();
  expect_whole();
  EXPECT_LT(server_.heads().size() - n_before, 6u);  // the question and all 5 pieces
}

TEST_F(DownloadTest, ThePartOfAnotherFileIsDropped) {
  change_ = [](Answer& answer, int n) {
    if (n >= 2) answer.fields["ETag"] = "\"two\"";
  };
  expect_failure("changed on the server");
  EXPECT_FALSE(fs::exists(path() + ".part"));
  EXPECT_FALSE(fs::exists(path() + ".part.json"));
}

// The file changes between two tries: the part of the old one must not become part of the new one.
TEST_F(DownloadTest, AnotherFileStartsAnew) {
  change_ = [](Answer& answer, int n) {
    if (n >= 2) answer.body.clear();
  };
  expect_failure("broke off");
  EXPECT_TRUE(fs::exists(path() + ".part.json"));
  change_ = {};
  {
    const std::lock_guard lock(mutex_);
    data_ = some_bytes(300'000, 7);
    etag_ = "\"two\"";
  }
  expect_whole();
}

// Without an ETag or a hash nothing says that the rest belongs to what there is.
TEST_F(DownloadTest, WithoutIdentityItStartsAnew) {
  etag_.clear();
  change_ = [](Answer& answer, int n) {
    if (n >= 2) answer.body.clear();
  };
  expect_failure("broke off");
  change_ = {};
  {
    const std::lock_guard lock(mutex_);
    data_ = some_bytes(300'000, 7);
  }
  expect_whole();
}

TEST_F(DownloadTest, JournalsThatLie) {
  for (const char* journal :
       {"", "x", "{}", "[]", "{\"etag\":\"\\\"one\\\"\"}",
        R"({"etag":"\"one\"","sha256":"","bytes":300000,"piece_bytes":65536,"done":[1,2]})",
        R"({"etag":"\"one\"","sha256":"","bytes":300000,"piece_bytes":65536,)"
        R"("done":[65537,0,0,0,0]})",
        R"({"etag":"\"one\"","sha256":"","bytes":300000,"piece_bytes":65536,"done":[-1,0,0,0,0]})",
        R"({"etag":"\"one\"","sha256":"","bytes":300000,"piece_bytes":65536,"done":[1.5,0,0,0,0]})",
        R"({"etag":"\"one\"","sha256":"","bytes":300000,"piece_bytes":1,"done":[0,0,0,0,0]})"}) {
    std::ofstream(path() + ".part") << std::string(300'000, 'x');
    std::ofstream(path() + ".part.json") << journal;
    expect_whole();
    fs::remove(path());
  }
  // One that claims all is there: the hash tells.
  sha256_ = sha256_of(data_);
  std::ofstream(path() + ".part") << std::string(300'000, 'x');
  std::ofstream(path() + ".part.json")
      << R"({"etag":"\"one\"","sha256":")" << sha256_
      << R"(","bytes":300000,"piece_bytes":65536,"done":[65536,65536,65536,65536,37856]})";
  expect_failure("nothing of it is kept");
  expect_whole();
}

// E1: whatever a name in the store has become, nothing outside is written, and nothing is fetched
// into it.
TEST_F(DownloadTest, LinksAreNotFollowed) {
  const std::string outside = root_ + "/outside";
  fs::create_directory(outside);
  const std::string target = outside + "/file";
  int n_links = 0;
  for (const char* name : {"f.gguf", "f.gguf.part", "f.gguf.part.json"}) {
    for (const std::string& to :
         {target, std::string("../../outside/file"), outside, std::string("/dev/full"),
          std::string("/nonexistent/x"), std::string("f.gguf"), root_ + "/store/model"}) {
      std::ofstream(target, std::ios::trunc) << "untouched";
      fs::create_symlink(to, folder_->path() + "/" + name);
      expect_whole();
      EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(path())));
      std::string text;
      std::getline(std::ifstream(target), text);
      EXPECT_EQ(text, "untouched");
      EXPECT_EQ(std::distance(fs::directory_iterator(outside), fs::directory_iterator()), 1);
      fs::remove(path());
      ++n_links;
    }
  }
  EXPECT_EQ(n_links, 21);
  // A second name of a file elsewhere is as good as a link to it.
  fs::create_hard_link(target, path() + ".part");
  expect_whole();
  std::string text;
  std::getline(std::ifstream(target), text);
  EXPECT_EQ(text, "untouched");
}

TEST_F(DownloadTest, FoldersThatAreLinks) {
  fs::create_directory(root_ + "/elsewhere");
  fs::create_symlink(root_ + "/elsewhere", root_ + "/store/linked");
  EXPECT_FALSE(ModelFolder::create(root_ + "/store", "linked").ok());
  fs::create_symlink("/etc", root_ + "/store/etc");
  EXPECT_FALSE(ModelFolder::create(root_ + "/store", "etc").ok());
  fs::create_symlink(root_ + "/elsewhere/lock", folder_->path() + "/.lock");
  EXPECT_FALSE(folder_->lock().ok());
  EXPECT_TRUE(fs::is_empty(root_ + "/elsewhere"));
}

TEST_F(DownloadTest, OneAtATime) {
  ASSERT_TRUE(folder_->lock().ok());
  ModelFolder second = std::move(*ModelFolder::create(root_ + "/store", "model"));
  const Status locked = second.lock();
  ASSERT_FALSE(locked.ok());
  EXPECT_THAT(locked.error().message, HasSubstr("under way"));
}

TEST_F(DownloadTest, Cancelled) {
  cancelled_ = [] { return true; };
  const Result<ModelFile> fetched = fetch();
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(fetched.error().kind, ErrorKind::kInterrupted);
  cancelled_ = {};
  expect_whole();
}

TEST(ByteRange, Parses) {
  EXPECT_EQ(parse_byte_count("123"), 123u);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "1e3"}) {
    EXPECT_FALSE(parse_byte_count(text).has_value()) << text;
  }
  EXPECT_EQ(parse_content_range("bytes 2-3/4")->total, 4u);
  for (const char* text : {"", "bytes", "bytes 2-3", "bytes 3-2/9", "bytes 2-9/9", "bytes */9",
                           "bytes 2-3/*", "bytes=2-3/4", "bytes 2/3-4"}) {
    EXPECT_FALSE(parse_content_range(text).has_value()) << text;
  }
}

class RecordTest : public testing::Test {
 protected:
  RecordTest() {
    std::string pattern = (fs::temp_directory_path() / "reckon-record-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~RecordTest() override { fs::remove_all(folder_); }

  std::string folder_;
};

TEST_F(RecordTest, ReadsBackWhatItWrites) {
  ModelRecord record;
  record.names = {"r1:7b:q4_k_m", "mine"};
  record.source = "hf:o/r/f.gguf";
  record.files = {{folder_ + "/f.gguf", 12, std::string(64, 'a'), 34}};
  record.pulled_at_s = 56;
  ASSERT_TRUE(write_record(folder_, record).ok());
  const ModelRecord read = *read_record(folder_);
  EXPECT_EQ(read.names, record.names);
  EXPECT_EQ(read.source, record.source);
  EXPECT_EQ(read.files.front().path, record.files.front().path);
  EXPECT_EQ(read.files.front().written_at_ns, 34);
}

TEST_F(RecordTest, RefusesWhatItDidNotWrite) {
  const std::string good =
      R"({"version":1,"origin":"pulled","source":"s","pulled_at_s":1,"names":["n"],"files":[)"
      R"({"name":"f.gguf","bytes":1,"sha256":")" +
      std::string(64, 'a') + R"(","written_at_ns":1}]})";
  const auto write = [&](const std::string& text) {
    std::ofstream(folder_ + "/model.json") << text;
    return read_record(folder_);
  };
  ASSERT_TRUE(write(good).ok());
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"\"version\":1", "\"version\":2"},
      {"\"version\":1", "\"version\":\"1\""},
      {"pulled\",\"source", "ollama\",\"source"},
      {"\"source\":\"s\"", "\"source\":1"},
      {"[\"n\"]", "[]"},
      {"[\"n\"]", "[1]"},
      {"[\"n\"]", "[\"../n\"]"},
      {"[\"n\"]", "\"n\""},
      {"f.gguf", "../f.gguf"},
      {"f.gguf", "/etc/passwd"},
      {"f.gguf", "a/b"},
      {"f.gguf", ""},
      {"f.gguf", "..\\\\f"},
      {"f.gguf", "f\\u0000.gguf"},
      {"\"bytes\":1", "\"bytes\":-1"},
      {"\"bytes\":1", "\"bytes\":1e99"},
      {"aaaa", "zzzz"},
      {"\"sha256\"", "\"sha255\""},
      {"\"written_at_ns\":1", "\"written_at_ns\":null"},
  };
  for (const auto& [from, to] : changes) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    EXPECT_FALSE(write(text).ok()) << to;
  }
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(write(good.substr(0, n)).ok()) << n;
}

}  // namespace
}  // namespace reckon
