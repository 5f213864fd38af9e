// A temporary file and a child process.
#include "cli/text_editor.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace reckon::cli {
namespace {

constexpr uint64_t kMaxEditedBytes = uint64_t{64} << 20;

class TemporaryFile {
 public:
  static Result<TemporaryFile> create(const std::string& text) {
    std::error_code error;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
    if (error) return failed(fmt::format("no folder for temporary files: {}", error.message()));
    TemporaryFile file;
    file.path_ = (folder / "reckon-thought-XXXXXX.txt").string();
    const int fd = ::mkstemps(file.path_.data(), 4);
    if (fd < 0) return failed(fmt::format("{}: {}", file.path_, std::strerror(errno)));
    const ssize_t written = ::write(fd, text.data(), text.size());
    const bool whole = ::close(fd) == 0 && written == static_cast<ssize_t>(text.size());
    if (!whole) return failed(fmt::format("{}: can't be written", file.path_));
    return file;
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  TemporaryFile() = default;
  std::string path_;
};

std::string editor_command() {
  for (const char* variable : {"VISUAL", "EDITOR"}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && *value != '\0') return value;
  }
  return "vi";
}

// The editor's own arguments stand in its command, so a shell splits it.
Status run_editor(const std::string& path) {
  const std::string command = editor_command();
  const std::string script = command + " \"$1\"";
  const pid_t child = ::fork();
  if (child < 0) return failed(fmt::format("{}: {}", command, std::strerror(errno)));
  if (child == 0) {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGPIPE, SIG_DFL);
    ::execlp("sh", "sh", "-c", script.c_str(), "sh", path.c_str(), nullptr);
    ::_exit(127);
  }
  struct sigaction ignore{};
  struct sigaction before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignore, &before);  // Ctrl-C is the editor's
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::sigaction(SIGINT, &before, nullptr);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return failed(fmt::format("{}: ended with an error; nothing was changed", command));
}

}  // namespace

Result<std::string> edit_text(const std::string& text) {
  RECKON_ASSIGN(const TemporaryFile file, TemporaryFile::create(text));
  RECKON_RETURN_IF_ERROR(run_editor(file.path()));
  RECKON_ASSIGN(std::string edited, read_file(file.path(), kMaxEditedBytes));
  if (edited.ends_with('\n') && !text.ends_with('\n')) edited.pop_back();
  return edited;
}

}  // namespace reckon::cli
