// Reads CLI11's descriptions.
#include "cli/option_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/quantize.h"
#include "model/synth.h"
#include "quants/tensor_type.h"
#include "store/catalog.h"
#include "tokenizer/chat_template.h"

namespace reckon::cli {
namespace {

// Columns of a line of UTF-8: every byte that isn't a continuation counts for one.
size_t columns_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// What CLI::IsMember adds to a value's name: "TYPE:{f16,q8}".
std::vector<std::string> members(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find(":{");
  const size_t close = std::min(type.find('}', std::min(open, type.size())), type.size());
  if (close == type.size()) return {};
  return CLI::detail::split(type.substr(open + 2, close - open - 2), ',');
}

}  // namespace

// CLI11 adds what its checks allow after a colon, in words of its own.
std::string value_name(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

std::string option_names(const CLI::Option& option) {
  std::string names;
  for (const std::string& spelling : option_spellings(option)) {
    names += (names.empty() ? "" : ", ") + spelling;
  }
  if (names.empty()) return option.get_name(true, false);
  return takes_value(option) ? names + " " + value_name(option) : names;
}

std::string option_description(const CLI::Option& option) {
  const std::string value = option.get_default_str();
  return value.empty() ? option.get_description()
                       : fmt::format("{} (default {})", option.get_description(), value);
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

bool takes_path(const CLI::Option& option) {
  const std::string type =
      option.get_positional() ? option.get_name(true, false) : value_name(option);
  const auto has = [&](const char* word) { return type.find(word) != std::string::npos; };
  return has("FILE") || has("FOLDER") || type == "IN" || type == "OUT";
}

std::vector<std::string> option_spellings(const CLI::Option& option) {
  std::vector<std::string> spellings;
  for (const std::string& name : option.get_snames()) spellings.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) spellings.push_back("--" + name);
  return spellings;
}

std::vector<const CLI::App*> listed_commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::vector<std::string> choices(const CLI::App& command, const CLI::Option& option) {
  const std::string where =
      command.get_name() + " " +
      (option.get_positional() ? option.get_name(true, false) : option_spellings(option).back());
  std::vector<std::string> words = members(option);
  if (where == "synth SHAPE") {
    for (const SynthShape& shape : all_synth_shapes()) words.emplace_back(shape.name);
  } else if (where == "quantize --type") {
    for (const QuantizeTargetInfo& info : all_quantize_targets()) words.emplace_back(info.name);
  } else if (where == "pull MODEL" || where == "run MODEL") {
    for (const CatalogModel& model : catalog()) words.push_back(model.name);
  } else if (where == "synth --type") {
    for (const QuantizeTargetInfo& info : all_quantize_targets()) words.emplace_back(info.name);
    for (const TensorTypeInfo& info : all_tensor_types()) words.emplace_back(info.name);
  } else if (where.ends_with(" --template")) {
    for (const std::string_view name : chat_template_names()) words.emplace_back(name);
  }
  return words;
}

std::string wrap(std::string_view text, size_t columns, std::string_view indent) {
  std::string wrapped;
  size_t used = 0;
  while (!text.empty()) {
    // A word with the blanks before it.
    const size_t word = std::min(text.find_first_not_of(' '), text.size());
    const size_t end = std::min(text.find(' ', word), text.size());
    const std::string_view piece = text.substr(0, end);
    if (used > 0 && used + columns_of(piece) > columns) {
      wrapped += "\n";
      wrapped += indent;
      wrapped += text.substr(word, end - word);
      used = columns_of(text.substr(word, end - word));
    } else {
      wrapped += piece;
      used += columns_of(piece);
    }
    text.remove_prefix(end);
  }
  return wrapped;
}

}  // namespace reckon::cli
