// model.json and back.
#include "store/record.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cctype>

#include "base/file.h"
#include "base/json.h"
#include "store/reference.h"
#include "store/sha256.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxRecordBytes = uint64_t{1} << 20;
constexpr int kVersion = 1;
constexpr size_t kMaxNames = 1000;
constexpr size_t kMaxShards = 1000;

class Reader {
 public:
  Reader(const json::object& object, std::string path) : object_(object), path_(std::move(path)) {}

  Result<std::string> text(const char* key) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || !value->is_string()) return wrong(key, "a string");
    return std::string(value->as_string().data(), value->as_string().size());
  }
  Result<int64_t> number(const char* key) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || !value->is_int64() || value->as_int64() < 0) {
      return wrong(key, "a whole number of 0 and more");
    }
    return value->as_int64();
  }
  Result<const json::array*> array(const char* key, size_t max_elements) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || !value->is_array() || value->as_array().empty() ||
        value->as_array().size() > max_elements) {
      return wrong(key, fmt::format("a list of 1 to {} elements", max_elements));
    }
    return &value->as_array();
  }
  Error wrong(const char* key, std::string_view expected) const {
    const json::value* value = object_.if_contains(key);
    return bad_file(fmt::format("{}: {}: expected {}, found {}", path_, key, expected,
                                value == nullptr ? "nothing" : excerpt(json::serialize(*value))));
  }

 private:
  const json::object& object_;
  std::string path_;
};

Result<ModelFile> read_file_entry(const json::value& value, const std::string& folder,
                                  ModelOrigin origin, const std::string& path) {
  if (!value.is_object()) return bad_file(path + ": files: expected objects");
  const Reader reader(value.as_object(), path);
  ModelFile file;
  RECKON_ASSIGN(const std::string name, reader.text("name"));
  if (origin == ModelOrigin::kPulled) {
    RECKON_RETURN_IF_ERROR(check_file_name(name, path));
    file.path = folder + "/" + name;
  } else if (name.starts_with('/') && name.find('\0') == std::string::npos) {
    file.path = name;
  } else {
    return reader.wrong("name", "an absolute path");
  }
  RECKON_ASSIGN(const int64_t bytes, reader.number("bytes"));
  file.bytes = static_cast<uint64_t>(bytes);
  RECKON_ASSIGN(file.sha256, reader.text("sha256"));
  if (!is_sha256(file.sha256)) return reader.wrong("sha256", "64 hexadecimal digits");
  RECKON_ASSIGN(file.written_at_ns, reader.number("written_at_ns"));
  return file;
}

}  // namespace

StoredModel ModelRecord::under(const std::string& name) const {
  return {.name = name,
          .origin = origin,
          .source = source,
          .files = files,
          .changed_at_s = pulled_at_s};
}

std::string folder_name_of(std::string_view source) {
  constexpr size_t kMaxReadable = 80;
  std::string name;
  for (const char c : source.substr(0, kMaxReadable)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || c == '.' || c == '_');
    name += plain && !(name.empty() && c == '.') ? c : '-';
  }
  return name + "-" + sha256_of(source).substr(0, 12);
}

Result<ModelRecord> read_record(const std::string& folder) {
  RECKON_ASSIGN(const std::string text, read_file(folder + "/" + kRecordName, kMaxRecordBytes));
  return parse_record(text, folder);
}

Result<ModelRecord> parse_record(std::string_view text, const std::string& folder) {
  const std::string path = folder + "/" + kRecordName;
  RECKON_ASSIGN(const json::value value, parse_json(text, path, 8));
  if (!value.is_object()) return bad_file(path + ": expected an object");
  const Reader reader(value.as_object(), path);
  RECKON_ASSIGN(const int64_t version, reader.number("version"));
  if (version != kVersion) return reader.wrong("version", std::to_string(kVersion));
  ModelRecord record;
  RECKON_ASSIGN(const std::string origin, reader.text("origin"));
  if (origin == model_origin_name(ModelOrigin::kLocalFile)) {
    record.origin = ModelOrigin::kLocalFile;
  } else if (origin != model_origin_name(ModelOrigin::kPulled)) {
    return reader.wrong("origin", "pulled or file");
  }
  RECKON_ASSIGN(record.source, reader.text("source"));
  RECKON_ASSIGN(record.pulled_at_s, reader.number("pulled_at_s"));
  RECKON_ASSIGN(const json::array* names, reader.array("names", kMaxNames));
  for (const json::value& name : *names) {
    if (!name.is_string()) return reader.wrong("names", "strings");
    record.names.emplace_back(name.as_string().data(), name.as_string().size());
    const Status good = check_model_name(record.names.back());
    if (!good.ok()) return bad_file(path + ": " + good.error().message);
  }
  RECKON_ASSIGN(const json::array* files, reader.array("files", kMaxShards));
  for (const json::value& file : *files) {
    RECKON_ASSIGN(ModelFile entry, read_file_entry(file, folder, record.origin, path));
    record.files.push_back(std::move(entry));
  }
  return record;
}

Status write_record(const std::string& folder, const ModelRecord& record) {
  json::object object;
  object["version"] = kVersion;
  object["origin"] = model_origin_name(record.origin);
  object["source"] = record.source;
  object["pulled_at_s"] = record.pulled_at_s;
  json::array names;
  for (const std::string& name : record.names) names.emplace_back(name);
  object["names"] = std::move(names);
  json::array files;
  for (const ModelFile& file : record.files) {
    const bool is_inside = record.origin == ModelOrigin::kPulled;
    json::object entry;
    entry["name"] = is_inside ? file.path.substr(file.path.rfind('/') + 1) : file.path;
    entry["bytes"] = static_cast<int64_t>(file.bytes);
    entry["sha256"] = file.sha256;
    entry["written_at_ns"] = file.written_at_ns;
    files.push_back(std::move(entry));
  }
  object["files"] = std::move(files);
  return write_file(folder + "/" + kRecordName, json::serialize(object) + "\n");
}

}  // namespace reckon
