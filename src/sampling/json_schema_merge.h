// Two schemas that both have to hold -> one.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "base/result.h"

namespace reckon {

// Keywords that say nothing about which values are accepted.
bool is_annotation(std::string_view keyword);

// A value is accepted by the result exactly if both accept it. Errors: kUsage naming the keyword
// that can't be joined; `place` is where.
Result<boost::json::object> merge_schemas(const boost::json::object& a,
                                          const boost::json::object& b, std::string_view place);

}  // namespace reckon
