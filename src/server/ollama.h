// What the files of Ollama's API share. Internal to server/.
#pragma once

#include <optional>
#include <string>

#include "server/api.h"
#include "server/fields.h"
#include "server/generation.h"

namespace reckon::server {

void ollama_chat(ApiContext& context, Call call);
void ollama_generate(ApiContext& context, Call call);

// keep_alive: seconds, or a text such as "5m"; negative: for ever.
std::optional<double> read_keep_alive(Fields& fields);
// format: "json" or a schema.
void read_format(Fields& fields, GenerateSpec& spec);

}  // namespace reckon::server
