// The parts that replies of several OpenAI routes have in common.
#include <fmt/format.h>

#include "server/openai.h"

namespace reckon::server {

const std::string_view kFingerprint = "reckon-" RECKON_VERSION;

namespace json = boost::json;

json::object openai_usage(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.output.total()},
          {"total_tokens", usage.prompt_tokens + usage.output.total()},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.output.thinking}}}};
}

json::object timings_object(const Timings& timings) {
  return {{"prompt_n", timings.prefill_tokens},
          {"prompt_ms", timings.prefill_ms},
          {"prompt_per_second", timings.prefill_rate()},
          {"predicted_n", timings.decode_tokens},
          {"predicted_ms", timings.decode_ms},
          {"predicted_per_second", timings.decode_rate()}};
}

namespace {

// How paths voted: the winner's votes of those that count, of the paths that began.
json::object vote_object(const DeliberationReport& report) {
  const std::vector<VoteCount>& votes = report.votes;
  json::array minority;
  for (size_t i = 1; i < votes.size(); ++i) {
    minority.push_back(json::object{
        {"answer", votes[i].answer}, {"share", votes[i].share}, {"votes", votes[i].n_votes}});
  }
  return {{"answer", votes.empty() ? json::value(nullptr) : json::value(votes.front().answer)},
          {"share", votes.empty() ? 0.0 : votes.front().share},
          {"votes", votes.empty() ? 0 : votes.front().n_votes},
          {"counted", report.n_votes()},
          {"paths", report.paths.size()},
          {"chosen", report.chosen},
          {"minority", std::move(minority)}};
}

}  // namespace

json::object reckon_object(const AnswerTotals& totals, bool votes) {
  json::object object{{"thinking_tokens", totals.usage.output.thinking},
                      {"probe_tokens", totals.usage.probe_tokens},
                      {"computed_tokens", totals.usage.computed_tokens},
                      {"discarded_tokens", totals.usage.discarded_tokens},
                      {"saved_tokens", nullptr},
                      {"seconds", totals.total_ms / 1e3},
                      {"end_reason", thought_end_name(totals.thought_end)}};
  if (totals.usage.saved_tokens) object["saved_tokens"] = *totals.usage.saved_tokens;
  if (totals.usage.joules) object["joules"] = *totals.usage.joules;
  if (votes && totals.deliberation != nullptr) {
    object["vote"] = vote_object(*totals.deliberation);
  }
  return object;
}

std::string_view openai_finish_reason(const ChoiceEnd& end) {
  if (end.cut) return "cut";
  if (end.called_tools) return "tool_calls";
  return end.reason == FinishReason::kLength ? "length" : "stop";
}

std::string token_text(const Tokenizer& tokenizer, TokenId token) {
  std::string text;
  for (std::string_view rest = tokenizer.bytes(token); !rest.empty();) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(rest[i]); };
    const unsigned char first = byte(0);
    const size_t n = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    bool good = n == 1 || (first >= 0xc2 && first <= 0xf4 && rest.size() >= n);
    for (size_t i = 1; good && i < n; ++i) good = (byte(i) & 0xc0) == 0x80;
    if (good && n > 2) {
      good = !((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
               (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f));
    }
    text += good ? rest.substr(0, n) : std::string_view("\xef\xbf\xbd");
    rest.remove_prefix(good ? n : 1);
  }
  return text;
}

namespace {

json::object token_object(const Tokenizer& tokenizer, TokenId token, double logprob) {
  json::array bytes;
  for (const char c : tokenizer.bytes(token)) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", token_text(tokenizer, token)}, {"logprob", logprob}, {"bytes", bytes}};
}

}  // namespace

json::array logprobs_array(const Tokenizer& tokenizer, const std::vector<DrawnToken>& drawn) {
  json::array list;
  for (const DrawnToken& token : drawn) {
    json::object entry = token_object(tokenizer, token.token, token.logprobs.chosen);
    json::array top;
    for (const TokenLogprob& other : token.logprobs.top) {
      top.push_back(token_object(tokenizer, other.token, other.logprob));
    }
    entry["top_logprobs"] = std::move(top);
    list.push_back(std::move(entry));
  }
  return list;
}

Headers event_stream_headers(const Call& call) {
  Headers headers = reply_headers(call, "text/event-stream");
  headers.emplace_back("X-Accel-Buffering", "no");
  return headers;
}

std::string sse(std::string_view data) { return fmt::format("data: {}\n\n", data); }

}  // namespace reckon::server
