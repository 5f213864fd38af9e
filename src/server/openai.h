// What the OpenAI routes share: fields of requests, and the parts of replies. Internal to server/.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/api.h"
#include "server/fields.h"
#include "server/generation.h"

namespace reckon::server {

// temperature, top_p, top_k, min_p, penalties, seed, logit_bias, stop, max_tokens and n, which also
// DeepSeek's, vLLM's and llama.cpp's clients send.
void read_openai_sampling(Fields& fields, GenerateSpec& spec);
// stream and stream_options.
struct StreamWish {
  bool stream = false;
  bool include_usage = false;
};
StreamWish read_openai_stream(Fields& fields);
// reasoning_effort, thinking_budget_tokens, thinking, chat_template_kwargs.enable_thinking,
// early_stop, n_paths.
void read_openai_thinking(Fields& fields, GenerateSpec& spec);
// messages, and the thought that the last one may begin.
void read_openai_messages(Fields& fields, GenerateSpec& spec);
// A response format, {"type": "text" | "json_object" | "json_schema", …}, under this name. A schema
// stands beside the type, or as "schema" within "json_schema", which errors then name.
enum class SchemaPlace : uint8_t { kBesideType, kWithin };
void read_response_format(Fields& fields, std::string_view name, SchemaPlace place,
                          GenerateSpec& spec);
// grammar: GBNF, as llama.cpp's clients send it; and what can't stand beside a format.
void read_grammar(Fields& fields, GenerateSpec& spec);
// tools, tool_choice, parallel_tool_calls.
void read_openai_tools(Fields& fields, GenerateSpec& spec);
// Text, or an array of parts that are all text.
std::optional<std::string> read_text_parts(Fields& fields, const boost::json::value& content,
                                           const std::string& name);
// name, description and parameters of a function that may be called; the name.
std::string read_function(Fields& fields);
// The tool of this name becomes the only one, and has to be called.
void choose_tool(Fields& fields, const std::string& field, const std::string& name,
                 GenerateSpec& spec);

boost::json::object openai_usage(const Usage& usage);
boost::json::object timings_object(const Timings& timings);
// What an answer is beside OpenAI's fields: how its thought ended, what was saved, and how paths
// voted where there was a vote.
boost::json::object reckon_object(const AnswerTotals& totals, bool votes);
std::string_view openai_finish_reason(const ChoiceEnd& end);
// A token's text with what is no UTF-8 replaced.
std::string token_text(const Tokenizer& tokenizer, TokenId token);
// A reply's "content" of logprobs.
boost::json::array logprobs_array(const Tokenizer& tokenizer, const std::vector<DrawnToken>& drawn);

Headers event_stream_headers(const Call& call);
// One event of a stream, "data: ...\n\n".
std::string sse(std::string_view data);
inline constexpr std::string_view kSsePing = ": ping\n\n";

// "reckon-" and the version.
extern const std::string_view kFingerprint;

// Clients send a thought back with the signature it came with. Earlier thoughts are dropped (R1's
// template drops them), so nothing depends on it: it only has to be there.
inline constexpr std::string_view kThoughtSignature =
    "cmVja29uOiB0aG91Z2h0cyBvZiBlYXJsaWVyIHR1cm5zIGFyZSBkcm9wcGVk";

// /v1/chat/completions and its control.
void chat_completions(ApiContext& context, Call call);
void control_answer(ApiContext& context, Call call);
void completions(ApiContext& context, Call call);
void responses(ApiContext& context, Call call);

}  // namespace reckon::server
