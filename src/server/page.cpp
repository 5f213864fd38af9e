// Files of web/dist by their paths. Names that carry a hash of the content may be kept for ever.
#include "server/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "base/embedded_files.h"

std::span<const reckon::EmbeddedFile> reckon_embedded_page();

namespace reckon::server {
namespace {

// The page loads nothing from elsewhere, and nobody may frame it.
constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";
// The frame in which a person runs a model's code: of an origin of its own (sandbox), with scripts
// and WebAssembly, and no way to reach any server.
constexpr std::string_view kRunPolicy =
    "sandbox allow-scripts; default-src 'none'; script-src 'self' blob: 'unsafe-eval' "
    "'wasm-unsafe-eval'; worker-src blob:; connect-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'";

std::string_view type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".mjs", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".wasm", "application/wasm"},
      {".txt", "text/plain; charset=utf-8"},
      {".webmanifest", "application/manifest+json"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

const EmbeddedFile* find_file(std::string_view path) {
  const std::span<const EmbeddedFile> files = reckon_embedded_page();
  const auto file = std::lower_bound(
      files.begin(), files.end(), path,
      [](const EmbeddedFile& f, std::string_view wanted) { return f.path < wanted; });
  return file != files.end() && file->path == path ? &*file : nullptr;
}

bool takes_gzip(const HttpRequest& request) {
  return request.header("accept-encoding").find("gzip") != std::string_view::npos;
}

// Of the content: FNV-1a (Fowler, Noll, Vo), enough to tell two builds apart.
std::string entity_tag(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("\"{:016x}\"", hash);
}

}  // namespace

bool serve_page(const Call& call) {
  const HttpRequest& request = *call.request;
  if (!request.path.starts_with('/')) return false;
  std::string path = request.path.substr(1);
  if (path.empty()) path = "index.html";
  const EmbeddedFile* file = find_file(path);
  const EmbeddedFile* packed = find_file(path + ".gz");
  if (file == nullptr && packed == nullptr) {
    if (request.path != "/" || request.method != "GET") return false;
    call.exchange->reply({.status = 404,
                          .headers = reply_headers(call, "text/plain; charset=utf-8"),
                          .body = "This reckon was built without its page; the APIs are here.\n"});
    return true;
  }
  if (request.method != "GET" && request.method != "HEAD") return false;
  const bool is_packed = packed != nullptr && (file == nullptr || takes_gzip(request));
  const std::string_view bytes = is_packed ? packed->bytes : file->bytes;
  const std::string tag = entity_tag(bytes);
  const bool is_run = path == "run.html";
  Headers headers{
      {"Content-Type", std::string(type_of(path))},
      {"X-Content-Type-Options", "nosniff"},
      {"Content-Security-Policy", std::string(is_run ? kRunPolicy : kPagePolicy)},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cache-Control",
       path.starts_with("assets/") ? "public, max-age=31536000, immutable" : "no-cache"},
      {"ETag", tag},
      {"Vary", "Accept-Encoding"}};
  if (is_packed) headers.emplace_back("Content-Encoding", "gzip");
  if (request.header("if-none-match") == tag) {
    call.exchange->reply({.status = 304, .headers = std::move(headers)});
    return true;
  }
  call.exchange->reply({.headers = std::move(headers), .static_body = bytes});
  return true;
}

}  // namespace reckon::server
