// Unicode normalisation form C, as the reference's normaliser does it (Unicode 9.0.0 characters).
#pragma once

#include <string>
#include <string_view>

namespace reckon {

// text in NFC: text itself when it already is (nothing is copied then), else a view of buffer,
// whose contents are replaced. Bytes that aren't UTF-8 are kept as they are and nothing combines
// across them. Linear time, but for sorting runs of combining marks.
std::string_view normalise_nfc(std::string_view text, std::string& buffer);

}  // namespace reckon
