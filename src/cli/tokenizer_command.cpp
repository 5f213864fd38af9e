// reckon tokenizer train: texts -> a tokenizer.json.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "cli/interrupts.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "model/convert_tokenizer.h"
#include "tokenizer/bpe_trainer.h"

namespace reckon::cli {
namespace {

struct TokenizerTrainOptions {
  std::vector<std::string> data;
  BpeTrainerOptions training;
  std::string out;
};

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

Status add_file(const std::string& path, BpeTrainer& trainer) {
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

Status run_tokenizer_train(const TokenizerTrainOptions& options) {
  RECKON_ASSIGN(BpeTrainer trainer, BpeTrainer::create(options.training));
  const PollsForInterrupts interrupts;
  {
    Progress progress("reading texts");
    double done = 0;
    for (const std::string& path : options.data) {
      RECKON_RETURN_IF_ERROR(add_file(path, trainer));
      if (interrupts.interrupted()) return Error{ErrorKind::kInterrupted, ""};
      progress.update(++done, static_cast<double>(options.data.size()), path);
    }
  }
  Progress progress("merging");
  RECKON_ASSIGN(const TokenizerSpec spec, trainer.train([&](int64_t done, int64_t total) {
    progress.update(static_cast<double>(done), static_cast<double>(total));
    return !interrupts.interrupted();
  }));
  RECKON_RETURN_IF_ERROR(write_trained_tokenizer(spec, options.out));
  out().write(fmt::format("{}: {} tokens, {} merges\n", options.out, spec.tokens.size(),
                          spec.merges.size()));
  return {};
}

}  // namespace

void add_tokenizer_command(Program& program) {
  auto options = std::make_shared<TokenizerTrainOptions>();
  CLI::App* group = program.app.add_subcommand("tokenizer", "Make a vocabulary from texts");
  group->group("Commands");
  group->require_subcommand(1);
  CLI::App* command = group->add_subcommand("train", "Train a byte-level BPE vocabulary");
  command->footer(
      "The same texts and options give the same file. A .jsonl file holds chat messages, a line "
      "an object with \"messages\"; any other file is one text. tokenizer_config.json with R1's "
      "chat template is written beside the output.\n"
      "Examples:\n"
      "  reckon tokenizer train --data sft.jsonl --vocab 2048 --out model/tokenizer.json");
  command->callback(
      [&program, options] { program.job = [options] { return run_tokenizer_train(*options); }; });
  command->add_option("--data", options->data, "Texts, UTF-8: .jsonl or plain")
      ->type_name("FILE")
      ->required();
  command->add_option("--vocab", options->training.vocab_size, "Tokens, special ones included")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--min-count", options->training.min_count,
                   "A pair of tokens rarer than this is not merged")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--pre-tokenizer", options->training.pre_tokenizer,
                   "How text is split before merging, by its GGUF name")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--out", options->out, "The tokenizer.json to write")
      ->type_name("FILE")
      ->required();
}

}  // namespace reckon::cli
