// reckon tokenize: bytes on standard input -> token ids, and back.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/input.h"
#include "cli/json_line.h"
#include "cli/model_options.h"
#include "cli/models.h"
#include "cli/output.h"
#include "cli/program.h"
#include "gguf/bundled_model.h"
#include "gguf/gguf_file.h"
#include "tokenizer/tokenizer.h"

namespace reckon::cli {
namespace {

struct TokenizeOptions {
  std::string model{kBundledModel};
  bool special = false;
  bool decode = false;
  bool json = false;
};

constexpr uint64_t kMaxInputBytes = uint64_t{1} << 30;

// "[1, 2]" or {"ids": [1, 2]}.
Result<std::vector<TokenId>> parse_ids(const std::string& text, int vocab_size) {
  RECKON_ASSIGN(const boost::json::value tree, parse_json(text, "standard input"));
  const boost::json::value* list = &tree;
  if (const auto* object = tree.if_object()) list = object->if_contains("ids");
  const boost::json::array* numbers = list == nullptr ? nullptr : list->if_array();
  if (numbers == nullptr) {
    return bad_file("standard input: expected token ids as [1, 2] or {\"ids\": [1, 2]}");
  }
  std::vector<TokenId> ids;
  ids.reserve(numbers->size());
  for (const boost::json::value& number : *numbers) {
    const int64_t* id = number.if_int64();
    if (id == nullptr || *id < 0 || *id >= vocab_size) {
      return bad_file(fmt::format("standard input: ids[{}]: expected a token id from 0 to {}",
                                  ids.size(), vocab_size - 1));
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

void print_ids(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  for (const TokenId id : ids) {
    out().write(fmt::format("{:>7}  ", id));
    out().write_foreign(excerpt(tokenizer.bytes(id)));
    out().write("\n");
  }
}

Status run_tokenize(const TokenizeOptions& options) {
  RECKON_ASSIGN(const std::string path, resolve_model(options.model, true));
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file,
                GgufFile::open(path, GgufData::kMayBeMissing));
  RECKON_ASSIGN(const std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::from_gguf(*file));
  RECKON_ASSIGN(const std::string text, read_standard_input(kMaxInputBytes));
  if (options.decode) {
    RECKON_ASSIGN(const std::vector<TokenId> ids, parse_ids(text, tokenizer->vocab_size()));
    out().write(tokenizer->decode(ids));
    return {};
  }
  std::vector<TokenId> ids;
  if (options.special && tokenizer->add_bos() && tokenizer->bos() != kNoToken) {
    ids.push_back(tokenizer->bos());
  }
  tokenizer->encode(text, options.special ? SpecialTokens::kParse : SpecialTokens::kAsText, ids);
  if (!options.json) {
    print_ids(*tokenizer, ids);
    return {};
  }
  JsonLine json;
  json.begin_object().key("ids").begin_array();
  for (const TokenId id : ids) json.value(id);
  out().write(json.end_array().end_object().take());
  return {};
}

}  // namespace

void add_tokenize_command(Program& program) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = add_command(
      program, "tokenize", "Turn bytes on standard input into token ids, or back",
      "Without --special nothing is added and the spelling of a special token is text like any "
      "other.\n"
      "Examples:\n"
      "  printf 'Hello' | reckon tokenize -m model.gguf\n"
      "  printf '[9707, 11]' | reckon tokenize -m model.gguf --decode",
      options, run_tokenize);
  add_model_option(*command, options->model);
  CLI::Option* special =
      command->add_flag("--special", options->special,
                        "Begin with BOS if the file says so, and parse special tokens");
  command->add_flag("--json", options->json,
                    "Print one JSON object and nothing else; with --decode, the bytes");
  command
      ->add_flag("--decode", options->decode,
                 "Read ids as JSON ([1, 2] or {\"ids\": [1, 2]}) and write the bytes")
      ->excludes(special);
}

}  // namespace reckon::cli
