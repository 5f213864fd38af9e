// Where models lie, by the environment: reckon's own variables and those of the other programs.
#include <cstdlib>
#include <string>

#include "store/model_store.h"
#include "store/url.h"

namespace reckon {
namespace {

constexpr const char* kDefaultEndpoint = "https://huggingface.co";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string below(const std::string& folder, const char* rest) {
  return folder.empty() ? "" : folder + rest;
}

std::string first_of(std::initializer_list<std::string> folders) {
  for (const std::string& folder : folders) {
    if (!folder.empty()) return folder;
  }
  return "";
}

}  // namespace

Result<StoreOptions> StoreOptions::from_environment() {
  const std::string home = variable("HOME");
  StoreOptions options;
  options.folder =
      first_of({variable("RECKON_MODELS"), below(variable("XDG_DATA_HOME"), "/reckon/models"),
                below(home, "/.local/share/reckon/models")});
  if (options.folder.empty()) {
    return usage_error("no folder for models: expected RECKON_MODELS or HOME to be set");
  }
  // A person's own, and where its service keeps them.
  options.ollama = {below(home, "/.ollama/models"), "/usr/share/ollama/.ollama/models"};
  if (const std::string named = variable("OLLAMA_MODELS"); !named.empty()) options.ollama = {named};
  // The newer and the older place.
  options.lm_studio = {below(home, "/.lmstudio/models"), below(home, "/.cache/lm-studio/models")};
  const std::string hub_home =
      first_of({variable("HF_HOME"), below(variable("XDG_CACHE_HOME"), "/huggingface"),
                below(home, "/.cache/huggingface")});
  options.hub_cache = first_of({variable("HF_HUB_CACHE"), below(hub_home, "/hub")});

  options.hub_endpoint = first_of({variable("HF_ENDPOINT"), kDefaultEndpoint});
  while (options.hub_endpoint.ends_with('/')) options.hub_endpoint.pop_back();
  const Result<Url> endpoint = parse_url(options.hub_endpoint);
  if (!endpoint.ok()) return usage_error("HF_ENDPOINT: " + endpoint.error().message);

  options.hub_token = variable("HF_TOKEN");
  options.hub_token_file = first_of({variable("HF_TOKEN_PATH"), below(hub_home, "/token")});
  return options;
}

}  // namespace reckon
