// Reading of URLs and the table of addresses.
#include "store/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/ascii.h"
#include "base/json.h"

namespace reckon {
namespace {

constexpr size_t kMaxUrlBytes = 8192;
constexpr size_t kMaxHostBytes = 253;

Error bad_url(std::string_view text, std::string_view problem) {
  return usage_error(fmt::format("URL {}: {}", excerpt(text, 200), problem));
}

bool is_host_character(unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '-'; }

// "host", "host:port", "[address]:port" -> url.
Status read_authority(std::string_view authority, std::string_view whole, Url& url) {
  if (authority.find('@') != std::string_view::npos) {
    return bad_url(whole, "expected no user name in it");
  }
  std::string_view rest = authority;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return bad_url(whole, "expected ] after the address");
    url.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    const bool good = !url.host.empty() && url.host.size() <= 45 &&
                      std::all_of(url.host.begin(), url.host.end(), [](unsigned char c) {
                        return std::isxdigit(c) != 0 || c == ':' || c == '.';
                      });
    if (!good) return bad_url(whole, "expected an IPv6 address between the brackets");
  } else {
    const size_t end = std::min(rest.find(':'), rest.size());
    url.host = rest.substr(0, end);
    rest.remove_prefix(end);
    const bool good = !url.host.empty() && url.host.size() <= kMaxHostBytes &&
                      std::all_of(url.host.begin(), url.host.end(), is_host_character);
    if (!good) return bad_url(whole, "expected a host of letters, digits, dots and hyphens");
  }
  url.host = ascii_lower(url.host);
  url.port = url.is_https ? 443 : 80;
  if (rest.empty()) return {};
  rest.remove_prefix(1);
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), url.port);
  if (error != std::errc() || end != rest.data() + rest.size() || url.port == 0) {
    return bad_url(whole, "expected a port of 1 to 65535");
  }
  return {};
}

// The path of target with its "." and ".." segments resolved (RFC 3986, 5.2.4), its query kept.
std::string without_dot_segments(std::string_view target) {
  const size_t query = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, query);
  std::string out;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    const bool is_dot = segment == ".";
    if (segment == "..") {
      out.resize(std::min(out.rfind('/'), out.size()));
    } else if (!is_dot) {
      out += '/';
      out += segment;
    }
    if (path.empty() && (is_dot || segment == "..")) out += '/';
  }
  if (out.empty()) out = "/";
  return out + std::string(target.substr(query));
}

struct Range {
  uint32_t address;
  int prefix;
};

// IANA's special-purpose registry for IPv4 (RFC 6890 and its successors): what is not global.
constexpr Range kNotPublic[] = {
    {0x00000000, 8},   // this network
    {0x0a000000, 8},   // private
    {0x64400000, 10},  // shared by carriers
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // link-local, cloud metadata
    {0xac100000, 12},  // private
    {0xc0000000, 24},  // protocol assignments
    {0xc0000200, 24},  // documentation
    {0xc0586300, 24},  // 6to4 relays
    {0xc0a80000, 16},  // private
    {0xc6120000, 15},  // benchmarking
    {0xc6336400, 24},  // documentation
    {0xcb007100, 24},  // documentation
    {0xe0000000, 4},   // multicast
    {0xf0000000, 4},   // reserved, broadcast
};

uint32_t read_ipv4(std::span<const uint8_t> bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

bool is_public_ipv4(std::span<const uint8_t> bytes) {
  const uint32_t address = read_ipv4(bytes);
  return std::none_of(std::begin(kNotPublic), std::end(kNotPublic), [&](const Range& range) {
    return (address ^ range.address) >> (32 - range.prefix) == 0;
  });
}

}  // namespace

std::string Url::origin() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  const std::string shown = is_ipv6 ? "[" + host + "]" : host;
  const bool is_default = port == (is_https ? 443 : 80);
  return scheme() + "://" + shown + (is_default ? "" : ":" + std::to_string(port));
}

std::string Url::public_text() const { return origin() + target.substr(0, target.find('?')); }

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kMaxUrlBytes) {
    return usage_error(
        fmt::format("URL: expected at most {} bytes, found {}", kMaxUrlBytes, text.size()));
  }
  const bool printable = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c > 0x20 && c < 0x7f && c != '\\' && c != '"' && c != '<' && c != '>';
  });
  if (!printable) {
    return bad_url(text, "expected printable ASCII without blanks, quotes and backslashes");
  }
  Url url;
  const size_t colon = text.find("://");
  const std::string scheme = ascii_lower(text.substr(0, std::min(colon, text.size())));
  if (colon == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return bad_url(text, "expected http:// or https://");
  }
  url.is_https = scheme == "https";
  std::string_view rest = text.substr(colon + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  RECKON_RETURN_IF_ERROR(read_authority(rest.substr(0, end), text, url));
  rest.remove_prefix(end);
  if (rest.find('#') != std::string_view::npos) return bad_url(text, "expected no fragment in it");
  url.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return url;
}

Result<Url> parse_redirect(const Url& base, std::string_view location) {
  std::string whole(location.substr(0, location.find('#')));
  const size_t colon = whole.find(':');
  const bool has_scheme = colon != std::string::npos && colon < whole.find_first_of("/?");
  if (whole.starts_with("//")) {
    whole = base.scheme() + ":" + whole;
  } else if (whole.starts_with('/')) {
    whole = base.origin() + whole;
  } else if (!has_scheme) {
    const std::string path = base.target.substr(0, base.target.find('?'));
    whole = base.origin() + path.substr(0, path.rfind('/') + 1) + whole;
  }
  RECKON_ASSIGN(Url url, parse_url(whole));
  url.target = without_dot_segments(url.target);
  if (base.is_https && !url.is_https) {
    return failed(fmt::format("{}: refused to follow its redirect from https to {}",
                              base.public_text(), url.origin()));
  }
  return url;
}

std::string percent_encode_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 ||
                                       std::string_view("-._~/").find(c) != std::string_view::npos);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

bool is_public_address(std::span<const uint8_t> address) {
  if (address.size() == 4) return is_public_ipv4(address);
  if (address.size() != 16) return false;
  const auto starts_with = [&](std::initializer_list<uint8_t> bytes) {
    return std::equal(bytes.begin(), bytes.end(), address.begin());
  };
  // 64:ff9b::/96 stands for IPv4 where a network has none of it (RFC 6052).
  if (starts_with({0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) {
    return is_public_ipv4(address.subspan(12));
  }
  // Only 2000::/3 is given out; of it, not what tunnels IPv4 (6to4, Teredo) or is documentation,
  // benchmarking and other special use (2001::/23), nor the new documentation range 3fff::/20.
  if ((address[0] & 0xe0) != 0x20) return false;
  if (starts_with({0x20, 0x02})) return false;
  if (starts_with({0x20, 0x01}) && (address[2] & 0xfe) == 0) return false;
  if (starts_with({0x20, 0x01, 0x0d, 0xb8})) return false;
  return !(starts_with({0x3f, 0xff}) && (address[2] & 0xf0) == 0);
}

}  // namespace reckon
