// The recipe's lockfile: {"settings": {...}, "stages": [{"name", "files": {name: sha256}}]}.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "cli/recipe.h"
#include "store/sha256.h"

namespace reckon::cli {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxLockBytes = 1 << 20;
constexpr std::string_view kName = "recipe.lock.json";

Result<std::string> hash_of_file(const std::string& path) {
  RECKON_ASSIGN(const MappedFile file, MappedFile::open(path));
  Sha256 hash;
  hash.update(file.bytes());
  return hash.finish();
}

// Checked in full, so that what follows can read it without asking.
Status check_lock(const json::value& value, const std::string& path) {
  const auto bad = [&](std::string_view what) {
    return bad_file(fmt::format("{}: expected {}", path, what));
  };
  const auto* object = value.if_object();
  if (object == nullptr) return bad("an object");
  const auto* settings = object->if_contains("settings");
  const auto* stages = object->if_contains("stages");
  if (settings == nullptr || !settings->is_object()) return bad("\"settings\"");
  if (stages == nullptr || !stages->is_array()) return bad("\"stages\"");
  for (const json::value& stage : stages->get_array()) {
    const auto* fields = stage.if_object();
    const auto* name = fields == nullptr ? nullptr : fields->if_contains("name");
    const auto* files = fields == nullptr ? nullptr : fields->if_contains("files");
    if (name == nullptr || !name->is_string() || files == nullptr || !files->is_object()) {
      return bad("stages with \"name\" and \"files\"");
    }
    for (const auto& [file, hash] : files->get_object()) {
      if (!hash.is_string()) return bad("a hash for each file");
    }
  }
  return {};
}

}  // namespace

Result<Lockfile> Lockfile::open(const std::string& folder, json::object settings) {
  Lockfile lock;
  lock.folder_ = folder;
  const std::string path = fmt::format("{}/{}", folder, kName);
  if (!std::filesystem::exists(path)) {
    lock.content_ = {{"settings", std::move(settings)}, {"stages", json::array()}};
    return lock;
  }
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxLockBytes));
  RECKON_ASSIGN(json::value value, parse_json(text, path));
  RECKON_RETURN_IF_ERROR(check_lock(value, path));
  lock.content_ = std::move(value.get_object());
  if (lock.content_.at("settings") != json::value(settings)) {
    return usage_error(fmt::format("{}: made with {}, expected {}; choose another folder", path,
                                   json::serialize(lock.content_.at("settings")),
                                   json::serialize(settings)));
  }
  return lock;
}

bool Lockfile::is_done(const std::string& stage) const {
  for (const json::value& done : content_.at("stages").get_array()) {
    const json::object& fields = done.get_object();
    if (fields.at("name").get_string() != stage) continue;
    for (const auto& [file, hash] : fields.at("files").get_object()) {
      const auto now = hash_of_file(fmt::format("{}/{}", folder_, std::string_view(file)));
      if (!now.ok() || *now != std::string_view(hash.get_string())) return false;
    }
    return true;
  }
  return false;
}

Status Lockfile::record(const std::string& stage, const std::vector<std::string>& files) {
  json::object hashes;
  for (const std::string& file : files) {
    RECKON_ASSIGN(const std::string hash, hash_of_file(folder_ + "/" + file));
    hashes[file] = hash;
  }
  // What was made from an older output of this stage is not done any more.
  json::array& stages = content_.at("stages").get_array();
  for (auto at = stages.begin(); at != stages.end(); ++at) {
    if (at->get_object().at("name").get_string() != stage) continue;
    stages.erase(at, stages.end());
    break;
  }
  stages.push_back(json::object{{"name", stage}, {"files", std::move(hashes)}});
  return write_file(fmt::format("{}/{}", folder_, kName), json::serialize(content_) + "\n");
}

std::string Lockfile::hash() const { return sha256_of(json::serialize(content_)); }

}  // namespace reckon::cli
