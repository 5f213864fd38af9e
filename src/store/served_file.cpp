// ask_about(): one byte of the file is asked for, and what comes along is read.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/ascii.h"
#include "store/byte_range.h"
#include "store/download.h"
#include "store/sha256.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 42;

std::string_view unquoted(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return etag;
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(),
                                          [](unsigned char c) { return std::isxdigit(c) != 0; });
}

// "/owner/repo/resolve/main/x" -> "/owner/repo/resolve/COMMIT/x".
void pin(Url& url, std::string_view commit) {
  constexpr std::string_view kResolve = "/resolve/";
  const size_t at = url.target.find(kResolve);
  if (at == std::string::npos || !is_commit(commit)) return;
  const size_t begin = at + kResolve.size();
  const size_t end = url.target.find('/', begin);
  if (end != std::string::npos) url.target.replace(begin, end - begin, commit);
}

// What the hub itself says about a file, on its redirect or its answer.
struct HubSays {
  std::string etag;
  std::string sha256;
  std::string commit;
  std::optional<uint64_t> bytes;

  void read(const HttpHead& head, const Url& asked) {
    if (!head.url.has_origin_of(asked)) return;
    const std::string_view linked = unquoted(head.field("X-Linked-Etag"));
    if (!linked.empty()) etag = head.field("X-Linked-Etag");
    if (is_sha256(linked)) sha256 = linked;
    if (const auto size = parse_byte_count(head.field("X-Linked-Size"))) bytes = size;
    if (is_commit(head.field("X-Repo-Commit"))) commit = head.field("X-Repo-Commit");
  }
};

Status agree(const RemoteFile& remote, std::string_view what, std::string_view expected,
             std::string_view found) {
  if (expected == found) return {};
  return bad_file(fmt::format("{}: expected {} {}, the server has {}", remote.url.public_text(),
                              what, expected, found));
}

}  // namespace

Result<ServedFile> ask_about(HttpClient& client, const RemoteFile& remote) {
  ServedFile served;
  served.remote = remote;
  HubSays hub;
  uint64_t bytes = 0;
  HttpGet get;
  get.url = remote.url;
  get.fields.emplace_back("Range", "bytes=0-0");
  get.on_redirect = [&](const HttpHead& head) { hub.read(head, remote.url); };
  get.on_head = [&](const HttpHead& head) -> Result<bool> {
    hub.read(head, remote.url);
    served.etag = head.field("ETag");
    // A page with "back soon" on it would be taken for another file, and begin it anew.
    const bool is_good = head.status == 200 || head.status == 206;
    if (is_good && head.field("Content-Type").starts_with("text/html")) {
      return failed(remote.url.public_text() + ": the server answers with a page, not with a file");
    }
    const auto range = parse_content_range(head.field("Content-Range"));
    if (head.status == 206 && range && range->first == 0 && range->last == 0) {
      served.has_ranges = true;
      bytes = range->total;
      return head.content_length == uint64_t{1};
    }
    if (head.status == 200 && head.content_length) {
      bytes = *head.content_length;
      return false;
    }
    const std::string problem = head.status == 206   ? "a range that was not asked for"
                                : head.status == 200 ? "a file without saying how long it is"
                                                     : describe_http_status(head.status);
    return failed(fmt::format("{}: the server answers with {}", remote.url.public_text(), problem));
  };
  get.on_body = [](std::span<const char>) { return Status(); };
  RECKON_RETURN_IF_ERROR(client.get(get));
  if (bytes == 0 || bytes > kMaxFileBytes) {
    return bad_file(fmt::format("{}: expected a file of 1 byte to 4 TiB, the server has {} bytes",
                                remote.url.public_text(), bytes));
  }
  if (hub.bytes) {
    RECKON_RETURN_IF_ERROR(
        agree(remote, "a size of", std::to_string(*hub.bytes), std::to_string(bytes)));
  }
  if (remote.bytes != 0) {
    RECKON_RETURN_IF_ERROR(
        agree(remote, "a size of", std::to_string(remote.bytes), std::to_string(bytes)));
  }
  hub.sha256 = ascii_lower(hub.sha256);
  if (!remote.sha256.empty() && !hub.sha256.empty()) {
    RECKON_RETURN_IF_ERROR(agree(remote, "SHA-256", remote.sha256, hub.sha256));
  }
  served.remote.bytes = bytes;
  if (remote.sha256.empty()) served.remote.sha256 = hub.sha256;
  pin(served.remote.url, hub.commit);
  served.etag_is_linked = !hub.etag.empty();
  if (served.etag_is_linked) served.etag = hub.etag;
  return served;
}

}  // namespace reckon
