// Keys: who may use the server, how much, and which models.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/api_error.h"
#include "server/library.h"

namespace reckon::server {

struct ApiKey {
  std::string name;  // for logs and metrics
  std::string key;
  std::optional<int64_t> requests_per_minute;
  std::optional<int64_t> tokens_per_minute;  // prompt and output together
  std::vector<std::string> models;           // empty: all
  uint64_t cache_salt = 0;                   // of this process, random: see Request::cache_salt

  // Whether it may use the model that a client asks for by one name and the library has under
  // another: one of the two is listed, or what the library finds under a listed name.
  bool may_use(const ModelLibrary& library, std::string_view asked, std::string_view model) const;
  // The listed names, and those that the library has these models under.
  std::vector<std::string> model_names(const ModelLibrary& library) const;
};

class ApiKeys {
 public:
  // A JSON file {"keys": [{"name", "key", "requests_per_minute", "tokens_per_minute", "models"}]}
  // that only its owner can read. Errors: kBadFile, naming the entry.
  static Result<std::shared_ptr<ApiKeys>> load(const std::string& path);
  static Result<std::shared_ptr<ApiKeys>> parse(std::string_view json, std::string_view what);

  // Null when there is none. Takes as long for every text of one length: all keys are compared to
  // their ends.
  const ApiKey* find(std::string_view key) const;

  using Clock = std::chrono::steady_clock;

  // Counts a request; 429 when its key's minute is used up, by requests or by tokens.
  std::optional<ApiError> count_request(const ApiKey& key, Clock::time_point now = Clock::now());
  // Tokens of an answer that has ended: they count in the minute of its end.
  void count_tokens(const ApiKey& key, int64_t n_tokens, Clock::time_point now = Clock::now());

 private:
  struct Minute {
    Clock::time_point began;
    int64_t n_requests = 0;
    int64_t n_tokens = 0;
  };

  Minute& minute_locked(const ApiKey& key, Clock::time_point now);

  std::vector<ApiKey> keys_;
  std::mutex mutex_;
  std::map<const ApiKey*, Minute> minutes_;
};

// A random number that can't be foretold; of the system.
uint64_t random_u64();
// "chatcmpl-" and 32 random hexadecimal digits.
std::string random_id(std::string_view prefix);

}  // namespace reckon::server
