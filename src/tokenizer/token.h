// The number of an entry of the vocabulary.
#pragma once

#include <cstdint>

namespace reckon {

using TokenId = int32_t;
inline constexpr TokenId kNoToken = -1;

}  // namespace reckon
