// Lines from a person: edited, with a history that is kept, on a terminal; as they come otherwise.
#pragma once

#include <memory>
#include <string>

namespace reckon::cli {

class LineEditor {
 public:
  // history_path: where lines are kept from one session to the next; empty: nowhere.
  explicit LineEditor(std::string history_path);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kInterrupted, kEnd };
  // The next line without its line break. kInterrupted: Ctrl-C; what was typed is dropped.
  Outcome read(const std::string& prompt, std::string& line);

 private:
  struct Terminal;                      // libedit's state
  std::unique_ptr<Terminal> terminal_;  // null when standard input or output is no terminal
  std::string history_path_;
};

// The file in $XDG_STATE_HOME/reckon (else ~/.local/state/reckon), whose folder is made; empty when
// there is no home.
std::string history_file(const std::string& name);

}  // namespace reckon::cli
