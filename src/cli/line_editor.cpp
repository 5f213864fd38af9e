// libedit behind LineEditor.
#include "cli/line_editor.h"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <utility>

namespace reckon::cli {
namespace {

constexpr int kHistoryLines = 1000;

}  // namespace

struct LineEditor::Terminal {
  EditLine* editor = nullptr;
  History* lines = nullptr;
  HistEvent event{};
  std::string prompt;
  bool interrupted = false;

  static Terminal& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<Terminal*>(self);
  }
  static char* show_prompt(EditLine* editor) { return of(editor).prompt.data(); }
  static unsigned char on_ctrl_c(EditLine* editor, int) {
    of(editor).interrupted = true;
    return CC_EOF;
  }

  bool open() {
    editor = el_init("reckon", stdin, stdout, stderr);
    lines = history_init();
    if (editor == nullptr || lines == nullptr) return false;
    history(lines, &event, H_SETSIZE, kHistoryLines);
    history(lines, &event, H_SETUNIQUE, 1);
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, show_prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, history, lines);
    // While a line is edited Ctrl-C is a key like any other, so that no signal leaves the terminal
    // in the middle of something.
    el_set(editor, EL_SETTY, "-d", "-isig", nullptr);
    el_set(editor, EL_ADDFN, "reckon-interrupt", "Drop the line", on_ctrl_c);
    el_set(editor, EL_BIND, "^C", "reckon-interrupt", nullptr);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    return true;
  }

  ~Terminal() {
    if (lines != nullptr) history_end(lines);
    if (editor != nullptr) el_end(editor);
  }
};

LineEditor::LineEditor(std::string history_path) : history_path_(std::move(history_path)) {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) return;
  terminal_ = std::make_unique<Terminal>();
  if (!terminal_->open()) {
    terminal_.reset();
    return;
  }
  if (!history_path_.empty()) {
    history(terminal_->lines, &terminal_->event, H_LOAD, history_path_.c_str());
  }
}

LineEditor::~LineEditor() {
  if (terminal_ == nullptr || history_path_.empty()) return;
  const mode_t before = ::umask(S_IRWXG | S_IRWXO);  // what was asked is nobody else's business
  history(terminal_->lines, &terminal_->event, H_SAVE, history_path_.c_str());
  ::umask(before);
}

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string& line) {
  line.clear();
  if (terminal_ == nullptr) {
    return std::getline(std::cin, line) ? Outcome::kLine : Outcome::kEnd;
  }
  Terminal& terminal = *terminal_;
  terminal.prompt = prompt;
  terminal.interrupted = false;
  int length = 0;
  const char* text = el_gets(terminal.editor, &length);
  if (terminal.interrupted) return Outcome::kInterrupted;
  if (text == nullptr || length <= 0) return Outcome::kEnd;
  line.assign(text, static_cast<size_t>(length));
  if (!line.empty() && line.back() == '\n') line.pop_back();
  if (!line.empty()) history(terminal.lines, &terminal.event, H_ENTER, line.c_str());
  return Outcome::kLine;
}

std::string history_file(const std::string& name) {
  std::filesystem::path folder;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  if (state != nullptr && *state == '/') {
    folder = state;
  } else if (home != nullptr && *home != '\0') {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return {};
  }
  folder /= "reckon";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return {};
  return (folder / name).string();
}

}  // namespace reckon::cli
