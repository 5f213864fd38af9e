// reckon tokenizer train: texts -> a tokenizer.json.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/interrupts.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/recipe.h"
#include "model/convert_tokenizer.h"
#include "tokenizer/bpe_trainer.h"

namespace reckon::cli {
namespace {

struct TokenizerTrainOptions {
  std::vector<std::string> data;
  BpeTrainerOptions training;
  std::string out;
};

Status run_tokenizer_train(const TokenizerTrainOptions& options) {
  RECKON_ASSIGN(BpeTrainer trainer, BpeTrainer::create(options.training));
  const PollsForInterrupts interrupts;
  {
    Progress progress("reading texts");
    double done = 0;
    for (const std::string& path : options.data) {
      RECKON_RETURN_IF_ERROR(add_chat_texts(path, trainer));
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
