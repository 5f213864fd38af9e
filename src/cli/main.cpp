// The entry of the `reckon` program: parses the command line, runs the chosen command and turns its
// outcome into an exit code (0 done, 1 failed, 2 wrong usage, 3 bad input file, 130 interrupted).
#include <fcntl.h>
#include <fmt/format.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "cli/interrupts.h"
#include "cli/output.h"
#include "cli/program.h"

namespace reckon::cli {
namespace {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kFailed: return 1;
    case ErrorKind::kUsage: return 2;
    case ErrorKind::kBadFile: return 3;
    case ErrorKind::kInterrupted: return kExitInterrupted;
  }
  return 1;
}

int report(const Error& error) {
  if (!error.message.empty()) {
    err().write("reckon: ");
    err().write_foreign(error.message);
    err().write("\n");
  }
  err().flush();
  return exit_code(error.kind);
}

// CLI11 leaves by exceptions for wrong usage, and for --help and --version as well.
int report(const Program& program, const CLI::ParseError& outcome) {
  if (outcome.get_exit_code() != 0) {
    const auto chosen = program.app.get_subcommands();
    if (chosen.empty() && dynamic_cast<const CLI::RequiredError*>(&outcome) != nullptr) {
      const std::vector<std::string> rest = program.app.remaining();
      return report(
          usage_error(fmt::format("expected a COMMAND, found {}; `reckon --help` lists them",
                                  rest.empty() ? "none" : rest.front())));
    }
    const std::string name =
        chosen.empty() ? "reckon" : fmt::format("reckon {}", chosen.front()->get_name());
    return report(usage_error(fmt::format("{}\n`{} --help` tells more.", outcome.what(), name)));
  }
  std::ostringstream text;
  program.app.exit(outcome, text, text);
  out().write(text.str());
  return 0;
}

Status run(int argc, char** argv, int& code) {
  Program program;
  try {
    program.app.parse(argc, argv);
  } catch (const CLI::ParseError& outcome) {
    code = report(program, outcome);
    return {};
  }
  return program.job();
}

// A standard stream that the caller has closed leaves its number to the next file that is opened,
// which then gets what is meant for the stream. Output stays an error, so that it is not lost
// unseen.
void keep_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    const int opened = ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
    RECKON_CHECK(opened == fd || opened == -1);
  }
}

int reckon_main(int argc, char** argv) {
  keep_standard_descriptors();
  // Characters on the terminal are UTF-8 whatever the locale says; numbers stay as in C.
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
  install_signal_handlers();
  install_mapped_file_guard();
  int code = 0;
  const Status status = run(argc, argv, code);
  out().flush();
  if (!status.ok()) return report(status.error());
  err().flush();
  const Status written = out().status();
  return written.ok() ? code : report(written.error());
}

}  // namespace
}  // namespace reckon::cli

int main(int argc, char** argv) {
  try {
    return reckon::cli::reckon_main(argc, argv);
  } catch (const std::bad_alloc&) {
    return reckon::cli::report(reckon::failed("out of memory"));
  } catch (const std::exception& error) {
    return reckon::cli::report(reckon::failed(error.what()));
  }
}
