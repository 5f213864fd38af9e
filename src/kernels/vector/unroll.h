// RECKON_UNROLL before a loop of constant length unrolls it whole at any optimisation level: arrays
// of vectors that it indexes then live in registers.
#pragma once

#ifdef RECKON_AVX512_INTRINSICS
// Plain C++ in place of the instructions: unrolled, it would take minutes to compile.
#define RECKON_UNROLL
#else
#define RECKON_UNROLL _Pragma("GCC unroll 16")
#endif
