// Settings are taken from the parsed command line, defaults too: a later version with other ones
// reruns the same.
#include "cli/train_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/program.h"
#include "store/sha256.h"

namespace reckon::cli {
namespace {

namespace json = boost::json;
constexpr uint64_t kMaxLockBytes = 1 << 20;
// What changes where or how fast a stage runs, never what comes out.
constexpr const char* kNoSettings[] = {"help",   "out",        "threads",
                                       "resume", "save-every", "max-running"};
constexpr const char* kInputs[] = {"model", "data", "held-out", "reference", "tokenizer"};

Result<std::string> hash_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return bad_file(path + ": can't be opened");
  Result<std::string> hash = sha256_of_file(fd, path, [](uint64_t) { return true; });
  ::close(fd);
  return hash;
}

std::string name_of(const CLI::Option& option) {
  return option.get_lnames().empty() ? "" : option.get_lnames().front();
}

std::vector<std::string> values_of(const CLI::App& command, const char* name) {
  const CLI::Option* option = command.get_option_no_throw(std::string("--") + name);
  return option == nullptr ? std::vector<std::string>() : option->results();
}

json::object settings_of(const CLI::App& command) {
  json::object settings;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = name_of(*option);
    if (name.empty() || std::ranges::find(kNoSettings, name) != std::end(kNoSettings)) continue;
    json::array values;
    for (const std::string& value : option->results()) values.emplace_back(value);
    if (values.empty() && !option->get_default_str().empty()) {
      values.emplace_back(option->get_default_str());
    }
    if (!values.empty()) settings[name] = std::move(values);
  }
  return settings;
}

// A folder stands for the tokenizer files in it.
std::vector<std::string> files_of(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    if (std::filesystem::exists(path + "/" + name)) files.push_back(path + "/" + name);
  }
  return files;
}

Result<json::array> inputs_of(const CLI::App& command) {
  json::array inputs;
  for (const char* name : kInputs) {
    for (const std::string& value : values_of(command, name)) {
      for (const std::string& path : files_of(value)) {
        RECKON_ASSIGN(const std::string hash, hash_of(path));
        inputs.push_back(json::object{{"path", path}, {"sha256", hash}});
      }
    }
  }
  return inputs;
}

// A run that goes on from a checkpoint is made of parts; their hashes are kept beside the output
// until the lockfile is written.
Status note_part(const CLI::App& command, const std::string& out_path, std::string& parts) {
  const std::string list = out_path + ".parts";
  const bool resumes =
      !values_of(command, "resume").empty() && std::filesystem::exists(out_path + ".checkpoint");
  if (!resumes) return {};
  if (std::filesystem::exists(list)) {
    RECKON_ASSIGN(parts, read_file(list, kMaxLockBytes));
  }
  RECKON_ASSIGN(const std::string hash, hash_of(out_path + ".checkpoint"));
  parts += hash + "\n";
  return write_file(list, parts);
}

}  // namespace

Status run_locked(const CLI::App& command, const std::function<Status()>& job) {
  const std::string out_path = values_of(command, "out").front();
  RECKON_ASSIGN(json::array inputs, inputs_of(command));
  std::string parts;
  RECKON_RETURN_IF_ERROR(note_part(command, out_path, parts));
  RECKON_RETURN_IF_ERROR(job());
  json::object lock;
  lock["reckon"] = RECKON_VERSION;
  lock["stage"] = command.get_name();
  lock["profile"] = "f32";
  lock["settings"] = settings_of(command);
  lock["inputs"] = std::move(inputs);
  json::array checkpoints;
  for (size_t at = 0; at < parts.size();) {
    const size_t end = std::min(parts.find('\n', at), parts.size());
    checkpoints.emplace_back(parts.substr(at, end - at));
    at = end + 1;
  }
  lock["resumed_from"] = std::move(checkpoints);
  RECKON_ASSIGN(const std::string hash, hash_of(out_path));
  lock["out_sha256"] = hash;
  std::error_code ignored;
  std::filesystem::remove(out_path + ".parts", ignored);
  return write_file(out_path + ".lock.json", json::serialize(lock) + "\n");
}

namespace {

struct Lock {
  json::object object;
  std::string stage;
  std::string out_sha256;
};

Result<Lock> read_lock(const std::string& path) {
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxLockBytes));
  RECKON_ASSIGN(json::value value, parse_json(text, path));
  const auto malformed = [&] { return bad_file(path + ": expected a lockfile of reckon train"); };
  if (!value.is_object()) return malformed();
  Lock lock{std::move(value.get_object()), {}, {}};
  for (const auto& [key, field] :
       {std::pair{"stage", &lock.stage}, {"out_sha256", &lock.out_sha256}}) {
    const json::value* found = lock.object.if_contains(key);
    if (found == nullptr || !found->is_string()) return malformed();
    *field = std::string(found->get_string());
  }
  const json::value* settings = lock.object.if_contains("settings");
  const json::value* inputs = lock.object.if_contains("inputs");
  if (settings == nullptr || !settings->is_object() || inputs == nullptr || !inputs->is_array()) {
    return malformed();
  }
  for (const json::value& input : inputs->get_array()) {
    const json::object* object = input.if_object();
    const json::value* file = object == nullptr ? nullptr : object->if_contains("path");
    const json::value* hash = object == nullptr ? nullptr : object->if_contains("sha256");
    if (file == nullptr || !file->is_string() || hash == nullptr || !hash->is_string()) {
      return malformed();
    }
    RECKON_ASSIGN(const std::string now, hash_of(std::string(file->get_string())));
    if (now != hash->get_string()) {
      return failed(fmt::format("{}: expected SHA-256 {}, found {}",
                                std::string(file->get_string()), std::string(hash->get_string()),
                                now));
    }
  }
  return lock;
}

}  // namespace

Status rerun_lock(const std::string& lock_path, const std::string& out_path) {
  RECKON_ASSIGN(const Lock lock, read_lock(lock_path));
  Program program;
  const CLI::App* train = program.app.get_subcommand("train");
  const std::vector<const CLI::App*> found = train->get_subcommands(
      [&](const CLI::App* command) { return command->get_name() == lock.stage; });
  if (found.empty() || lock.stage == "rerun") {
    return bad_file(lock_path + ": expected a stage of reckon train, found " + excerpt(lock.stage));
  }
  const CLI::App* stage = found.front();
  std::vector<std::string> arguments = {"train", lock.stage, "--out", out_path};
  for (const auto& [name, values] : lock.object.at("settings").get_object()) {
    const CLI::Option* option = stage->get_option_no_throw("--" + std::string(name));
    if (option == nullptr || !values.is_array()) {
      return bad_file(lock_path + ": unknown setting " + excerpt(name));
    }
    const bool is_flag = option->get_items_expected_max() == 0;
    for (const json::value& value : values.get_array()) {
      if (!value.is_string()) return bad_file(lock_path + ": " + excerpt(name) + " is no text");
      if (is_flag && value.get_string() != "true") continue;
      const std::string spelling = "--" + std::string(name);
      arguments.push_back(is_flag ? spelling : spelling + "=" + std::string(value.get_string()));
    }
  }
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    program.app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return bad_file(fmt::format("{}: {}", lock_path, error.what()));
  }
  RECKON_RETURN_IF_ERROR(program.job());
  RECKON_ASSIGN(const std::string hash, hash_of(out_path));
  if (hash != lock.out_sha256) {
    return failed(
        fmt::format("{}: expected SHA-256 {}, found {}", out_path, lock.out_sha256, hash));
  }
  out().write(fmt::format("{}: the same file, SHA-256 {}\n", out_path, hash));
  return {};
}

}  // namespace reckon::cli
