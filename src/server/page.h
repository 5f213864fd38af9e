// The page: files that were built from web/ and are part of the program.
#pragma once

#include "server/api.h"

namespace reckon::server {

// Replies with the page's file under the call's path; false when there is none.
bool serve_page(const Call& call);

}  // namespace reckon::server
