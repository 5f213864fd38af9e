// reckon serve: the HTTP server until Ctrl-C or SIGTERM.
#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cli/interrupts.h"
#include "cli/model_options.h"
#include "cli/models.h"
#include "cli/output.h"
#include "cli/program.h"
#include "gguf/bundled_model.h"
#include "server/server.h"
#include "server/store_library.h"

namespace reckon::cli {
namespace {

struct ServeOptions {
  std::vector<std::string> models;
  ModelOptions model;
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  int64_t n_slots = 16;
  std::string keys;
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
  bool log_content = false;
};

constexpr std::chrono::seconds kStopPatience{10};

Status run_serve(const ServeOptions& options) {
  // Every thread inherits the blocked signals: this one alone waits for them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  RECKON_ASSIGN(ModelStore store, open_store());
  auto library = std::make_unique<server::StoreLibrary>(std::move(store));
  server::ServerOptions server_options;
  server_options.host = options.host;
  server_options.port = options.port;
  std::vector<std::string> models = options.models;
  if (models.empty()) models.emplace_back(kBundledModel);
  for (const std::string& name_or_path : models) {
    RECKON_ASSIGN(const std::string name, library->add(name_or_path));
    if (server_options.default_model.empty()) server_options.default_model = name;
  }
  server_options.keys_path = options.keys;
  server_options.allow_hosts = options.allow_hosts;
  server_options.allow_origins = options.allow_origins;
  server_options.pool.load = load_options(options.model);
  server_options.pool.load.guess_ngrams = true;
  server_options.pool.n_slots = options.n_slots;
  server_options.log_content = options.log_content;
  auto mutex = std::make_shared<std::mutex>();
  server_options.log = [mutex](const std::string& line) {
    const std::lock_guard lock(*mutex);
    err().write_foreign(line + "\n");
    err().flush();
  };
  RECKON_ASSIGN(const std::unique_ptr<server::Server> server,
                server::Server::start(std::move(server_options), std::move(library)));
  server->load_default();
  const bool is_v6 = options.host.find(':') != std::string::npos;
  out().write(fmt::format("reckon serves http://{}:{} — Ctrl-C ends it\n",
                          is_v6 ? "[" + options.host + "]" : options.host, server->port()));
  out().flush();
  int signal = 0;
  ::sigwait(&signals, &signal);
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second Ctrl-C ends it at once
  server->stop(kStopPatience);
  return {};
}

}  // namespace

void add_serve_command(Program& program) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = add_command(
      program, "serve", "Serve models to programs and to the page in a browser",
      "Speaks OpenAI's API under /v1, Ollama's under /api and Anthropic's at /v1/messages; "
      "docs/server.md tells all. Ctrl-C lets answers under way finish for ten seconds.\n"
      "Examples:\n"
      "  reckon serve -m model.gguf\n"
      "  reckon serve -m model.gguf --port 11434        (where Ollama's clients look)\n"
      "  reckon serve --host 192.168.1.5 --keys keys.json",
      options, run_serve);
  command
      ->add_option("-m,--model", options->models,
                   "Model by name or file; the first is loaded at once and answers requests that "
                   "name none (default: reckon-small, which is part of the program). All models of "
                   "the store are served beside it")
      ->type_name("MODEL");
  command
      ->add_option("--host", options->host,
                   "Address to listen on; beyond this machine only "
                   "with --keys")
      ->type_name("ADDRESS")
      ->capture_default_str();
  command->add_option("--port", options->port, "Port to listen on; 0: any free one")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--ctx", options->model.context_length,
                   "Context in tokens of one answer (default: 32768, less where the model or the "
                   "memory is smaller)")
      ->type_name("N");
  command->add_option("--slots", options->n_slots, "Answers computed at once; others wait")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--keys", options->keys, "Keys that requests must show, with their limits")
      ->type_name("FILE");
  command
      ->add_option("--allow-host", options->allow_hosts,
                   "Name under which browsers may reach this server, beside localhost")
      ->type_name("NAME");
  command
      ->add_option("--allow-origin", options->allow_origins,
                   "Origin whose pages may use this server: https://chat.example")
      ->type_name("ORIGIN");
  command->add_flag("--log-content", options->log_content,
                    "Log what was asked, thought and answered too; else only counts and times");
  add_thread_option(*command, options->model.n_threads);
  add_memory_options(*command, options->model);
}

}  // namespace reckon::cli
