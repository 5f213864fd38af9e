// reckon show: what a model file holds and what memory it will take.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"
#include "cli/json_line.h"
#include "cli/models.h"
#include "cli/output.h"
#include "cli/program.h"
#include "engine/load.h"
#include "engine/memory.h"
#include "forward/kv_cache.h"
#include "gguf/gguf_file.h"
#include "kernels/kernels.h"
#include "model/model.h"

namespace reckon::cli {
namespace {

struct ShowOptions {
  std::string path;
  bool json = false;
};

// Of longer arrays the beginning is shown.
constexpr uint64_t kWholeArray = 16;
constexpr uint64_t kArrayBeginning = 4;
constexpr size_t kMaxShownText = 160;

struct MemoryAtContext {
  int64_t context = 0;
  MemoryPlan f16;
  std::optional<MemoryPlan> q8;  // where the heads' size allows it
};

struct Shown {
  std::shared_ptr<const GgufFile> file;
  std::shared_ptr<const Model> model;
  std::string template_name;     // empty: none is known
  std::string template_problem;  // why
  bool opens_thinking_itself = false;
  int64_t available_bytes = 0;
  MemoryNeeds f16_needs;
  std::vector<MemoryAtContext> memory;
};

void look_at_template(Shown& shown) {
  const auto chat_template = choose_chat_template(*shown.file, LoadOptions{});
  if (!chat_template.ok()) {
    shown.template_problem = chat_template.error().message;
    return;
  }
  shown.template_name = (*chat_template)->name();
  RenderOptions left_alone;
  left_alone.open_thinking = false;
  shown.opens_thinking_itself = (*chat_template)->opens_thinking(RenderOptions{}) &&
                                !(*chat_template)->opens_thinking(left_alone);
}

MemoryPlan needs_at(const MemoryNeeds& needs, int64_t context) {
  return {.context_length = context,
          .weights_bytes = needs.weights_bytes,
          .kv_bytes = needs.kv_bytes_per_token * context * needs.n_sequences,
          .working_bytes = needs.working_bytes,
          .available_bytes = 0};
}

Result<Shown> look_at(const std::string& path) {
  Shown shown;
  RECKON_ASSIGN(shown.file, GgufFile::open(path));
  RECKON_ASSIGN(shown.model, Model::load(shown.file));
  look_at_template(shown);
  RECKON_ASSIGN(shown.available_bytes, available_memory());
  const int n_threads = physical_core_count();
  shown.f16_needs = memory_needs(*shown.model, LoadOptions{}, n_threads);
  LoadOptions q8;
  q8.kv_type = kernels::KvType::kQ8;
  std::optional<MemoryNeeds> q8_needs;
  if (check_kv_type(shown.model->config(), q8.kv_type).ok()) {
    q8_needs = memory_needs(*shown.model, q8, n_threads);
  }
  const int64_t limit = shown.model->config().context_length;
  for (int64_t context = 2048;; context *= 2) {
    const int64_t at = std::min(context, limit);
    MemoryAtContext memory{.context = at, .f16 = needs_at(shown.f16_needs, at), .q8 = {}};
    if (q8_needs) memory.q8 = needs_at(*q8_needs, at);
    shown.memory.push_back(memory);
    if (at == limit) return shown;
  }
}

void add_array_element(const GgufArray& array, uint64_t i, JsonLine& json) {
  switch (array.element_type) {
    case GgufValueType::kString: json.value(array.strings[i]); break;
    case GgufValueType::kFloat32:
    case GgufValueType::kFloat64: json.value(array.float_at(i)); break;
    case GgufValueType::kBool: json.value(array.int_at(i) != 0); break;
    default: json.value(array.int_at(i));
  }
}

void add_value(const GgufValue& value, JsonLine& json) {
  if (const GgufArray* array = value.array()) {
    const bool whole = array->count <= kWholeArray;
    if (!whole) json.begin_object().field("count", array->count).key("first");
    json.begin_array();
    const uint64_t n = whole ? array->count : kArrayBeginning;
    for (uint64_t i = 0; i < n; ++i) add_array_element(*array, i, json);
    json.end_array();
    if (!whole) json.end_object();
  } else if (const auto* text = std::get_if<std::string_view>(&value.data)) {
    json.value(*text);
  } else if (const auto* number = std::get_if<uint64_t>(&value.data)) {
    value.type == GgufValueType::kBool ? json.value(*number != 0) : json.value(*number);
  } else if (const auto* negative = std::get_if<int64_t>(&value.data)) {
    json.value(*negative);
  } else if (const auto* real = std::get_if<double>(&value.data)) {
    json.value(*real);
  }
}

void add_memory(const Shown& shown, JsonLine& json) {
  json.key("memory").begin_object();
  json.field("available_bytes", shown.available_bytes)
      .field("weights_bytes", shown.f16_needs.weights_bytes)
      .field("working_bytes", shown.f16_needs.working_bytes);
  json.key("by_context").begin_array();
  for (const MemoryAtContext& at : shown.memory) {
    json.begin_object()
        .field("context", at.context)
        .field("kv_f16_bytes", at.f16.kv_bytes)
        .field("total_f16_bytes", at.f16.total_bytes());
    if (at.q8) {
      json.field("kv_q8_bytes", at.q8->kv_bytes).field("total_q8_bytes", at.q8->total_bytes());
    }
    json.end_object();
  }
  json.end_array().end_object();
}

std::string as_json(const Shown& shown) {
  const GgufFile& file = *shown.file;
  JsonLine json;
  json.begin_object()
      .field("path", file.path())
      .field("gguf_version", file.version())
      .field("file_bytes", file.file_bytes())
      .field("shards", std::max<size_t>(1, file.shards().size()))
      .field("numerics_version", kernels::kNumericsVersion);
  json.key("chat_template");
  if (shown.template_name.empty()) {
    json.begin_object().field("problem", shown.template_problem).end_object();
  } else {
    json.begin_object()
        .field("name", shown.template_name)
        .field("reckon_opens_thinking", shown.opens_thinking_itself)
        .end_object();
  }
  json.key("metadata").begin_object();
  for (const GgufKeyValue& pair : file.metadata()) {
    json.key(pair.key);
    add_value(pair.value, json);
  }
  json.end_object();
  json.key("tensors").begin_array();
  for (const GgufTensor& tensor : file.tensors()) {
    json.begin_object().field("name", tensor.name);
    json.key("shape").begin_array();
    for (int i = 0; i < tensor.n_dims; ++i) json.value(tensor.dims[static_cast<size_t>(i)]);
    json.end_array();
    json.field("type", tensor_type_info(tensor.type).name)
        .field("bytes", tensor.bytes)
        .end_object();
  }
  json.end_array();
  add_memory(shown, json);
  return json.end_object().take();
}

std::string describe(const GgufValue& value) {
  if (const GgufArray* array = value.array()) {
    std::vector<std::string> elements;
    const uint64_t n = std::min(array->count, kArrayBeginning);
    for (uint64_t i = 0; i < n; ++i) {
      elements.push_back(array->element_type == GgufValueType::kString
                             ? excerpt(array->strings[i], 40)
                             : fmt::format("{}", array->float_at(i)));
    }
    return fmt::format("{} elements: {}{}", array->count, fmt::join(elements, ", "),
                       array->count > n ? ", …" : "");
  }
  if (const auto* text = std::get_if<std::string_view>(&value.data)) {
    return excerpt(*text, kMaxShownText);
  }
  if (const auto* number = std::get_if<uint64_t>(&value.data)) {
    if (value.type == GgufValueType::kBool) return *number != 0 ? "true" : "false";
    return std::to_string(*number);
  }
  if (const auto* negative = std::get_if<int64_t>(&value.data)) return std::to_string(*negative);
  return fmt::format("{}", static_cast<float>(std::get<double>(value.data)));
}

// "blk.12.attn_q.weight" -> "blk.N.attn_q.weight".
std::string without_layer(std::string_view name) {
  if (!name.starts_with("blk.")) return std::string(name);
  const size_t dot = name.find('.', 4);
  const bool digits = dot != std::string_view::npos && dot > 4 &&
                      std::all_of(name.begin() + 4, name.begin() + static_cast<ptrdiff_t>(dot),
                                  [](unsigned char c) { return std::isdigit(c) != 0; });
  return digits ? "blk.N" + std::string(name.substr(dot)) : std::string(name);
}

// Tensors of the same name in all layers make one line.
void print_tensors(const GgufFile& file) {
  std::vector<std::pair<std::string, std::map<TensorType, int>>> groups;
  std::map<std::string, size_t> places;
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string label =
        fmt::format("{:<26} {:<16}", excerpt(without_layer(tensor.name)), tensor.shape_text());
    const auto [place, is_new] = places.try_emplace(label, groups.size());
    if (is_new) groups.push_back({label, {}});
    ++groups[place->second].second[tensor.type];
  }
  out().write_bold(fmt::format("\n{} tensors, {}\n", file.tensors().size(),
                               format_bytes(static_cast<int64_t>(file.tensor_bytes()))));
  for (const auto& [label, types] : groups) {
    std::vector<std::string> counts;
    for (const auto& [type, n] : types) {
      counts.push_back(fmt::format("{}x {}", n, tensor_type_info(type).name));
    }
    out().write_foreign(fmt::format("  {} {}\n", label, fmt::join(counts, ", ")));
  }
}

void print_memory(const Shown& shown) {
  out().write_bold("\nMemory by context\n");
  out().write(fmt::format("  {:>8}  {:>10}  {:>10}   {:>16}  {:>10}\n", "context", "cache", "total",
                          "cache (--kv-type q8)", "total"));
  for (const MemoryAtContext& at : shown.memory) {
    out().write(fmt::format("  {:>8}  {:>10}  {:>10}   {:>20}  {:>10}\n",
                            format_context(at.context), format_bytes(at.f16.kv_bytes),
                            format_bytes(at.f16.total_bytes()),
                            at.q8 ? format_bytes(at.q8->kv_bytes) : "-",
                            at.q8 ? format_bytes(at.q8->total_bytes()) : "-"));
  }
  out().write(fmt::format(
      "  {} are free now; weights take {}, buffers {}\n", format_bytes(shown.available_bytes),
      format_bytes(shown.f16_needs.weights_bytes), format_bytes(shown.f16_needs.working_bytes)));
}

void print(const Shown& shown) {
  const GgufFile& file = *shown.file;
  const ModelConfig& config = shown.model->config();
  out().write_bold(fmt::format("{}\n", visible(file.path())));
  out().write(fmt::format("  GGUF version {}, {} in {} file{}\n", file.version(),
                          format_bytes(static_cast<int64_t>(file.file_bytes())),
                          std::max<size_t>(1, file.shards().size()),
                          file.shards().size() > 1 ? "s" : ""));
  out().write(fmt::format(
      "  {}: {} layers, width {}, {} heads sharing {} of keys and values, {} tokens known, "
      "context {}\n",
      config.architecture_name, config.n_layers, config.d_model, config.n_heads, config.n_kv_heads,
      config.vocab_size, format_context(config.context_length)));
  out().write(fmt::format("  computed by numerics version {}\n", kernels::kNumericsVersion));
  if (shown.template_name.empty()) {
    out().write_foreign(fmt::format("  chat template: {}\n", shown.template_problem));
  } else {
    out().write(fmt::format("  chat template: {}\n", shown.template_name));
  }
  if (shown.opens_thinking_itself) {
    out().write(
        "  the template leaves <think> to the model; reckon opens it, as DeepSeek advises "
        "(--no-open-thinking: not)\n");
  }
  out().write_bold("\nMetadata\n");
  for (const GgufKeyValue& pair : file.metadata()) {
    out().write_foreign(fmt::format("  {:<40} {}\n", excerpt(pair.key), describe(pair.value)));
  }
  print_tensors(file);
  print_memory(shown);
}

Status run_show(const ShowOptions& options) {
  RECKON_ASSIGN(const std::string path, resolve_model(options.path, options.json));
  RECKON_ASSIGN(const Shown shown, look_at(path));
  if (options.json) {
    out().write(as_json(shown));
  } else {
    print(shown);
  }
  return {};
}

}  // namespace

void add_show_command(Program& program) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* command =
      add_command(program, "show", "Show what a model file holds and the memory it takes",
                  "Examples:\n"
                  "  reckon show model.gguf\n"
                  "  reckon show model.gguf --json | jq '.tensors[].name'",
                  options, run_show);
  command
      ->add_option("FILE", options->path,
                   "The model: a name that `reckon list` shows, or a file (of a sharded one, the "
                   "first)")
      ->required();
  command->add_flag("--json", options->json,
                    "Print one JSON object and nothing else; of arrays of more than 16 elements "
                    "their count and first elements");
}

}  // namespace reckon::cli
