// JSON both ways.
#include "engine/verifier.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "tokenizer/unicode_table.h"

namespace reckon {
namespace {

constexpr int kMaxDepth = 8;

// Only whole characters may stand in JSON.
std::string valid_utf8(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    result += c.valid() ? text.substr(at, c.bytes) : std::string_view("\xef\xbf\xbd");
    at += c.bytes;
  }
  return result;
}

}  // namespace

Result<Verifier> Verifier::start(const Verification& verification, std::string_view answer,
                                 std::string_view text) {
  boost::json::object question;
  question["question"] = valid_utf8(verification.question);
  question["answer"] = valid_utf8(answer);
  question["text"] = valid_utf8(text);
  ChildLimits limits;
  limits.time_ms = verification.time_ms;
  limits.memory_bytes = verification.memory_bytes;
  RECKON_ASSIGN(
      SandboxedChild child,
      SandboxedChild::start(verification.program, boost::json::serialize(question) + "\n", limits));
  return Verifier(std::move(child));
}

std::optional<Result<Verdict>> Verifier::poll(int wait_ms) {
  std::optional<Result<std::string>> output = child_.poll(wait_ms);
  if (!output) return std::nullopt;
  if (!output->ok()) return output->error();
  return parse_verdict(**output);
}

Result<Verdict> parse_verdict(std::string_view output) {
  RECKON_ASSIGN(const boost::json::value value,
                parse_json(output, "the verifier's line", kMaxDepth));
  const boost::json::object* object = value.if_object();
  if (object == nullptr) return bad_file("the verifier's line: expected an object");
  Verdict verdict;
  if (const boost::json::value* pass = object->if_contains("pass")) {
    if (!pass->is_bool()) return bad_file("the verifier's \"pass\": expected true or false");
    verdict.passed = pass->as_bool();
  }
  if (const boost::json::value* score = object->if_contains("score")) {
    if (!score->is_number()) return bad_file("the verifier's \"score\": expected a number");
    const auto number = score->to_number<double>();
    if (!(number >= 0 && number <= 1)) {
      return bad_file("the verifier's \"score\": expected 0 to 1, found " + std::to_string(number));
    }
    verdict.score = number;
  }
  if (!verdict.passed && !verdict.score) {
    return bad_file("the verifier's line: expected \"pass\" or \"score\", found neither");
  }
  return verdict;
}

}  // namespace reckon
