// Names are compared letter by letter: no spelling of an address but the usual one is known.
#include "server/access.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/json.h"

namespace reckon::server {
namespace {

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' ||
         c == '[' || c == ']';
}

bool is_numeric(std::string_view host) {
  std::string text(host);
  unsigned char address[16];
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return ::inet_pton(AF_INET6, text.substr(1, text.size() - 2).c_str(), address) == 1;
  }
  return ::inet_pton(AF_INET, text.c_str(), address) == 1;
}

}  // namespace

std::string_view host_name(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return {};
    return text.substr(0, end + 1);
  }
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos && !is_port(text.substr(colon + 1))) return {};
  return text.substr(0, colon);
}

Result<Access> Access::create(const std::string& listen, std::vector<std::string> hosts,
                              std::vector<std::string> origins) {
  Access access;
  access.hosts_ = {"localhost", "127.0.0.1", "[::1]"};
  access.any_address_ = listen == "0.0.0.0" || listen == "::";
  access.hosts_.push_back(listen.find(':') == std::string::npos ? listen : "[" + listen + "]");
  for (const std::string& host : hosts) {
    const std::string name = ascii_lower(host);
    const bool good = !name.empty() && std::all_of(name.begin(), name.end(), is_name_character) &&
                      host_name(name) == name;
    if (!good) {
      return usage_error(fmt::format(
          "--allow-host: expected a host's name without a port, found {}", excerpt(host)));
    }
    access.hosts_.push_back(name);
  }
  for (const std::string& origin : origins) {
    const std::string text = ascii_lower(origin);
    const size_t scheme = text.starts_with("http://") ? 7 : text.starts_with("https://") ? 8 : 0;
    const std::string_view rest = std::string_view(text).substr(scheme);
    if (scheme == 0 || host_name(rest).empty() ||
        !std::all_of(rest.begin(), rest.end(), is_name_character)) {
      return usage_error(
          fmt::format("--allow-origin: expected an origin such as https://chat.example, found {}",
                      excerpt(origin)));
    }
    access.origins_.push_back(text);
  }
  return access;
}

bool Access::knows_host(std::string_view host) const {
  if (std::find(hosts_.begin(), hosts_.end(), host) != hosts_.end()) return true;
  return any_address_ && is_numeric(host);
}

Access::Verdict Access::judge(const HttpRequest& request) const {
  const std::string host = ascii_lower(request.header("host"));
  const std::string_view name = host_name(host);
  if (name.empty() || !knows_host(name)) {
    return {.why = fmt::format("Host: expected localhost, this server's address or a name given "
                               "with --allow-host, found {}",
                               excerpt(host))};
  }
  if (request.header_count("origin") > 0) {
    const std::string origin = ascii_lower(request.header("origin"));
    if (origin == "http://" + host || origin == "https://" + host) return {.allowed = true};
    if (std::find(origins_.begin(), origins_.end(), origin) != origins_.end()) {
      return {.allowed = true, .cors_origin = origin};
    }
    // The Run frame has an origin of its own, which is written so; its script is no secret.
    if (origin == "null" && request.path == "/run.js") return {.allowed = true};
    return {.why = fmt::format("Origin: expected this server's own or one given with "
                               "--allow-origin, found {}",
                               excerpt(origin))};
  }
  // Browsers send no Origin with some requests, such as for images, but say where they come from.
  const std::string_view site = request.header("sec-fetch-site");
  const bool foreign = site == "cross-site" || site == "same-site";
  const bool opens_page = request.header("sec-fetch-mode") == "navigate" &&
                          (request.method == "GET" || request.method == "HEAD");
  return {.allowed = true, .cross_site = foreign && !opens_page};
}

}  // namespace reckon::server
