// RECKON_UNROLL before a loop of constant length unrolls it whole at any optimisation level: arrays
// of vectors that it indexes then live in registers.
#pragma once

#ifdef RECKON_AVX512_INTRINSICS
// Plain C++ in place of the instructions: unrolled, it would take minutes to compile.
#define RECKON_UNROLL
#define RECKON_UNROLL_4
#else
#define RECKON_UNROLL _Pragma("GCC unroll 16")
// Of a long loop four rounds at a time, so that counting costs little beside the work.
#define RECKON_UNROLL_4 _Pragma("GCC unroll 4")
#endif
