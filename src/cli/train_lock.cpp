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
#include <exception>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/program.h"
#include "store/sha256.h"
#include "train/compute_profile.h"

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

// In which arithmetic the stage computed: stages that don't ask compute in float32.
std::string profile_of(const CLI::App& command) {
  const std::vector<std::string> given = values_of(command, "compute");
  return given.empty() ? train::name_of(train::ComputeProfile::kF32) : given.front();
}

json::object settings_of(const CLI::App& command) {
  json::object settings;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = name_of(*option);
    if (name.empty() || std::ranges::find(kNoSettings, name) != std::end(kNoSettings)) continue;
    json::array values;
    // An empty text is every such option's default, and no command line can say it by "--x=".
    for (const std::string& value : option->results()) {
      if (!value.empty()) values.emplace_back(value);
    }
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

std::string joined(const json::object& settings, const std::string& name) {
  const json::value* values = settings.if_contains(name);
  if (values == nullptr || !values->is_array()) return "not given";
  std::string text;
  for (const json::value& value : values->get_array()) {
    if (!text.empty()) text += " ";
    text += value.is_string() ? std::string(value.get_string()) : json::serialize(value);
  }
  return text;
}

bool is_input(const std::string& name) {
  return std::ranges::find(kInputs, name) != std::end(kInputs);
}

// A run that goes on must be told what the one that began was: another reward or another base in
// its middle would make a file that no lockfile describes.
Status check_same(const json::object& begun, const json::object& now,
                  const std::string& checkpoint) {
  json::object complete = begun.at("settings").as_object();
  const json::object& was = complete;
  const json::object& is = now.at("settings").as_object();
  // Runs begun before there was a choice computed in float32.
  if (is.contains("compute") && !was.contains("compute")) {
    complete["compute"] = json::array{train::name_of(train::ComputeProfile::kF32)};
  }
  for (const json::object* side : {&was, &is}) {
    for (const auto& [key, values] : *side) {
      const std::string name(key);
      if (is_input(name) || joined(was, name) == joined(is, name)) continue;
      return usage_error(
          fmt::format("{}: began with --{} {}, now {}: give the same, or begin anew without "
                      "--resume",
                      checkpoint, name, joined(was, name), joined(is, name)));
    }
  }
  const json::array& files = begun.at("inputs").as_array();
  const json::array& files_now = now.at("inputs").as_array();
  for (size_t i = 0; i < std::max(files.size(), files_now.size()); ++i) {
    const auto hash = [i](const json::array& list) {
      return i < list.size() ? list[i].as_object().at("sha256") : json::value(nullptr);
    };
    if (hash(files) == hash(files_now)) continue;
    const json::array& named = i < files_now.size() ? files_now : files;
    return usage_error(
        fmt::format("{}: began with another file than {}: give the same, or begin "
                    "anew without --resume",
                    checkpoint, std::string(named[i].as_object().at("path").as_string())));
  }
  return {};
}

Status check_out_is_no_input(const json::array& inputs, const std::string& out_path) {
  for (const json::value& input : inputs) {
    const std::string path(input.as_object().at("path").as_string());
    std::error_code ignored;
    if (!std::filesystem::equivalent(path, out_path, ignored)) continue;
    return usage_error("--out: expected another file than what is read, found " + out_path);
  }
  return {};
}

// What a run that can be resumed is, kept in OUT.run.json until it is done, beside the checkpoint
// that it tells of.
class RunNote {
 public:
  explicit RunNote(const std::string& out_path)
      : path_(out_path + ".run.json"), checkpoint_(out_path + ".checkpoint"), time_(time()) {
    const Result<std::string> text = read_file(path_, kMaxLockBytes);
    if (text.ok()) before_ = *text;
  }

  // Writes run down. When a run goes on, it has to be the one that the file tells of, and the
  // checkpoint is noted as the end of a part.
  Status begin(bool resume, json::object& run) const {
    if (resume && std::filesystem::exists(checkpoint_) && std::filesystem::exists(path_)) {
      RECKON_ASSIGN(const json::value begun, parse_json(before_, path_));
      RECKON_ASSIGN(const std::string hash, hash_of(checkpoint_));
      try {
        RECKON_RETURN_IF_ERROR(check_same(begun.as_object(), run, checkpoint_));
        run["resumed_from"] = begun.at("resumed_from").as_array();
      } catch (const std::exception&) {
        return bad_file(path_ + ": expected what reckon train wrote, found something else");
      }
      json::array& parts = run["resumed_from"].get_array();
      if (parts.empty() || parts.back() != json::value(hash)) parts.emplace_back(hash);
    }
    return write_file(path_, json::serialize(run) + "\n");
  }

  // A run that failed before it wrote a checkpoint of its own leaves the one of another run, if
  // there is one, and that run's note.
  void end(bool done) const {
    std::error_code ignored;
    const std::optional<std::filesystem::file_time_type> now = time();
    if (done || !now || (now == time_ && before_.empty())) {
      std::filesystem::remove(path_, ignored);
    } else if (now == time_) {
      static_cast<void>(write_file(path_, before_));
    }
  }

 private:
  std::optional<std::filesystem::file_time_type> time() const {
    std::error_code error;
    const auto written = std::filesystem::last_write_time(checkpoint_, error);
    if (error) return std::nullopt;
    return written;
  }

  std::string path_;
  std::string checkpoint_;
  std::optional<std::filesystem::file_time_type> time_;
  std::string before_;
};

}  // namespace

Status run_locked(const CLI::App& command, const std::function<Status()>& job) {
  const std::string out_path = values_of(command, "out").front();
  RECKON_ASSIGN(json::array inputs, inputs_of(command));
  RECKON_RETURN_IF_ERROR(check_out_is_no_input(inputs, out_path));
  json::object run{{"settings", settings_of(command)},
                   {"inputs", std::move(inputs)},
                   {"resumed_from", json::array()}};
  const bool resumable = command.get_option_no_throw("--resume") != nullptr;
  std::optional<RunNote> note;
  if (resumable) {
    note.emplace(out_path);
    RECKON_RETURN_IF_ERROR(note->begin(!values_of(command, "resume").empty(), run));
  }
  const Status done = job();
  if (note) note->end(done.ok());
  if (!done.ok()) return done;
  json::object lock{
      {"reckon", RECKON_VERSION}, {"stage", command.get_name()}, {"profile", profile_of(command)}};
  for (auto& [key, value] : run) lock[key] = std::move(value);
  RECKON_ASSIGN(const std::string hash, hash_of(out_path));
  lock["out_sha256"] = hash;
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
