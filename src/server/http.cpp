// Header look-up and the phrases of status lines.
#include "server/http.h"

#include <algorithm>

namespace reckon::server {

std::string_view HttpRequest::header(std::string_view lower_case_name) const {
  std::string_view found;
  size_t n = 0;
  for (const auto& [name, value] : headers) {
    if (name != lower_case_name) continue;
    found = value;
    ++n;
  }
  return n == 1 ? found : std::string_view{};
}

size_t HttpRequest::header_count(std::string_view lower_case_name) const {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(), [&](const auto& field) {
    return field.first == lower_case_name;
  }));
}

std::string_view status_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    default: return "Status";
  }
}

}  // namespace reckon::server
