// reckon chat: a conversation, line by line.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/answer_printer.h"
#include "cli/chat_file.h"
#include "cli/interrupts.h"
#include "cli/line_editor.h"
#include "cli/model_options.h"
#include "cli/models.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/text_editor.h"
#include "engine/conversation.h"
#include "engine/load.h"

namespace reckon::cli {
namespace {

constexpr std::string_view kHelp =
    "  /budget N|off   at most N tokens of thought from now on\n"
    "  /retry          ask the last question again, for another answer\n"
    "  /edit           edit the last thought and go on from there\n"
    "  /save FILE      write the conversation as JSON\n"
    "  /load FILE      read one and go on with it\n"
    "  /help           this list\n"
    "  /exit           leave (Ctrl-D does too)\n"
    "While the model works, Ctrl-C ends the thought, and once more the answer.\n";

void note(std::string_view text) {
  err().write_dim(text);
  err().write("\n");
  err().flush();
}

void complain(const Error& error) {
  err().write_foreign(error.message);
  err().write("\n");
  err().flush();
}

class Chat {
 public:
  Chat(const AnswerOptions& options, const LoadedEngine& loaded)
      : options_(options),
        engine_(*loaded.engine),
        conversation_(engine_.shared_tokenizer(), engine_.chat_template(),
                      render_options(options)) {
    conversation_.set_system(options.system);
  }

  Status run() {
    LineEditor editor(history_file("chat_history"));
    if (out().is_terminal()) {
      introduce_bundled_model(options_.model);
      note(fmt::format("{} tokens of context; /help lists what can be done here",
                       engine_.context_length()));
    }
    std::string line;
    while (!leaving_) {
      out().flush();
      switch (editor.read(prompt(), line)) {
        case LineEditor::Outcome::kEnd: return out().status();
        case LineEditor::Outcome::kInterrupted: note("^C  (Ctrl-D leaves)"); continue;
        case LineEditor::Outcome::kLine: take(line);
      }
      RECKON_RETURN_IF_ERROR(out().status());
    }
    return {};
  }

 private:
  // What stands in the context, of how much.
  std::string prompt() const { return fmt::format("{}/{} > ", used_, engine_.context_length()); }

  void take(const std::string& line) {
    if (line.find_first_not_of(" \t") == std::string::npos) return;
    if (line.front() == '/') {
      const size_t blank = std::min(line.find_first_of(" \t"), line.size());
      const size_t argument = std::min(line.find_first_not_of(" \t", blank), line.size());
      obey(line.substr(0, blank), line.substr(argument));
      return;
    }
    conversation_.add_user(line);
    if (!answer(conversation_.request())) conversation_.undo();
  }

  void obey(const std::string& command, const std::string& argument) {
    if (command == "/help") {
      note(kHelp.substr(0, kHelp.size() - 1));
    } else if (command == "/exit") {
      leaving_ = true;
    } else if (command == "/budget") {
      set_budget(argument);
    } else if (command == "/retry") {
      retry();
    } else if (command == "/edit") {
      edit();
    } else if (command == "/save") {
      save(argument);
    } else if (command == "/load") {
      load(argument);
    } else {
      complain(usage_error(fmt::format("{} is no command; /help lists them", command)));
    }
  }

  void set_budget(const std::string& argument) {
    int64_t budget = 0;
    const char* end = argument.data() + argument.size();
    const auto parsed = std::from_chars(argument.data(), end, budget);
    if (argument == "off") {
      options_.think.budget.reset();
      options_.think.effort.clear();
    } else if (parsed.ec == std::errc() && parsed.ptr == end && budget >= 0) {
      options_.think.budget = budget;
      options_.think.effort.clear();
    } else if (!argument.empty()) {
      complain(usage_error(
          fmt::format("/budget: expected a number of tokens or off, found \"{}\"", argument)));
      return;
    }
    if (options_.think.budget) {
      note(fmt::format("a thought may take {} tokens", *options_.think.budget));
    } else if (!options_.think.effort.empty()) {
      note(fmt::format("a thought may take what effort {} allows", options_.think.effort));
    } else {
      note("a thought may take as many tokens as it likes");
    }
  }

  void retry() {
    if (last_question().empty()) {
      complain(usage_error("/retry: expected a question to ask again, found none"));
      return;
    }
    const Conversation before = conversation_;
    conversation_.retry();
    ++options_.seed;  // the same seed would give the same answer
    if (!answer(conversation_.request())) conversation_ = before;
  }

  void edit() {
    if (conversation_.last_thought().empty()) {
      complain(usage_error("/edit: expected a thought to go on from, found none"));
      return;
    }
    const Result<std::string> thought = edit_text(conversation_.last_thought());
    if (!thought.ok()) return complain(thought.error());
    const Conversation before = conversation_;
    if (!answer(conversation_.request_from_thought(*thought))) conversation_ = before;
  }

  void save(const std::string& path) {
    if (path.empty()) return complain(usage_error("/save: expected a file's name"));
    const Status saved = save_messages(conversation_.messages(), path);
    if (!saved.ok()) return complain(saved.error());
    note(fmt::format("{} messages in {}", conversation_.messages().size(), path));
  }

  void load(const std::string& path) {
    if (path.empty()) return complain(usage_error("/load: expected a file's name"));
    Result<std::vector<Message>> messages = load_messages(path);
    if (!messages.ok()) return complain(messages.error());
    conversation_.set_messages(std::move(*messages));
    used_ = 0;
    note(fmt::format("{} messages from {}", conversation_.messages().size(), path));
  }

  // False when there was no answer, not even the beginning of one.
  bool answer(Result<Request> request) {
    if (!request.ok()) {
      complain(request.error());
      return false;
    }
    apply_answer_options(options_, engine_.chat_template()->name(), *request);
    const Status applied = apply_think_options(options_.think, engine_, last_question(), *request);
    if (!applied.ok()) {
      complain(applied.error());
      return false;
    }
    SteersAnswer steering(engine_);
    AnswerPrinter printer(engine_, steering, request->thinking, options_.show_thinking, false);
    const Result<Completion> completion = engine_.generate(
        std::move(*request), [&](RequestId id, const Event& event) { printer(id, event); });
    if (!completion.ok()) {
      complain(completion.error());
      return false;
    }
    printer.finish(*completion, options_.think.explain);
    used_ = completion->usage.prompt_tokens + completion->usage.output.total();
    conversation_.add_completion(*completion);
    return true;
  }

  std::string last_question() const {
    const std::vector<Message>& messages = conversation_.messages();
    const auto asked = std::find_if(messages.rbegin(), messages.rend(),
                                    [](const Message& m) { return m.role == Role::kUser; });
    return asked == messages.rend() ? "" : asked->content;
  }

  AnswerOptions options_;
  Engine& engine_;
  Conversation conversation_;
  int64_t used_ = 0;
  bool leaving_ = false;
};

Status run_chat(const AnswerOptions& options) {
  RECKON_ASSIGN(const LoadedEngine loaded,
                load_with_progress(options.model.path, load_options(options), false));
  return Chat(options, loaded).run();
}

Status run_model(const AnswerOptions& options) {
  const std::string& name = options.model.path;
  RECKON_ASSIGN(ModelStore store, open_store());
  std::error_code ignored;
  if (!std::filesystem::exists(name, ignored) && !store.find(name).ok()) {
    const Result<StoredModel> pulled = pull_with_progress(store, name, false);
    if (!pulled.ok()) return pulled.error();
    AnswerOptions named = options;
    named.model.path = pulled->name;
    return run_chat(named);
  }
  return run_chat(options);
}

}  // namespace

void add_chat_command(Program& program) {
  auto options = std::make_shared<AnswerOptions>();
  const std::string examples = "In the conversation:\n" + std::string(kHelp) +
                               "Examples:\n"
                               "  reckon chat -m model.gguf\n"
                               "  reckon chat -m model.gguf --think-budget 1000 --ctx 8192";
  CLI::App* command =
      add_command(program, "chat", "Hold a conversation", examples.c_str(), options, run_chat);
  add_answer_options(*command, *options);
}

void add_run_command(Program& program) {
  auto options = std::make_shared<AnswerOptions>();
  CLI::App* command = add_command(
      program, "run", "Hold a conversation with a model, which is pulled first if it is missing",
      "Examples:\n"
      "  reckon run r1:7b\n"
      "  reckon run r1:1.5b --think-budget 1000",
      options, run_model);
  command->add_option("MODEL", options->model.path, "As for `reckon pull`, or a name there is")
      ->required();
  add_answer_options(*command, *options);
  command->remove_option(command->get_option("--model"));
}

}  // namespace reckon::cli
