// Which requests are let in: by the Host and Origin that a browser sends, so that a foreign page
// can neither use this server nor read from it (DNS rebinding, cross-site requests).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http.h"

namespace reckon::server {

class Access {
 public:
  // listen: the address that is listened on. Names beside localhost and that address are allowed
  // one by one; origins as "https://chat.example". Errors: kUsage for what is neither.
  static Result<Access> create(const std::string& listen, std::vector<std::string> hosts,
                               std::vector<std::string> origins);

  struct Verdict {
    bool allowed = false;
    std::string why = {};
    std::string cors_origin = {};  // to name in the reply; only ever one of the allowed list
    // Another site's page asks, in a way that browsers send no Origin with: only for the page's own
    // files (which the Run frame, of no origin, loads like that).
    bool cross_site = false;
  };
  Verdict judge(const HttpRequest& request) const;

 private:
  bool knows_host(std::string_view host) const;

  bool any_address_ = false;  // listening on all: a numeric Host can't be a rebound name
  std::vector<std::string> hosts_;
  std::vector<std::string> origins_;
};

// "name" or "[::1]" of "name:80"; empty when it isn't a host and a port.
std::string_view host_name(std::string_view host_and_port);

}  // namespace reckon::server
