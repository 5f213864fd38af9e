// reckon pull, list, rm and verify: the models on this machine.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "cli/json_line.h"
#include "cli/models.h"
#include "cli/output.h"
#include "cli/program.h"
#include "engine/memory.h"
#include "store/catalog.h"
#include "store/model_store.h"

namespace reckon::cli {
namespace {

struct StoreCommandOptions {
  std::string name;
  bool json = false;
};

std::string format_date(int64_t seconds) {
  if (seconds == 0) return "";  // of no file
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (::localtime_r(&time, &parts) == nullptr) return "";
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

void add_model(const StoredModel& model, JsonLine& json) {
  json.begin_object()
      .field("name", model.name)
      .field("origin", model_origin_name(model.origin))
      .field("source", model.source)
      .field("path", model.path())
      .field("bytes", model.bytes())
      .field("changed_at_s", model.changed_at_s);
  json.key("files").begin_array();
  for (const ModelFile& file : model.files) {
    json.begin_object()
        .field("path", file.path)
        .field("bytes", file.bytes)
        .field("sha256", file.sha256)
        .end_object();
  }
  json.end_array().end_object();
}

// "reckon pull r1:14b" for the largest that fits, or what to say instead.
std::string suggestion(int64_t available_bytes) {
  const CatalogModel* best = suggest_model(available_bytes);
  return best == nullptr ? fmt::format("{} of memory are free: too little for the smallest, {}",
                                       format_bytes(available_bytes), catalog().front().name)
                         : fmt::format("{} of memory are free: `reckon run {}` fits best",
                                       format_bytes(available_bytes), best->name);
}

Status run_pull(const StoreCommandOptions& options) {
  if (options.name.empty()) {
    RECKON_ASSIGN(const int64_t available, available_memory());
    return usage_error(fmt::format("expected a model to pull; {}", suggestion(available)));
  }
  RECKON_ASSIGN(ModelStore store, open_store());
  RECKON_ASSIGN(const StoredModel model, pull_with_progress(store, options.name, options.json));
  if (options.json) {
    JsonLine json;
    add_model(model, json);
    out().write(json.take());
    return {};
  }
  out().write_foreign(fmt::format("{}  {}  {}\n", model.name,
                                  format_bytes(static_cast<int64_t>(model.bytes())), model.path()));
  return {};
}

void print_models(const std::vector<StoredModel>& models) {
  size_t width = 4;
  for (const StoredModel& model : models) width = std::max(width, model.name.size());
  out().write_bold(
      fmt::format("{:<{}}  {:>9}  {:<10}  {}\n", "NAME", width, "SIZE", "FROM", "DATE"));
  for (const StoredModel& model : models) {
    out().write_foreign(fmt::format("{:<{}}  {:>9}  {:<10}  {}\n", model.name, width,
                                    format_bytes(static_cast<int64_t>(model.bytes())),
                                    model_origin_name(model.origin),
                                    format_date(model.changed_at_s)));
  }
}

void print_catalog(int64_t available_bytes) {
  const CatalogModel* best = suggest_model(available_bytes);
  out().write_bold(
      fmt::format("\nTo pull ({} of memory are free)\n", format_bytes(available_bytes)));
  for (const CatalogModel& model : catalog()) {
    const bool fits = model.memory_bytes() <= available_bytes;
    out().write(fmt::format("{:<8}  {:>9}  takes {} with {} of context{}\n", model.name,
                            format_bytes(model.bytes), format_bytes(model.memory_bytes()),
                            format_context(kSuggestedContext),
                            &model == best ? ": the best that fits"
                            : fits         ? ""
                                           : ": too large"));
  }
}

Status run_list(const StoreCommandOptions& options) {
  RECKON_ASSIGN(const ModelStore store, open_store());
  RECKON_ASSIGN(const ModelStore::Listing listing, store.list());
  RECKON_ASSIGN(const int64_t available, available_memory());
  if (options.json) {
    JsonLine json;
    json.begin_object().key("models").begin_array();
    for (const StoredModel& model : listing.models) add_model(model, json);
    json.end_array().key("catalog").begin_array();
    for (const CatalogModel& model : catalog()) {
      json.begin_object()
          .field("name", model.name)
          .field("title", model.title)
          .field("bytes", model.bytes)
          .field("memory_bytes", model.memory_bytes())
          .field("fits", model.memory_bytes() <= available)
          .end_object();
    }
    json.end_array();
    const CatalogModel* best = suggest_model(available);
    if (best != nullptr) json.field("suggested", best->name);
    json.key("problems").begin_array();
    for (const std::string& problem : listing.problems) json.value(problem);
    out().write(json.end_array().end_object().take());
    return {};
  }
  if (!listing.models.empty()) print_models(listing.models);
  print_catalog(available);
  for (const std::string& problem : listing.problems) {
    err().write_foreign(problem + "\n");
  }
  return {};
}

Status run_rm(const StoreCommandOptions& options) {
  RECKON_ASSIGN(ModelStore store, open_store());
  return store.remove(options.name);
}

Status run_verify(const StoreCommandOptions& options) {
  RECKON_ASSIGN(const ModelStore store, open_store());
  std::error_code error;
  if (options.name.find('/') != std::string::npos &&
      std::filesystem::is_regular_file(options.name, error)) {
    return usage_error(
        options.name +
        ": expected the name of a model of the store, which knows its files' hashes; "
        "found a file");
  }
  RECKON_RETURN_IF_ERROR(verify_with_progress(store, options.name, options.json));
  RECKON_ASSIGN(const StoredModel model, store.find(options.name));
  if (options.json) {
    JsonLine json;
    add_model(model, json);
    out().write(json.take());
  } else {
    out().write_foreign(fmt::format("{} is as it should be\n", model.name));
  }
  return {};
}

void add_json_flag(CLI::App& command, StoreCommandOptions& options) {
  command.add_flag("--json", options.json, "Print one JSON object and nothing else");
}

}  // namespace

void add_pull_command(Program& program) {
  auto options = std::make_shared<StoreCommandOptions>();
  CLI::App* command = add_command(
      program, "pull", "Fetch a model and keep it by name",
      "MODEL is one of r1:1.5b, r1:7b, r1:8b, r1:14b, r1:32b, r1:70b, with another type behind it "
      "if wanted (r1:7b:q8_0); hf:OWNER/REPOSITORY, with :TYPE or /FILE; the URL of a GGUF file; "
      "or a GGUF file on this machine, which stays where it is. What was broken off goes on.\n"
      "Examples:\n"
      "  reckon pull r1:7b\n"
      "  reckon pull hf:bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF:q6_k\n"
      "  HF_ENDPOINT=https://mirror.example reckon pull r1:14b",
      options, run_pull);
  command->add_option("MODEL", options->name, "What to fetch");
  add_json_flag(*command, *options);
}

void add_list_command(Program& program) {
  auto options = std::make_shared<StoreCommandOptions>();
  CLI::App* command = add_command(
      program, "list", "List the models on this machine, and what can be pulled",
      "Models of Ollama, LM Studio and the Hugging Face cache are listed too and used where they "
      "lie.\n"
      "Examples:\n"
      "  reckon list\n"
      "  reckon list --json | jq -r '.models[].name'",
      options, run_list);
  add_json_flag(*command, *options);
}

void add_rm_command(Program& program) {
  auto options = std::make_shared<StoreCommandOptions>();
  CLI::App* command =
      add_command(program, "rm", "Remove a model that was pulled",
                  "A file that was pulled from this machine stays; only its name goes.\n"
                  "Examples:\n"
                  "  reckon rm r1:7b",
                  options, run_rm);
  command->add_option("NAME", options->name, "The model, as `reckon list` names it")->required();
}

void add_verify_command(Program& program) {
  auto options = std::make_shared<StoreCommandOptions>();
  CLI::App* command = add_command(program, "verify", "Check that a model's files are as they were",
                                  "Reads all of it and compares its SHA-256.\n"
                                  "Examples:\n"
                                  "  reckon verify r1:7b",
                                  options, run_verify);
  command->add_option("NAME", options->name, "The model, as `reckon list` names it")->required();
  add_json_flag(*command, *options);
}

}  // namespace reckon::cli
