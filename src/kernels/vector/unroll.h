// RECKON_UNROLL before a loop of constant length unrolls it whole at any optimisation level: arrays
// of vectors that it indexes then live in registers.
#pragma once

#define RECKON_UNROLL _Pragma("GCC unroll 16")
