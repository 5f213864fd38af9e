// Random weights straight in a tensor type's blocks, for `synth`: no encoder runs, so a file of
// many gigabytes is made as fast as it is written. A block is a function of the tensor's key and
// the block's place alone, so the bytes don't depend on threads or on the pieces they are made in.
#pragma once

#include <cstdint>

#include "quants/tensor_type.h"

namespace reckon {

// A well-mixed 64-bit number (SplitMix64's finaliser: Steele, Lea and Flood 2014).
inline uint64_t mix_bits(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
  return bits ^ (bits >> 31);
}

// Writes elements [first, first + n) of the tensor that key stands for: row_bytes(type, n) bytes.
// first and n are whole blocks. Values have mean 0 (of many blocks) and the given standard
// deviation, give or take the few per cent by which a small scale is rounded to a half; scales,
// minima and quants lie in the ranges that encoders use.
void random_weights(TensorType type, uint64_t key, int64_t first, int64_t n, double deviation,
                    void* out);

}  // namespace reckon
