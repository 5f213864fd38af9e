// Ollama's API: the models there are, pulling and deleting them, and what is loaded.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "base/json.h"
#include "base/times.h"
#include "engine/load.h"
#include "gguf/gguf_file.h"
#include "model/config.h"
#include "model/quantize.h"
#include "server/ollama.h"
#include "store/reference.h"
#include "store/sha256.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

// What Ollama's own clients are told: the version of its API that this one follows.
constexpr std::string_view kOllamaVersion = "0.12.0";

// Ollama has one of every model, and its clients show the first digits: where the content's isn't
// known, one that stays for as long as the file does.
std::string digest_of(const LibraryModel& model) {
  if (!model.sha256.empty()) return model.sha256;
  return sha256_of(fmt::format("{} {} {}", model.path, model.bytes, model.changed_at_s));
}

int64_t parameter_count(const GgufFile& file) {
  int64_t n = 0;
  for (const GgufTensor& tensor : file.tensors()) n += tensor.n_elements;
  return n;
}

// As Ollama writes it: "7.6B", "1.35M".
std::string parameter_size(const GgufFile& file) {
  const int64_t n = parameter_count(file);
  if (n >= 1'000'000'000) return fmt::format("{:.1f}B", static_cast<double>(n) / 1e9);
  return fmt::format("{:.2f}M", static_cast<double>(n) / 1e6);
}

// The name of the mix that the file says it is, or the type of most elements.
std::string quantization_level(const GgufFile& file) {
  const auto file_type = file.get_uint("general.file_type");
  for (const QuantizeTargetInfo& target : all_quantize_targets()) {
    if (file_type.ok() && *file_type == target.file_type) return std::string(target.name);
  }
  std::map<TensorType, int64_t> n_elements;
  for (const GgufTensor& tensor : file.tensors()) n_elements[tensor.type] += tensor.n_elements;
  const auto most =
      std::max_element(n_elements.begin(), n_elements.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == n_elements.end()) return "";
  std::string name(tensor_type_info(most->first).name);
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

// From the directory of the file alone; empty where it can't be read.
json::object details_of(const LibraryModel& model) {
  json::object details{{"parent_model", ""},   {"format", "gguf"},
                       {"family", ""},         {"families", json::array()},
                       {"parameter_size", ""}, {"quantization_level", ""}};
  const Result<std::shared_ptr<const GgufFile>> file = GgufFile::open(model.path);
  if (!file.ok()) return details;
  const auto text = [&](std::string_view key) {
    const auto value = (*file)->get_string(key);
    return std::string(value.ok() ? value->value_or("") : "");
  };
  const std::string family = text("general.architecture");
  details["family"] = family;
  details["families"] = json::array{json::value(family)};
  const std::string label = text("general.size_label");
  details["parameter_size"] = label.empty() ? parameter_size(**file) : label;
  details["quantization_level"] = quantization_level(**file);
  return details;
}

void tags(ApiContext& context, Call call) {
  const ApiResult<std::vector<LibraryModel>> models = usable_models(context, call);
  if (!models.ok()) return reply_error(call, models.error());
  json::array list;
  for (const LibraryModel& model : *models) {
    list.push_back(json::object{{"name", model.name},
                                {"model", model.name},
                                {"modified_at", utc_time(model.changed_at_s)},
                                {"size", model.bytes},
                                {"digest", digest_of(model)},
                                {"details", details_of(model)}});
  }
  reply_json(call, json::object{{"models", std::move(list)}});
}

// "model", or "name" as older clients write it.
ApiResult<std::string> read_name(const Call& call, bool* stream = nullptr) {
  ApiResult<json::object> object = parse_body(*call.request);
  if (!object.ok()) return object.error();
  Fields fields(*object);
  std::optional<std::string> name = fields.text("model");
  if (!name) name = fields.text("name");
  if (stream != nullptr) *stream = fields.boolean("stream").value_or(true);
  if (!fields.error() && !name) fields.fail("model", "expected a model's name, found none");
  if (fields.error()) return *fields.error();
  return *name;
}

void show(ApiContext& context, Call call) {
  const ApiResult<std::string> name = read_name(call);
  if (!name.ok()) return reply_error(call, name.error());
  const ApiResult<LibraryModel> model = find_model(context, call, *name);
  if (!model.ok()) return reply_error(call, model.error());
  json::object reply{{"license", ""},
                     {"modelfile", ""},
                     {"parameters", ""},
                     {"template", ""},
                     {"modified_at", utc_time((*model).changed_at_s)},
                     {"details", details_of(*model)}};
  json::array capabilities{"completion"};
  json::object info;
  const Result<std::shared_ptr<const GgufFile>> file = GgufFile::open((*model).path);
  if (file.ok()) {
    const auto source = (*file)->get_string("tokenizer.chat_template");
    if (source.ok()) reply["template"] = source->value_or("");
    const Result<ModelConfig> config = read_config(**file);
    const auto architecture = (*file)->get_string("general.architecture");
    const std::string family(architecture.ok() ? architecture->value_or("") : "");
    info["general.architecture"] = family;
    info["general.parameter_count"] = parameter_count(**file);
    if (config.ok()) {
      info[family + ".context_length"] = config->context_length;
      info[family + ".embedding_length"] = config->d_model;
      info[family + ".block_count"] = config->n_layers;
      info[family + ".attention.head_count"] = config->n_heads;
      info[family + ".attention.head_count_kv"] = config->n_kv_heads;
    }
    LoadOptions any_template;
    any_template.needs_chat_template = false;
    const auto chat_template = choose_chat_template(**file, any_template);
    if (chat_template.ok() && *chat_template != nullptr) {
      capabilities.push_back("tools");
      if (!(*chat_template)->think_marks().open.empty()) capabilities.push_back("thinking");
    }
  }
  reply["model_info"] = std::move(info);
  reply["capabilities"] = std::move(capabilities);
  reply_json(call, reply);
}

void ps(ApiContext& context, Call call) {
  const ApiResult<std::vector<LibraryModel>> models = usable_models(context, call);
  if (!models.ok()) return reply_error(call, models.error());
  json::array list;
  for (const LoadedModel& loaded : context.pool->list()) {
    const auto model =
        std::find_if((*models).begin(), (*models).end(),
                     [&](const LibraryModel& one) { return one.name == loaded.name; });
    if (!loaded.ready || model == (*models).end()) continue;
    // What stays for ever has an end as well, in Ollama's terms: far away.
    const double left_s = loaded.expires_in_s.value_or(100.0 * 365 * 24 * 3600);
    list.push_back(json::object{
        {"name", loaded.name},
        {"model", loaded.name},
        {"size", loaded.report.memory.total_bytes()},
        {"size_vram", 0},
        {"digest", digest_of(*model)},
        {"details", details_of(*model)},
        {"context_length", loaded.context_length},
        {"expires_at", utc_time(seconds_since_1970() + static_cast<int64_t>(left_s))}});
  }
  reply_json(call, json::object{{"models", std::move(list)}});
}

std::string_view stage_name(StoreProgress::Stage stage) {
  switch (stage) {
    case StoreProgress::Stage::kLookingUp: return "pulling manifest";
    case StoreProgress::Stage::kDownloading: return "pulling";
    case StoreProgress::Stage::kVerifying: return "verifying sha256 digest";
  }
  return "pulling";
}

json::object progress_line(const StoreProgress& progress) {
  json::object line{{"status", stage_name(progress.stage)}};
  if (progress.stage == StoreProgress::Stage::kDownloading) {
    line["status"] = "pulling " + progress.file;
    line["digest"] = progress.sha256.empty() ? progress.file : "sha256:" + progress.sha256;
    line["total"] = progress.total_bytes;
    line["completed"] = progress.done_bytes;
    line["bytes_per_second"] = progress.bytes_per_s;
  }
  return line;
}

// What a key lists may not be here yet: then the two names have to mean the same pull.
bool may_pull(const ApiContext& context, const ApiKey& key, const std::string& name) {
  const Result<LibraryModel> here = context.library->find(name);
  if (key.may_use(*context.library, name, here.ok() ? here->name : name)) return true;
  const Result<Reference> wanted = parse_ollama_name(name);
  return wanted.ok() && std::any_of(key.models.begin(), key.models.end(), [&](const auto& listed) {
           const Result<Reference> reference = parse_ollama_name(listed);
           return reference.ok() && reference->full_text() == wanted->full_text();
         });
}

// A pull takes minutes to hours: it has a thread of its own, and ends when the client goes.
void pull(ApiContext& context, Call call) {
  bool stream = true;
  const ApiResult<std::string> name = read_name(call, &stream);
  if (!name.ok()) return reply_error(call, name.error());
  if (call.key != nullptr && !may_pull(context, *call.key, *name)) {
    return reply_error(call, {.status = 403, .message = "model: this key may not pull it"});
  }
  const auto slot = std::make_shared<PullSlot>(context);
  if (!slot->taken()) {
    return reply_error(
        call, {.status = 429, .message = "too many models are being pulled", .retry_after_s = 30});
  }
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  call.exchange->on_closed([gone] { *gone = true; });
  std::thread([&context, call, reference = *name, stream, gone, slot] {
    // What can be refused at once gets its status; the stream begins with the first progress.
    bool begun = false;
    const auto write = [&](const json::object& line) {
      if (!std::exchange(begun, true)) {
        call.exchange->begin(200, reply_headers(call, "application/x-ndjson"), "");
      }
      call.exchange->write(json::serialize(line) + "\n");
    };
    auto told = std::chrono::steady_clock::time_point();
    JobControl control;
    control.cancelled = [&] { return *gone || context.stopping; };
    control.progress = [&](const StoreProgress& progress) {
      const auto now = std::chrono::steady_clock::now();
      if (!stream || now - told < std::chrono::milliseconds(200)) return;
      told = now;
      write(progress_line(progress));
    };
    const Status status = context.library->pull(reference, control);
    if (!begun && !status.ok()) return reply_error(call, from_error(status.error()));
    if (!stream) return reply_json(call, json::object{{"status", "success"}});
    write(status.ok() ? json::object{{"status", "success"}}
                      : json::object{{"error", status.error().message}});
    call.exchange->end();
  }).detach();
}

void remove(ApiContext& context, Call call) {
  const ApiResult<std::string> name = read_name(call);
  if (!name.ok()) return reply_error(call, name.error());
  const ApiResult<LibraryModel> model = find_model(context, call, *name);
  if (!model.ok()) return reply_error(call, model.error());
  const Status status = context.library->remove((*model).name);
  if (!status.ok()) return reply_error(call, from_error(status.error()));
  context.pool->release_soon((*model).name);
  reply_json(call, json::object());
}

void copy(ApiContext& context, Call call) {
  ApiResult<json::object> object = parse_body(*call.request);
  if (!object.ok()) return reply_error(call, object.error());
  Fields fields(*object);
  const std::optional<std::string> source = fields.text("source");
  const std::optional<std::string> destination = fields.text("destination");
  if (!source) fields.fail("source", "expected a model's name, found none");
  if (!destination) fields.fail("destination", "expected a new name, found none");
  if (fields.error()) return reply_error(call, *fields.error());
  const ApiResult<LibraryModel> model = find_model(context, call, *source);
  if (!model.ok()) return reply_error(call, model.error());
  if (call.key != nullptr && !call.key->may_use(*context.library, *destination, *destination)) {
    return reply_error(call, {.status = 403, .message = "destination: this key may not use it"});
  }
  const Status status = context.library->copy((*model).name, *destination);
  if (!status.ok()) return reply_error(call, from_error(status.error()));
  reply_json(call, json::object());
}

void version(ApiContext&, Call call) {
  reply_json(call, json::object{{"version", kOllamaVersion}, {"reckon", RECKON_VERSION}});
}

// Ollama's clients ask whether a server is there by HEAD /.
void is_there(ApiContext&, Call call) {
  call.exchange->reply({.headers = reply_headers(call, "text/plain; charset=utf-8")});
}

void embeddings(ApiContext&, Call call) {
  reply_error(call, {.status = 400, .message = "these models write text and give no embeddings"});
}

}  // namespace

std::optional<double> read_keep_alive(Fields& fields) {
  const json::value* value = fields.find("keep_alive");
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return fields.number("keep_alive", -1e12, 1e12);
  // Go's durations, of one unit or several: "5m", "1h30m", "-1m".
  const std::string text = fields.text("keep_alive").value_or("");
  const bool negative = text.starts_with('-');
  std::string_view rest = std::string_view(text).substr(negative ? 1 : 0);
  double seconds = 0;
  bool good = !rest.empty();
  while (good && !rest.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    good = error == std::errc{} && number >= 0 && number < 1e9;
    if (!good) break;
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    static constexpr std::pair<std::string_view, double> kUnits[] = {
        {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"h", 3600}, {"m", 60}, {"s", 1}};
    double unit = rest.empty() ? 1 : 0;
    for (const auto& [name, factor] : kUnits) {
      if (unit != 0 || !rest.starts_with(name)) continue;
      unit = factor;
      rest.remove_prefix(name.size());
    }
    good = unit != 0;
    seconds += number * unit;
  }
  if (!good) {
    fields.fail("keep_alive", "expected seconds or a time such as 5m, found " + excerpt(text));
    return std::nullopt;
  }
  return negative ? kForever : seconds;
}

void read_format(Fields& fields, GenerateSpec& spec) {
  const json::value* format = fields.find("format");
  if (format == nullptr || *format == json::value("")) return;
  spec.format_field = "format";
  if (format->is_object()) {
    spec.schema = *format;
  } else if (fields.one_of("format", {"json"})) {
    spec.schema = json::object{{"type", "object"}};
  }
}

std::span<const Route> ollama_routes() {
  static constexpr Route kRoutes[] = {
      {"POST", "/api/chat", ollama_chat},
      {"POST", "/api/generate", ollama_generate},
      {"GET", "/api/tags", tags},
      {"POST", "/api/show", show},
      {"GET", "/api/ps", ps},
      {"POST", "/api/pull", pull},
      {"DELETE", "/api/delete", remove},
      {"POST", "/api/copy", copy},
      {"GET", "/api/version", version, true},
      {"POST", "/api/embed", embeddings},
      {"POST", "/api/embeddings", embeddings},
      {"HEAD", "/", is_there, true, true},
  };
  return kRoutes;
}

}  // namespace reckon::server
