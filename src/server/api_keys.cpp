// Reading the keys' file, comparing, counting.
#include "server/api_keys.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "base/json.h"
#include "server/fields.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

constexpr size_t kMinKeyBytes = 16;
constexpr size_t kMaxKeyBytes = 256;
constexpr size_t kMaxKeys = 10000;
constexpr int64_t kMaxPerMinute = 1'000'000'000'000;

Result<ApiKey> parse_key(const json::value& value, const std::string& what) {
  const json::object* object = value.if_object();
  if (object == nullptr) return bad_file(what + ": expected an object, found " + found(value));
  for (const auto& field : *object) {
    static constexpr std::array<std::string_view, 5> kKnown = {"name", "key", "requests_per_minute",
                                                               "tokens_per_minute", "models"};
    if (std::find(kKnown.begin(), kKnown.end(), field.key()) == kKnown.end()) {
      return bad_file(fmt::format("{}: unknown field {}", what, excerpt(field.key())));
    }
  }
  Fields fields(*object, what);
  ApiKey key;
  key.name = fields.text("name").value_or("");
  key.key = fields.text("key").value_or("");
  key.requests_per_minute = fields.integer("requests_per_minute", 1, kMaxPerMinute);
  key.tokens_per_minute = fields.integer("tokens_per_minute", 1, kMaxPerMinute);
  key.models = fields.texts("models");
  if (fields.error()) return bad_file(fields.error()->message);
  if (key.name.empty()) return bad_file(what + ".name: expected a name, found none");
  const bool printable =
      std::all_of(key.key.begin(), key.key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (key.key.size() < kMinKeyBytes || key.key.size() > kMaxKeyBytes || !printable) {
    return bad_file(fmt::format("{}.key: expected {} to {} printable ASCII characters", what,
                                kMinKeyBytes, kMaxKeyBytes));
  }
  key.cache_salt = random_u64() | 1;  // 0 is everybody's without keys
  return key;
}

// Whether the two are equal, in a time that depends on the lengths alone.
bool equal_in_constant_time(std::string_view secret, std::string_view given) {
  uint8_t difference = secret.size() == given.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char expected = secret[i % secret.size()];
    difference = static_cast<uint8_t>(difference | (expected ^ given[i]));
  }
  return difference == 0;
}

}  // namespace

uint64_t random_u64() {
  uint64_t number = 0;
  size_t n = 0;
  while (n < sizeof number) {
    const ssize_t got = ::getrandom(reinterpret_cast<char*>(&number) + n, sizeof number - n, 0);
    if (got > 0) n += static_cast<size_t>(got);
  }
  return number;
}

std::string random_id(std::string_view prefix) {
  return fmt::format("{}{:016x}{:016x}", prefix, random_u64(), random_u64());
}

bool ApiKey::may_use(const ModelLibrary& library, std::string_view asked,
                     std::string_view model) const {
  const auto contains = [](const std::vector<std::string>& names, std::string_view wanted) {
    return std::find(names.begin(), names.end(), wanted) != names.end();
  };
  return models.empty() || contains(models, asked) || contains(models, model) ||
         contains(model_names(library), model);
}

std::vector<std::string> ApiKey::model_names(const ModelLibrary& library) const {
  std::vector<std::string> names = models;
  for (const std::string& listed : models) {
    const Result<LibraryModel> model = library.find(listed);
    if (model.ok()) names.push_back(model->name);
  }
  return names;
}

Result<std::shared_ptr<ApiKeys>> ApiKeys::load(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return bad_file(path + ": expected a file that only its owner can read (chmod 600)");
  }
  RECKON_ASSIGN(const std::string text, read_file(path, uint64_t{16} << 20));
  return parse(text, path);
}

Result<std::shared_ptr<ApiKeys>> ApiKeys::parse(std::string_view text, std::string_view what) {
  RECKON_ASSIGN(const json::value value, parse_json(text, what));
  const json::object* object = value.if_object();
  const json::value* list = object == nullptr ? nullptr : object->if_contains("keys");
  if (list == nullptr || !list->is_array() || object->size() != 1) {
    return bad_file(fmt::format("{}: expected an object with one field, keys, an array", what));
  }
  const json::array& entries = list->get_array();
  if (entries.empty() || entries.size() > kMaxKeys) {
    return bad_file(
        fmt::format("{}: expected 1 to {} keys, found {}", what, kMaxKeys, entries.size()));
  }
  auto keys = std::make_shared<ApiKeys>();
  for (size_t i = 0; i < entries.size(); ++i) {
    RECKON_ASSIGN(ApiKey key, parse_key(entries[i], fmt::format("{}: keys[{}]", what, i)));
    for (const ApiKey& other : keys->keys_) {
      if (other.name == key.name || other.key == key.key) {
        return bad_file(
            fmt::format("{}: keys[{}]: expected a name and a key of its own, found "
                        "those of {}",
                        what, i, excerpt(other.name)));
      }
    }
    keys->keys_.push_back(std::move(key));
  }
  return keys;
}

const ApiKey* ApiKeys::find(std::string_view given) const {
  if (given.size() > kMaxKeyBytes) return nullptr;
  const ApiKey* match = nullptr;
  for (const ApiKey& key : keys_) {
    if (equal_in_constant_time(key.key, given)) match = &key;
  }
  return match;
}

ApiKeys::Minute& ApiKeys::minute_locked(const ApiKey& key, Clock::time_point now) {
  Minute& minute = minutes_[&key];
  if (now - minute.began >= std::chrono::minutes(1)) minute = {.began = now};
  return minute;
}

std::optional<ApiError> ApiKeys::count_request(const ApiKey& key, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  Minute& minute = minute_locked(key, now);
  const bool too_many = key.requests_per_minute && minute.n_requests >= *key.requests_per_minute;
  const bool too_long = key.tokens_per_minute && minute.n_tokens >= *key.tokens_per_minute;
  if (!too_many && !too_long) {
    ++minute.n_requests;
    return std::nullopt;
  }
  const auto left =
      std::chrono::ceil<std::chrono::seconds>(minute.began + std::chrono::minutes(1) - now);
  return ApiError{
      .status = 429,
      .message = fmt::format("the key's limit of {} a minute is reached",
                             too_many ? fmt::format("{} requests", *key.requests_per_minute)
                                      : fmt::format("{} tokens", *key.tokens_per_minute)),
      .code = "rate_limit_exceeded",
      .retry_after_s = std::max(1, static_cast<int>(left.count()))};
}

void ApiKeys::count_tokens(const ApiKey& key, int64_t n_tokens, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  minute_locked(key, now).n_tokens += n_tokens;
}

}  // namespace reckon::server
