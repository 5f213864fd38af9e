// reckon ask: one question, one answer.
#include <memory>
#include <string>
#include <utility>

#include "base/file.h"
#include "cli/answer_printer.h"
#include "cli/input.h"
#include "cli/interrupts.h"
#include "cli/json_line.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/think_report.h"
#include "engine/conversation.h"
#include "engine/load.h"
#include "sampling/json_schema.h"

namespace reckon::cli {
namespace {

struct AskOptions {
  AnswerOptions answer;
  std::string text;
  std::string grammar;      // a file
  std::string json_schema;  // a file, or the schema itself
  bool raw = false;
  bool json = false;
};

constexpr uint64_t kMaxQuestionBytes = uint64_t{64} << 20;

// Null when the options ask for none.
Result<std::shared_ptr<const Grammar>> load_constraint(const AskOptions& options) {
  if (!options.grammar.empty()) {
    RECKON_ASSIGN(const std::string text, read_file(options.grammar, kMaxGrammarBytes));
    return Grammar::parse(text);
  }
  if (options.json_schema.empty()) return std::shared_ptr<const Grammar>();
  if (options.json_schema.front() == '{') return json_schema_grammar(options.json_schema);
  RECKON_ASSIGN(const std::string text, read_file(options.json_schema, kMaxGrammarBytes));
  return json_schema_grammar(text);
}

Result<Request> make_request(const AskOptions& options, const Engine& engine,
                             const std::string& text, std::shared_ptr<const Grammar> constraint) {
  Request request;
  std::string_view template_name;
  if (engine.chat_template() != nullptr) template_name = engine.chat_template()->name();
  if (options.raw) {
    request = raw_request(engine.tokenizer(), text);
  } else {
    std::vector<Message> messages;
    if (!options.answer.system.empty()) {
      messages.push_back(
          {.role = Role::kSystem, .content = options.answer.system, .tool_calls = {}});
    }
    messages.push_back({.role = Role::kUser, .content = text, .tool_calls = {}});
    RECKON_ASSIGN(request, chat_request(engine.tokenizer(), *engine.chat_template(), messages,
                                        render_options(options.answer)));
  }
  apply_answer_options(options.answer, template_name, request);
  request.constraint = std::move(constraint);
  RECKON_RETURN_IF_ERROR(apply_think_options(options.answer.think, engine, text, request));
  return request;
}

std::string as_json(const Completion& completion, double load_ms) {
  JsonLine json;
  json.begin_object()
      .field("thinking", completion.thinking)
      .field("answer", completion.answer)
      .field("finish_reason", finish_reason_name(completion.finish_reason));
  add_report(json, completion, load_ms);
  return json.end_object().take();
}

Status run_ask(const AskOptions& options) {
  std::string text = options.text;
  if (text == "-") {
    RECKON_ASSIGN(text, read_standard_input(kMaxQuestionBytes));
  }
  RECKON_ASSIGN(std::shared_ptr<const Grammar> constraint, load_constraint(options));
  LoadOptions load = load_options(options.answer);
  load.needs_chat_template = !options.raw;
  RECKON_ASSIGN(const LoadedEngine loaded,
                load_with_progress(options.answer.model.path, std::move(load), options.json));
  Engine& engine = *loaded.engine;
  RECKON_ASSIGN(Request request, make_request(options, engine, text, std::move(constraint)));

  SteersAnswer steering(engine);
  AnswerPrinter printer(engine, steering, request.thinking, options.answer.show_thinking,
                        options.json);
  RECKON_ASSIGN(const Completion completion,
                engine.generate(std::move(request),
                                [&](RequestId id, const Event& event) { printer(id, event); }));
  printer.finish(completion, options.answer.think.explain);
  if (!options.json) introduce_bundled_model(options.answer.model);
  if (options.json) out().write(as_json(completion, loaded.report.load_ms));
  RECKON_RETURN_IF_ERROR(out().status());
  if (completion.finish_reason == FinishReason::kCancelled) {
    return Error{ErrorKind::kInterrupted, ""};
  }
  return {};
}

}  // namespace

void add_ask_command(Program& program) {
  auto options = std::make_shared<AskOptions>();
  CLI::App* command = add_command(
      program, "ask", "Ask one question and print the answer",
      "The thought goes to standard error, the answer to standard output. Ctrl-C ends the thought "
      "and lets the model answer; a second one ends the answer.\n"
      "Examples:\n"
      "  reckon ask \"What is 347 * 26?\"\n"
      "  reckon ask -m model.gguf \"How many primes are there below 100?\"\n"
      "  reckon ask -m model.gguf --think-budget 2000 - < question.txt > answer.txt\n"
      "  reckon ask -m model.gguf --effort low --early-stop either --explain \"What is 17 * 23?\"\n"
      "  reckon ask -m model.gguf --paths 8 \"How many primes are there below 100?\"\n"
      "  reckon ask -m model.gguf --raw --max-tokens 20 \"The capital of France is\"\n"
      "  reckon ask -m model.gguf --json \"What is 17 * 23?\" | jq -r .answer\n"
      "  reckon ask -m model.gguf --json-schema person.json \"Who wrote Faust?\"",
      options, run_ask);
  command->add_option("TEXT", options->text, "The question; - reads it from standard input")
      ->required();
  add_answer_options(*command, options->answer);
  CLI::Option* const grammar =
      command
          ->add_option("--grammar", options->grammar,
                       "The answer must be a text of this GBNF grammar; the thought stays free")
          ->type_name("FILE");
  command
      ->add_option("--json-schema", options->json_schema,
                   "The answer must be JSON that this schema accepts; the thought stays free")
      ->type_name("FILE|TEXT")
      ->excludes(grammar);
  command->add_flag("--raw", options->raw, "Go on from the text as it is, without a chat template");
  command->add_flag("--json", options->json, "Print one JSON object and nothing else");
}

}  // namespace reckon::cli
