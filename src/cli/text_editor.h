// The person's own editor on a piece of text.
#pragma once

#include <string>

#include "base/result.h"

namespace reckon::cli {

// Opens $VISUAL, else $EDITOR, else vi on a temporary file with the text; what it holds afterwards,
// less a line break at its end that wasn't there. Errors: kFailed when the editor can't be run or
// fails.
Result<std::string> edit_text(const std::string& text);

}  // namespace reckon::cli
