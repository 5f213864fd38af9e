// Numbers in HTTP's header fields: sizes and ranges of bytes (RFC 9110, section 14).
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace reckon {

struct ByteRange {
  uint64_t first = 0;
  uint64_t last = 0;  // the last byte's own offset
  uint64_t total = 0;
};

// Digits and nothing else.
inline std::optional<uint64_t> parse_byte_count(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

// "bytes 0-99/1234", the total known and beyond the last byte.
inline std::optional<ByteRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const size_t hyphen = text.find('-');
  const size_t slash = text.find('/');
  if (hyphen == std::string_view::npos || slash == std::string_view::npos || slash < hyphen) {
    return std::nullopt;
  }
  const auto first = parse_byte_count(text.substr(0, hyphen));
  const auto last = parse_byte_count(text.substr(hyphen + 1, slash - hyphen - 1));
  const auto total = parse_byte_count(text.substr(slash + 1));
  if (!first || !last || !total || *first > *last || *last >= *total) return std::nullopt;
  return ByteRange{*first, *last, *total};
}

}  // namespace reckon
