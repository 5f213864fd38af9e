// URLs of http and https, read strictly, and the addresses that a redirect may not lead to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace reckon {

struct Url {
  bool is_https = true;
  std::string host;  // lower case; of an IPv6 address without its brackets
  uint16_t port = 443;
  std::string target = "/";  // path and query, as they go into a request

  std::string scheme() const { return is_https ? "https" : "http"; }
  bool has_origin_of(const Url& other) const {
    return is_https == other.is_https && host == other.host && port == other.port;
  }
  // "https://host[:port]".
  std::string origin() const;
  std::string text() const { return origin() + target; }
  // The same without the query, which may hold a signature: what errors and records show.
  std::string public_text() const;
};

// Errors: kUsage for anything but http and https with a host, for user names, fragments, control
// characters, blanks, backslashes and bytes outside ASCII.
Result<Url> parse_url(std::string_view text);

// Where a Location header leads from base. Errors: those of parse_url, and kFailed for https to
// http.
Result<Url> parse_redirect(const Url& base, std::string_view location);

// Text as one segment of a path or more: all but unreserved characters (RFC 3986) and slashes
// becomes %XX.
std::string percent_encode_path(std::string_view path);

// 4 bytes of IPv4 or 16 of IPv6, as they go over the wire. False for every range that is not
// public: this machine, private, shared, link-local (cloud metadata too), documentation,
// benchmarking, multicast, reserved, and IPv6 forms that hold such an IPv4 address.
bool is_public_address(std::span<const uint8_t> address);

}  // namespace reckon
