// Texts for the tokenizer's training: plain files, and the messages of JSON lines.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "base/file.h"
#include "base/json.h"
#include "cli/recipe.h"

namespace reckon::cli {
namespace {

constexpr uint64_t kMaxDataBytes = uint64_t{4} << 30;

// The strings of a line of JSON, but for what names things: keys, and the values of "role".
void add_strings(const boost::json::value& value, BpeTrainer& trainer) {
  if (const auto* text = value.if_string()) {
    trainer.add(std::string_view(text->data(), text->size()));
  } else if (const auto* array = value.if_array()) {
    for (const boost::json::value& item : *array) add_strings(item, trainer);
  } else if (const auto* object = value.if_object()) {
    for (const auto& [key, item] : *object) {
      if (key != "role") add_strings(item, trainer);
    }
  }
}

}  // namespace

Status add_chat_texts(const std::string& path, BpeTrainer& trainer) {
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxDataBytes));
  if (!path.ends_with(".jsonl")) {
    trainer.add(text);
    return {};
  }
  size_t line_number = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++line_number;
    if (line.empty()) continue;
    RECKON_ASSIGN(const boost::json::value value,
                  parse_json(line, fmt::format("{}:{}", path, line_number)));
    const auto* object = value.if_object();
    const auto* messages = object == nullptr ? nullptr : object->if_contains("messages");
    if (messages == nullptr) {
      return bad_file(
          fmt::format("{}:{}: expected an object with \"messages\"", path, line_number));
    }
    add_strings(*messages, trainer);
  }
  return {};
}

}  // namespace reckon::cli
