// One block of each encodable format; encode.cpp hands out the blocks of a row. Internal to
// quants/.
#pragma once

#include "quants/blocks.h"

namespace reckon {

// x: the block's values, |x| <= kMaxEncodable (quants/scale_fit.h). importance: as many weights, or
// null.
void encode_block(const float* x, const float* importance, BlockQ4_0& block);
void encode_block(const float* x, const float* importance, BlockQ4_1& block);
void encode_block(const float* x, const float* importance, BlockQ5_0& block);
void encode_block(const float* x, const float* importance, BlockQ5_1& block);
void encode_block(const float* x, const float* importance, BlockQ8_0& block);
void encode_block(const float* x, const float* importance, BlockQ4_K& block);
void encode_block(const float* x, const float* importance, BlockQ5_K& block);
void encode_block(const float* x, const float* importance, BlockQ6_K& block);

}  // namespace reckon
