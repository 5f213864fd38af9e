// Reads CLI11's descriptions.
#include "cli/option_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/quantize.h"
#include "model/synth.h"
#include "store/catalog.h"

namespace reckon::cli {
namespace {

// Columns of a line of UTF-8: every byte that isn't a continuation counts for one.
size_t columns_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// CLI11 adds what its checks allow after a colon, in words of its own.
std::string type_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

}  // namespace

std::string option_names(const CLI::Option& option) {
  std::string names;
  for (const std::string& spelling : option_spellings(option)) {
    names += (names.empty() ? "" : ", ") + spelling;
  }
  if (names.empty()) return option.get_name(true, false);
  return takes_value(option) ? names + " " + type_of(option) : names;
}

std::string option_description(const CLI::Option& option) {
  const std::string value = option.get_default_str();
  return value.empty() ? option.get_description()
                       : fmt::format("{} (default {})", option.get_description(), value);
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

bool takes_path(const CLI::Option& option) {
  const std::string type = option.get_positional() ? option.get_name(true, false) : type_of(option);
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
  std::vector<std::string> words;
  if (where == "synth SHAPE") {
    for (const SynthShape& shape : all_synth_shapes()) words.emplace_back(shape.name);
  } else if (where == "quantize --type") {
    for (const QuantizeTargetInfo& info : all_quantize_targets()) words.emplace_back(info.name);
  } else if (where == "pull MODEL" || where == "run MODEL") {
    for (const CatalogModel& model : catalog()) words.push_back(model.name);
  } else if (where == "convert --type") {
    words = {"f32", "f16", "bf16"};
  } else if (where == "completion SHELL") {
    words = {"bash", "zsh", "fish"};
  } else if (where.ends_with(" --kv-type")) {
    words = {"f16", "q8"};
  } else if (where.ends_with(" --speculate")) {
    words = {"ngram", "off"};
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
