// What an answer is held to: response formats and calls that have to be made, as grammars. Compiled
// ones are kept for a while, since requests that share one share its masks.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/result.h"
#include "reasoning/tool_calls.h"
#include "sampling/grammar.h"

namespace reckon::server {

class GrammarCache {
 public:
  using GrammarResult = Result<std::shared_ptr<const Grammar>>;

  GrammarResult schema(const boost::json::value& schema);
  GrammarResult gbnf(const std::string& text);
  // One call of one of these tools, in the way that a model's answers write calls.
  GrammarResult tool_call(const boost::json::array& tools, ToolFormat format);

 private:
  GrammarResult cached(std::string key, const std::function<GrammarResult()>& make);

  std::mutex mutex_;
  std::list<std::pair<std::string, std::shared_ptr<const Grammar>>> latest_;  // first
};

}  // namespace reckon::server
